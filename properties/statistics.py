"""Exact tail probabilities, to any depth: normal approximations are off by orders of magnitude at 1e-12."""

from __future__ import annotations

import math

import mpmath


def chi_square_tails(statistic: float, freedom: int) -> tuple[float, float]:
    """P(X ≤ statistic) and P(X ≥ statistic) for X ~ χ² with ``freedom`` degrees, by the incomplete gamma function.

    Dimensionless. Raises ValueError for a negative statistic or no degrees of freedom.
    """
    if statistic < 0 or freedom < 1:
        raise ValueError(f"expected a statistic ≥ 0 and freedom ≥ 1, got {statistic} and {freedom}")
    half, x = mpmath.mpf(freedom) / 2, mpmath.mpf(statistic) / 2
    with mpmath.workdps(40):
        below = mpmath.gammainc(half, 0, x, regularized=True)
        above = mpmath.gammainc(half, x, mpmath.inf, regularized=True)
    return float(below), float(above)


def normal_tails(z: float) -> tuple[float, float]:
    """P(X ≤ z) and P(X ≥ z) for a standard normal X, by the complementary error function (dimensionless)."""
    below, above = (mpmath.erfc(x / mpmath.sqrt(2)) / 2 for x in (-mpmath.mpf(z), mpmath.mpf(z)))
    return float(below), float(above)


def kolmogorov_bound(distance: float, n: int) -> float:
    """An upper bound on P(sup |Fₙ − F| ≥ distance), for the empirical distribution Fₙ of n draws from F, at any n.

    2·exp(−2n·distance²): the inequality of Dvoretzky, Kiefer and Wolfowitz, with the constant of Massart 1990.
    """
    return min(1.0, 2 * math.exp(-2 * n * distance**2))


def hoeffding_bound(gap: float, n: int, *, width: float) -> float:
    """An upper bound on P(|mean − E| ≥ gap), for the mean of n independent draws from an interval of this width.

    2·exp(−2n·gap²/width²): Hoeffding 1963, theorem 2.
    """
    return min(1.0, 2 * math.exp(-2 * n * (gap / width) ** 2))


def two_sided(tails: tuple[float, float]) -> float:
    """The p-value of a statistic with these two tails, against being too small and too large alike (dimensionless)."""
    return min(1.0, 2 * min(tails))
