"""PyTorch's norms: LayerNorm, and BatchNorm over sequences and over images."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from ..contracts import Unsupported
from ..subjects import BatchNormParts, Subject
from .torch_modules import gain_and_bias

PLACES = ("line", "image")
"""How the places of a sample are laid out: along one axis, or along two as the pixels of an image are."""


class OverTokens(nn.Module):
    """``norm``, which has its channels second, over (batch, length, d_model).

    ``places`` is one of ``PLACES``; an image is as square as its number of pixels, the length, allows. Raises
    :class:`Unsupported` where PyTorch refuses a batch for having a single value in each channel.
    """

    def __init__(self, norm: nn.Module, places: str) -> None:
        """Keep the module."""
        super().__init__()
        self.norm, self.places = norm, places

    def forward(self, x: Tensor) -> Tensor:
        """(batch, length, d_model) → (batch, length, d_model)."""
        channels_second = x.mT
        if self.places == "image":
            height = max(h for h in range(1, math.isqrt(x.shape[1]) + 1) if x.shape[1] % h == 0)
            channels_second = channels_second.unflatten(-1, (height, -1))
        try:
            output = self.norm(channels_second)
        except ValueError as error:
            if "Expected more than 1 value per channel when training" not in str(error):
                raise
            raise Unsupported("one value has no spread: PyTorch refuses to train on it") from error
        return output.flatten(2).mT


def _parts(built: Any) -> BatchNormParts:
    norm = built.norm
    return BatchNormParts(norm.weight, norm.bias, norm.eps, norm.running_mean, norm.running_var, norm.momentum)


LAYER_NORM = Subject(
    name="torch.nn.LayerNorm",
    contract="normalization",
    build=lambda config: nn.LayerNorm(config.d_model),
    norm_parts=gain_and_bias,
)
BATCH_NORM_1D = Subject(
    name="torch.nn.BatchNorm1d",
    contract="batch_norm",
    build=lambda config: OverTokens(nn.BatchNorm1d(config.d_model), "line"),
    norm_parts=_parts,
)
BATCH_NORM_2D = Subject(
    name="torch.nn.BatchNorm2d",
    contract="batch_norm",
    build=lambda config: OverTokens(nn.BatchNorm2d(config.d_model), "image"),
    norm_parts=_parts,
)
