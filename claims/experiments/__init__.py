"""The experiments: what a property or a derivation cannot decide, measured at a stated budget."""

from __future__ import annotations

from . import head_removal
from .experiment import Experiment

EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in (head_removal.HEAD_REMOVAL,)}
