"""Comparisons: the equations that a law yields, and what becomes of them.

Both sides are functions without arguments, so that the engine can run a side again under perturbation when it needs to
know how much rounding may move it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from . import tolerance
from .contracts import SubjectError, Unsupported
from .trial import SubjectCrash, Trial

Side = Callable[[], Tensor]
Cause = Callable[[Tensor], str | None]


class Undecidable(Exception):
    """The case is so badly conditioned that rounding alone could explain any outcome."""


@dataclass(frozen=True)
class Outcome:
    """A comparison that was made: ``measured`` against ``allowed``, and where the excess was largest."""

    holds: bool
    measured: float
    allowed: float
    what: str
    where: str = ""
    got: str = ""
    cause: str | None = None
    p_value: float | None = None
    figure: str | None = None

    @property
    def ratio(self) -> float:
        """Measured over allowed; 0 where there was nothing to measure: an exact law that held, a statistical test."""
        if self.p_value is not None:
            return 0.0
        return 0.0 if self.measured == 0 else self.measured / self.allowed if self.allowed else float("inf")


@dataclass(frozen=True)
class Comparison:
    """One equation of a law. ``judge(trial)`` decides it."""

    judge: Callable[[Trial], Outcome] = field(repr=False)


def _difference(left: Tensor, right: Tensor, only: Tensor | None, *, nan_is_nan: bool = False) -> Tensor:
    """|left − right| in float64; 0 outside ``only``. A NaN differs from everything, from a NaN too unless told."""
    if left.shape != right.shape:
        raise ValueError(f"a law compares {tuple(left.shape)} with {tuple(right.shape)}; mend the law")
    a, b = left.double(), right.double()
    same = (a == b) | (a.isnan() & b.isnan() & nan_is_nan)
    gap = torch.where(same, 0.0, (a - b).abs()).nan_to_num(nan=torch.inf)
    return gap if only is None else torch.where(_fit(only, gap), gap, 0.0)


def _fit(only: Tensor, like: Tensor) -> Tensor:
    return only.reshape(only.shape + (1,) * (like.dim() - only.dim())).expand_as(like)


_AXES = {1: ("index",), 2: ("row", "position"), 3: ("row", "position", "feature"), 4: ("row", "head", "query", "key")}


def _place(gap: Tensor, axes: tuple[str, ...] | None) -> tuple[tuple[int, ...], str]:
    index = tuple(int(i) for i in torch.unravel_index(gap.argmax(), gap.shape))
    names = axes or _AXES.get(gap.dim(), tuple(f"axis {k}" for k in range(gap.dim())))
    return index, ", ".join(f"{name} {i}" for name, i in zip(names, index, strict=True))


def same(
    left: Side,
    right: Side,
    *,
    what: str = "output",
    only: Tensor | None = None,
    axes: tuple[str, ...] | None = None,
    cause: Cause | None = None,
) -> Comparison:
    """``left()`` equals ``right()`` up to rounding, where ``only`` (broadcast from the left) is true.

    ``right`` must call the subject: it is what is run again when the allowance has to be calibrated. ``cause(gap)``
    may name a likely cause from the pattern of the gap.
    """

    def judge(trial: Trial) -> Outcome:
        a, b = left(), right()
        gap = _difference(a, b, only)
        measured, allowed = _largest(gap), tolerance.FLOOR * tolerance.rounding(a, b)
        if allowed < measured < float("inf"):
            allowed = max(allowed, _calibrated(trial, right, b, only))
        return _outcome(gap, a, b, measured, allowed, what, axes, cause)

    return Comparison(judge)


def _calibrated(trial: Trial, run: Side, unperturbed: Tensor, only: Tensor | None) -> float:
    def visible() -> Tensor:
        return _difference(run(), unperturbed, only)

    allowed = tolerance.sensitivity(visible, trial.jitter)
    largest = _largest(_difference(unperturbed, torch.zeros_like(unperturbed), only))
    if allowed > tolerance.DECIDABLE[trial.torch_dtype] * max(largest, 1e-300):
        raise Undecidable(f"rounding may move the result by {allowed:.1e} of {largest:.1e}")
    return allowed


def within(
    left: Side,
    right: Side,
    bound: Side,
    *,
    what: str = "output",
    only: Tensor | None = None,
    cause: Cause | None = None,
) -> Comparison:
    """|left() − right()| ≤ bound(), entry by entry: for a law that brings its own derived bound."""

    def judge(trial: Trial) -> Outcome:
        a, b, allowed = left(), right(), bound()
        gap = _difference(a, b, only)
        excess = torch.where(gap > 0, gap / allowed, 0.0)
        worst = int(excess.argmax()) if excess.numel() else 0
        measured = float(gap.flatten()[worst]) if gap.numel() else 0.0
        limit = float(allowed.flatten()[worst]) if gap.numel() else 0.0
        return _outcome(excess, a, b, measured, limit, what, None, cause)

    return Comparison(judge)


def equal(
    left: Side,
    right: Side,
    *,
    what: str = "output",
    only: Tensor | None = None,
    axes: tuple[str, ...] | None = None,
    cause: Cause | None = None,
) -> Comparison:
    """``left()`` equals ``right()`` to the last bit, NaN for NaN, where ``only`` is true."""

    def judge(trial: Trial) -> Outcome:
        a, b = left(), right()
        gap = _difference(a, b, only, nan_is_nan=True)
        return _outcome(gap, a, b, _largest(gap), 0.0, what, axes, cause)

    return Comparison(judge)


def zero(
    value: Side,
    *,
    what: str,
    only: Tensor | None = None,
    axes: tuple[str, ...] | None = None,
    cause: Cause | None = None,
) -> Comparison:
    """``value()`` is exactly 0, where ``only`` is true."""

    def judge(trial: Trial) -> Outcome:
        a = value()
        gap = _difference(a, torch.zeros_like(a), only)
        return _outcome(gap, a, torch.zeros_like(a), _largest(gap), 0.0, what, axes, cause)

    return Comparison(judge)


def finite(value: Side, *, what: str, only: Tensor | None = None, cause: str | None = None) -> Comparison:
    """``value()`` holds no NaN and no infinity, where ``only`` is true."""

    def judge(trial: Trial) -> Outcome:
        a = value()
        gap = torch.where(a.isfinite(), 0.0, torch.inf).double()
        gap = gap if only is None else torch.where(_fit(only, gap), gap, 0.0)
        return _outcome(gap, a, None, _largest(gap), 0.0, what, None, lambda _: cause)

    return Comparison(judge)


GENTLE = (1.0, 0.5)
"""Gains of the weights under which softmax does not saturate, so that an influence that is there can be seen."""

COARSE = (torch.bfloat16, torch.float16)
"""Dtypes in which a small influence may drown in rounding, or underflow: "every" is not asked for, only "some"."""


def nonzero(
    value: Side, *, what: str, only: Tensor, axes: tuple[str, ...] | None = None, cause: str | None = None
) -> Comparison:
    """Every entry of ``value()`` at ``only`` differs from 0: the twin of :func:`zero`, so that a constant cannot pass.

    In 16 bits some entry must.
    """

    def judge(trial: Trial) -> Outcome:
        a = value()
        dead = ((a == 0) | a.isnan()) & only
        enough = trial.torch_dtype in COARSE and not torch.equal(dead, only)
        if enough or not dead.any():
            return Outcome(True, 0.0, 0.0, what)
        _, where = _place(dead.double(), axes)
        return Outcome(False, 0.0, 0.0, what, where, cause=cause, figure=f"0, and anything else is due: {what}")

    return Comparison(judge)


def differs(left: Side, right: Side, *, what: str, cause: str | None = None) -> Comparison:
    """``left()`` and ``right()`` differ by more than rounding explains, somewhere: the twin of :func:`same`."""

    def judge(trial: Trial) -> Outcome:
        a, b = left(), right()
        gap = _difference(a, b, None)
        noise = tolerance.FLOOR * tolerance.rounding(a, b)
        if _largest(gap) > noise:
            return Outcome(True, 0.0, 0.0, what)
        figure = f"{_largest(gap):.2e}, and more than {noise:.2e} (rounding) is due: difference of {what}"
        return Outcome(False, _largest(gap), noise, what, cause=cause, figure=figure)

    return Comparison(judge)


def decided(holds: bool, *, measured: float, allowed: float, what: str, cause: str | None = None) -> Comparison:
    """A comparison of two figures that the law has made itself."""
    return Comparison(lambda trial: Outcome(holds, measured, allowed, what, "", "", None if holds else cause))


def counts(got: int, due: int, *, what: str, cause: Callable[[], str]) -> Comparison:
    """``got`` is ``due`` exactly: both are integers."""
    figure = f"{got}, and exactly {due} are due: {what}"
    told = None if got == due else cause()
    return Comparison(lambda _: Outcome(got == due, abs(got - due), 0.0, what, cause=told, figure=figure))


def agree(got: Any, due: Any, *, what: str, cause: str | None = None) -> Comparison:
    """``got`` equals ``due``: text, tokens, or whatever else has no size to measure a difference by."""
    figure = f"{got!r}, and {due!r} is due: {what}"
    holds = bool(got == due)
    return Comparison(
        lambda trial: Outcome(holds, float(not holds), 0.0, what, cause=None if holds else cause, figure=figure)
    )


def likely(p_value: float, *, false_alarm: float, what: str, cause: str | None = None) -> Comparison:
    """A statistical test: it holds unless ``p_value`` (exact, two-sided) is at most ``false_alarm``."""
    holds = p_value > false_alarm
    return Comparison(
        lambda trial: Outcome(holds, p_value, false_alarm, what, "", "", None if holds else cause, p_value)
    )


def _outcome(
    gap: Tensor,
    got: Tensor,
    expected: Tensor | None,
    measured: float,
    allowed: float,
    what: str,
    axes: tuple[str, ...] | None,
    cause: Cause | None,
) -> Outcome:
    if measured <= allowed:
        return Outcome(True, measured, allowed, what)
    index, where = _place(gap, axes)
    came = f"got {_number(got[index])}" + ("" if expected is None else f", expected {_number(expected[index])}")
    return Outcome(False, measured, allowed, what, where, came, _told(cause, gap))


def _told(cause: Cause | None, gap: Tensor) -> str | None:
    """What ``cause`` makes of the gap; None where the subject cannot take the calls that it needs to find out."""
    try:
        return None if cause is None else cause(gap)
    except (Unsupported, SubjectError, SubjectCrash):
        return None


def _number(x: Tensor) -> str:
    return f"{float(x):.6g}"


def _largest(gap: Tensor) -> float:
    return float(gap.max()) if gap.numel() else 0.0
