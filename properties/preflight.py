"""Preflight: one plain call on each declared feature, before any law runs.

A wrong signature, shape or dtype then gives one clear line, not thirty violations.
"""

from __future__ import annotations

import torch

from .case import Case
from .contracts import SubjectError, Unsupported
from .paths import axes_of
from .subject import Subject
from .trial import SubjectCrash, Trial


def preflight(subject: Subject, *, device: str, dtype: str) -> None:
    """Call ``subject`` once plainly, and once with each of its features. Raises :class:`SubjectError`."""
    axes = axes_of(subject)
    plain = {axis: values[0] for axis, values in axes.items()}
    _call(subject, plain, device, dtype, "plainly")
    for axis in ("padding", "causal", "weights", "scale"):
        for value in axes[axis][1:]:
            if (axis, value) not in (("padding", "left"), ("padding", "scattered")):
                _call(
                    subject, {**plain, axis: value, "over": _over(subject, axis)}, device, dtype, f"with {axis}={value}"
                )


def _over(subject: Subject, axis: str) -> str:
    """The sequence on which the feature behind ``axis`` is offered."""
    if axis != "padding":
        return subject.kind.overs[0]
    return next(o for o in subject.kind.overs if subject.kind.padding_feature(o) in subject.accepted)


def _call(subject: Subject, path: dict[str, str], device: str, dtype: str, how: str) -> None:
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
        real=("1" * (length - 1) + "0",) * _near(sizes.batch, 2) if path["padding"] == "right" else (),
    )
    if path["padding"] == "right" and path["over"] == "memory":
        case = Case(**{**vars(case), "real": ("1" * case.memory_length,) * case.batch})
    trial = Trial(subject, case, path, device=device, dtype=dtype)
    try:
        output = trial(trial.inputs)
    except Unsupported:
        return
    except SubjectCrash as crash:
        raise SubjectError(
            f"{subject.name}: called {how} as {subject.kind.signature}: it {crash}; mend it, or leave the feature out "
            f"(features={sorted(subject.accepted)})"
        ) from crash
    if not bool(torch.isfinite(output).all()):
        raise SubjectError(
            f"{subject.name}: called {how} on finite inputs of {dtype}: expected finite numbers, got NaN or infinity"
        )


def _near(choices: object, wanted: int) -> int:
    return min(choices, key=lambda n: (abs(n - wanted), n))  # type: ignore[call-overload, no-any-return]
