"""Attention against the feed-forward layer of a block: where the time goes, how it grows (claims Q13.1, Q16.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch

from veriformer.reference.feed_forward import FeedForward
from veriformer.reference.multi_head import MultiHeadAttention

from .experiment import Budget, Chart, Curve, Experiment, Figure, Outcome
from .intervals import mean_with_interval
from .proved import proved
from .timing import Timed, derived_curve, exponent, ratio_curve, take_turns

Rounds = list[dict[str, float]]


def crossover(lengths: Sequence[int], ratios: Sequence[float]) -> float:
    """The length at which the ratio passes 1 for the last time, between two lengths on a straight line of logarithms.

    The shortest length where the ratio is above 1 from there on, the longest where it is below 1 at the end.
    """
    if ratios[-1] < 1:
        return float(lengths[-1])
    for k in range(len(lengths) - 1, 0, -1):
        low, high = math.log(ratios[k - 1]), math.log(ratios[k])
        if low < 0:
            share = -low / (high - low)
            return math.exp((1 - share) * math.log(lengths[k - 1]) + share * math.log(lengths[k]))
    return float(lengths[0])


def attention_operations(n: float, d: int) -> float:
    """Operations in the matrix products of self-attention."""
    return proved("block_cost", "attention_flops", n=n, d=d)


def feed_forward_operations(n: float, d: int) -> float:
    """Operations in the matrix products of the feed-forward layer, four times as wide."""
    return proved("block_cost", "feed_forward_flops", n=n, d=d, d_ff=4 * d)


def even_length(d: int) -> float:
    """The length at which both take the same number of operations: the lead is linear in n, but for the factor n."""
    lead = [proved("block_cost", "lead", n=n, d=d, d_ff=4 * d) / n for n in (1, 2)]
    return 1 + lead[0] / (lead[0] - lead[1])


def measure(budget: Budget, say: Callable[[str], None]) -> Outcome:
    """Times of both parts over the length, the length at which they are even, and the power of n of the attention's."""
    lengths, d = budget["lengths"], budget["d_model"]
    by_length = [_at(n, budget, say) for n in lengths]
    ratios = [[seconds["attention"] / seconds["feed_forward"] for seconds in rounds] for rounds in by_length]
    even = [crossover(lengths, column) for column in zip(*ratios, strict=True)]
    n_rounds, derived = len(even), even_length(d)

    def power(first: int, last: int) -> list[float]:
        columns = zip(*(by_length[k] for k in (first, last)), strict=True)
        ends = (lengths[first], lengths[last])
        return [exponent(ends, [seconds["attention"] for seconds in column]) for column in columns]

    def derived_power(first: int, last: int) -> float:
        ends = (lengths[first], lengths[last])
        return exponent(ends, [attention_operations(n, d) for n in ends])

    def over_rounds(name: str, what: str, values: Sequence[float], unit: str) -> Figure:
        return Figure(name, what, *mean_with_interval(values), unit, n_rounds)

    short, long = (0, 2), (len(lengths) - 3, len(lengths) - 1)
    names = [f"from n = {lengths[a]} to {lengths[b]}" for a, b in (short, long)]
    figures = (
        over_rounds("crossover", f"length at which both take the same time, d_model = {d}", even, "tokens"),
        _derived("derived_crossover", "length at which both take the same operations", derived, "tokens"),
        over_rounds("short", "attention over feed-forward layer, shortest", ratios[0], "times"),
        over_rounds("long", "attention over feed-forward layer, longest", ratios[-1], "times"),
        over_rounds("first_power", f"power of n of the attention's time {names[0]}", power(*short), "dimensionless"),
        _derived("derived_first_power", "the same of its operations", derived_power(*short), "dimensionless"),
        over_rounds("last_power", f"power of n of the attention's time {names[1]}", power(*long), "dimensionless"),
        _derived("derived_last_power", "the same of its operations", derived_power(*long), "dimensionless"),
    )
    return Outcome(figures, (_ratio_chart(budget, ratios), _power_chart(budget, by_length)))


def _at(n: int, budget: Budget, say: Callable[[str], None]) -> Rounds:
    torch.manual_seed(budget["seed"])
    d = budget["d_model"]
    attention = MultiHeadAttention(d, budget["n_heads"]).requires_grad_(False)
    feed_forward = FeedForward(d).requires_grad_(False)
    x = torch.randn(1, n, d)
    calls = {"attention": lambda: attention(x), "feed_forward": lambda: feed_forward(x)}
    rounds = take_turns(calls, rounds=budget["rounds"], least=budget["least"])
    say(f"n {n}: " + ", ".join(f"{name} {1e3 * seconds:.3g} ms" for name, seconds in rounds[0].items()))
    return rounds


def _ratio_chart(budget: Budget, ratios: Sequence[Sequence[float]]) -> Chart:
    lengths, d = budget["lengths"], budget["d_model"]
    operations = [attention_operations(n, d) / feed_forward_operations(n, d) for n in lengths]
    return Chart(
        name="parts",
        title=f"Attention over feed-forward layer, d_model = {d}, d_ff = {4 * d}",
        x_label="n",
        y_label="ratio",
        curves=(ratio_curve("time", lengths, ratios), derived_curve("operations, derived", lengths, operations)),
        marks={"equal operations": even_length(d)},
        log_x=True,
        log_y=True,
    )


def _power_chart(budget: Budget, by_length: Sequence[Rounds]) -> Chart:
    lengths, d = budget["lengths"], budget["d_model"]
    middles = [math.sqrt(a * b) for a, b in pairwise(lengths)]
    powers, derived = [], []
    for k, ends in enumerate(pairwise(lengths)):
        pairs = zip(by_length[k], by_length[k + 1], strict=True)
        found = [exponent(ends, (here["attention"], there["attention"])) for here, there in pairs]
        powers.append(mean_with_interval(found))
        derived.append(exponent(ends, [attention_operations(n, d) for n in ends]))
    value, low, high = zip(*powers, strict=True)
    return Chart(
        name="growth",
        title=f"Power of n with which self-attention grows, d_model = {d}",
        x_label="n",
        y_label="power of n",
        curves=(
            Curve("time", tuple(middles), value, low, high),
            derived_curve("operations, derived", middles, derived),
        ),
        marks={},
        log_x=True,
    )


def _derived(name: str, what: str, value: float, unit: str) -> Figure:
    return Figure(name, f"{what} (derived)", value, value, value, unit, 1)


BLOCK_TIME = Experiment(
    name="block_time",
    claims=("Q13.1", "Q16.1"),
    question="Which part of a block takes more time, and how does the time of attention grow with the length?",
    method="Both parts of the reference run in turns in one process, on one thread, one sequence, without gradients. "
    "Times are CPU times; a power of n is the slope of log time over log n. Intervals are Student's, 95 %, over "
    "rounds.",
    measure=measure,
    full={
        "seed": 1,
        "d_model": 256,
        "n_heads": 4,
        "lengths": [16, 32, 64, 128, 256, 512, 1024, 2048],
        "rounds": 12,
        "least": 0.02,
    },
    small={"seed": 1, "d_model": 64, "n_heads": 2, "lengths": [16, 32, 64, 512, 1024], "rounds": 3, "least": 0.01},
    expectations=(
        Timed(
            "the attention takes more time than the feed-forward layer in the longest sequence, "
            "though it has half the weights",
            lambda found: found["long"].low > 1,
        ),
        Timed(
            "the time of attention grows more than linearly with the length of long sequences, and less than cubically",
            lambda found: 1 < found["last_power"].value < 3,
        ),
        Timed(
            "… and faster there than in short ones",
            lambda found: found["last_power"].value > found["first_power"].value,
        ),
    ),
)
