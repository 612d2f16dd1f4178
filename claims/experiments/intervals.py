"""Student's interval for a mean: what a handful of seeds can say."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import mpmath


def student_t_quantile(p: float, freedom: int) -> float:
    """The x with P(T ≤ x) = ``p`` for Student's T with ``freedom`` degrees (dimensionless).

    Raises ValueError for a p outside (0, 1) or no degrees of freedom.
    """
    if not 0 < p < 1 or freedom < 1:
        raise ValueError(f"expected 0 < p < 1 and freedom ≥ 1, got {p} and {freedom}")
    if p == 0.5:
        return 0.0
    if p < 0.5:
        return -student_t_quantile(1 - p, freedom)
    beyond = 2 * (1 - p)  # P(|T| > x) is the incomplete beta function at freedom/(freedom + x²), which falls with x

    def excess(share: Any) -> Any:
        return mpmath.betainc(mpmath.mpf(freedom) / 2, mpmath.mpf(1) / 2, 0, share, regularized=True) - beyond

    with mpmath.workdps(30):
        share = mpmath.findroot(excess, (0, 1), solver="bisect", tol=mpmath.mpf("1e-24"), maxsteps=200, verify=False)
        return float(mpmath.sqrt(freedom * (1 / share - 1)))


def mean_with_interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float, float]:
    """Mean, and the ends of Student's interval for it at ``level``: exact where the values are independent normal ones.

    In the unit of the values. Raises ValueError for fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"expected two values or more, got {len(values)}; an interval takes repeats")
    mean, spread = statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))
    half = student_t_quantile((1 + level) / 2, len(values) - 1) * spread
    return mean, mean - half, mean + half
