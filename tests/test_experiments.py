"""Experiments: small forms of them run, and what is stored is noticed when it is stale, wrong or not there."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from veriformer.claims.claim import Claim
from veriformer.claims.command_line import main
from veriformer.claims.evidence import Falsified, Gatherer, Holds, Measured, Proved, verdict
from veriformer.claims.experiments import EXPERIMENTS, record
from veriformer.claims.experiments.code_version import code_version, digest
from veriformer.claims.experiments.english import STRETCH, english
from veriformer.claims.experiments.experiment import Chart, Curve, Expectation, Experiment, Figure, Outcome
from veriformer.claims.experiments.intervals import mean_with_interval, student_t_quantile
from veriformer.claims.experiments.record import BadRecord, made_now, read, stored
from veriformer.claims.experiments.timing import Timed
from veriformer.claims.ledger import CLAIMS

CURVE = Curve("line", (1.0, 2.0), (0.5, 0.7), (0.4, 0.6), (0.6, 0.8))
CHART = Chart("chart", "A chart", "n", "ratio", (CURVE,), {"crossover": 1.5}, log_x=True)
OUTCOME = Outcome((Figure("ratio", "the ratio", 2.0, 1.5, 2.5, "dimensionless", 3),), (CHART,))


def measured_nothing(budget, say) -> Outcome:
    say("at work")
    return OUTCOME


EXPERIMENT = Experiment(
    name="nothing",
    claims=("Q01.2",),
    question="How large is the ratio?",
    method="It is typed in.",
    measure=measured_nothing,
    full={"seeds": (1, 2, 3)},
    small={"seeds": (1,)},
    expectations=(Expectation("the ratio is above 1", lambda found: found["ratio"].low > 1),),
)
CODE = {"a_module": "0123"}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of results, and the experiment above among the others."""
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr("veriformer.claims.measure_command.RESULTS", tmp_path)
    monkeypatch.setattr(record, "code_version", lambda module: CODE)
    monkeypatch.setattr("veriformer.claims.measure_command.code_version", lambda module: CODE)
    monkeypatch.setitem(EXPERIMENTS, "nothing", EXPERIMENT)
    return tmp_path


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_small_form_shows_what_is_expected(experiment: Experiment) -> None:
    torch.set_num_threads(1)
    outcome = experiment.measure(experiment.small, lambda text: None)
    asked = [expected for expected in experiment.expectations if not isinstance(expected, Timed)]
    assert [expected.text for expected in asked if not expected.holds(outcome)] == []
    assert all(figure.low <= figure.value <= figure.high for figure in outcome.figures)
    assert all(math.isfinite(figure.high - figure.low) for figure in outcome.figures)


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_stored_result_is_fresh_and_shows_what_is_expected(experiment: Experiment) -> None:
    kept = stored(experiment.name)
    assert kept is not None
    assert kept.changes(experiment) == []
    assert experiment.disappointed(kept.outcome) == []
    assert kept.command == f"veriformer measure {experiment.name}"


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_every_expectation_can_fail(experiment: Experiment) -> None:
    kept = stored(experiment.name)
    assert kept is not None

    def with_figure(figure: Figure) -> Outcome:
        others = tuple(figure if other.name == figure.name else other for other in kept.outcome.figures)
        return replace(kept.outcome, figures=others)

    for expected in experiment.expectations:
        wrong = [
            with_figure(replace(figure, value=value, low=value, high=value))
            for figure in kept.outcome.figures
            for value in (-1e9, 1e9)
        ]
        assert not all(expected.holds(outcome) for outcome in wrong), expected.text


def test_experiments_and_claims_name_each_other() -> None:
    asked = {
        (piece.experiment, claim.id) for claim in CLAIMS for piece in claim.evidence if isinstance(piece, Measured)
    }
    assert asked == {(experiment.name, claim) for experiment in EXPERIMENTS.values() for claim in experiment.claims}


def test_record_comes_back_as_it_was(shelf: Path) -> None:
    made = made_now(EXPERIMENT, OUTCOME, seconds=1.0, code=CODE)
    made.write(shelf / "nothing.json")
    assert stored("nothing") == made
    assert made.changes(EXPERIMENT) == []


def test_stale_record_names_what_changed(shelf: Path) -> None:
    made = made_now(EXPERIMENT, OUTCOME, seconds=1.0, code={"a_module": "4567", "gone": "89"})
    assert made.changes(EXPERIMENT) == ["a_module", "gone"]
    assert made.changes(replace(EXPERIMENT, full={"seeds": (1,)})) == ["a_module", "gone", "the budget"]


def test_finding_stands_on_a_fresh_record_alone(shelf: Path) -> None:
    file = shelf / "nothing.json"
    missing = Gatherer().measurement("nothing")
    assert (missing.stands, "no result is stored" in missing.summary) == (False, True)
    made_now(EXPERIMENT, OUTCOME, seconds=1.0, code=CODE).write(file)
    fresh = Gatherer().measurement("nothing")
    assert (fresh.stands, fresh.brief) == (True, "2, 3 runs")
    assert "veriformer measure nothing" in fresh.summary
    made_now(EXPERIMENT, OUTCOME, seconds=1.0, code={"a_module": "4567"}).write(file)
    stale = Gatherer().measurement("nothing")
    assert (stale.stands, "a_module changed" in stale.summary) == (False, True)
    data = json.loads(file.read_text())
    data["code"], data["outcome"]["figures"][0]["low"] = CODE, 0.5
    file.write_text(json.dumps(data))
    disappointing = Gatherer().measurement("nothing")
    assert (disappointing.stands, "above 1" in disappointing.summary) == (False, True)


def test_file_that_is_no_record(tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_text('{"outcome": 3}')
    with pytest.raises(BadRecord, match="expected a record of an experiment"):
        read(file)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text[:-20], "got something else"),
        (lambda text: text.replace('"value": 2.0', '"value": 7.0'), "got ratio outside"),
        (lambda text: text.replace('"value": 2.0', '"value": NaN'), "got ratio outside"),
        (lambda text: text.replace('"experiment": "nothing"', '"experiment": "another"'), "got one of another"),
    ],
)
def test_record_that_was_tampered_with(
    change: Callable[[str], str], told: str, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = shelf / "nothing.json"
    made_now(EXPERIMENT, OUTCOME, seconds=1.0, code=CODE).write(file)
    file.write_text(change(file.read_text()))
    found = Gatherer().measurement("nothing")
    assert (found.stands, told in found.summary) == (False, True)
    assert main(["measure"]) == 0
    assert told in capsys.readouterr().out
    assert main(["measure", "nothing", "--draw", str(shelf / "it.svg")]) == 2
    assert told in capsys.readouterr().err


def test_verdict_is_measured_where_experiments_alone_decide() -> None:
    law = next(p for c in CLAIMS for p in c.evidence if isinstance(p, Holds))
    page = next(p for c in CLAIMS for p in c.evidence if isinstance(p, Proved))
    literal = next(p for c in CLAIMS for p in c.evidence if isinstance(p, Falsified) and p.condition)
    assert verdict((Measured("nothing"),), []) == "measured"
    assert verdict((Measured("nothing"), law), []) == "supported"
    assert verdict((page, Measured("nothing")), []) == "supported"
    assert verdict((literal, Measured("nothing")), []) == "conditional"
    assert Claim("Q05.1", "…", "DX", (page,)).missing == "X"
    assert Claim("Q05.1", "…", "DX", (page, Measured("nothing"))).missing == ""


SOURCE = '"""What it is."""\n\ndef double(x):\n    """Twice x."""\n    return 2 * x  # so far\n'


def test_digest_does_not_see_words_or_layout() -> None:
    assert digest(SOURCE) == digest("def double(\n    x,\n):\n    return (2 * x)\n")
    assert digest(SOURCE) != digest(SOURCE.replace("2", "3"))
    assert digest(SOURCE) != digest(SOURCE.replace("double", "treble"))


def test_digest_is_the_same_under_every_python() -> None:
    source = 'def told(x: float, width: int = 3) -> str:\n    return f"{x:{width}}, {x!r:>4} and {width}"\n'
    assert digest(source) == "b9d4521eef39604e"  # Python 3.12 parses the first of the formats into one part more


def test_code_version_follows_imports() -> None:
    modules = code_version("veriformer.claims.experiments.head_removal")
    for needed in (
        "claims.experiments.english",
        "claims.experiments.intervals",
        "reference.causal_lm",
        "reference.attention",
    ):
        assert f"veriformer.{needed}" in modules
    assert not [name for name in modules if name.startswith(("veriformer.properties.laws", "veriformer.derivations"))]


def test_command_runs_and_stores(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", "nothing", "--small"]) == 0
    assert not (shelf / "nothing.json").exists()
    assert main(["measure", "nothing"]) == 0
    assert "✓ the ratio is above 1" in capsys.readouterr().out
    kept = stored("nothing")
    assert kept is not None
    assert kept.outcome == OUTCOME
    assert main(["measure"]) == 0
    assert "fresh" in next(line for line in capsys.readouterr().out.splitlines() if line.startswith("nothing"))


def test_command_tells_a_disappointment(
    shelf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hopeful = Expectation("the ratio is above 3", lambda found: found["ratio"].low > 3)
    monkeypatch.setitem(EXPERIMENTS, "nothing", replace(EXPERIMENT, expectations=(hopeful,)))
    assert main(["measure", "nothing", "--small"]) == 1
    assert "✗ the ratio is above 3" in capsys.readouterr().out


def test_command_draws(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    made_now(EXPERIMENT, OUTCOME, seconds=1.0, code=CODE).write(shelf / "nothing.json")
    pictures = []
    for name in ("once.svg", "again.svg"):
        assert main(["measure", "nothing", "--draw", str(shelf / name)]) == 0
        pictures.append((shelf / name).read_bytes())
    assert pictures[0] == pictures[1]
    assert b"crossover" in pictures[0]
    made_now(EXPERIMENT, OUTCOME, seconds=1.0, code={"a_module": "4567"}).write(shelf / "nothing.json")
    assert main(["measure", "nothing", "--draw", str(shelf / "stale.svg")]) == 0
    assert "from a stale result: a_module changed" in capsys.readouterr().out
    assert main(["measure", "nothing", "--draw", str(shelf / "it.txt")]) == 2
    assert "expected a name that ends in .svg" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (["measure", "no_such"], "expected an experiment out of"),
        (["measure", "nothing", "--draw", "picture.svg"], "has no stored result"),
        (["measure", "nothing", "--out", "no_such_folder/file.json"], "expected a file in a folder that exists"),
        (["measure", "nothing", "--small", "--out", "file.json"], "not allowed with"),
        (["measure", "--small"], "which experiment"),
    ],
)
def test_call_that_cannot_be_carried_out(
    call: list[str], told: str, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(call) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert told in lines[0]


@pytest.mark.parametrize(
    ("p", "freedom", "tabled"),
    [(0.975, 1, 12.7062), (0.975, 4, 2.7764), (0.975, 30, 2.0423), (0.95, 9, 1.8331), (0.9995, 1, 636.62), (0.5, 3, 0)],
)
def test_student_t(p: float, freedom: int, tabled: float) -> None:
    assert student_t_quantile(p, freedom) == pytest.approx(tabled, rel=1e-4)
    assert student_t_quantile(1 - p, freedom) == pytest.approx(-tabled, rel=1e-4)


def test_interval_of_a_mean() -> None:
    mean, low, high = mean_with_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (mean, low, high) == pytest.approx((3.0, 3 - 1.9632, 3 + 1.9632), rel=1e-4)
    with pytest.raises(ValueError, match="two values or more"):
        mean_with_interval([1.0])


def test_no_stretch_of_text_is_both_trained_on_and_judged_by() -> None:
    text = english()
    parts = [bytes(part.tolist()) for part in (text.training, text.choosing, text.judging)]
    assert min(map(len, parts)) > 20_000
    stretches = [{part[i : i + STRETCH] for i in range(len(part) - STRETCH + 1)} for part in parts]
    for one, other in itertools.combinations(stretches, 2):
        assert not one & other
