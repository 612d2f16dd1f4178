"""``veriformer measure``: the experiments, run, listed and drawn."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from pathlib import Path

import torch

from .command_line import OK, VIOLATED, UsageError
from .experiments import EXPERIMENTS
from .experiments.code_version import code_version
from .experiments.experiment import Experiment, Outcome
from .experiments.record import RESULTS, BadRecord, Record, made_now, stored


def measure(given: argparse.Namespace) -> int:
    """List the experiments, or run one. Returns the exit status: 1 where the figures do not bear its sentences out."""
    if given.name is None:
        if given.small or given.out or given.draw:
            raise UsageError(f"expected the name of an experiment, to say which experiment: {', '.join(EXPERIMENTS)}")
        _contents()
        return OK
    if given.name not in EXPERIMENTS:
        raise UsageError(f"expected an experiment out of {', '.join(EXPERIMENTS)}; got {given.name!r}")
    experiment = EXPERIMENTS[given.name]
    if given.draw is not None:
        return _draw(experiment, given.draw)
    return _run_small(experiment) if given.small else _run_full(experiment, given.out)


def _contents() -> None:
    for experiment in EXPERIMENTS.values():
        print(f"{experiment.name:22} {', '.join(experiment.claims):14} {state(experiment)}")
    print(
        "\n`veriformer measure NAME` runs one in full and stores the result; --small takes seconds and stores nothing."
    )


def state(experiment: Experiment) -> str:
    """Whether a result is stored, and whether the code that made it is still the same."""
    try:
        record = stored(experiment.name)
    except BadRecord as error:
        return f"unreadable\n  {error}"
    if record is None:
        return f"no result\n  run `{experiment.command}`"
    if stale := record.staleness(experiment):
        return f"of {record.made}, stale\n  {stale}; run `{experiment.command}`"
    return f"of {record.made}, fresh"


def _run_small(experiment: Experiment) -> int:
    outcome, seconds = _timed(experiment, small=True)
    print(f"{experiment.name}, small form, {seconds:.0f} s: nothing is stored")
    return _report(experiment, outcome)


def _run_full(experiment: Experiment, out: Path | None) -> int:
    file = out or RESULTS / f"{experiment.name}.json"
    if not os.access(file if file.exists() else file.resolve().parent, os.W_OK):
        raise UsageError(f"{file}: expected a file that can be written, and this cannot; name another with --out FILE")
    code = code_version(experiment.measure.__module__)  # before it runs: files may be edited meanwhile
    outcome, seconds = _timed(experiment, small=False)
    made_now(experiment, outcome, seconds=seconds, code=code).write(file)
    print(f"{experiment.name}, {seconds:.0f} s: stored in {file}")
    return _report(experiment, outcome)


def _timed(experiment: Experiment, *, small: bool) -> tuple[Outcome, float]:
    torch.set_num_threads(1)  # the same sums in the same order on any machine
    started = time.perf_counter()
    outcome = experiment.measure(
        experiment.small if small else experiment.full, lambda text: print(text, file=sys.stderr)
    )
    return outcome, time.perf_counter() - started


def _report(experiment: Experiment, outcome: Outcome) -> int:
    for figure in outcome.figures:
        print(f"  {figure.what}: {figure}, {figure.n} runs")
    failed = experiment.disappointed(outcome)
    for expected in experiment.expectations:
        print(f"  {'✗' if expected.text in failed else '✓'} {expected.text}")
    return VIOLATED if failed else OK


def _draw(experiment: Experiment, file: Path) -> int:
    record = _to_draw(experiment)
    if not record.outcome.charts:
        raise UsageError(
            f"{experiment.name} has no curves to draw; `veriformer claims {experiment.claims[0]}` tells it"
        )
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("--draw needs matplotlib, which is not installed; run pip install 'veriformer[draw]'")
    from .experiments.drawing import FORMATS, draw

    if file.suffix not in FORMATS:
        raise UsageError(f"--draw {file}: expected a name that ends in {', '.join(FORMATS)}; name another")
    draw(record.outcome.charts, file)
    stale = record.staleness(experiment)
    print(f"drawn in {file}" + (f", from a stale result: {stale}" if stale else ""))
    return OK


def _to_draw(experiment: Experiment) -> Record:
    try:
        record = stored(experiment.name)
    except BadRecord as error:
        raise UsageError(str(error)) from error
    if record is None:
        raise UsageError(f"{experiment.name} has no stored result; run `{experiment.command}` first")
    return record
