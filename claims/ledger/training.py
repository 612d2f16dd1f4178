"""Question 30: the learning rate and dropout."""

from __future__ import annotations

from ..claim import Claim

TRAINING: tuple[Claim, ...] = (
    Claim("Q30.1", "the learning rate warms up and then falls with the inverse square root", "PD"),
    Claim("Q30.2", "where dropout is applied, and what it is at test time", "P"),
)
