"""Questions 29 and 31: tokenisers, and variants of the Transformer."""

from __future__ import annotations

from ..claim import Claim

TOKENISERS_AND_VARIANTS: tuple[Claim, ...] = (
    Claim("Q29.1", "byte-pair encoding, WordPiece and the unigram model", "P"),
    Claim("Q31.1", "notable variants of the Transformer", "P"),
)
