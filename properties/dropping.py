"""Dropping: which masks of chance a call draws, seen where PyTorch dispatches them; and masks of one's own choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .contracts import Unsupported


@dataclass(frozen=True)
class Mask:
    """A mask that was drawn: its shape, and the rate at which it drops, None where the operator does not tell.

    ``operator`` is PyTorch's name of what drew it.
    """

    shape: tuple[int, ...]
    rate: float | None
    operator: str

    def covers(self, *shape: int) -> bool:
        """Whether it has one entry for each of ``shape``, the last axis last; axes before it may be merged."""
        entries = torch.Size(shape).numel()
        return torch.Size(self.shape).numel() == entries and self.shape[-1:] == shape[-1:]


Choice = Callable[[Mask], bool]
"""Whether a mask keeps everything (True) or drops everything (False)."""


class Masks(TorchDispatchMode):
    """While it is active, ``drawn`` gathers every mask in the order of drawing; ``choose`` says what is in each.

    Without ``choose`` masks are drawn as ever. With it, :class:`Unsupported` is raised where a mask is drawn in a way,
    or inside a fused operator, that leaves no room for the choice.
    """

    def __init__(self, choose: Choice | None = None) -> None:
        """Nothing is seen until it is entered."""
        super().__init__()
        self.choose = choose
        self.drawn: list[Mask] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Call ``func``, and note what it draws."""
        named = _by_name(func, args, kwargs or {})
        if torch.Tag.nondeterministic_seeded not in func.tags and "dropout_p" not in named:
            return func(*args, **(kwargs or {}))
        result = func(*args, **(kwargs or {}))
        mask = _mask(func.overloadpacket.__name__, named, result)
        if mask is None:
            return result
        self.drawn.append(mask)
        return result if self.choose is None else _chosen(self.choose(mask), mask, named, result)


def _by_name(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """All arguments of a call, with the defaults that PyTorch leaves out."""
    declared = func._schema.arguments
    given = {argument.name: value for argument, value in zip(declared, args, strict=False)}
    return {argument.name: argument.default_value for argument in declared} | given | kwargs


def _mask(operator: str, named: dict[str, Any], result: Any) -> Mask | None:
    """The mask behind one call of an operator; None where it draws none."""
    if "dropout_p" in named:  # attention with its weights hidden inside; others of the kind only look at the arguments
        query, key = named.get("query"), named.get("key")
        if not named["dropout_p"] or not isinstance(query, Tensor) or not isinstance(key, Tensor):
            return None
        shape = (*query.shape[:-1], key.shape[-2])
        return Mask(shape, named["dropout_p"], operator) if isinstance(result, tuple | Tensor) else None
    if operator == "native_dropout":
        return Mask(tuple(result[1].shape), named["p"], operator) if named["train"] is not False else None
    drawn = result[0] if isinstance(result, tuple) else result
    if not isinstance(drawn, Tensor):
        return None
    kept = named.get("p") if operator == "bernoulli_" else None
    return Mask(tuple(drawn.shape), 1 - kept if isinstance(kept, float) else None, operator)


def _chosen(keep: bool, mask: Mask, named: dict[str, Any], result: Any) -> Any:
    """What the operator would have returned, had chance made this choice."""
    if mask.operator == "bernoulli_":
        return result.fill_(1.0 if keep else 0.0)
    if mask.operator == "native_dropout":
        scaled = named["input"] / (1 - named["p"]) if keep else torch.zeros_like(named["input"])
        return result[0].copy_(scaled), result[1].fill_(keep)
    raise Unsupported(f"it draws a mask by {mask.operator}, whose outcome cannot be chosen")
