"""Faults of training: schedules that are another function, and steps that are miscounted."""

from __future__ import annotations

from .fault import Fault

_RATE = "return d_model**-0.5 * min(step**-0.5, step * warmup**-1.5)"
_OPTIMIZER = "torch.optim.lr_scheduler.LambdaLR"
_FORMULA, _NO_JUMP, _ONE_PEAK, _POWERS = (f"schedule.{name}" for name in ("formula", "no_jump", "one_peak", "powers"))


def _schedule(name: str, new: str, imitates: str, *laws: str) -> Fault:
    return Fault(name, "schedule.py", _RATE, new, imitates, {"schedule": laws})


SCHEDULE = (
    _schedule(
        "warm_up_reaches_one",
        "return d_model**-0.5 * min(step**-0.5, step / warmup)",
        "a line that reaches 1 where the warm-up ends, not where the curve is then",
        _FORMULA,
        _ONE_PEAK,
    ),
    _schedule(
        "phases_that_do_not_meet",
        "return d_model**-0.5 * (step / warmup if step < warmup else step**-0.5)",
        "an if in place of the minimum, with the slope of another recipe",
        _FORMULA,
        _NO_JUMP,
    ),
    _schedule(
        "fall_counted_from_the_end_of_the_warm_up",
        "return d_model**-0.5 * (step * warmup**-1.5 if step <= warmup else (step - warmup) ** -0.5)",
        "the second phase with a counter of its own, as chained schedulers have",
        _NO_JUMP,
        _POWERS,
    ),
    _schedule(
        "warm_up_starts_again",
        "step = (step - 1) % (2 * warmup) + 1\n    " + _RATE,
        "warm restarts, where one cycle was meant",
        _NO_JUMP,
    ),
    _schedule(
        "larger_phase_taken",
        "return d_model**-0.5 * max(step**-0.5, step * warmup**-1.5)",
        "max for min",
        _ONE_PEAK,
    ),
    _schedule(
        "first_rate_zero",
        "return d_model**-0.5 * min(step**-0.5, (step - 1) * warmup**-1.5)",
        "a counter from 0 in one of the two phases: the first step is lost",
        _ONE_PEAK,
    ),
    _schedule(
        "constant_after_the_warm_up",
        "return d_model**-0.5 * min(warmup**-0.5, step * warmup**-1.5)",
        "get_constant_schedule_with_warmup for its neighbour in the list",
        _ONE_PEAK,
    ),
    _schedule(
        "fall_with_the_step_itself",
        "return d_model**-0.5 * min(warmup**0.5 / step, step * warmup**-1.5)",
        "1/t for 1/√t: the same up to the peak",
        _POWERS,
    ),
    _schedule(
        "floor_under_the_rate",
        "return d_model**-0.5 * max(min(step**-0.5, step * warmup**-1.5), 0.5 * warmup**-0.5)",
        "a smallest rate, which the warm-up starts from as well",
        _POWERS,
    ),
    _schedule(
        "width_left_out",
        "return min(step**-0.5, step * warmup**-1.5)",
        "the factor of d_model is left to the optimiser's own rate, which somebody leaves at 1",
        _POWERS,
    ),
)

STEPS = (
    Fault(
        "counter_from_zero_clamped",
        "schedule_in_use.py",
        "learning_rate(done + 1, d_model, warmup)",
        "learning_rate(max(done, 1), d_model, warmup)",
        "step 0 raised an error, and was made 1: the first rate is used twice, and every other comes late",
        {"schedule": (_FORMULA, _ONE_PEAK)},
        on=_OPTIMIZER,
    ),
    Fault(
        "scheduler_moved_on_twice",
        "schedule_in_use.py",
        "            self.scheduler.step()\n",
        "            self.scheduler.step()\n            self.scheduler.step()\n",
        "the trainer moves the scheduler on, and the loop that calls it does so again: the warm-up lasts half as long",
        {"schedule": (_FORMULA,)},
        on=_OPTIMIZER,
    ),
    Fault(
        "optimizer_has_a_rate_of_its_own",
        "schedule_in_use.py",
        "lr=1.0",
        "lr=1e-3",
        "the optimiser's usual rate is left in place, and LambdaLR multiplies by it",
        {"schedule": (_FORMULA,)},
        on=_OPTIMIZER,
    ),
    Fault(
        "scheduler_of_epochs",
        "schedule_in_use.py",
        "            self.scheduler.step()\n",
        "            if len(self.rates) % 2 == 0:\n                self.scheduler.step()\n",
        "the scheduler is moved on once for several steps, as once an epoch",
        {"schedule": (_ONE_PEAK, _POWERS)},
        on=_OPTIMIZER,
    ),
)
