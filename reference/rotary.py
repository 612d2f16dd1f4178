"""Rotary positions: queries and keys are turned by an angle that grows with their position."""

from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .positions import Positions

Layout = Literal["interleaved", "half"]


def rotate_pairs(
    x: Float[Tensor, "batch heads length d_k"],
    position_ids: Int[Tensor, "batch length"],
    layout: Layout = "interleaved",
) -> Float[Tensor, "batch heads length d_k"]:
    """(a, b) -> (a cos pθ_i − b sin pθ_i, a sin pθ_i + b cos pθ_i), with θ_i = 10000^(−2i/d_k).

    (a, b) is pair i of the dimensions, i = 0 … d_k/2 − 1, and p the position. The `layout` says where the pair stands:
    at (2i, 2i + 1) when "interleaved", as in the paper, or at (i, i + d_k/2) when "half". With the order
    P = [0, 2, 4, …, 1, 3, 5, …] of dimensions, rotate_pairs(x[..., P], p, "half") = rotate_pairs(x, p)[..., P].

    Lengths are kept, and q_i · k_j depends on positions through j − i alone. Angles are computed in float32 at least.

    Raises:
        ValueError: d_k is odd, or the layout is unknown.

    Source: Su et al. 2021 (RoFormer), eqs. 15, 16 and 34.
    """
    d_k = x.shape[-1]
    if d_k % 2 != 0:
        raise ValueError(f"rotary positions turn pairs of dimensions: d_k must be even, got {d_k}; change the width")
    if layout not in get_args(Layout):
        raise ValueError(f"layout must be one of {get_args(Layout)}, got {layout!r}; choose one of these")
    angle_dtype = torch.promote_types(x.dtype, torch.float32)
    two_i = torch.arange(0, d_k, 2, device=x.device, dtype=angle_dtype)
    theta = 10000.0 ** (-two_i / d_k)
    angle = position_ids.to(angle_dtype)[:, None, :, None] * theta  # (batch, 1, length, d_k/2)
    cos = angle.cos().to(x.dtype)
    sin = angle.sin().to(x.dtype)

    if layout == "interleaved":
        a, b = x[..., 0::2], x[..., 1::2]
    else:
        a, b = x.chunk(2, dim=-1)
    turned_a = a * cos - b * sin
    turned_b = a * sin + b * cos
    if layout == "half":
        return torch.cat([turned_a, turned_b], dim=-1)
    return torch.stack([turned_a, turned_b], dim=-1).flatten(-2)


class Rotary(Positions):
    """q_i -> R_i q_i and k_j -> R_j k_j, so that their product is q_iᵀ R_{j−i} k_j.

    Source: Su et al. 2021 (RoFormer), eqs. 14 and 16.
    """

    def __init__(self, layout: Layout = "interleaved") -> None:
        """Choose where a pair's two dimensions stand; see `rotate_pairs`."""
        super().__init__()
        self.layout: Layout = layout

    def rotate(
        self, x: Float[Tensor, "batch heads length d_k"], position_ids: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch heads length d_k"]:
        """R_i x_i."""
        return rotate_pairs(x, position_ids, self.layout)
