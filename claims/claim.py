"""A claim of the sheet, and the evidence that decides it."""

from __future__ import annotations

from dataclasses import dataclass

from .evidence import Evidence


@dataclass(frozen=True)
class Claim:
    """One claim: what it says in our words, the evidence it asks for, the evidence there is, and what was found.

    ``found`` is for a reader who knows only the question: what holds, under which condition, and a better answer.
    """

    id: str
    text: str
    asks: str
    evidence: tuple[Evidence, ...] = ()
    found: str = ""

    @property
    def question(self) -> int:
        """The question's number on the sheet; 0 for a system that the sheet leans on."""
        return int(self.id[1:].split(".")[0]) if self.id.startswith("Q") else 0

    @property
    def missing(self) -> str:
        """The kinds of evidence that are asked for and not there."""
        there = {piece.answers for piece in self.evidence}
        return "".join(kind for kind in self.asks if kind not in there)
