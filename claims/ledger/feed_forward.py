"""Question 25: the feed-forward network and its ReLU."""

from __future__ import annotations

from ..claim import Claim

FEED_FORWARD: tuple[Claim, ...] = (
    Claim("Q25.1", "FFN(x) = max(0, xW₁ + b₁)W₂ + b₂", "P"),
    Claim("Q25.2", "ReLU does not saturate, needs no exponential and suits back-propagation", "D"),
    Claim("Q25.3", "the output of ReLU is not centred at zero", "PD"),
    Claim("Q25.4", "a ReLU can die for ever; at a large learning rate 40 % may", "PX"),
    Claim("Q25.5", "ReLU does not compress amplitudes, so they grow with depth", "PD"),
)
