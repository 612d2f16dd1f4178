"""The positional encodings of the reference side by side: longer texts, shifts, weights, operations (claim Q21.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from veriformer.reference.config import PositionScheme

from .english import english
from .experiment import Budget, Chart, Curve, Expectation, Experiment, Figure, Outcome
from .intervals import mean_with_interval
from .position_costs import SCHEMES, Cost, costs
from .position_models import Run, one_run
from .timing import Timed, geometric_mean, ratio_curve

NATS = "nats a character"
SIZES = {
    "sinusoidal": "‖x + p‖/‖x‖",
    "learned": "‖x + p‖/‖x‖",
    "shaw": "spread of the bias within a row",
    "t5": "spread of the bias within a row",
    "alibi": "spread of the bias within a row",
    "rotary": "‖R q‖/‖q‖",
}
"""What the size of each encoding is of."""

Runs = dict[PositionScheme, list[Run]]


def measure(budget: Budget, say: Callable[[str], None]) -> Outcome:
    """Train each scheme on each seed, read longer texts with it, shift it; and count and time what it costs."""
    text = english()
    runs: Runs = {}
    for scheme in SCHEMES:
        runs[scheme] = [one_run(scheme, text, budget, seed=seed) for seed in budget["seeds"]]
        say(f"{scheme}: " + ", ".join(f"{n}: {loss:.3g}" for n, loss in runs[scheme][0].losses.items()))
    found = costs(budget, say)
    figures = [figure for scheme in SCHEMES for figure in _figures(scheme, runs[scheme], found[scheme], budget)]
    return Outcome(tuple(figures), (_loss_chart(runs, budget), _time_chart(found, budget)))


def _figures(scheme: str, runs: Sequence[Run], cost: Cost, budget: Budget) -> Iterator[Figure]:
    """One row of the table."""
    length, reads = budget["length"], sorted(runs[0].losses)
    n, n_seeds, n_rounds = max(budget["cost_lengths"]), len(runs), budget["rounds"]

    def over_seeds(name: str, what: str, values: Sequence[float], unit: str = "dimensionless") -> Figure:
        return Figure(f"{scheme}_{name}", f"{scheme}: {what}", *mean_with_interval(values), unit, n_seeds)

    def counted(name: str, what: str, value: float, unit: str) -> Figure:
        return Figure(f"{scheme}_{name}", f"{scheme}: {what} (counted)", value, value, value, unit, 1)

    yield over_seeds("loss", f"loss in texts of {length}, as trained", [run.losses[length] for run in runs], NATS)
    yield counted("reads", f"longest text read, out of {', '.join(map(str, budget['lengths']))}", max(reads), "tokens")
    for times in (2, 4):
        if times * length in reads:
            rises = [run.losses[times * length] - run.losses[length] for run in runs]
            yield over_seeds(f"rise_{times}x", f"rise of the loss in texts of {times * length}", rises, NATS)
    yield over_seeds(
        "shift", f"largest change of a probability, positions + {length // 2}", [run.shift for run in runs]
    )
    if scheme in SIZES:
        yield over_seeds("size", SIZES[scheme], [run.size for run in runs])
    yield counted("weights", "weights of its own", cost.weights, "weights")
    yield counted("flops", f"operations in products, over those of none, n = {n}", cost.flops[n], "times")
    yield counted("memory", f"peak memory, over that of none, n = {n}", cost.memory[n], "times")
    time = geometric_mean(cost.times[n])
    yield Figure(f"{scheme}_time", f"{scheme}: time, over that of none, n = {n}", *time, "times", n_rounds)


def _loss_chart(runs: Runs, budget: Budget) -> Chart:
    curves = []
    for scheme, of_scheme in runs.items():
        lengths = [n for n in budget["lengths"] if n in of_scheme[0].losses]
        value, low, high = zip(
            *(mean_with_interval([run.losses[n] for run in of_scheme]) for n in lengths), strict=True
        )
        curves.append(Curve(scheme, tuple(map(float, lengths)), value, low, high))
    return Chart(
        name="loss",
        title=f"The same last {budget['length'] // 4} characters, after reading more and more text",
        x_label="length of the text",
        y_label=f"loss, {NATS}",
        curves=tuple(curves),
        marks={"as trained": float(budget["length"])},
        log_x=True,
    )


def _time_chart(found: dict[PositionScheme, Cost], budget: Budget) -> Chart:
    lengths = budget["cost_lengths"]
    return Chart(
        name="time",
        title=f"Time of a forward pass over that without positions, d_model = {budget['cost_d_model']}",
        x_label="n",
        y_label="ratio",
        curves=tuple(ratio_curve(scheme, lengths, [cost.times[n] for n in lengths]) for scheme, cost in found.items()),
        marks={},
        log_x=True,
        log_y=True,
    )


RELATIVE = ("shaw", "t5", "alibi", "rotary")
OTHERS = ("none", "sinusoidal", *RELATIVE)
"""All that compute a position rather than look it up."""


def _values(found: Outcome, name: str, schemes: Sequence[str]) -> list[float]:
    return [found[f"{scheme}_{name}"].value for scheme in schemes]


POSITION_ENCODINGS = Experiment(
    name="position_encodings",
    claims=("Q21.7",),
    question="What does each positional encoding give a causal language model, and what does it cost?",
    method="Models that are alike but for their positions are trained on the same stretches of the characters of "
    "Python's help topics. The same last characters of held-out stretches are then predicted after texts of several "
    "lengths, up to four times what was trained. Costs are those of a larger model, untrained, in one forward pass: "
    "weights, operations in products of matrices and memory are counted, CPU times are ratios of calls that take turns "
    "in one process, on one thread. Intervals are Student's, 95 %, over seeds, and over rounds for times.",
    measure=measure,
    full={
        "seeds": [1, 2, 3, 4, 5],
        "n_layers": 2,
        "n_heads": 4,
        "d_model": 48,
        "length": 64,
        "lengths": [32, 64, 96, 128, 192, 256],
        "batch": 16,
        "steps": 300,
        "learning_rate": 5e-3,
        "held_out": 128,
        "looked_at": 8,
        "cost_d_model": 256,
        "cost_n_heads": 4,
        "cost_lengths": [64, 128, 256, 512],
        "rounds": 6,
        "least": 0.02,
    },
    small={
        "seeds": [1, 2],
        "n_layers": 1,
        "n_heads": 4,
        "d_model": 32,
        "length": 32,
        "lengths": [32, 64, 128],
        "batch": 16,
        "steps": 250,
        "learning_rate": 1e-2,
        "held_out": 64,
        "looked_at": 4,
        "cost_d_model": 64,
        "cost_n_heads": 4,
        "cost_lengths": [32, 128],
        "rounds": 2,
        "least": 0.005,
    },
    expectations=(
        Expectation(
            "in texts as long as those of training, each relative encoding loses less than no positions at all",
            lambda found: max(_values(found, "loss", RELATIVE)) < found["none_loss"].value,
        ),
        Expectation(
            "a text longer than the table of learned positions is refused; all others read four times that",
            lambda found: 4 * found["learned_reads"].value == min(_values(found, "reads", OTHERS)),
        ),
        Expectation(
            "predictions move with a shift of all positions under sinusoidal and learned ones",
            lambda found: min(_values(found, "shift", ("sinusoidal", "learned"))) > 0.01,
        ),
        Expectation(
            "… and under the relative ones do not",
            lambda found: max(_values(found, "shift", RELATIVE)) < 1e-9,
        ),
        Expectation(
            "… which is no promise for longer texts: at four times the length rotary ones lose a tenth of a nat more",
            lambda found: found["rotary_rise_4x"].value > 0.1,
        ),
        Expectation(
            "… and more than those that are clipped (Shaw) or fade (ALiBi), as do sinusoidal ones",
            lambda found: (
                max(_values(found, "rise_4x", ("shaw", "alibi")))
                < min(_values(found, "rise_4x", ("sinusoidal", "rotary")))
            ),
        ),
        Expectation(
            "the learned table has most weights, then Shaw's, then T5's",
            lambda found: found["learned_weights"].value > found["shaw_weights"].value > found["t5_weights"].value,
        ),
        Expectation(
            "… and the others have none",
            lambda found: max(_values(found, "weights", ("sinusoidal", "alibi", "rotary"))) == 0,
        ),
        Expectation(
            "Shaw's alone adds to the products of matrices",
            lambda found: (
                found["shaw_flops"].value > 1
                and max(_values(found, "flops", ("sinusoidal", "learned", "t5", "alibi", "rotary"))) == 1
            ),
        ),
        Expectation(
            "… and holds most at once",
            lambda found: found["shaw_memory"].value > max(_values(found, "memory", ("t5", "alibi", "rotary"))),
        ),
        Expectation("a rotation keeps lengths", lambda found: abs(found["rotary_size"].value - 1) < 1e-9),
        Timed(
            "Shaw's takes more time than any other",
            lambda found: (
                found["shaw_time"].low > max(_values(found, "time", ("sinusoidal", "learned", "t5", "alibi", "rotary")))
            ),
        ),
    ),
)
