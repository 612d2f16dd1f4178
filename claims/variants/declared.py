"""What the declarations of variants have in common.

Kernels are held as their papers define them, as self-attention: query, key and value of one sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from veriformer.properties import Subject, Unsupported
from veriformer.properties.contracts import Path

WIDE = ("float64", "float32")
"""The types of variants that give something up: in 16 bits a loss may drown in rounding, so that a pinned case holds.

PyTorch has no pseudo-inverse, no QR decomposition and, on a CPU, no Fourier transform there, either."""


def linear(path: Path) -> int:
    """The cost of products of matrices grows like the length."""
    return 1


def quadratic(path: Path) -> int:
    """The cost of products of matrices grows like the square of the length."""
    return 2


def one_sequence(path: Path, device: str) -> str | None:
    """Why there is no path with keys of another sequence than the queries."""
    return "it is held as self-attention, as its paper defines it" if path["over"] == "memory" else None


def no_mask_of_pairs(path: Path, device: str) -> str | None:
    """Why there is no path with a mask that differs from query to query, either."""
    return one_sequence(path, device) or (
        "it takes a causal flag, and no mask of pairs" if path["causal"] == "mask" else None
    )


def key_padding(mask: Tensor | None) -> Tensor | None:
    """The mask (batch, 1, query, key) as one of keys alone (batch, key)."""
    if mask is None:
        return None
    of_keys = mask[:, 0, 0]
    if not torch.equal(mask[:, 0], of_keys[:, None].expand_as(mask[:, 0])):
        raise Unsupported("it takes a mask of keys, the same for every query")
    return of_keys


class WeightsWhenAsked(nn.Module):
    """Self-attention that returns its weights only when asked."""

    def __init__(self, attention: nn.Module) -> None:
        """``attention`` returns its output and its weights, always."""
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor, *, need_weights: bool = False, **masks: Any) -> Any:
        """The output, and the weights if they are asked for."""
        output, weights = self.attention(x, **masks)
        return (output, weights) if need_weights else output


class Kernel(nn.Module):
    """A kernel with tensors of its own, which the weights of a case fill if they are parameters."""

    def __init__(self, kernel: Callable[..., Tensor], *, trained: bool, **tensors: Tensor) -> None:
        """``tensors`` are given to the kernel by name: as parameters if ``trained``, else as they are."""
        super().__init__()
        self.kernel, self.names = kernel, tuple(tensors)
        for name, tensor in tensors.items():
            if trained:
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """The tensors by name, as they are now."""
        return {name: getattr(self, name) for name in self.names}

    def forward(self, query: Tensor, key: Tensor, value: Tensor, **masks: Any) -> Tensor:
        """The kernel called with its tensors, and with the mask as one of keys."""
        mask = key_padding(masks.pop("mask", None))
        return self.kernel(query, key, value, key_padding_mask=mask, **self.tensors, **masks)


def named(name: str, **declared: Any) -> dict[str, Subject]:
    """The subject ``reference.variants.name``, under its name."""
    return {name: Subject(name=f"reference.variants.{name}", **declared)}


def full_attention(reference: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention over all pairs, as the package ``reference`` has it."""
    return reference.scaled_dot_product_attention(query, key, value, mask=mask)[0]
