"""Tail probabilities, exact or bounded, to any depth: normal approximations are off by orders of magnitude at 1e-12."""

from __future__ import annotations

import math

import mpmath
import numpy as np


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


def lipschitz_tail(deviation: float, constant: float) -> float:
    """The most that P(|f − E f| ≥ |deviation|) can be, for f of independent standard normals with this constant.

    2 exp(−d²/2L²) for a Lipschitz constant L in the Euclidean norm (dimensionless). Source: Tsirelson, Ibragimov and
    Sudakov 1976; Boucheron, Lugosi and Massart 2013, theorem 5.6.
    """
    return min(1.0, 2 * math.exp(-((deviation / constant) ** 2) / 2))


def rectified_square_tails(statistic: float, n: int) -> tuple[float, float]:
    """Bounds of P(X ≤ statistic) and P(X ≥ statistic) for X = Σ max(0, z)² over ``n`` independent standard normals.

    Chernoff's: for θ < 1/2, E exp(θ max(0, z)²) = (1 + (1 − 2θ)^(−1/2))/2; P(X ≥ s) ≤ exp(−θs)·E[exp(θX)] for θ > 0,
    P(X ≤ s) the same for θ < 0. Any θ gives a bound, the least over a grid is taken; with y = (1 − 2θ)^(−1/2), θ > 0
    is y > 1. Dimensionless.
    """

    def exponent(y: float) -> float:
        return n * math.log((1 + y) / 2) - (1 - y**-2) / 2 * statistic

    below, above = ([2 ** (side * k / 64) for k in range(1, 513)] for side in (-1, 1))
    tails = (math.exp(min(0.0, *map(exponent, some))) for some in (below, above))
    return next(tails), next(tails)


def mean_cosine_tails(ratio: float, rows: int) -> tuple[float, float]:
    """Bounds on the tails of the mean of d·cos² over ``rows`` independent vectors, at ``ratio`` (dimensionless).

    The entries of a vector x are independent, alike, and as often positive as negative, whatever their law; the cosine
    is with a fixed vector p none of whose entries has more than 2/d of its squared length. Write t for the sum of
    d·p_a²x_a²/(|p|²|x|²), which lies in [0, 2] and has the mean 1. Given the sizes of the entries the cosine is a sum
    with random signs, so E exp(λ d cos²) ≤ (1 − 2λt)^(−1/2), which is convex in t, and E (d cos²)² ≤ 3t² ≤ 6t. Hence
    E exp(λ d cos²) is at most (1 + (1 − 4λ)^(−1/2))/2, and E exp(−λ d cos²) at most 1 − λ + 3λ². Chernoff's inequality
    makes tails of these, and any λ will do: the best of a hundred is taken.
    """
    lambdas = [k / 400 for k in range(100)]
    below = min(rows * (math.log(1 - k + 3 * k * k) + k * ratio) for k in lambdas)
    above = min(rows * (math.log((1 + (1 - 4 * k) ** -0.5) / 2) - k * ratio) for k in lambdas)
    return math.exp(below), math.exp(above)


def binomial_tails(successes: int, trials: int, p: float) -> tuple[float, float]:
    """P(X ≤ successes) and P(X ≥ successes) for X ~ Bin(trials, p), by summing the terms of the nearer tail.

    Dimensionless. Each term is the one before it times a ratio; the first comes from log Γ in thirty digits.
    Raises ValueError unless 0 ≤ successes ≤ trials and 0 < p < 1.
    """
    if not 0 <= successes <= trials or not 0 < p < 1:
        raise ValueError(f"expected 0 ≤ successes ≤ trials and 0 < p < 1, got {successes}, {trials} and {p}")
    if successes < trials * p:
        above, below = binomial_tails(trials - successes, trials, 1 - p)
        return below, above
    with mpmath.workdps(30):
        ways = [mpmath.loggamma(n + 1) for n in (trials, successes, trials - successes)]
        chances = successes * mpmath.log(p) + (trials - successes) * mpmath.log1p(-p)
        first = float(mpmath.exp(ways[0] - ways[1] - ways[2] + chances))
    more = np.arange(successes, trials)
    above = first * (1 + float(np.cumprod((trials - more) / (more + 1) * (p / (1 - p))).sum()))
    return 1 - above + first, min(above, 1.0)


def two_sided(tails: tuple[float, float]) -> float:
    """The p-value of a statistic with these two tails, against being too small and too large alike (dimensionless)."""
    return min(1.0, 2 * min(tails))
