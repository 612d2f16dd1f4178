"""The experiments: what a property or a derivation cannot decide, measured at a stated budget."""

from __future__ import annotations

from . import (
    activation_cost,
    batch_size,
    block_time,
    dead_units,
    depth,
    head_removal,
    position_encodings,
    probe,
    score_cost,
    score_slope,
)
from .experiment import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        head_removal.HEAD_REMOVAL,
        position_encodings.POSITION_ENCODINGS,
        depth.DEPTH,
        activation_cost.ACTIVATION_COST,
        probe.PROBE,
        score_cost.SCORE_COST,
        score_slope.SCORE_SLOPE,
        batch_size.BATCH_SIZE,
        block_time.BLOCK_TIME,
        dead_units.DEAD_UNITS,
    )
}
