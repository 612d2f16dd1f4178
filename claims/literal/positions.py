"""Sentences on positions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from veriformer.properties.case import one_of
from veriformer.properties.comparison import Comparison, decided, same, within
from veriformer.properties.law import Law
from veriformer.properties.laws import LAWS
from veriformer.properties.laws.positions import added, angle_error, only_for
from veriformer.properties.trial import Trial


def _order_is_invisible(trial: Trial) -> Iterator[Comparison]:
    """Permuting the tokens permutes the outputs, and changes none."""
    x, new = trial.inputs, list(trial.case.draws["order"])
    yield same(
        lambda: trial(x.along("x", new)),
        lambda: trial(x)[:, new],
        only=trial.comparable(x)[:, new],
        cause=lambda gap: (
            "the causal mask: the first token sees itself alone, and the last one sees all, whichever they are"
        ),
    )


ORDER_INVISIBLE = replace(
    LAWS["order.permutation_equivariance"],
    name="literal.order_is_invisible",
    statement="Without positional encoding order is invisible: permuting the tokens permutes the outputs.",
    function=_order_is_invisible,
    contracts=("encoder",),
    paths={"causal": ("off", "flag"), "over": ("x",), "padding": ("absent",), "grad": ("off",), "mode": ("eval",)},
)


def _nearer_is_more_alike(trial: Trial) -> Iterator[Comparison]:
    """The inner product of two sinusoidal positions falls with each place that they are further apart."""
    k = trial.case.draws["distance"]
    here, near, far = added(trial, [0, k, k + 1])[0].double()
    rise, slack = float(here @ far - here @ near), 2 * trial.config.d_model * angle_error(trial, k + 1)
    yield decided(
        rise <= slack,
        measured=max(rise, 0.0),
        allowed=slack,
        what=f"rise of the inner product from distance {k} to {k + 1}",
    )


NEARER_IS_MORE_ALIKE = Law(
    name="literal.nearer_is_more_alike",
    statement="The further apart two positions are, the smaller is the inner product of their sinusoidal encodings.",
    formula="PE(p)·PE(p + k + 1) ≤ PE(p)·PE(p + k), k ≥ 0",
    function=_nearer_is_more_alike,
    contracts=("absolute_positions",),
    claims=("Q20.4",),
    paths={"grad": ("off",), "mode": ("eval",)},
    draws={"distance": one_of(*range(12))},
    applies=only_for("sinusoidal"),
)


def _scores_know_the_distance(trial: Trial) -> Iterator[Comparison]:
    """The score that W_Q and W_K make of two sinusoidal positions depends on their distance alone."""
    p, k, shift = (trial.case.draws[name] for name in ("position", "distance", "shift"))
    weights = _WEIGHTS[trial.case.draws["weights"]](trial)

    def score(at: int) -> Tensor:
        query, key = added(trial, [at, at + k]).double().unbind(1)
        return ((query @ weights) * key).sum(-1)

    bound = 2 * float(weights.abs().sum()) * angle_error(trial, p + k + shift)
    yield within(
        lambda: score(p + shift),
        lambda: score(p),
        lambda: torch.full((trial.case.batch,), bound, device=trial.device),
        what=f"score of positions {p} and {p + k}, and of both {shift} further on",
    )


def _general(trial: Trial) -> Tensor:
    """W_Q W_Kᵀ of any entries, (d_model, d_model)."""
    return trial.numbers("weights", trial.config.d_model, trial.config.d_model).double()


def _turning(trial: Trial) -> Tensor:
    """Blocks of two by two that turn and stretch, (a, −g; g, a), on the diagonal: the page's "turning blocks"."""
    a, g = trial.numbers("weights", 2, trial.config.d_model // 2).double()
    blocks = torch.stack([torch.stack([a, -g], dim=-1), torch.stack([g, a], dim=-1)], dim=-2)
    return torch.block_diag(*blocks)


_WEIGHTS = {"general": _general, "turning": _turning}

SCORES_KNOW_THE_DISTANCE = Law(
    name="literal.scores_know_the_distance",
    statement="With sinusoidal positions the score of two positions depends on their distance alone.",
    formula="PE(p)ᵀ W_Q W_Kᵀ PE(p + k) does not depend on p",
    function=_scores_know_the_distance,
    contracts=("absolute_positions",),
    claims=("Q20.5",),
    paths={"grad": ("off",), "mode": ("eval",)},
    draws={
        "position": one_of(0, 1, 10),
        "distance": one_of(0, 1, 5),
        "shift": one_of(1, 20),
        "weights": one_of("general"),
    },
    applies=only_for("sinusoidal"),
)

SCORES_KNOW_THE_DISTANCE_UNDER_TURNING_WEIGHTS = replace(
    SCORES_KNOW_THE_DISTANCE,
    name="literal.scores_know_the_distance_under_turning_weights",
    statement="Where W_Q W_Kᵀ turns pairs and mixes none, the score of two positions depends on their distance alone.",
    draws={**SCORES_KNOW_THE_DISTANCE.draws, "weights": one_of("turning")},
)
