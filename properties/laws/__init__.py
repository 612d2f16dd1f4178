"""The laws, one file a family. Importing this registers them all."""

from ..law import LAWS
from . import (
    causality,
    consistency,
    cost,
    cross,
    decoding,
    filler,
    heads,
    itself,
    lengths,
    order,
    padding,
    positions,
    scaling,
    scores,
    softmax,
    tokenizer,
    variants,
)

__all__ = [
    "LAWS",
    "causality",
    "consistency",
    "cost",
    "cross",
    "decoding",
    "filler",
    "heads",
    "itself",
    "lengths",
    "order",
    "padding",
    "positions",
    "scaling",
    "scores",
    "softmax",
    "tokenizer",
    "variants",
]
