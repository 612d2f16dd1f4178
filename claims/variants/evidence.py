"""A variant as evidence: which laws it keeps, and which it breaks, each with its counterexample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hypothesis import settings

from veriformer.properties import Status, Subject, expected
from veriformer.properties.engine import Check, Expectation, Result, plan, replay, run
from veriformer.properties.violation import Token

from ..evidence import Finding, Gatherer, named
from ..faults import FAULTS, Fault
from . import VARIANTS

SHARE = 3
"""A variant meets some twenty laws for one row, so each gets this share of the examples of a law behind a verdict."""


@dataclass(frozen=True)
class OnVariant:
    """A variant, by its name after ``reference.variants.``, held to every law of its contract.

    It keeps a law, or breaks it where that is expected, on the pinned case: a break that is not expected, and one that
    is expected and does not come, both speak against it.
    """

    answers: ClassVar[str] = "P"
    variant: str

    def gather(self, gatherer: Gatherer) -> list[Finding]:
        """What it keeps, in one finding; what it breaks, one finding each; and that a fault in it is noticed."""
        gatherer.say(f"holds: reference.variants.{self.variant}")
        subject: Subject = getattr(VARIANTS, self.variant)
        known = pinned_in(subject)
        using = settings(gatherer.using, max_examples=max(1, gatherer.using.max_examples // SHARE))
        checks = planned(subject, known)
        results = [run(c, using=using, seed=gatherer.seed, expected=expected.match(c, known)) for c in checks]
        return [
            _kept(self.variant, results),
            *(_broken(self.variant, entry, checks) for entry in known),
            *(gatherer.notices(*own) for own in _own_faults(subject)),
        ]


def pinned_in(subject: Subject) -> list[Expectation]:
    """What ``subject`` is expected to break."""
    return [entry for entry in expected.read(expected.BUILT_IN) if entry.subject == subject.name]


def planned(subject: Subject, known: Sequence[Expectation]) -> list[Check]:
    """Every check of ``subject``, those of pinned cases that the covering array leaves out included."""
    checks = plan(subject, address=subject.name).checks
    return [*checks, *expected.pinned(known, checks)]


def _kept(variant: str, results: Sequence[Result]) -> Finding:
    statuses = {law: {r.status for r in results if r.law == law} for law in dict.fromkeys(r.law for r in results)}
    kept = [law for law, found in statuses.items() if found <= {Status.HELD, Status.NOT_APPLICABLE}]
    kept = [law for law in kept if Status.HELD in statuses[law]]
    broken = [law for law, found in statuses.items() if Status.EXPECTED in found]
    wrong = [r for r in results if r.status not in (Status.HELD, Status.EXPECTED, Status.NOT_APPLICABLE)]
    told = f"keeps {', '.join(kept)}"
    if wrong:
        told = f"{wrong[0].status.value} on {len(wrong)} of {len(results)} paths: {wrong[0].message}"
    figures = {"kept": kept, "broken": broken, "examples": sum(r.examples for r in results)}
    brief = f"keeps {len(kept)}, breaks {len(broken)}"
    return Finding("holds", variant, bool(kept) and not wrong, told, brief, figures)


def _broken(variant: str, entry: Expectation, checks: Sequence[Check]) -> Finding:
    """The pinned case, judged once more for what it shows."""
    pinned = Token.decode(entry.token)
    check = next(c for c in checks if (c.law.name, dict(c.path)) == (pinned.law, dict(pinned.path)))
    result = replay(check, pinned.case)
    smallest = next((line for line in result.message.splitlines() if line.startswith("  smallest")), "")
    told = f"{entry.reason} Smallest: {smallest.removeprefix('  smallest').strip()}"
    figures = {"token": entry.token, "replay": f"veriformer check {entry.subject} --replay {entry.token}"}
    return Finding(
        "breaks", f"{variant}: {entry.law} {where_of(entry)}", result.status is Status.VIOLATED, told, "", figures
    )


def where_of(entry: Expectation) -> str:
    """On which paths an entry says that a law is broken."""
    if not entry.path:
        return "on every path"
    several = {axis: values if isinstance(values, list) else [values] for axis, values in entry.path.items()}
    return "where " + " and ".join(f"{axis} is {' or '.join(values)}" for axis, values in several.items())


def _own_faults(subject: Subject) -> list[tuple[str, str, Fault, str]]:
    """The first fault that is planted in ``subject``, if any: the name of the finding, the law, fault and contract."""
    own = next((fault for fault in FAULTS if fault.on == subject.name), None)
    if own is None:
        return []
    return [(named(laws[0], subject.name), laws[0], own, contract) for contract, laws in own.caught.items()]
