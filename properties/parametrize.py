"""The pytest door: every (law, path, device, dtype) is a Hypothesis test of its own, in a user's own suite."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import engine, expected
from .contracts import SubjectError
from .law import LAWS
from .loading import load
from .subjects import DTYPES, Subject
from .trial import SubjectCrash
from .violation import Token, Violation, token_of, told_path

E = TypeVar("E", bound=Exception)


@dataclass(frozen=True, repr=False)
class PlannedCheck:
    """The parameter of one test: a check, and the violation that is expected of it, if one is."""

    check: engine.Check
    expectation: engine.Expectation | None
    record: engine.Record = field(default_factory=engine.Record)

    def __repr__(self) -> str:
        """Short: pytest prints the arguments of a test that fails."""
        return f"<{self.check.subject.name}: {self.check.id}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """As short for Hypothesis, which would print every field of a dataclass."""
        printer.text(repr(self))

    def bound(self, data: st.DataObject) -> BoundCheck:
        """Ready to draw a case."""
        return BoundCheck(self, data)


@dataclass(frozen=True, repr=False)
class BoundCheck:
    """What the decorated test calls: one check, about to draw a case."""

    planned: PlannedCheck
    data: st.DataObject

    def __repr__(self) -> str:
        """As short as that of the parameter."""
        return repr(self.planned)

    def __call__(self) -> None:
        """Draw a case and judge it. Raises :class:`Violation`."""
        __tracebackhide__ = True
        check, expectation = self.planned.check, self.planned.expectation
        try:
            with _one_thread():
                if expectation is None:
                    check.explore(self.data, self.planned.record)
                else:
                    check.judge(Token.decode(expectation.token).case, engine.Record())
        except Violation as violation:
            raise _without_notes(violation) from None
        except SubjectCrash as crash:
            told = f"{check.law.name} on path {told_path(check.path)}: the subject {crash}"
            if crash.case is not None:
                told += f"\n  reproduce  veriformer check {check.address} --replay {token_of(check, crash.case)}"
            raise _without_notes(SubjectCrash(told)) from crash.__cause__
        except SubjectError as error:
            told = f"{check.law.name} on path {told_path(check.path)}: {error}"
            raise _without_notes(SubjectError(told)) from None


def _without_notes(error: E) -> E:
    """``error`` deaf to Hypothesis, which would add the case, over a page; the message has it, and a token."""
    error.add_note = lambda note: None  # type: ignore[method-assign]
    return error


@contextmanager
def _one_thread() -> Iterator[None]:
    """On tensors this small threads only wait for each other: several times the time, under ``-n`` above all."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def present_devices() -> list[str]:
    """The devices of this machine, by name."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def parametrize_with_properties(
    subjects: Iterable[Subject | str],
    *,
    properties: str = "*",
    devices: Sequence[str] | None = None,
    dtypes: Sequence[str] = ("float64",),
    strength: int = 2,
    expect: Path | str | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn ``def test_mine(check): check()`` into one Hypothesis test a (law, path, device, dtype).

    ``subjects`` are Subjects, or addresses as on the command line. ``properties`` is a glob over law names. Devices
    default to those that are present. Every combination of values that ``strength`` axes of a code path take together
    is tried. ``expect`` is a file of expected violations: they become strict xfails that run
    the pinned case alone. Laws that do not apply are skipped, with the reason.

    Raises :class:`SubjectError` at collection for what cannot be used: a subject, a glob without a law, a file
    ``expect`` without an entry about these subjects, a test without the one argument ``check``.
    """
    __tracebackhide__ = True
    try:
        parameters = _parameters(subjects, properties, devices, dtypes, strength, expect)
    except (SubjectError, SystemExit) as error:
        raise SubjectError(str(error)) from None  # one line at collection; it says where, if that is the user's code

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        __tracebackhide__ = True
        return _hypothesis_test(function, parameters)

    return decorate


def _parameters(
    subjects: Iterable[Subject | str],
    properties: str,
    devices: Sequence[str] | None,
    dtypes: Sequence[str],
    strength: int,
    expect: Path | str | None,
) -> list[Any]:
    chosen = [law for law in LAWS.values() if fnmatch(law.name, properties)]
    if not chosen:
        raise SubjectError(
            f"properties={properties!r}: expected a glob that matches a law; `veriformer list properties`"
        )
    _check_names("dtypes", dtypes, tuple(DTYPES))
    _check_names("devices", devices or present_devices(), present_devices())
    if strength < 1:
        raise SubjectError(f"strength={strength!r}: expected a number of at least 1")
    own = expected.read(Path(expect)) if expect else []
    known = [*expected.read(expected.BUILT_IN), *own]
    parameters, every = [], []
    for subject, address in _each(subjects):
        made = engine.plan(
            subject,
            address=address,
            laws=chosen,
            devices=devices or present_devices(),
            dtypes=list(dtypes),
            strength=strength,
        )
        name = f"{subject.name}-{subject.contract}"
        checks = [*made.checks, *expected.pinned(known, made.checks)]
        every += checks
        parameters += [_parameter(name, check, expected.match(check, known)) for check in checks]
        parameters += [_skipped(name, absent) for absent in made.not_applicable]
    if own and not any(expected.match(check, own) for check in every):
        raise SubjectError(f"expect={str(expect)!r}: expected entries about these subjects and laws, and none is")
    if not parameters:
        raise SubjectError(
            f"properties={properties!r}: expected one or more subjects with a law of their contracts that matches; "
            "there is none"
        )
    return parameters


def _check_names(argument: str, given: Sequence[str], known: Sequence[str]) -> None:
    wrong = [given] if isinstance(given, str) else [name for name in given if name not in known]
    if wrong or not given:
        raise SubjectError(f"{argument}={given!r}: expected a list out of what is here: {', '.join(known)}")


def _each(subjects: Iterable[Subject | str]) -> Iterable[tuple[Subject, str | None]]:
    if isinstance(subjects, (Subject, str)) or not isinstance(subjects, Iterable):
        got = repr(subjects) if isinstance(subjects, str) else f"a {type(subjects).__name__}"
        raise SubjectError(f"expected a list, as in @parametrize_with_properties([SUBJECT]); got {got}")
    for item in subjects:
        if isinstance(item, Subject):
            yield item, None
        elif isinstance(item, str):
            yield from ((subject, item) for subject in load(item))
        else:
            raise SubjectError(
                f"expected Subjects, or addresses such as 'module:attribute'; got a {type(item).__name__}; "
                "declare it with @subject"
            )


def _parameter(name: str, check: engine.Check, expectation: engine.Expectation | None) -> Any:
    marks = [pytest.mark.xfail(reason=expectation.reason, strict=True, raises=Violation)] if expectation else []
    return pytest.param(PlannedCheck(check, expectation), id=f"{name}-{check.id}", marks=marks)


def _skipped(name: str, absent: engine.Result) -> Any:
    return pytest.param(None, id=f"{name}-{absent.law}", marks=pytest.mark.skip(reason=absent.message))


def _hypothesis_test(function: Callable[..., None], parameters: list[Any]) -> Callable[..., None]:
    __tracebackhide__ = True
    names = list(inspect.signature(function).parameters)
    if names not in (["check"], ["self", "check"]):
        raise SubjectError(f"{function.__name__}: expected a test with the one argument `check`, got {names}")

    def forget_settings() -> None:
        # Hypothesis' plugin nests the settings of a parametrised test once more for each parameter: a thousand are too
        # many for Python's stack. By now it has read them for this one.
        drawn._hypothesis_internal_use_settings = own  # type: ignore[attr-defined]

    def of_function(check: PlannedCheck, data: st.DataObject) -> None:
        __tracebackhide__ = True
        forget_settings()
        function(check.bound(data))

    def of_method(self: Any, check: PlannedCheck, data: st.DataObject) -> None:
        __tracebackhide__ = True
        forget_settings()
        function(self, check.bound(data))

    test = of_function if names == ["check"] else of_method
    for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(test, attribute, getattr(function, attribute))
    test.__dict__.update(vars(function))  # marks that stand below ours
    place = function.__code__
    test.__code__ = test.__code__.replace(co_filename=place.co_filename, co_firstlineno=place.co_firstlineno)
    drawn = given(data=st.data())(test)
    checks = list(HealthCheck)
    own = settings(deadline=None, suppress_health_check=checks)  # pyright: ignore[reportArgumentType]
    return pytest.mark.parametrize("check", parameters)(own(drawn))
