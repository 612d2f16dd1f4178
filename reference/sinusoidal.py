"""Sinusoidal positions: each pair of dimensions is a clock hand of its own speed."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .positions import Positions


def sinusoidal_encoding(
    position_ids: Int[Tensor, "batch length"], d_model: int, dtype: torch.dtype
) -> Float[Tensor, "batch length d_model"]:
    """PE(p, 2i) = sin(p / 10000^(2i/d_model)), PE(p, 2i+1) = cos(p / 10000^(2i/d_model)).

    Any integer position, with no longest length; an odd d_model ends on a sine. Angles are computed in float32 at
    least: bfloat16 cannot tell position 256 from 257.

    Source: Vaswani et al. 2017, §3.5.
    """
    angle_dtype = torch.promote_types(dtype, torch.float32)
    two_i = torch.arange(0, d_model, 2, device=position_ids.device, dtype=angle_dtype)
    frequency = 10000.0 ** (-two_i / d_model)
    angle = position_ids.to(angle_dtype)[..., None] * frequency  # (batch, length, ⌈d_model/2⌉)
    sine_cosine_pairs = torch.stack([angle.sin(), angle.cos()], dim=-1)
    return sine_cosine_pairs.flatten(-2)[..., :d_model].to(dtype)


class SinusoidalPositions(Positions):
    """x_i + PE(i), with nothing to learn."""

    def embed(
        self, x: Float[Tensor, "batch length d_model"], position_ids: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length d_model"]:
        """x_i + PE(i)."""
        d_model = x.shape[-1]
        return x + sinusoidal_encoding(position_ids, d_model, x.dtype)
