"""Sentences on the first weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from veriformer.properties.case import one_of
from veriformer.properties.comparison import Comparison, likely
from veriformer.properties.law import Law
from veriformer.properties.laws.initial import INITIAL, SEEDS, declared, drawn
from veriformer.properties.laws.scaling import FALSE_ALARM
from veriformer.properties.trial import Trial


def _unit_variance_after_scaling(trial: Trial) -> Iterator[Comparison]:
    """The table times √d has variance 1, by the test that its own law would pass if it had the variance 1/d."""
    (_, d), table = trial.case.draws["shape"], drawn(trial)
    mean_square = float((d**0.5 * table).square().mean())
    yield likely(
        declared(trial).of_variance(1.0).mean_square_p_value(mean_square, table.numel()),
        false_alarm=FALSE_ALARM,
        what=f"variance of the table times √{d}: {mean_square:.4g} where 1 is due",
    )


KERAS_TIMES_ROOT_D = Law(
    name="literal.keras_embedding_times_root_d",
    statement="Keras' Embedding, times √d, has variance 1 at first.",
    formula="Var(√d Wᵢⱼ) = 1",
    function=_unit_variance_after_scaling,
    contracts=("initializer",),
    claims=("Q19.1",),
    draws={"shape": one_of((32, 16), (64, 16), (256, 64)), "seed": SEEDS},
    applies=INITIAL["applies"],
)

XAVIER_TIMES_ROOT_D = replace(
    KERAS_TIMES_ROOT_D,
    name="literal.xavier_embedding_times_root_d",
    statement="An embedding drawn after Xavier, times √d, has variance 1 at first.",
)
