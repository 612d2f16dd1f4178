"""Questions 8, 18, 22 to 25 and 30: blocks, norms and training."""

from __future__ import annotations

from ..claim import Claim

BLOCKS_AND_TRAINING: tuple[Claim, ...] = (
    Claim("Q08.1", "LayerNorm is used rather than BatchNorm", "P"),
    Claim("Q18.1", "what an encoder is made of", "P"),
    Claim("Q22.1", "residual connections keep gradients from vanishing", "PD"),
    Claim("Q23.1", "LayerNorm and not BatchNorm, again", "P"),
    Claim("Q23.2", "where LayerNorm stands: after each sub-layer, or before it", "PDX"),
    Claim("Q24.1", "BatchNorm normalises one feature over the batch (over N, H and W for images)", "P"),
    Claim("Q24.2", "BatchNorm keeps activations off the flat part of a sigmoid", "P"),
    Claim("Q24.3", "BatchNorm is poor for small batches", "DX"),
    Claim("Q24.4", "with unequal lengths BatchNorm has few samples for late positions", "P"),
    Claim("Q24.5", "BatchNorm uses running statistics at test time, so a shift in the data harms", "P"),
    Claim("Q25.1", "FFN(x) = max(0, xW₁ + b₁)W₂ + b₂", "P"),
    Claim("Q25.2", "ReLU does not saturate, needs no exponential and suits back-propagation", "D"),
    Claim("Q25.3", "the output of ReLU is not centred at zero", "PD"),
    Claim("Q25.4", "a ReLU can die for ever; at a large learning rate 40 % may", "PX"),
    Claim("Q25.5", "ReLU does not compress amplitudes, so they grow with depth", "PD"),
    Claim("Q30.1", "the learning rate warms up and then falls with the inverse square root", "PD"),
    Claim("Q30.2", "where dropout is applied, and what it is at test time", "P"),
)
