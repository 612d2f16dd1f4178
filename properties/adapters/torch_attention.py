"""PyTorch's ``scaled_dot_product_attention``, on every backend."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..contracts import Path, Unsupported
from ..subjects import Config, Subject
from .quiet import quiet

BACKENDS = {
    "math": SDPBackend.MATH,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}


def _attention(
    backend: str,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    attend = partial(torch.nn.functional.scaled_dot_product_attention, query, key, value)
    with _chosen(backend), quiet():
        try:
            return attend(attn_mask=mask, is_causal=is_causal, scale=scale, enable_gqa=key.shape[1] != query.shape[1])
        except RuntimeError as error:
            if "No available kernel" in str(error) or "No viable backend" in str(error):
                raise Unsupported(f"the {backend} backend has no kernel for these arguments on this machine") from error
            raise


def _chosen(backend: str):
    """PyTorch's own choice of backend, or one that is forced."""
    return sdpa_kernel(list(BACKENDS.values()) if backend == "default" else BACKENDS[backend])


def _build(config: Config) -> partial[Tensor]:
    return partial(_attention, config.options["backend"])


def _refuses(path: Path, device: str) -> str | None:
    if path["padding"] != "absent" and path["causal"] == "flag":
        return "scaled_dot_product_attention takes a mask or is_causal, not both"
    if path["backend"] in ("efficient", "cudnn") and device == "cpu":
        return f"the {path['backend']} backend is for CUDA only"
    return None


SDPA = Subject(
    name="torch.nn.functional.scaled_dot_product_attention",
    contract="attention",
    build=_build,
    features={"mask", "is_causal", "scale"},
    paths={"backend": ("math", "default", "flash", "efficient", "cudnn")},
    grouped_queries=True,
    fully_masked="zero",
    refuses=_refuses,
)
