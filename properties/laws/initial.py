"""First weights: which law a table of weights is drawn from, and what √d makes of it where it is an embedding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..case import one_of
from ..comparison import Comparison, counts, decided, equal, likely
from ..contracts import Path
from ..distributions import Entries
from ..formulas import glorot_variance, scaled_variance
from ..law import law
from ..statistics import kolmogorov_bound
from ..subjects import Subject
from ..trial import Trial, guarded
from .scaling import FALSE_ALARM

SEEDS = one_of(*range(1000))


def drawn(trial: Trial, seed: int | None = None) -> Tensor:
    """The table (rows, columns) of the case, in float64 on the host; from another ``seed`` where one is given."""
    rows, columns = trial.case.draws["shape"]
    table = guarded(trial.built, rows, columns, trial.case.draws["seed"] if seed is None else seed)
    return table.detach().double().cpu()


def declared(trial: Trial) -> Entries:
    """The law that the subject says the entries follow."""
    return trial.subject.entries(*trial.case.draws["shape"])  # type: ignore[misc]


def says_its_law(subject: Subject, path: Path) -> str | None:
    """Why there is no law to hold the entries to; None if there is one."""
    return None if subject.entries is not None else "it does not say which law its entries follow (entries=)"


INITIAL: dict[str, Any] = {
    "contracts": ("initializer",),
    "draws": {"shape": one_of((256, 64), (64, 256), (300, 100)), "seed": SEEDS},
    "applies": says_its_law,
}


@law("initial.distribution", formula="P(Wᵢⱼ ≤ w) = F(w)", claims=("Q19.1",), **INITIAL)
def distribution(trial: Trial) -> Iterator[Comparison]:
    """The entries of a first table of weights follow the law that is declared; where it has bounds, they keep to them.

    The share of n entries up to w is within D of F(w), for every w at once, but for a probability of 2·exp(−2nD²) (the
    inequality of Dvoretzky, Kiefer and Wolfowitz, with Massart's constant), at any n. False alarm 1e-12 an example,
    which is a D of 0.03 at most. A law whose F is D′ away is missed with probability 2·exp(−2n(D′ − 0.03)²) at most:
    below 1e-9 for a uniform law in place of a normal one of its variance, where D′ = 0.057, and below 1e-30 where the
    spread is off by two fifths.
    """
    table, entries = drawn(trial), declared(trial)
    ordered, n = table.flatten().sort().values, table.numel()
    share, due = torch.arange(n + 1, dtype=torch.float64) / n, entries.below(ordered)
    distance = float(torch.maximum(share[1:] - due, due - share[:-1]).max())
    yield likely(
        kolmogorov_bound(distance, n),
        false_alarm=FALSE_ALARM,
        what=f"distribution of {n} entries: {distance:.3f} away from {entries}",
        cause=_mistaken(trial, float(table.square().mean())),
    )
    rounded = entries.bound * (1 + torch.finfo(torch.float32).eps)  # the bound itself is rounded before it is drawn to
    yield counts(
        int((table.abs() > rounded).sum()),
        0,
        what=f"entries beyond ±{entries.bound:g}",
        cause=lambda: "the law has tails, or other bounds",
    )


@law("initial.scaled_variance", formula="Var(√d Wᵢⱼ) = d v", claims=("Q19.1",), **INITIAL)
def scaled_embedding(trial: Trial) -> Iterator[Comparison]:
    """Times √d a table of width d has d times the variance of its entries: 1 if that is 1/d, and only then.

    For normal entries the test is exact (χ²), for uniform ones it is Hoeffding's inequality on their squares. False
    alarm 1e-12 an example. A variance off by a fifth is missed with probability below 1e-12 at every size.
    """
    (_, d), entries, n = trial.case.draws["shape"], declared(trial), math.prod(trial.case.draws["shape"])
    mean_square = float((d**0.5 * drawn(trial)).square().mean())
    due = scaled_variance(entries.variance, d)
    yield likely(
        entries.of_variance(due).mean_square_p_value(mean_square, n),
        false_alarm=FALSE_ALARM,
        what=f"variance of the table times √{d}: {mean_square:.4g} where {due:.4g} is due",
        cause=_mistaken(trial, mean_square / d),
    )


def _mistaken(trial: Trial, variance: float) -> str:
    """Which mistake gives entries of this variance."""
    rows, d = trial.case.draws["shape"]
    mistakes = {
        "the entries are all zero": 0.0,
        "the entries have variance 1: the default of PyTorch's Embedding, or a spread that is not passed on": 1.0,
        "the variance is handed over where the standard deviation is asked for": declared(trial).variance ** 2,
        "the standard deviation is handed over where the variance is asked for": declared(trial).variance ** 0.5,
        "the table is taken for a matrix and drawn after Glorot": glorot_variance(rows, d),
        "the variance is 1/d, and another is declared": 1 / d,
        "the variance is that of Keras' default, uniform on [−0.05, 0.05]": 1 / 1200,
    }
    due = declared(trial).variance
    near = [name for name, v in mistakes.items() if abs(variance - v) <= 0.05 * v and abs(v - due) > 0.05 * due]
    return near[0] if near else "another law, or a spread that is none of the usual ones"


@law(
    "initial.rows_differ",
    formula="|wᵢ·wⱼ| ≤ t ρ |wᵢ| for i ≠ j; ρ = σ for N(0, σ²), a for U[−a, a]",
    contracts=("initializer",),
    draws={"shape": one_of((128, 512), (200, 400)), "seed": SEEDS},
    applies=says_its_law,
)
def rows_differ(trial: Trial) -> Iterator[Comparison]:
    """No two rows of a first table are more alike than chance makes them: no token begins as a likeness of another.

    Given wᵢ, the product wᵢ·wⱼ is sub-Gaussian with ρ|wᵢ|, so that one of the pairs exceeds tρ|wᵢ| with probability
    2·exp(−t²/2) a pair at most: 1e-12 in all for t = 8.8. Two equal rows have t = √d for normal entries and √(d/3) for
    uniform ones, 11.5 or more at these widths.
    """
    table, entries = drawn(trial), declared(trial)
    rows = len(table)
    alike = (table @ table.T).abs() / (entries.reach * table.norm(dim=1, keepdim=True)).clamp(min=1e-300)
    worst, pairs = float(alike.triu(1).max()), rows * (rows - 1) / 2
    yield likely(
        min(1.0, 2 * pairs * math.exp(-(worst**2) / 2)),
        false_alarm=FALSE_ALARM,
        what=f"likeness of two out of {rows} rows: t = {worst:.1f}",
        cause="rows are copies of each other or share a part: one seed for every shard, one vector added to all",
    )


@law(
    "initial.follows_the_seed",
    formula="W(seed) = W(seed), W(seed) ≠ W(seed′)",
    contracts=("initializer",),
    draws={"shape": one_of((3, 2), (64, 16)), "seed": SEEDS},
)
def follows_the_seed(trial: Trial) -> Iterator[Comparison]:
    """One seed draws one table, whenever it is asked; another seed draws another."""
    first, seed = drawn(trial), trial.case.draws["seed"]
    other = drawn(trial, seed + 1)
    yield equal(
        lambda: drawn(trial),
        lambda: first,
        what="table drawn again from the same seed",
        axes=("row", "column"),
        cause=lambda gap: "numbers are drawn from somewhere else than the seed",
    )
    yield decided(
        not torch.equal(first, other),
        measured=float((first == other).sum()),
        allowed=float(first.numel() - 1),
        what=f"entries in common of the tables from seeds {seed} and {seed + 1}",
        cause="the seed does not reach the generator, or nothing is drawn",
    )
