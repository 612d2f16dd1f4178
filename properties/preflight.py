"""Preflight: one plain call on each declared feature, before any law runs.

A wrong signature, shape or dtype then gives one clear line, not thirty violations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from .case import Case
from .contracts import SubjectError, Unsupported
from .loading import raised
from .paths import axes_of
from .subjects import Config, Subject
from .trial import SubjectCrash, Trial, guarded


def preflight(subject: Subject, *, device: str, dtype: str) -> None:
    """Call ``subject`` once plainly, and once with each of its features. Raises :class:`SubjectError`."""
    if subject.missing is not None:
        return
    for name, choices in vars(subject.drawn_sizes).items():
        if not choices or min(choices) < 1:
            raise SubjectError(f"{subject.name}: sizes: {name}: expected one or more numbers above 0, got {choices}")
    try:
        axes = axes_of(subject)
    except (SubjectError, SystemExit) as error:
        told = raised(error.__cause__ or error)
        raise SubjectError(
            f"{subject.name}: build(config) {told}; mend it. Expected: {subject.kind.signature}"
        ) from error
    plain = {axis: values[0] for axis, values in axes.items()}
    if subject.kind.plainly is not None:
        _call_plainly(subject, subject.kind.plainly, plain, device)
        return
    _call(subject, plain, device, dtype, "plainly")
    for axis in ("padding", "causal", "weights", "scale"):
        for value in axes[axis][1:]:
            if (axis, value) not in (("padding", "left"), ("padding", "scattered")):
                _call(
                    subject, {**plain, axis: value, "over": _over(subject, axis)}, device, dtype, f"with {axis}={value}"
                )


def _call_plainly(subject: Subject, plainly: Callable[[Any], None], path: dict[str, str], device: str) -> None:
    if subject.refuses(path, device) is not None:
        return
    try:
        guarded(plainly, subject.make(Config(1, 1, 1, 1, 1, options=subject.options_on(path))))
    except Unsupported:
        return
    except SubjectError as error:
        raise SubjectError(f"{subject.name}: {error}") from error
    except (SubjectCrash, SystemExit) as crash:
        raise SubjectError(
            f"{subject.name}: called plainly: {_told(crash)}; mend it. Expected: {subject.kind.signature}"
        ) from crash


def _over(subject: Subject, axis: str) -> str:
    """The sequence on which the feature behind ``axis`` is offered."""
    if axis != "padding":
        return subject.kind.overs[0]
    return next(o for o in subject.kind.overs if subject.kind.padding_feature(o) in subject.accepted)


def _call(subject: Subject, path: dict[str, str], device: str, dtype: str, how: str) -> None:
    if subject.refuses(path, device) is not None:
        return
    sizes = subject.drawn_sizes
    length = _near(sizes.length, 3)
    case = Case(
        batch=_near(sizes.batch, 2),
        length=length,
        memory_length=_near(sizes.memory_length, 3),
        n_heads=_near(sizes.n_heads, 2),
        groups=1,
        d_k=_near(sizes.d_k, 4),
        n_layers=min(sizes.n_layers),
        contents="normal",
        real=("1" * (length - 1) + "0" if length > 1 else "1",) * _near(sizes.batch, 2)
        if path["padding"] == "right"
        else (),
    )
    if path["padding"] == "right" and path["over"] == "memory":
        case = Case(**{**vars(case), "real": ("1" * case.memory_length,) * case.batch})
    trial = Trial(subject, case, path, device=device, dtype=dtype)
    name = subject.name
    try:
        if not callable(trial.built):
            raise SubjectError(f"build(config): expected something to call, got {type(trial.built).__name__}")
        if lacking := [offered for offered in subject.kind.offers if not hasattr(trial.built, offered)]:
            raise SubjectError(f"build(config): expected something with {lacking[0]}; add it: {subject.kind.signature}")
        output = trial(trial.inputs)
    except Unsupported:
        return
    except SubjectError as error:
        raise SubjectError(f"{name}: called {how}: {str(error).removeprefix(f'{name}: ')}") from error
    except (SubjectCrash, SystemExit) as crash:
        remedy = (
            "mend it" if how == "plainly" else f"mend it, or declare features={sorted(subject.accepted)} without it"
        )
        raise SubjectError(
            f"{name}: called {how}: {_told(crash)}; {remedy}. Expected: {subject.kind.signature}"
        ) from crash
    if not bool(torch.isfinite(output[trial.comparable(trial.inputs)]).all()):
        hint = "; is the mask read the wrong way round? Here True = real, may attend" if "all-true" in how else ""
        raise SubjectError(
            f"{name}: called {how} on finite inputs of {dtype}: expected finite numbers, got NaN or infinity{hint}"
        )


def _told(crash: BaseException) -> str:
    """What the subject did, with the line of its code that did it."""
    error = crash.__cause__ or crash
    if str(crash).startswith("ran out of memory"):
        return str(crash)
    return raised(error)


def _near(choices: Sequence[int], wanted: int) -> int:
    return min(choices, key=lambda n: (abs(n - wanted), n))
