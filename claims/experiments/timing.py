"""Times of calls that take turns: only their ratios, within one run, are worth keeping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import linear_regression, median
from typing import Any

from .experiment import Curve, Expectation
from .intervals import mean_with_interval

WARM_UP = 2
"""Calls before the first that counts: they allocate memory and build tables."""


class Timed(Expectation):
    """An expectation of times: for the full form alone, as a few rounds on a busy machine may miss it."""


def take_turns(calls: Mapping[str, Callable[[], Any]], *, rounds: int, least: float) -> list[dict[str, float]]:
    """CPU seconds that one call of each takes, round by round; the order is turned about in every other round.

    CPU time of the process, as what else runs on the machine takes less from it than from the time on the wall. Each
    figure is the median of three measurements, and a measurement is as many calls as take ``least`` seconds together.
    """
    repeats = {name: _repeats(call, least) for name, call in calls.items()}
    found = []
    for k in range(rounds):
        names = list(calls)[:: 1 if k % 2 == 0 else -1]
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(3):
            for name in names:
                seconds[name].append(_measured(calls[name], repeats[name]))
        found.append({name: median(some) for name, some in seconds.items()})
    return found


def _repeats(call: Callable[[], Any], least: float) -> int:
    _measured(call, WARM_UP)
    return max(1, round(least / max(_measured(call, 1), 1e-7)))


def _measured(call: Callable[[], Any], repeats: int) -> float:
    started = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - started) / repeats


def geometric_mean(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Geometric mean, and the ends of its 95 % interval: Student's, for the mean of the logarithms."""
    mean, low, high = mean_with_interval([math.log(ratio) for ratio in ratios])
    return math.exp(mean), math.exp(low), math.exp(high)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of log value against log size, by least squares: p where values go with size to the power p."""
    return linear_regression([math.log(size) for size in sizes], [math.log(value) for value in values]).slope


def ratio_curve(label: str, sizes: Sequence[float], ratios: Sequence[Sequence[float]]) -> Curve:
    """A curve of ratios over ``sizes``, of which there is one a round at each size."""
    value, low, high = zip(*map(geometric_mean, ratios), strict=True)
    return Curve(label, tuple(map(float, sizes)), value, low, high)


def derived_curve(label: str, sizes: Sequence[float], values: Sequence[float]) -> Curve:
    """A curve that a derivation gives, without an interval."""
    exact = tuple(map(float, values))
    return Curve(label, tuple(map(float, sizes)), exact, exact, exact)
