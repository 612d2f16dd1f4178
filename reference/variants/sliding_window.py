"""Sliding-window attention: each token looks at its neighbours, next to it or at regular gaps."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..attention import masked_softmax


def window_mask(n: int, window: int, dilation: int, *, device: torch.device | str | None) -> Bool[Tensor, "n n"]:
    """M[i, j] = (|i − j| ≤ window · dilation and dilation divides i − j): what the window means, pair by pair."""
    place = torch.arange(n, device=device)
    offset = place[None, :] - place[:, None]
    return (offset.abs() <= window * dilation) & (offset % dilation == 0)


def sliding_window_attention(
    query: Float[Tensor, "batch heads length d_k"],
    key: Float[Tensor, "batch heads length d_k"],
    value: Float[Tensor, "batch heads length d_v"],
    *,
    window: int,
    dilation: int = 1,
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "batch heads length d_v"]:
    """o_i = Σ_t softmax_t(q_i · k_{i + t·dilation} / √d_k) v_{i + t·dilation}, t = −window … window.

    Equal to full attention under `window_mask`, but only 2 · window + 1 scores a query are ever computed: the cost is
    linear in the length. The paper's global tokens are left out.

    Args:
        query: Q.
        key: K, of the same sequence.
        value: V.
        window: neighbours on either side; half of the paper's w.
        dilation: gap between neighbours; 1 for none.
        mask: True = may attend; broadcasts to (batch, heads, length, length).

    Source: Beltagy et al. 2020 (Longformer), §3.1.
    """
    n, d_k = query.shape[-2:]
    offset = dilation * torch.arange(-window, window + 1, device=query.device)
    place = torch.arange(n, device=query.device)[:, None] + offset  # (length, 2 window + 1)
    inside = (place >= 0) & (place < n)
    place = place.clamp(0, n - 1)

    near_key = key[:, :, place]  # (batch, heads, length, 2 window + 1, d_k)
    near_value = value[:, :, place]
    scores = near_key @ (query / math.sqrt(d_k)).unsqueeze(-1)  # (batch, heads, length, 2 window + 1, 1)
    visible = inside
    if mask is not None:
        every_pair = mask.expand(*mask.shape[:-2], n, n)
        visible = inside & every_pair.gather(-1, place.expand(*mask.shape[:-2], n, -1))
    weights = masked_softmax(scores.squeeze(-1), visible)
    return (weights.unsqueeze(-2) @ near_value).squeeze(-2)
