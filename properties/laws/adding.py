"""Adding a position to an embedding: what it amounts to, and how little two directions have in common by chance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..case import one_of
from ..comparison import Comparison, likely, same
from ..contracts import Inputs
from ..formulas import added_unit, chance_overlap, frequencies, turned
from ..law import law
from ..statistics import mean_cosine_tails, two_sided
from ..trial import Trial, guarded
from .positions import added, position_ids
from .scaling import FALSE_ALARM

UNITS = 3
"""Units of the next layer in :func:`is_concatenating`."""
ROWS = 4096
"""Rows of the table in :func:`random_directions`."""


@law(
    "adding.is_concatenating",
    formula="(x, p) (A; A) = (x + p) A",
    claims=("Q14.1",),
    contracts=("absolute_positions",),
    draws={"first": one_of(0, 1, 4)},
)
def is_concatenating(trial: Trial) -> Iterator[Comparison]:
    """Adding a position gives the next layer what concatenating gives it, if position and embedding meet one matrix.

    The position is what is added to a token of zeros, and the token is left as it is.
    """
    x, first = trial.inputs.x, trial.case.draws["first"]
    places = range(first, first + trial.case.length)
    ids = position_ids(trial, places)
    weights = trial.numbers("weights", trial.config.d_model, UNITS)

    def unit() -> Tensor:
        return trial(Inputs(x, x_positions=ids)) @ weights

    def cause(gap: Tensor) -> str:
        return "the token is scaled or normalised on the way, the two share the width, or some tokens get no position"

    yield same(
        lambda: torch.cat([x, added(trial, places)], dim=-1) @ torch.cat([weights, weights]),
        unit,
        what="what a layer makes of the sum, and of the two side by side",
        cause=cause,
    )
    yield same(
        lambda: added_unit(x.double(), added(trial, places).double(), weights.double()).to(trial.torch_dtype),
        unit,
        what="what a layer makes of the sum, and the proved formula",
        cause=cause,
    )


@law(
    "adding.chance_overlap",
    formula="E cos²(E_v, PE(p)) = 1/d",
    claims=("Q14.1",),
    contracts=("embedding",),
    draws={"position": one_of(0, 1, 2, 10, 100, 1000)},
    dtypes=("float64",),
    paths={"mode": ("eval",), "grad": ("off",)},
)
def random_directions(trial: Trial) -> Iterator[Comparison]:
    """In a table as it is drawn at first, the rows have 1/d of their squared length along a sinusoidal position.

    False alarms have a probability of at most 1e-12, by a proved bound (``mean_cosine_tails``), for any table whose
    entries are independent, alike and as often positive as negative, whatever their law. A mean over the rows beyond
    1.29/d or below 0.72/d is one; so true means of 1.5/d and of 0.6/d are missed with a probability below 1e-9, where
    entries are normal and the mean over the rows spreads by √2/64 of itself.
    """
    d, p = trial.config.d_model, trial.case.draws["position"]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(trial.case.seed)
        table = guarded(trial.subject.make, replace(trial.config, vocab_size=ROWS)).table.detach().double().cpu()
    omega = frequencies(d)
    sine, cosine = turned(torch.zeros_like(omega), torch.ones_like(omega), omega, shift=p)
    position = torch.stack([sine, cosine], dim=-1).flatten()
    squared = (table @ position).square() / (table.square().sum(-1) * position.square().sum())
    share = float(squared.mean())
    yield likely(
        two_sided(mean_cosine_tails(share / chance_overlap(d), ROWS)),
        false_alarm=FALSE_ALARM,
        what=f"mean of cos² between {ROWS} rows and position {p} ({share:.3g}, 1/d = {1 / d:.3g})",
        cause="entries are not centred, the entries of a row are drawn together, or the table begins as something else",
    )
