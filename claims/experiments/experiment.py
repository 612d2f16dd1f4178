"""An experiment: what it measures, at which budget, and what its figures must show for a claim to stand on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Budget = Mapping[str, Any]
"""Seeds, sizes and steps by name: what the figures depend on besides the code. Plain data, stored with the result."""


@dataclass(frozen=True)
class Figure:
    """One effect size: ``value`` with a 95 % interval from ``low`` to ``high``, in ``unit``, out of ``n`` runs."""

    name: str
    what: str
    value: float
    low: float
    high: float
    unit: str
    n: int

    def __str__(self) -> str:
        """The figure as a report shows it."""
        unit = "" if self.unit == "dimensionless" else f" {self.unit}"
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]{unit}"


@dataclass(frozen=True)
class Curve:
    """A line of a chart: ``value`` over ``x``, each with a 95 % interval."""

    label: str
    x: tuple[float, ...]
    value: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Chart:
    """Curves over one axis. ``marks`` are places on it that a derivation names, such as a crossover."""

    name: str
    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    marks: Mapping[str, float]
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True)
class Outcome:
    """What an experiment measured."""

    figures: tuple[Figure, ...]
    charts: tuple[Chart, ...] = ()

    def __getitem__(self, name: str) -> Figure:
        """The figure called ``name``. Raises KeyError where there is none."""
        return {figure.name: figure for figure in self.figures}[name]


@dataclass(frozen=True)
class Expectation:
    """A sentence about the figures, and whether they bear it out."""

    text: str
    holds: Callable[[Outcome], bool]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """``measure(budget, say)`` gives the figures; ``say`` is told how far it is.

    ``full`` is the budget behind the verdict, ``small`` one of seconds, for which the same expectations must hold.
    ``method`` says what is done, and how the intervals are made.
    """

    name: str
    claims: tuple[str, ...]
    question: str
    method: str
    measure: Callable[[Budget, Callable[[str], None]], Outcome]
    full: Budget
    small: Budget
    expectations: Sequence[Expectation]

    def disappointed(self, outcome: Outcome) -> list[str]:
        """The expectations that the figures do not bear out."""
        return [expected.text for expected in self.expectations if not expected.holds(outcome)]

    @property
    def command(self) -> str:
        """What runs it in full."""
        return f"veriformer measure {self.name}"
