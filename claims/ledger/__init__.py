"""The ledger: every claim of the sheet, and the evidence that decides it.

A claim's number is its question's on the sheet. ``asks`` names the evidence that a verdict takes: P a property, D a
derivation, X an experiment. A claim whose evidence is not all there is open, whatever the part that is there says.
"""

from __future__ import annotations

from ..claim import Claim
from .attention import ATTENTION
from .blocks import BLOCKS
from .embeddings import EMBEDDINGS
from .feed_forward import FEED_FORWARD
from .masks_and_decoding import MASKS_AND_DECODING
from .norms import NORMS
from .positions import POSITIONS
from .systems import SYSTEMS
from .tokenisers_and_variants import TOKENISERS_AND_VARIANTS
from .training import TRAINING

_QUESTIONS = (
    *ATTENTION,
    *MASKS_AND_DECODING,
    *POSITIONS,
    *EMBEDDINGS,
    *NORMS,
    *BLOCKS,
    *FEED_FORWARD,
    *TRAINING,
    *TOKENISERS_AND_VARIANTS,
)
CLAIMS: tuple[Claim, ...] = (*sorted(_QUESTIONS, key=lambda claim: claim.question), *SYSTEMS)


def claims_matching(*, identifier: str | None = None, question: int | None = None) -> list[Claim]:
    """The claims of one id ("Q07.1"), of one question ("Q07", or its number), or all of them.

    Raises LookupError where there is none.
    """
    wanted = None if identifier is None else identifier.upper() if identifier[:1] in "qQ" else identifier
    found = [
        claim
        for claim in CLAIMS
        if (wanted is None or claim.id == wanted or claim.id.split(".")[0] == wanted)
        and question in (None, claim.question)
    ]
    if not found:
        asked = wanted or f"question {question}"
        raise LookupError(f"expected a claim such as Q06.2, a question such as Q06 or 6; got {asked}; Q01 to Q31 exist")
    return found


__all__ = ["CLAIMS", "claims_matching"]
