"""Question 25: the feed-forward network and its ReLU."""

from __future__ import annotations

from ..claim import Claim
from ..evidence import Measured, Proved

FEED_FORWARD: tuple[Claim, ...] = (
    Claim("Q25.1", "FFN(x) = max(0, xW₁ + b₁)W₂ + b₂", "P"),
    Claim("Q25.2", "ReLU does not saturate, needs no exponential and suits back-propagation", "D"),
    Claim("Q25.3", "the output of ReLU is not centred at zero", "PD"),
    Claim(
        "Q25.4",
        "a ReLU can die for ever; at a large learning rate 40 % may",
        "PX",
        (Proved("activation_slopes"), Measured("dead_units")),
        "A small network learns as well at three times a good learning rate, with 35 % of a layer dead; with Adam, or "
        "at a still larger rate, far more than 40 % are. For ever is true where the unit's inputs stay as they are: "
        "under plain gradient descent on the same samples no dead unit of the first layer came back. In the second "
        "layer, whose inputs move, some did.",
    ),
    Claim("Q25.5", "ReLU does not compress amplitudes, so they grow with depth", "PD"),
)
