"""Questions 18, 22 and 23.2: the encoder, its residuals, and where its norms stand."""

from __future__ import annotations

from ..claim import Claim

BLOCKS: tuple[Claim, ...] = (
    Claim("Q18.1", "what an encoder is made of", "P"),
    Claim("Q22.1", "residual connections keep gradients from vanishing", "PD"),
    Claim("Q23.2", "where LayerNorm stands: after each sub-layer, or before it", "PDX"),
)
