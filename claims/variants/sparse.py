"""Kernels that look at some pairs of tokens only: windows and blocks, tiny ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from veriformer.properties import Sizes, Subject

from .declared import WIDE, full_attention, linear, named, one_sequence

WINDOW, BLOCK = 1, 2


def _within(reference: Any, pattern: Callable[[int, torch.device], Tensor]) -> Callable[[Any], Callable[..., Tensor]]:
    """Full attention under the mask of pairs that a sparse kernel stands for."""

    def attend(query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None) -> Tensor:
        pairs = pattern(query.shape[-2], query.device)
        return full_attention(reference, query, key, value, pairs if mask is None else pairs & mask)

    return lambda built: attend


def subjects(reference: Any, variants: Any) -> dict[str, Subject]:
    """Sliding and dilated windows, and blocks, by name, out of the packages given."""

    def windowed(dilation: int) -> dict[str, Any]:
        def attend(query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None) -> Tensor:
            return variants.sliding_window_attention(query, key, value, window=WINDOW, dilation=dilation, mask=mask)

        def pattern(n: int, device: torch.device) -> Tensor:
            return variants.window_mask(n, WINDOW, dilation, device=device)

        return {"call": attend, "plain": _within(reference, pattern)}

    def layout(n: int) -> list[list[int]]:
        return variants.block_layout(-(-n // BLOCK), n_global=1, window=1, n_random=1, seed=0)

    def in_blocks(query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None) -> Tensor:
        n = query.shape[-2]
        return variants.block_sparse_attention(query, key, value, block=BLOCK, layout=layout(n), mask=mask)

    def blocks(n: int, device: torch.device) -> Tensor:
        return variants.layout_mask(n, BLOCK, layout(n), device=device)

    common: dict[str, Any] = {
        "contract": "attention",
        "fully_masked": "zero",
        "refuses": one_sequence,
        "growth": linear,
        "dtypes": WIDE,
    }
    return {
        **named("sliding_window", **windowed(1), **common),
        **named("dilated_window", **windowed(2), **common),
        **named(
            "block_sparse",
            call=in_blocks,
            plain=_within(reference, blocks),
            sizes=Sizes(length=(1, 2, 3, 5, 7, 11, 12, 13, 20)),  # a block that is hidden takes six of them
            **common,
        ),
    }
