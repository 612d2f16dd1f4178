"""``veriformer claims``: the sheet's claims and the verdicts that the evidence gives."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import torch
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .claim import Claim
from .command_line import OK, VIOLATED, UsageError
from .evidence import Falsified, Finding, Gatherer, verdict
from .ledger import claims_matching

_COLOURS = {"supported": "green", "conditional": "yellow", "refuted": "red", "measured": "cyan", "open": "dim"}
_MARKS = {"holds": "✓", "proved": "∎", "falsified": "↯", "measured": "≈"}
_KINDS = {"P": "property", "D": "derivation", "X": "experiment"}


@dataclass(frozen=True)
class Judged:
    """A claim with what its evidence gave."""

    claim: Claim
    findings: list[Finding]

    @property
    def verdict(self) -> str:
        """Open while evidence that the claim asks for is missing, or does not stand."""
        return "open" if self.claim.missing else verdict(self.claim.evidence, self.findings)

    @property
    def lacking(self) -> str:
        """The kinds of evidence that are asked for and not there, in words."""
        return ", ".join(_KINDS[kind] for kind in self.claim.missing)

    @property
    def failed(self) -> list[Finding]:
        """Evidence that was run and does not say what it should."""
        return [finding for finding in self.findings if not finding.stands and not finding.extra]

    @property
    def extras(self) -> list[str]:
        """The optional dependencies that are not installed, and without which the claim cannot be decided."""
        return sorted({finding.extra for finding in self.findings if finding.extra})


def claims(given: argparse.Namespace) -> int:
    """Gather the evidence and print the verdicts. Returns the exit status: 1 where evidence does not stand.

    Evidence that needs a library which is not installed has not been run. The claim is open, as one without evidence
    is, and the report says what to install; neither is a failure.
    """
    torch.set_num_threads(1)
    try:
        chosen = claims_matching(identifier=given.id, question=given.question)
    except LookupError as error:
        raise UsageError(str(error)) from error
    terminal = Console(stderr=True)
    with terminal.status("gathering evidence") as status:

        def say(text: str) -> None:
            status.update(text)
            if not terminal.is_terminal:
                print(text, file=sys.stderr)

        gatherer = Gatherer(profile=given.profile, seed=given.seed, say=say)
        judged = [Judged(claim, _gathered(claim, gatherer)) for claim in chosen]
    console = Console(
        record=given.html is not None, highlight=False, markup=False, width=None if sys.stdout.isatty() else 80
    )
    console.print(_header(judged), end="\n\n")
    if given.id is None and given.question is None:
        _table(console, judged)
    else:
        for each in judged:
            _in_full(console, each)
    if given.json is not None:
        given.json.write_text(json.dumps(_as_data(judged), indent=1, default=str) + "\n", encoding="utf-8")
    if given.html is not None:
        console.save_html(str(given.html))
    return VIOLATED if any(each.failed for each in judged) else OK


def _gathered(claim: Claim, gatherer: Gatherer) -> list[Finding]:
    """The findings of a claim's evidence, each once."""
    found = {(f.kind, f.name): f for piece in claim.evidence for f in piece.gather(gatherer)}
    return list(found.values())


def _header(judged: Sequence[Judged]) -> str:
    verdicts = Counter(each.verdict for each in judged)
    evident = sum(bool(each.claim.evidence) for each in judged)
    told = ", ".join(f"{verdicts[name]} {name}" for name in _COLOURS)
    lines = [
        f"veriformer {version('veriformer')}, torch {torch.__version__}",
        f"{len(judged)} claims, {evident} with evidence",
        told,
    ]
    if waiting := [each for each in judged if each.extras]:
        ids = ", ".join(each.claim.id for each in waiting)
        lines.append(f"open for want of a library: {ids}; {_install(waiting)}")
    return "\n".join(lines)


def _install(judged: Sequence[Judged]) -> str:
    return f"pip install 'veriformer[{','.join(sorted({extra for each in judged for extra in each.extras}))}]'"


def _table(console: Console, judged: Sequence[Judged]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("id", no_wrap=True)
    table.add_column("claim, and its evidence")
    table.add_column("verdict", no_wrap=True)
    for each in judged:
        table.add_row(each.claim.id, each.claim.text, Text(each.verdict, style=_COLOURS[each.verdict]))
        for finding in each.findings:
            if finding.extra:
                continue
            if not finding.stands:
                table.add_row("", Text(f"✗ {finding.kind} {finding.name}: {finding.summary}", style="bold red"), "")
            elif finding.kind in _MARKS:
                table.add_row("", Text(f"{_MARKS[finding.kind]} {finding.name:38} {finding.brief}", style="dim"), "")
        if each.extras:
            table.add_row("", Text(f"  to decide it: {_install([each])}", style="dim"), "")
        if each.findings and each.claim.missing:
            table.add_row("", Text(f"  still to come: {each.lacking}", style="dim"), "")
    console.print(table)
    told = ", ".join(f"{mark} {kind}" for kind, mark in _MARKS.items())
    console.print(f"\n{told}; ex: examples; err: worst error, as a share of the allowance")
    console.print("each law behind a verdict also fails on a planted fault: `veriformer claims Q06` tells all")


def _in_full(console: Console, each: Judged) -> None:
    claim = each.claim
    title = Text.assemble((claim.id, "bold"), f"  {claim.text}  ", (each.verdict, _COLOURS[each.verdict]))
    console.print(title)
    if claim.found:
        console.print(Padding(claim.found, (1, 0, 1, 2)))
    for piece in claim.evidence:
        if isinstance(piece, Falsified):
            reading = f"holds only if {piece.condition}" if piece.condition else "is false as it stands"
            console.print(Padding(f"As the sheet words it: “{piece.literal.statement}” This {reading}.",
                                  (0, 0, 0, 2)))  # fmt: skip
    for finding in each.findings:
        console.print(Padding(f"{_mark(finding)} {finding.kind} {finding.name}: {finding.summary}", (0, 0, 0, 2)))
        if "replay" in finding.figures:
            console.print(f"    {finding.figures['replay']}", soft_wrap=True)
    if claim.missing:
        console.print(Padding(f"still to come: {each.lacking}", (0, 0, 0, 2)))
    console.print()


def _mark(finding: Finding) -> str:
    """Whether it speaks as it should (by a break, where one is expected), does not, or was not heard."""
    if finding.stands:
        return "≠" if finding.kind == "breaks" else "✓"
    return "?" if finding.extra else "✗"


def _as_data(judged: Sequence[Judged]) -> dict[str, Any]:
    return {
        "veriformer": version("veriformer"),
        "torch": torch.__version__,
        "verdicts": dict(Counter(each.verdict for each in judged)),
        "claims": [
            {
                "id": each.claim.id,
                "question": each.claim.question,
                "claim": each.claim.text,
                "verdict": each.verdict,
                "missing": [_KINDS[kind] for kind in each.claim.missing],
                "extras": each.extras,
                "found": each.claim.found,
                "evidence": [asdict(finding) for finding in each.findings],
            }
            for each in judged
        ],
    }
