"""The schedule of the learning rate: up along a straight line, down with the inverse square root.

A rate is a plain number, dimensionless: what an optimiser of rate 1 multiplies its step by. Steps count from 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch

from ..case import one_of
from ..comparison import Comparison, counts, decided
from ..formulas import fall_of_the_rate, highest_rate, rate_while_falling, rate_while_rising, rise_of_the_rate
from ..law import law
from ..tolerance import FLOOR, unit_roundoff
from ..trial import Trial, guarded

ROUNDING = FLOOR * unit_roundoff(torch.float64)
"""Relative error that is left to a rate: a few powers and products in double precision."""

SCHEDULES = {
    "contracts": ("schedule",),
    "claims": ("Q30.1",),
    "draws": {"warmup": one_of(1, 2, 3, 4, 7, 16, 100, 400), "d_model": one_of(1, 2, 4, 8, 64, 512)},
}


@dataclass(frozen=True)
class Schedule:
    """The subject's schedule for one width and one warm-up; ``s(step)`` is the rate of a step."""

    trial: Trial
    d_model: int
    warmup: int

    def __call__(self, step: int) -> float:
        """The rate of ``step``, counted from 1."""
        return float(guarded(self.trial.built, step, self.d_model, self.warmup))

    @cached_property
    def rates(self) -> dict[int, float]:
        """The rates from the first step until some time after the warm-up, by step."""
        return {step: self(step) for step in range(1, 3 * self.warmup + 5)}

    def due(self, step: int) -> float:
        """The rate that is proved for ``step``."""
        if step <= self.warmup:
            return rate_while_rising(step, self.d_model, self.warmup)
        return rate_while_falling(step, self.d_model)


def schedule_of(trial: Trial) -> Schedule:
    """The subject's schedule for the case."""
    return Schedule(trial, trial.case.draws["d_model"], trial.case.draws["warmup"])


def _worst(excess: dict[int, float]) -> int:
    """The step at which most is wrong, the first of several; one that gives no number comes before all."""
    return max(excess, key=lambda step: math.inf if math.isnan(excess[step]) else excess[step])


def _agree(
    got: Callable[[int], float], due: Callable[[int], float], steps: list[int], what: str, cause: str
) -> Comparison:
    """``got`` and ``due`` agree at all ``steps``, up to rounding."""
    pairs = {step: (got(step), due(step)) for step in steps}
    step = _worst({step: abs(g - d) / abs(d) if d else math.inf for step, (g, d) in pairs.items()})
    g, d = pairs[step]
    gap, allowed = abs(g - d), ROUNDING * abs(d)
    told = f"{what}, at step {step} (got {g:.6g}, expected {d:.6g})"
    return decided(gap <= allowed, measured=gap, allowed=allowed, what=told, cause=cause)


@law("schedule.formula", formula="η = t / (w √w √d) for t ≤ w, η = 1 / (√d √t) for t ≥ w", **SCHEDULES)
def formula(trial: Trial) -> Iterator[Comparison]:
    """The rate at step t is the proved one: on the line up to the warm-up's end, on the curve from there on."""
    schedule = schedule_of(trial)
    rates = schedule.rates
    yield _agree(rates.__getitem__, schedule.due, [*rates], "rate", _told(schedule))


def _told(schedule: Schedule) -> str:
    """Which mistake gives the rates that the schedule has."""
    rates, last = schedule.rates, max(schedule.rates)

    def agree(other: Callable[[int], float], steps: range = range(2, last)) -> bool:
        return all(math.isclose(rates[step], other(step), rel_tol=1e-9) for step in steps)

    if agree(lambda step: schedule.due(step - 1)):
        return "every rate comes one step late: a counter that begins at 0 is taken for one that begins at 1"
    if agree(lambda step: schedule.due(step + 1)):
        return "every rate comes one step early: the counter is moved on before it is read, or the first step is lost"
    factor = rates[1] / schedule.due(1) if math.isfinite(rates[1]) else math.nan
    if agree(lambda step: factor * schedule.due(step)):
        return f"every rate is {factor:.4g} times its due: the optimiser's own rate is not 1, or d_model is misused"
    return "the slope of the warm-up, the power of the fall, or the step that it is counted from is another"


@law("schedule.no_jump", formula="|η(t + 1) − η(t)| ≤ |∂η/∂t|, where it is largest between the two", **SCHEDULES)
def no_jump(trial: Trial) -> Iterator[Comparison]:
    """From step to step the rate moves by no more than its slope: line and curve meet where the warm-up ends."""
    schedule = schedule_of(trial)
    d, w, rates = schedule.d_model, schedule.warmup, schedule.rates
    rise, allowed = rise_of_the_rate(d, w), ROUNDING * highest_rate(d, w)
    moved = {t: abs(rates[t + 1] - rates[t]) for t in [*rates][:-1]}
    excess = {t: max(moved[t] - (rise if t < w else fall_of_the_rate(t, d)), 0.0) for t in moved}
    t = _worst(excess)
    yield decided(
        excess[t] <= allowed,
        measured=excess[t],
        allowed=allowed,
        what=f"how much further than its slope the rate moves from step {t} to step {t + 1}, to {rates[t + 1]:.4g}",
        cause="the phases are two branches that do not meet, or the rate starts anew",
    )


@law("schedule.one_peak", formula="0 < η(1) < … < η(w) = 1/√(dw) > η(w + 1) > … > 0", **SCHEDULES)
def one_peak(trial: Trial) -> Iterator[Comparison]:
    """The rate grows with every step of the warm-up and falls with every step after it; it is never 0.

    The highest rate is that of the warm-up's last step, one over the root of the width times the warm-up.
    """
    schedule = schedule_of(trial)
    d, w, rates = schedule.d_model, schedule.warmup, schedule.rates
    yield _agree(rates.__getitem__, lambda step: highest_rate(d, w), [w], "highest rate", _told(schedule))
    astray = [t for t in [*rates][:-1] if not (rates[t] < rates[t + 1] if t < w else rates[t] > rates[t + 1])]
    yield counts(
        len(astray),
        0,
        what=f"steps of the first {len(rates)} from which the rate does not grow up to step {w}, or fall after it",
        cause=lambda: f"there is another peak, or the rate stays where it is, as from step {astray[0]} to the next",
    )
    lost = [t for t, rate in rates.items() if not rate > 0]
    yield counts(
        len(lost),
        0,
        what=f"steps of the first {len(rates)} with a rate that is not above 0",
        cause=lambda: f"step {lost[0]} is lost: it is counted as step 0, or the rate falls to 0 in the end",
    )


@law(
    "schedule.powers",
    formula="η(kt) = k η(t) for kt ≤ w; η(k²t) = η(t)/k for t ≥ w; η(t; 4d) = η(t; d)/2; η(t; w) = η(t; 1) for t ≥ w",
    **{**SCHEDULES, "draws": {**SCHEDULES["draws"], "times": one_of(2, 3)}},
)
def powers(trial: Trial) -> Iterator[Comparison]:
    """While it rises the rate is proportional to the step, then to the inverse square root of the step alone.

    A model of four times the width has half the rate at every step. Once the rate falls, it has forgotten the warm-up.
    """
    schedule, k = schedule_of(trial), trial.case.draws["times"]
    d, w, rates = schedule.d_model, schedule.warmup, schedule.rates
    if rising := [t for t in rates if k * t <= w]:
        cause = "the rate does not start from 0 at step 0, or rises along no straight line"
        yield _agree(lambda t: schedule(k * t), lambda t: k * rates[t], rising, f"rate at {k} times the step", cause)
    falling = [w, w + 1, 2 * w]
    cause = "the rate falls with another power, from another step, or not below a floor"
    yield _agree(
        lambda t: schedule(k * k * t), lambda t: rates[t] / k, falling, f"rate at {k * k} times the step", cause
    )
    wider = Schedule(trial, 4 * d, w)
    cause = "the width enters with another power, or not at all"
    yield _agree(wider, lambda t: rates[t] / 2, [1, w, w + 1], "rate at four times the width", cause)
    short = Schedule(trial, d, 1)
    cause = "the fall is counted from the warm-up's end, or scaled by its length"
    yield _agree(short, rates.__getitem__, falling, "rate with a warm-up of one step", cause)
