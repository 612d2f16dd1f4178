"""The laws that the entries of a first table of weights are drawn from, and how likely a sample is under them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from . import formulas
from .statistics import chi_square_tails, hoeffding_bound, two_sided


class Entries(Protocol):
    """A law with mean 0 of independent entries. Weights have no units, so nothing here has."""

    @property
    def variance(self) -> float:
        """The variance of an entry."""
        ...

    @property
    def reach(self) -> float:
        """A spread that no tail exceeds: E e^{tX} ≤ e^{t² reach²/2} for every t (an entry is sub-Gaussian)."""
        ...

    @property
    def bound(self) -> float:
        """The largest size that an entry can have; infinite where there is none."""
        ...

    def below(self, x: Tensor) -> Tensor:
        """P(X ≤ x), entry by entry, in float64."""
        ...

    def mean_square_p_value(self, mean_square: float, n: int) -> float:
        """How likely a mean square of ``n`` entries is that is as far from the variance as this one; an upper bound."""
        ...

    def of_variance(self, variance: float) -> Entries:
        """The same law, stretched to this variance."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Uniform on [−limit, limit]."""

    limit: float

    @property
    def variance(self) -> float:
        """A third of the square of the limit, as derived."""
        return formulas.uniform_variance(self.limit)

    @property
    def reach(self) -> float:
        """The limit (Hoeffding's lemma)."""
        return self.limit

    @property
    def bound(self) -> float:
        """The limit."""
        return self.limit

    def below(self, x: Tensor) -> Tensor:
        """0 before −limit, 1 from the limit on, and a straight line between."""
        return ((x.double() / self.limit + 1) / 2).clamp(0, 1)

    def mean_square_p_value(self, mean_square: float, n: int) -> float:
        """By Hoeffding's inequality: a square lies in [0, limit²]."""
        return hoeffding_bound(abs(mean_square - self.variance), n, width=self.limit**2)

    def of_variance(self, variance: float) -> Uniform:
        """The same law, stretched."""
        return Uniform(self.limit * (variance / self.variance) ** 0.5)


@dataclass(frozen=True)
class Normal:
    """Normal with mean 0 and the standard deviation ``std``."""

    std: float

    @property
    def variance(self) -> float:
        """The square of the standard deviation."""
        return self.std**2

    @property
    def reach(self) -> float:
        """The standard deviation."""
        return self.std

    @property
    def bound(self) -> float:
        """None."""
        return math.inf

    def below(self, x: Tensor) -> Tensor:
        """Φ(x/std)."""
        return torch.special.ndtr(x.double() / self.std)

    def mean_square_p_value(self, mean_square: float, n: int) -> float:
        """Exact: n times the mean square over the variance is χ² with n degrees of freedom."""
        return two_sided(chi_square_tails(n * mean_square / self.variance, n))

    def of_variance(self, variance: float) -> Normal:
        """The same law, stretched."""
        return Normal(variance**0.5)
