"""The schedule: its errors, how PyTorch's scheduler uses it, and a schedule of one's own."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from veriformer.properties import Status, Subject, SubjectError, check_subject
from veriformer.properties.preflight import preflight
from veriformer.reference import learning_rate

LAWS = ["formula", "no_jump", "one_peak", "powers"]


def schedule_of_ones_own(call) -> Subject:
    return Subject(name="mine", contract="schedule", call=call)


def broken_by(call) -> dict[str, str]:
    """Messages by law, of the laws that ``call`` breaks."""
    results = check_subject(schedule_of_ones_own(call), max_examples=20)
    return {r.law.removeprefix("schedule."): r.message for r in results if r.status is Status.VIOLATED}


@pytest.mark.parametrize(
    ("step", "d_model", "warmup", "told"),
    [
        (0, 512, 4000, "step must be a positive integer, got 0; to a counter that begins at 0 add 1"),
        (1.5, 512, 4000, "step must be a positive integer, got 1.5"),
        (1, 0, 4000, "d_model must be a positive integer, got 0; give d_model of at least 1"),
        (1, 512, 0, "warmup must be a positive integer, got 0; give warmup of at least 1"),
    ],
)
def test_bad_arguments(step: int, d_model: int, warmup: int, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}"):
        learning_rate(step, d_model, warmup)


def test_counter_of_lambda_lr_begins_at_zero() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ValueError, match="step must be a positive integer, got 0"):
        LambdaLR(optimizer, lambda done: learning_rate(done, 512, 4000))


def test_paper_of_a_base_model() -> None:
    assert learning_rate(4000, 512, 4000) == pytest.approx(6.99e-4, rel=1e-3)
    assert learning_rate(100_000, 512, 4000) == pytest.approx(1.40e-4, rel=3e-3)


def test_late_by_one_step_is_told() -> None:
    broken = broken_by(lambda step, d_model, warmup: learning_rate(max(step - 1, 1), d_model, warmup))
    assert sorted(broken) == LAWS
    assert "every rate comes one step late" in broken["formula"]
    assert "as from step 1 to the next" in broken["one_peak"]


def test_factor_is_told() -> None:
    broken = broken_by(lambda step, d_model, warmup: 2 * learning_rate(step, d_model, warmup))
    assert "every rate is 2 times its due" in broken["formula"]


def test_not_a_number_breaks_every_law() -> None:
    rate_before = lambda step, d, w: learning_rate(step, d, w) if step < 4 else float("nan")  # noqa: E731
    assert sorted(broken_by(rate_before)) == LAWS


@pytest.mark.parametrize(
    ("rate", "told"),
    [
        (lambda step, d_model, warmup: None, "expected a finite number, a float; got None, a NoneType"),
        (lambda step, d_model, warmup: float("inf"), "expected a finite number, a float; got inf, a float"),
        (lambda step: 1.0, "called plainly: raised TypeError"),
    ],
)
def test_what_is_no_schedule(rate, told: str) -> None:
    with pytest.raises(SubjectError, match=told):
        preflight(schedule_of_ones_own(rate), device="cpu", dtype="float64")
