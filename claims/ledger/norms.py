"""Questions 8, 23.1 and 24: LayerNorm and BatchNorm."""

from __future__ import annotations

from ..claim import Claim

NORMS: tuple[Claim, ...] = (
    Claim("Q08.1", "LayerNorm is used rather than BatchNorm", "P"),
    Claim("Q23.1", "LayerNorm and not BatchNorm, again", "P"),
    Claim("Q24.1", "BatchNorm normalises one feature over the batch (over N, H and W for images)", "P"),
    Claim("Q24.2", "BatchNorm keeps activations off the flat part of a sigmoid", "P"),
    Claim("Q24.3", "BatchNorm is poor for small batches", "DX"),
    Claim("Q24.4", "with unequal lengths BatchNorm has few samples for late positions", "P"),
    Claim("Q24.5", "BatchNorm uses running statistics at test time, so a shift in the data harms", "P"),
)
