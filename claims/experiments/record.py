"""Records: what an experiment gave, stored beside the code, and whether that code is still the same."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch

from .code_version import code_version
from .experiment import Budget, Chart, Curve, Experiment, Figure, Outcome

RESULTS = Path(__file__).parent / "results"


class BadRecord(Exception):
    """A file that is not the record of an experiment: one line that says which, and why."""


@dataclass(frozen=True)
class Record:
    """An outcome, with all that it takes to make it again.

    ``code`` holds the digest of each file behind it; ``machine`` what it ran on; ``seconds`` is wall time.
    """

    experiment: str
    outcome: Outcome
    budget: Budget
    command: str
    made: str
    seconds: float
    machine: Mapping[str, Any]
    code: Mapping[str, str]

    def changes(self, experiment: Experiment) -> list[str]:
        """What is no longer as it was when the record was made: modules by name, or the budget. Empty: it is fresh."""
        now = code_version(experiment.measure.__module__)
        changed = sorted(name for name in now.keys() | self.code.keys() if now.get(name) != self.code.get(name))
        return changed if _plain(experiment.full) == _plain(self.budget) else [*changed, "the budget"]

    def staleness(self, experiment: Experiment) -> str:
        """What changed since, in a few words: the first three names of :meth:`changes`. Empty: it is fresh."""
        changes = self.changes(experiment)
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        return f"{', '.join(changes[:3])}{more} changed" if changes else ""

    def write(self, path: Path) -> None:
        """Store it at ``path``, as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def made_now(experiment: Experiment, outcome: Outcome, *, seconds: float, code: Mapping[str, str]) -> Record:
    """The record of a full run that has just ended; ``code`` is the version of its code when it began."""
    machine = {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    return Record(
        experiment=experiment.name,
        outcome=outcome,
        budget=_plain(experiment.full),
        command=experiment.command,
        made=date.today().isoformat(),
        seconds=round(seconds, 1),
        machine=machine,
        code=code,
    )


def stored(name: str) -> Record | None:
    """The stored record of the experiment ``name``; None where it has not been run.

    Raises BadRecord where the file is something else, be it the record of another experiment.
    """
    if not (path := RESULTS / f"{name}.json").exists():
        return None
    record = read(path)
    if record.experiment != name:
        raise BadRecord(f"{path}: expected a record of {name}, got one of {record.experiment}; run {name} again")
    return record


def read(path: Path) -> Record:
    """The record at ``path``. Raises BadRecord where it is not one, or holds a value outside of its own interval."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        outcome = Outcome(
            tuple(Figure(**figure) for figure in data["outcome"]["figures"]),
            tuple(_chart(chart) for chart in data["outcome"]["charts"]),
        )
        record = Record(**{**data, "outcome": outcome})
        outside = [figure.name for figure in outcome.figures if not figure.low <= figure.value <= figure.high]
    except (KeyError, TypeError, ValueError) as error:  # ValueError: no JSON, or no text
        raise BadRecord(
            f"{path}: expected a record of an experiment, got something else ({error}); run it again"
        ) from error
    if outside:
        raise BadRecord(
            f"{path}: expected values inside their intervals, got {', '.join(outside)} outside; run it again"
        )
    return record


def _chart(data: dict[str, Any]) -> Chart:
    curves = tuple(
        Curve(curve["label"], *(tuple(curve[part]) for part in ("x", "value", "low", "high")))
        for curve in data["curves"]
    )
    return Chart(**{**data, "curves": curves})


def _plain(budget: Budget) -> dict[str, Any]:
    """The budget as JSON gives it back: lists for tuples."""
    return json.loads(json.dumps(dict(budget)))
