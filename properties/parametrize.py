"""The pytest door: every (law, path, device, dtype) is a Hypothesis test of its own, in a user's own suite."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import engine, expected
from .contracts import SubjectError
from .law import LAWS
from .loading import load
from .subject import Subject
from .violation import Token, Violation


@dataclass(frozen=True)
class BoundCheck:
    """What the decorated test calls: one check, about to draw a case."""

    check: engine.Check
    data: st.DataObject
    expectation: engine.Expectation | None

    def __call__(self) -> None:
        """Draw a case and judge it. Raises :class:`Violation`."""
        __tracebackhide__ = True
        if self.expectation is None:
            self.check.explore(self.data)
        else:
            self.check.judge(Token.decode(self.expectation.token).case, engine.Record())


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

    Raises :class:`SubjectError` at collection for what cannot be used: a subject, a glob without a law, an entry of
    ``expect`` that matches nothing, a test without the one argument ``check``.
    """
    chosen = [law for law in LAWS.values() if fnmatch(law.name, properties)]
    if not chosen:
        raise SubjectError(
            f"properties={properties!r}: expected a glob that matches a law; `veriformer list properties`"
        )
    known = [*expected.read(expected.BUILT_IN), *(expected.read(Path(expect)) if expect else [])]
    parameters = []
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
        parameters += [_parameter(name, check, expected.match(check, known)) for check in checks]
        parameters += [_skipped(name, absent) for absent in made.not_applicable]
    return lambda function: _hypothesis_test(function, parameters)


def _each(subjects: Iterable[Subject | str]) -> Iterable[tuple[Subject, str | None]]:
    for item in subjects:
        if isinstance(item, Subject):
            yield item, None
        else:
            yield from ((subject, item) for subject in load(item))


def _parameter(name: str, check: engine.Check, expectation: engine.Expectation | None) -> Any:
    marks = [pytest.mark.xfail(reason=expectation.reason, strict=True, raises=Violation)] if expectation else []
    return pytest.param((check, expectation), id=f"{name}-{check.id}", marks=marks)


def _skipped(name: str, absent: engine.Result) -> Any:
    return pytest.param(None, id=f"{name}-{absent.law}", marks=pytest.mark.skip(reason=absent.message))


def _hypothesis_test(function: Callable[..., None], parameters: list[Any]) -> Callable[..., None]:
    names = list(inspect.signature(function).parameters)
    if names not in (["check"], ["self", "check"]):
        raise SubjectError(f"{function.__name__}: expected a test with the one argument `check`, got {names}")

    def of_function(check: Any, data: st.DataObject) -> None:
        __tracebackhide__ = True
        function(BoundCheck(check[0], data, check[1]))

    def of_method(self: Any, check: Any, data: st.DataObject) -> None:
        __tracebackhide__ = True
        function(self, BoundCheck(check[0], data, check[1]))

    test = of_function if names == ["check"] else of_method
    for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(test, attribute, getattr(function, attribute))
    drawn = given(data=st.data())(test)
    checks = list(HealthCheck)
    quiet = settings(deadline=None, suppress_health_check=checks)  # pyright: ignore[reportArgumentType]
    return pytest.mark.parametrize("check", parameters)(quiet(drawn))
