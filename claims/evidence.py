"""Evidence: what speaks for or against a claim, and how it is gathered.

Nobody types a verdict. A claim lists its evidence, each piece is run, and :func:`verdict` reads the outcome off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar, Protocol

from veriformer.derivations import derivation
from veriformer.properties import Status, Subject
from veriformer.properties.engine import Result, plan, replay, run, settings_for
from veriformer.properties.law import Law
from veriformer.properties.laws import LAWS
from veriformer.properties.loading import load
from veriformer.properties.profiles import PROFILES
from veriformer.properties.violation import Token

from .experiments import EXPERIMENTS
from .experiments.experiment import Experiment
from .experiments.record import BadRecord, Record, stored
from .faults import FAULTS, Fault, planted, subjects_with


@dataclass(frozen=True)
class Finding:
    """What one piece of evidence gave: whether it speaks as it should, in a line, with its figures.

    ``extra`` is the optional dependency without which it could not be gathered here: it then says nothing either way.
    """

    kind: str  # "holds", "bites", "proved", "falsified", "measured" or "breaks"
    name: str
    stands: bool
    summary: str
    brief: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    extra: str = ""


@dataclass(frozen=True)
class Holds:
    """A law holds on the built-in subject ``on``, in every one of ``dtypes``, and fails on it with a planted fault.

    Where the subject is a library that nothing can be planted in, it fails on the reference with a fault.
    """

    answers: ClassVar[str] = "P"
    law: str
    dtypes: tuple[str, ...] = ("float64",)
    on: str = "reference"

    def gather(self, gatherer: Gatherer) -> list[Finding]:
        """Two findings: the law on the subject, and on one with a fault."""
        return [gatherer.law(LAWS[self.law], self.dtypes, self.on), gatherer.bite(self.law, self.on)]


@dataclass(frozen=True)
class Proved:
    """A derivation checks, step by step."""

    answers: ClassVar[str] = "D"
    page: str

    def gather(self, gatherer: Gatherer) -> list[Finding]:
        """One finding."""
        return [gatherer.page(self.page)]


@dataclass(frozen=True)
class Falsified:
    """The sheet's sentence, word for word, as a law: broken by the stored counterexample ``token``.

    ``condition`` says under what condition it holds after all (the verdict is then conditional), with the law that
    shows it; None where the sentence is false as it stands (refuted). ``on`` is the built-in subject it is said of.
    """

    answers: ClassVar[str] = "P"
    literal: Law
    token: str
    condition: str | None = None
    under: Law | None = None
    on: str = "reference"

    def gather(self, gatherer: Gatherer) -> list[Finding]:
        """The counterexample, replayed; and the sentence under its condition."""
        found = [gatherer.counterexample(self.literal, self.token, self.on)]
        return found if self.under is None else [*found, gatherer.law(self.under, on=self.on)]


@dataclass(frozen=True)
class Measured:
    """The figures of an experiment, as stored: made by the code as it is, and bearing out what it expects."""

    answers: ClassVar[str] = "X"
    experiment: str

    def gather(self, gatherer: Gatherer) -> list[Finding]:
        """One finding."""
        return [gatherer.measurement(self.experiment)]


class Evidence(Protocol):
    """One piece of evidence. ``answers`` is the kind that a claim asks for: P, D or X."""

    answers: ClassVar[str]

    def gather(self, gatherer: Gatherer) -> list[Finding]:
        """What it gives."""
        ...


class Gatherer:
    """Runs evidence on the reference, each piece once however many claims point to it."""

    def __init__(self, *, profile: str = "dev", seed: int = 0, say: Callable[[str], None] = lambda text: None) -> None:
        """``say`` is told what is being run."""
        self.using, self.seed, self.say = settings_for(PROFILES[profile]), seed, say
        self._found: dict[tuple[str, ...], Finding] = {}

    def law(self, law: Law, dtypes: Sequence[str] = ("float64",), on: str = "reference") -> Finding:
        """``law`` on every contract of the subject ``on`` that it is about, in every one of ``dtypes``."""
        name = named(law.name, on)
        return self._once("holds", name, lambda: _summed(name, self._run(law, load(on), dtypes)), *dtypes, on=on)

    def _run(self, law: Law, subjects: Sequence[Subject], dtypes: Sequence[str]) -> list[Result]:
        plans = [plan(subject, laws=[law], dtypes=dtypes) for subject in subjects]
        results = [run(check, using=self.using, seed=self.seed) for made in plans for check in made.checks]
        return results or [absent for made in plans for absent in made.not_applicable]

    def bite(self, law: str, on: str = "reference") -> Finding:
        """The first fault of ``law`` that is planted in ``on``, or else in the reference: it must be caught."""
        return self._once("bites", named(law, on), lambda: self._bite(law, on), on=on)

    def _bite(self, law: str, on: str) -> Finding:
        faults = [f for f in FAULTS if f.on == on] or [f for f in FAULTS if f.on == "reference"]
        catching = [(fault, contract) for fault in faults for contract, laws in fault.caught.items() if law in laws]
        name = named(law, on)
        if not catching:
            return Finding("bites", name, False, f"no fault is planted in {on} for it")
        fault, contract = min(catching, key=lambda pair: sum(map(len, pair[0].caught.values())))  # this law's own
        return self.notices(name, law, fault, contract)

    def notices(self, name: str, law: str, fault: Fault, contract: str) -> Finding:
        """Whether ``law`` notices ``fault`` on ``contract``, in a finding called ``name``."""
        with planted(fault) as package:
            for subject in (s for s in subjects_with(fault, package) if s.contract == contract):
                for check in plan(subject, laws=[LAWS[law]]).checks:
                    if run(check, using=self.using, seed=self.seed, shrink=False).status is Status.VIOLATED:
                        return Finding("bites", name, True, f"fails on the planted fault {fault.name}")
        return Finding("bites", name, False, f"does not notice the planted fault {fault.name}")

    def page(self, name: str) -> Finding:
        """A derivation, checked."""
        return self._once("proved", name, lambda: _proved(name))

    def counterexample(self, literal: Law, token: str, on: str = "reference") -> Finding:
        """The stored counterexample to ``literal`` on the subject ``on``."""
        name = named(literal.name, on)
        return self._once("falsified", name, lambda: _counterexample(name, literal, token, load(on)), on=on)

    def measurement(self, experiment: str) -> Finding:
        """The stored record of ``experiment``: it must be there, be fresh, and show what is expected."""
        return self._once("measured", experiment, lambda: _measured(EXPERIMENTS[experiment]))

    def _once(
        self, kind: str, name: str, gather: Callable[[], Finding], *dtypes: str, on: str = "reference"
    ) -> Finding:
        if (key := (kind, name, *dtypes)) not in self._found:
            self.say(f"{kind}: {name}")
            self._found[key] = _out_of_reach(kind, name, on) or gather()
        return self._found[key]


def _out_of_reach(kind: str, name: str, on: str) -> Finding | None:
    """A finding that says what to install where the subject ``on`` is of a library that is not; None otherwise."""
    for subject in load(on):
        if subject.extra is not None and subject.missing is not None:
            return Finding(kind, name, False, subject.missing, extra=subject.extra.name)
    return None


def named(law: str, on: str) -> str:
    """What a finding about ``law`` is called: the reference goes without saying."""
    return law if on == "reference" else f"{law} on {on}"


def _summed(name: str, results: list[Result]) -> Finding:
    wrong = [r for r in results if r.status is not Status.HELD]
    figures: dict[str, Any] = {
        "checks": len(results),
        "examples": sum(r.examples for r in results),
        "worst_ratio": max((r.worst_ratio for r in results), default=0.0),
        "contracts": sorted({r.contract for r in results}),
    }
    p_values = [r.p_value for r in results if r.p_value is not None]
    told, brief = f"{figures['examples']} examples on {figures['checks']} paths", f"{figures['examples']} ex"
    if len(dtypes := dict.fromkeys(r.dtype for r in results)) > 1:
        figures["dtypes"] = list(dtypes)
        told += f" in {', '.join(dtypes)}"
    if figures["worst_ratio"]:
        told += f", worst error {figures['worst_ratio']:.0%} of the allowance"
        brief += f", err {figures['worst_ratio']:.0%}"
    if p_values:
        figures["p_value"] = min(p_values)
        told += f", smallest p {min(p_values):.2g}"
        brief += f", p {min(p_values):.2g}"
    if wrong:
        told = f"{wrong[0].status.value} on {len(wrong)} of {len(results)} paths: {wrong[0].message}"
    return Finding("holds", name, bool(results) and not wrong, told, brief, figures)


def _proved(name: str) -> Finding:
    report = derivation(name).check()
    failed = [step for step in report.steps if not step.ok]
    told = f"{len(report.steps)} steps checked" if report.ok else f"step {failed[0].number} fails: {failed[0].message}"
    return Finding("proved", name, report.ok, told, f"{len(report.steps)} steps", {"steps": len(report.steps)})


def _counterexample(name: str, literal: Law, token: str, subjects: Sequence[Subject]) -> Finding:
    pinned = Token.decode(token)
    subject = next(s for s in subjects if s.contract == pinned.contract)
    checks = plan(subject, laws=[literal]).checks
    check = next((c for c in checks if dict(c.path) == dict(pinned.path)), None)
    if check is None:
        return Finding("falsified", name, False, "the stored counterexample is on a path that is no longer there")
    result = replay(check, pinned.case)
    smallest = next((line.strip() for line in result.message.splitlines() if "smallest" in line), "")
    return Finding(
        "falsified",
        name,
        result.status is Status.VIOLATED,
        smallest.removeprefix("smallest").strip() or f"the stored counterexample is {result.status.value}",
        "replayed",
        {"token": token},
    )


def _measured(experiment: Experiment) -> Finding:
    finding = partial(Finding, "measured", experiment.name)
    try:
        record = stored(experiment.name)
    except BadRecord as error:
        return finding(False, str(error))
    if record is None:
        return finding(False, f"no result is stored; run `{experiment.command}`")
    if stale := record.staleness(experiment):
        return finding(False, f"the result is stale: {stale}; run `{experiment.command}`")
    first = record.outcome.figures[0]
    if failed := experiment.disappointed(record.outcome):
        return finding(False, f"the figures do not show that {'; nor that '.join(failed)}")
    return finding(
        True,
        f"{experiment.question} {experiment.method} Run on {record.made} in {record.seconds:.0f} s, {_told(record)}",
        f"{first.value:.2g}, {first.n} runs",
        asdict(record),
    )


def _told(record: Record) -> str:
    budget = ", ".join(f"{name} {value}" for name, value in record.budget.items())
    figures = "\n".join(f"  {figure.what}: {figure}, n = {figure.n}" for figure in record.outcome.figures)
    return f"with {budget}; again: `{record.command}`\n{figures}"


def verdict(evidence: Sequence[Evidence], findings: Sequence[Finding]) -> str:
    """What the evidence gives: supported, conditional, refuted, measured; or open: it is missing or does not stand.

    Measured is what experiments alone decide. Beside a law or a derivation they add figures, and the verdict is theirs.
    """
    if not evidence or not all(finding.stands for finding in findings):
        return "open"
    if all(isinstance(piece, Measured) for piece in evidence):
        return "measured"
    falsified = [piece for piece in evidence if isinstance(piece, Falsified)]
    if not falsified:
        return "supported"
    return "conditional" if all(piece.under is not None for piece in falsified) else "refuted"
