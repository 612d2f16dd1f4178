"""Dot product against additive attention: what either costs in operations, time and memory (claim Q05.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from veriformer.reference.additive_attention import AdditiveAttention
from veriformer.reference.attention import scaled_dot_product_attention

from .experiment import Budget, Chart, Expectation, Experiment, Figure, Outcome
from .intervals import mean_with_interval
from .memory import peak_bytes
from .proved import proved
from .timing import Timed, derived_curve, exponent, geometric_mean, ratio_curve, take_turns


@dataclass(frozen=True)
class Pair:
    """Both kinds of attention on the same queries, keys and values: one head, n of each, d_k wide, float32."""

    n: int
    d_k: int
    given: tuple[Tensor, Tensor, Tensor]
    dot: Callable[[], Any]
    additive: Callable[[], Any]


def pair(n: int, d_k: int, *, seed: int) -> Pair:
    """Contents and weights are drawn from ``seed``; the additive kind has a hidden layer of width d_k."""
    torch.manual_seed(seed)
    query, key, value = (torch.randn(1, 1, n, d_k) for _ in range(3))
    additive = AdditiveAttention(d_k).requires_grad_(False)
    return Pair(
        n,
        d_k,
        (query, key, value),
        partial(scaled_dot_product_attention, query, key, value),
        partial(additive, query, key, value),
    )


class _Sums(TorchDispatchMode):
    """Counts the additions of one tensor to another, which a counter of matrix products leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.additions = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ == "add":
            self.additions += result.numel()
        return result


def operations(call: Callable[[], Any]) -> int:
    """Multiplications and additions, in products of matrices and outside them; a tanh or an exponential is none."""
    with FlopCounterMode(display=False) as counter, _Sums() as sums:
        call()
    return counter.get_total_flops() + sums.additions


def operations_ratio(both: Pair) -> float:
    """Operations for all additive scores, from projected queries and keys, over those for all dot products.

    The weighted average is taken off either, and the projections, which a layer has anyway, off the additive one.
    """
    sizes = {"n": both.n, "d_k": both.d_k}
    average = proved("additive_attention", "dot_product_operations", **sizes)  # P V has the shape of Q Kᵀ, turned
    projections = proved("additive_attention", "projection_operations", **sizes, w=both.d_k)
    return (operations(both.additive) - average - projections) / (operations(both.dot) - average)


def memory_ratio(both: Pair) -> float:
    """Bytes that additive attention holds at once, over those of the dot product; inputs do not count."""
    return peak_bytes(both.additive, *both.given) / peak_bytes(both.dot, *both.given)


def measure(budget: Budget, say: Callable[[str], None]) -> Outcome:
    """Ratios of time over lengths and over widths, of memory over widths, and of operations at one size."""
    n, d_k = budget["n"], budget["d_k"]
    by_length = [_time_ratios(pair(size, d_k, seed=budget["seed"]), budget, say) for size in budget["lengths"]]
    by_width = [_time_ratios(pair(n, width, seed=budget["seed"]), budget, say) for width in budget["widths"]]
    rooms = [memory_ratio(pair(n, width, seed=budget["seed"])) for width in budget["widths"]]
    operation = operations_ratio(pair(n, d_k, seed=budget["seed"]))
    rounds = budget["rounds"]
    last = [exponent(budget["lengths"][-2:], ends) for ends in zip(*by_length[-2:], strict=True)]
    time, room = by_length[-1], memory_ratio(pair(budget["lengths"][-1], d_k, seed=budget["seed"]))
    least = min(by_length + by_width, key=lambda ratios: geometric_mean(ratios)[0])
    at = f"at n = {budget['lengths'][-1]}, d_k = {d_k}"
    figures = (
        Figure("time", f"time, additive over dot product, {at}", *geometric_mean(time), "times", rounds),
        Figure("least_time", "the same at the size where it is least", *geometric_mean(least), "times", rounds),
        Figure(
            "time_growth",
            f"power of n with which this ratio goes from n = {budget['lengths'][-2]} on",
            *mean_with_interval(last),
            "dimensionless",
            rounds,
        ),
        _exact("memory", f"peak memory, additive over dot product, {at}", room, "times"),
        _exact(
            "memory_growth",
            f"power of d_k with which the ratio of memory goes, at n = {n}",
            exponent(budget["widths"], rooms),
            "dimensionless",
        ),
        _exact("operations", f"operations counted, at n = {n}, d_k = {d_k}", operation, "times"),
    )
    derived = proved("additive_attention", "operations_ratio")
    widths, lengths = budget["widths"], budget["lengths"]
    charts = (
        Chart(
            name="by_width",
            title=f"Additive attention over dot product, n = {n}",
            x_label="d_k",
            y_label="ratio",
            curves=(
                ratio_curve("time", widths, by_width),
                derived_curve("memory, counted", widths, rooms),
                derived_curve("numbers held for each score, derived", widths, _held(widths)),
                derived_curve("operations, derived", widths, [derived] * len(widths)),
            ),
            marks={},
            log_x=True,
            log_y=True,
        ),
        Chart(
            name="by_length",
            title=f"Additive attention over dot product, d_k = {d_k}",
            x_label="n",
            y_label="ratio",
            curves=(
                ratio_curve("time", lengths, by_length),
                derived_curve("operations, derived", lengths, [derived] * len(lengths)),
            ),
            marks={},
            log_x=True,
            log_y=True,
        ),
    )
    return Outcome(figures, charts)


def _time_ratios(both: Pair, budget: Budget, say: Callable[[str], None]) -> list[float]:
    calls = {"dot": both.dot, "additive": both.additive}
    rounds = take_turns(calls, rounds=budget["rounds"], least=budget["least"])
    ratios = [seconds["additive"] / seconds["dot"] for seconds in rounds]
    say(f"n {both.n}, d_k {both.d_k}: {geometric_mean(ratios)[0]:.3g} times")
    return ratios


def _held(widths: Sequence[int]) -> list[float]:
    return [proved("additive_attention", "hidden_numbers", w=width) for width in widths]


def _exact(name: str, what: str, value: float, unit: str) -> Figure:
    return Figure(name, f"{what} (counted)", value, value, value, unit, 1)


SCORE_COST = Experiment(
    name="score_cost",
    claims=("Q05.1",),
    question="What does additive attention cost beside the dot product?",
    method="Both run in turns in one process, on one thread, one head, without gradients; the figures are ratios of "
    "CPU time. Intervals are Student's, 95 %, over rounds, for the mean of the logarithms. Memory and operations are "
    "counted, and exact.",
    measure=measure,
    full={
        "seed": 1,
        "n": 512,
        "d_k": 64,
        "lengths": [64, 128, 256, 512, 1024],
        "widths": [8, 16, 32, 64, 128],
        "rounds": 12,
        "least": 0.02,
    },
    small={
        "seed": 1,
        "n": 128,
        "d_k": 32,
        "lengths": [128, 256, 512],
        "widths": [8, 16, 32],
        "rounds": 3,
        "least": 0.01,
    },
    expectations=(
        Timed("the dot product is the faster one", lambda found: found["time"].low > 1),
        Timed("… at every size that was tried", lambda found: found["least_time"].value > 1),
        Expectation(
            "operations differ by the derived factor, to the last one",
            lambda found: found["operations"].value == proved("additive_attention", "operations_ratio"),
        ),
        Expectation("additive attention holds many times as much at once", lambda found: found["memory"].value > 10),
        Expectation("… and the more so the wider a head is", lambda found: 0.5 < found["memory_growth"].value < 1.1),
    ),
)
