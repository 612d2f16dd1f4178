"""PyTorch's norms: LayerNorm."""

from __future__ import annotations

from torch import nn

from ..subjects import Normaliser, Subject

LAYER_NORM = Subject(
    name="torch.nn.LayerNorm",
    contract="normalization",
    build=lambda config: nn.LayerNorm(config.d_model),
    normaliser=lambda norm: Normaliser(norm.eps, norm.weight, norm.bias),
)
