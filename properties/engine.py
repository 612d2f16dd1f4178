"""The engine: which laws are tried on which paths of a subject, and what came of each.

There is one engine behind every door. The command line runs :func:`run` on each :class:`Check` of a :func:`plan`;
pytest runs :meth:`Check.explore` as the body of a Hypothesis test of its own.
"""

from __future__ import annotations

import time
import unittest
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatch
from itertools import product
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, Unsatisfiable, UnsatisfiedAssumption
from hypothesis.reporting import with_reporter
from hypothesis.stateful import get_state_machine_test

from . import laws as _registered  # noqa: F401  (importing the laws registers them)
from .case import Case, cases, impossible_size
from .comparison import Comparison, Undecidable
from .contracts import Path, SubjectError, Unsupported
from .law import LAWS, Law
from .loading import address_of
from .paths import paths_for
from .subjects import Subject
from .trial import SubjectCrash, Trial
from .violation import Token, Violation, token_of, told_path

GIVE_UP_AFTER = 25
"""Cases in a row, from the first on, that a subject declares unsupported, before the check is not applicable."""

STEPS = 12
"""Steps of one stateful exploration."""


class Status(StrEnum):
    """What came of a check."""

    HELD = "held"
    VIOLATED = "violated"
    EXPECTED = "expected violation"
    UNEXPECTEDLY_HELD = "unexpectedly held"
    NOT_APPLICABLE = "not applicable"
    INCONCLUSIVE = "inconclusive"
    CRASHED = "crashed"


@dataclass(frozen=True)
class Expectation:
    """A violation that is known: why, where upstream, and the pinned case that shows it."""

    subject: str
    law: str
    path: Mapping[str, str | list[str]]
    reason: str
    token: str
    issue: str = ""
    dtype: str = "*"
    device: str = "*"

    def matches(self, check: Check) -> bool:
        """Whether this is about ``check``."""
        contract = Token.decode(self.token).contract
        here = (check.subject.name, check.subject.contract, check.law.name) == (self.subject, contract, self.law)
        kinds = fnmatch(check.dtype, self.dtype) and fnmatch(check.device, self.device)
        return here and kinds and all(check.path.get(axis) in _several(values) for axis, values in self.path.items())


def _several(values: str | list[str]) -> list[str]:
    return [values] if isinstance(values, str) else values


@dataclass(frozen=True)
class Check:
    """One law on one path of one subject, on one device, in one dtype."""

    subject: Subject
    law: Law
    path: Path
    device: str
    dtype: str
    given_address: str | None = None

    @property
    def address(self) -> str:
        """What to write on the command line for the subject."""
        return self.given_address or address_of(self.subject)

    @property
    def id(self) -> str:
        """Readable and unique within a subject."""
        return f"{self.law.name}[{told_path(self.path).replace(', ', ',')}-{self.device}-{self.dtype}]"

    def trial(self, case: Case) -> Trial:
        """The trial of ``case``."""
        return Trial(self.subject, case, self.path, device=self.device, dtype=self.dtype)

    def explore(self, data: st.DataObject, record: Record) -> None:
        """Draw a case from ``data`` and judge it. Raises :class:`Violation`."""
        __tracebackhide__ = True
        strategy = cases(self.law, self.subject, self.path)
        if self.law.machine is None:
            self.judge(data.draw(strategy), record)
            return

        def begin(case: Case) -> Any:
            with self._sorted(record, case):
                return self.law.machine.session_type(self.trial(case))  # type: ignore[union-attr]

        def check(comparisons: Iterable[Comparison], trial: Trial, program: tuple[Any, ...]) -> None:
            self._verify(comparisons, trial, replace(trial.case, draws={"program": program}), record)

        machine = get_state_machine_test(
            lambda: self.law.machine(strategy, begin, check),  # type: ignore[arg-type, misc]
            settings=settings(stateful_step_count=STEPS, deadline=None),
        )
        machine.hypothesis.inner_test(data)  # type: ignore[attr-defined]
        record.examples += 1

    def judge(self, case: Case, record: Record) -> None:
        """Judge one case. Raises :class:`Violation`."""
        __tracebackhide__ = True
        trial = self.trial(case)
        self._verify(self.law.verify(trial), trial, case, record)
        record.examples += 1

    def _verify(self, comparisons: Iterable[Comparison], trial: Trial, case: Case, record: Record) -> None:
        __tracebackhide__ = True
        with self._sorted(record, case):
            for comparison in comparisons:
                outcome = comparison.judge(trial)
                record.add(outcome.ratio, outcome.p_value)
                if not outcome.holds:
                    raise Violation(self, case, outcome)
        record.notes |= trial.notes

    @contextmanager
    def _sorted(self, record: Record, case: Case) -> Iterator[None]:
        """What the subject does not support, and what rounding hides, is noted and not judged."""
        __tracebackhide__ = True
        try:
            yield
        except Unsupported as reason:
            record.unsupported(str(reason))
            hypothesis.reject()
        except Undecidable as reason:
            record.undecidable(str(reason))
            hypothesis.reject()
        except SubjectCrash as crash:
            crash.case = case
            raise


@dataclass
class Record:
    """What a check saw on its way: how many cases, how close to the allowance, what it could not do."""

    examples: int = 0
    comparisons: int = 0
    worst_ratio: float = 0.0
    p_value: float | None = None
    refusals: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    notes: set[str] = field(default_factory=set)

    def add(self, ratio: float, p_value: float | None) -> None:
        """Count one comparison."""
        self.comparisons += 1
        if ratio <= 1:
            self.worst_ratio = max(self.worst_ratio, ratio)
        if p_value is not None:
            self.p_value = p_value if self.p_value is None else min(self.p_value, p_value)

    def unsupported(self, reason: str) -> None:
        """Count a case that the subject does not support; give up when there has been nothing else."""
        self.refusals.append(reason)
        if not self.examples and len(self.refusals) >= GIVE_UP_AFTER:
            raise unittest.SkipTest(reason)

    def undecidable(self, reason: str) -> None:
        """Count a case whose outcome rounding alone could explain."""
        self.undecided.append(reason)


@dataclass(frozen=True)
class Result:
    """What came of one check (or of a law that does not apply: then ``path`` is empty)."""

    law: str
    subject: str
    contract: str
    status: Status
    path: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    dtype: str = ""
    message: str = ""
    token: str = ""
    examples: int = 0
    comparisons: int = 0
    worst_ratio: float = 0.0
    p_value: float | None = None
    undecided: int = 0
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_data(self) -> dict[str, Any]:
        """As data for JSON."""
        return {**asdict(self), "status": self.status.value, "path": dict(self.path), "notes": list(self.notes)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Result:
        """The inverse of :meth:`to_data`."""
        return cls(**{**data, "status": Status(data["status"]), "notes": tuple(data["notes"])})


@dataclass(frozen=True)
class Plan:
    """The checks to run, and the laws that do not apply, each with its reason."""

    checks: list[Check]
    not_applicable: list[Result]


def plan(
    subject: Subject,
    *,
    address: str | None = None,
    laws: Sequence[Law] | None = None,
    devices: Sequence[str] = ("cpu",),
    dtypes: Sequence[str] = ("float64",),
    strength: int = 2,
) -> Plan:
    """Every law (all of them by default) on the paths of ``subject`` that it is about.

    Every combination of values that ``strength`` axes of the path can take together occurs on one of them.
    Raises :class:`SubjectError` where the subject cannot be built.
    """
    checks: list[Check] = []
    absent: list[Result] = []
    for law in LAWS.values() if laws is None else laws:
        if subject.contract not in law.contracts:
            continue
        for device, dtype in product(devices, dtypes):
            made, reasons = _checks(subject, law, device, dtype, address, strength)
            checks += made
            absent += [_absent(subject, law, reason, device, dtype) for reason in sorted(reasons)]
    return Plan(checks, absent)


def _checks(
    subject: Subject, law: Law, device: str, dtype: str, address: str | None, strength: int
) -> tuple[list[Check], set[str]]:
    """The checks of one law, and why there are no others."""
    if subject.missing is not None:
        return [], {subject.missing}
    if not subject.kind.takes_inputs and (device, dtype) != ("cpu", "float64"):
        return [], {"it takes no tensors: it is tried once, under cpu and float64"}
    if device not in subject.devices:
        return [], {f"it does not run on {device}"}
    if dtype not in subject.dtypes:
        return [], {f"it does not compute in {dtype}"}
    if dtype not in law.dtypes:
        return [], {f"what it asks cannot be told from rounding in {dtype}"}
    if (reason := impossible_size(law, subject)) is not None:
        return [], {reason}
    paths, reasons = paths_for(subject, law, device, strength)
    return [Check(subject, law, path, device, dtype, address) for path in paths], reasons


def _absent(subject: Subject, law: Law, reason: str, device: str = "", dtype: str = "") -> Result:
    return Result(law.name, subject.name, subject.contract, Status.NOT_APPLICABLE, {}, device, dtype, message=reason)


def settings_for(profile: settings, *, max_examples: int | None = None) -> settings:
    """``profile`` as the engine needs it: no deadline, no noise, one failure a check."""
    return settings(
        profile,
        max_examples=max_examples or profile.max_examples,
        deadline=None,
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=(Phase.explicit, Phase.generate, Phase.target, Phase.shrink),
        suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType]
    )


def run(
    check: Check, *, using: settings, seed: int, expected: Expectation | None = None, shrink: bool = True
) -> Result:
    """Try ``check`` on drawn cases; if its violation is ``expected``, on the pinned case alone."""
    started, record = time.perf_counter(), Record()
    if expected is not None:
        status, message, token = _pinned(check, expected, record)
    else:
        phases = using.phases if shrink else tuple(p for p in using.phases if p is not Phase.shrink)
        status, message, token = _explored(check, settings(using, phases=phases), seed, record)
    return _result(check, status, message, token, record, seconds=time.perf_counter() - started)


def _result(check: Check, status: Status, message: str, token: str, record: Record, *, seconds: float = 0.0) -> Result:
    return Result(
        check.law.name,
        check.subject.name,
        check.subject.contract,
        status,
        dict(check.path),
        check.device,
        check.dtype,
        message,
        token,
        record.examples,
        record.comparisons,
        record.worst_ratio,
        record.p_value,
        len(record.undecided),
        tuple(sorted(record.notes)),
        seconds,
    )


def check_subject(
    subject: Subject,
    *,
    properties: str = "*",
    device: str = "cpu",
    dtype: str = "float64",
    max_examples: int = 10,
    seed: int = 0,
) -> list[Result]:
    """Hold ``subject`` to every law whose name matches the glob ``properties``, in this process.

    One result a check, those of laws that do not apply included. Raises ValueError where the glob matches no law, and
    :class:`SubjectError` where the subject cannot be built.
    """
    chosen = [law for law in LAWS.values() if fnmatch(law.name, properties)]
    if not chosen:
        raise ValueError(
            f"expected a glob that matches a law, got {properties!r}; `veriformer list properties` names them"
        )
    made = plan(subject, laws=chosen, devices=[device], dtypes=[dtype])
    using = settings_for(settings(), max_examples=max_examples)
    return [*made.not_applicable, *(run(check, using=using, seed=seed) for check in made.checks)]


def replay(check: Check, case: Case) -> Result:
    """Judge ``case`` alone."""
    record = Record()
    status, message, token = _attempt(lambda: check.judge(case, record), check, record)
    return _result(check, status, message, token, record)


def _explored(check: Check, using: settings, seed: int, record: Record) -> tuple[Status, str, str]:
    @hypothesis.seed(seed)
    @using
    @given(st.data())
    def test(data: st.DataObject) -> None:
        check.explore(data, record)

    def quiet() -> None:
        with with_reporter(lambda text: None):
            test()

    return _attempt(quiet, check, record)


def _pinned(check: Check, expected: Expectation, record: Record) -> tuple[Status, str, str]:
    case = Token.decode(expected.token).case
    status, message, token = _attempt(lambda: check.judge(case, record), check, record)
    if status is Status.VIOLATED:
        issue = f" ({expected.issue})" if expected.issue else ""
        return Status.EXPECTED, f"{expected.reason}{issue}", token
    if status is Status.HELD:
        return Status.UNEXPECTEDLY_HELD, f"the pinned case holds now; was expected: {expected.reason}", expected.token
    return status, message, token


def _attempt(attempt: Any, check: Check, record: Record) -> tuple[Status, str, str]:
    """Run ``attempt`` and say what came of it: status, message, token."""
    try:
        attempt()
    except Violation as violation:
        return Status.VIOLATED, str(violation), violation.token
    except Flaky as flaky:
        found = next(_violations(flaky), None)
        if found is None:
            return Status.INCONCLUSIVE, "the outcome changes from call to call of the same case", ""
        return (
            Status.VIOLATED,
            f"{found}\n  beware     not at every call of this case: it is not deterministic",
            found.token,
        )
    except unittest.SkipTest as reason:
        return Status.NOT_APPLICABLE, str(reason), ""
    except (Unsatisfiable, UnsatisfiedAssumption):
        return _nothing_tried(record)
    except SubjectCrash as crash:
        token = token_of(check, crash.case) if crash.case else ""
        again = f"\n  reproduce  veriformer check {check.address} --replay {token}" if token else ""
        return Status.CRASHED, f"{check.law.name} on path {told_path(check.path)}: {crash}{again}", token
    except SubjectError as error:
        return Status.CRASHED, f"{check.law.name} on path {told_path(check.path)}: {error}", ""
    if not record.comparisons:
        return Status.INCONCLUSIVE, "nothing was compared", ""
    return Status.HELD, "", ""


def _violations(group: BaseException) -> Iterator[Violation]:
    if isinstance(group, Violation):
        yield group
    for inner in getattr(group, "exceptions", ()):
        yield from _violations(inner)
    for inner in (group.__cause__, group.__context__):
        if inner is not None:
            yield from _violations(inner)


def _nothing_tried(record: Record) -> tuple[Status, str, str]:
    if record.refusals and not record.undecided:
        return Status.NOT_APPLICABLE, record.refusals[0], ""
    reason = record.undecided[0] if record.undecided else "no case could be drawn"
    return Status.INCONCLUSIVE, reason, ""
