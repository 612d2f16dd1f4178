"""Removing heads from trained models: how much of the loss each carries, and how many can go (claim Q01.2).

A head is removed by multiplying its output by 0, which is exactly the model without that head's weights: the law
heads.removal_is_deletion says so. Voita et al. 2019 and Michel et al. 2019 removed heads of large models.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from veriformer.reference.causal_lm import CausalLM
from veriformer.reference.config import Config

from .english import Text, english, pair_loss, windows
from .experiment import Budget, Chart, Curve, Expectation, Experiment, Figure, Outcome
from .intervals import mean_with_interval

NATS = "nats a character"


class Gated:
    """A model whose heads can be multiplied by 0: ``gates`` is (n_layers, n_heads), 1 where a head is there."""

    def __init__(self, config: Config) -> None:
        """Make the model with all its heads."""
        self.model = CausalLM(config)
        self.gates = torch.ones(config.n_layers, config.n_heads)
        for i, layer in enumerate(self.model.stack.layers):
            layer.get_submodule("self_attention.W_O").register_forward_pre_hook(self._gate(i, config.d_k))

    def _gate(self, layer: int, d_k: int) -> Callable[[nn.Module, tuple[Tensor]], Tensor]:
        return lambda module, given: given[0] * self.gates[layer].repeat_interleave(d_k)

    def loss(self, tokens: Tensor) -> Tensor:
        """Mean cross-entropy of the next token, in nats: tokens (batch, length + 1) → ()."""
        logits = self.model(tokens[:, :-1])
        return nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    @torch.no_grad()
    def loss_without(self, heads: Tensor, tokens: Tensor) -> float:
        """The loss with ``heads``, (k, 2) pairs of layer and head, removed; they are there again afterwards."""
        before = self.gates.clone()
        self.gates[heads[:, 0], heads[:, 1]] = 0.0
        loss = float(torch.stack([self.loss(part) for part in tokens.split(64)]).mean())
        self.gates = before
        return loss


def trained(text: Text, budget: Budget, seed: int, without: Tensor | None = None) -> Gated:
    """A model trained on ``text``; one that never had the heads ``without``, where they are given."""
    torch.manual_seed(seed)
    gated = Gated(
        Config(
            d_model=budget["d_model"],
            n_heads=budget["n_heads"],
            n_layers=budget["n_layers"],
            vocab_size=text.vocab_size,
            positions="rotary",
        )
    )
    if without is not None:
        gated.gates[without[:, 0], without[:, 1]] = 0.0
    draw = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(gated.model.parameters(), lr=budget["learning_rate"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=budget["learning_rate"], total_steps=budget["steps"], pct_start=0.1
    )
    for _ in range(budget["steps"]):
        batch = windows(text.training, length=budget["length"], count=budget["batch"], generator=draw)
        optimiser.zero_grad()
        gated.loss(batch).backward()
        nn.utils.clip_grad_norm_(gated.model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return gated


@dataclass(frozen=True)
class Run:
    """One seed: losses on the judging text, in nats. ``by_head`` is (n_layers, n_heads), one head removed at a time.

    ``removed`` is the loss with the k heads removed that cost least on the choosing text, for k = 0 to all.
    """

    by_head: Tensor
    removed: list[float]
    never_had: float

    @property
    def whole(self) -> float:
        """The loss with all heads."""
        return self.removed[0]

    @property
    def changes(self) -> Tensor:
        """What the removal of each head costs."""
        return self.by_head - self.whole


def one_seed(text: Text, budget: Budget, seed: int) -> Run:
    """Train, remove, and train again without the less important half of the heads."""
    gated = trained(text, budget, seed)
    gated.model.eval()
    choosing, judging = (
        windows(part, length=budget["length"], count=budget["held_out"]) for part in (text.choosing, text.judging)
    )
    each = torch.cartesian_prod(torch.arange(budget["n_layers"]), torch.arange(budget["n_heads"]))
    importance = torch.tensor([gated.loss_without(head[None], choosing) for head in each])
    order = each[importance.argsort()]
    by_head = torch.tensor([gated.loss_without(head[None], judging) for head in each])
    removed = [gated.loss_without(order[:k], judging) for k in range(len(order) + 1)]
    half = order[: len(order) // 2]
    never_had = trained(text, budget, seed, without=half).loss_without(half, judging)
    return Run(by_head.unflatten(0, (budget["n_layers"], budget["n_heads"])), removed, never_had)


def measure(budget: Budget, say: Callable[[str], None]) -> Outcome:
    """Train one model a seed, and a second one without half of its heads, and remove heads from the first."""
    text = english()
    runs = []
    for seed in budget["seeds"]:
        say(f"head_removal: seed {seed}")
        runs.append(one_seed(text, budget, seed))
    return Outcome(_figures(runs, pair_loss(text)), (_removal_chart(runs), _rank_chart(runs)))


def _figures(runs: list[Run], pairs: float) -> tuple[Figure, ...]:
    n_heads = len(runs[0].removed) - 1
    half = n_heads // 2

    def over_seeds(name: str, what: str, value: Callable[[Run], float], unit: str = NATS) -> Figure:
        return Figure(name, what, *mean_with_interval([value(run) for run in runs]), unit, len(runs))

    layers = [
        over_seeds(
            f"layer_{i + 1}", f"one head of layer {i + 1} removed, mean", lambda run, i=i: float(run.changes[i].mean())
        )
        for i in range(len(runs[0].by_head))
    ]
    return (
        over_seeds("one_head", "one head removed, mean over all heads", lambda run: float(run.changes.mean())),
        *layers,
        over_seeds("least_head", "the least of all heads removed", lambda run: run.removed[1] - run.whole),
        over_seeds(
            "median_head", "the median over heads", lambda run: statistics.median(run.changes.flatten().tolist())
        ),
        over_seeds("largest_change", "the head that costs most", lambda run: float(run.changes.max())),
        over_seeds("half", f"the {half} least of {n_heads} heads removed", lambda run: run.removed[half] - run.whole),
        over_seeds("never_had_half", "trained without these from the start", lambda run: run.never_had - run.whole),
        over_seeds("all_heads", f"all {n_heads} heads removed", lambda run: run.removed[-1] - run.whole),
        over_seeds("whole", "loss with all heads", lambda run: run.whole),
        Figure("pairs", "loss of counting pairs of characters (no seed in it)", pairs, pairs, pairs, NATS, 1),
    )


def _curve(label: str, xs: range, rows: list[list[float]]) -> Curve:
    """One curve over ``xs``: the mean over rows (one a seed), with its interval."""
    means, lows, highs = zip(*(mean_with_interval(column) for column in zip(*rows, strict=True)), strict=True)
    return Curve(label, tuple(map(float, xs)), means, lows, highs)


def _removal_chart(runs: list[Run]) -> Chart:
    rows = [[loss - run.whole for loss in run.removed] for run in runs]
    return Chart(
        name="removed_together",
        title="Heads removed together, the least important first",
        x_label="heads removed",
        y_label=f"rise of the loss, {NATS}",
        curves=(_curve("removed after training", range(len(rows[0])), rows),),
        marks={},
    )


def _rank_chart(runs: list[Run]) -> Chart:
    layers = range(len(runs[0].by_head))
    curves = tuple(
        _curve(
            f"layer {i + 1}", range(1, runs[0].by_head.shape[1] + 1), [sorted(run.changes[i].tolist()) for run in runs]
        )
        for i in layers
    )
    return Chart(
        name="one_at_a_time",
        title="One head removed at a time",
        x_label="head, by what its removal costs",
        y_label=f"rise of the loss, {NATS}",
        curves=curves,
        marks={},
    )


HEAD_REMOVAL = Experiment(
    name="head_removal",
    claims=("Q01.2",),
    question="How much does the loss of a trained language model rise when heads are removed?",
    method="Causal models are trained on the characters of Python's help topics. Each head is removed in turn; then "
    "the heads that cost least on one held-out text are removed together and judged on another, which shares no "
    "stretch of 65 characters with either. Intervals are Student's, 95 %, over seeds.",
    measure=measure,
    full={
        "seeds": [1, 2, 3, 4, 5],
        "n_layers": 2,
        "n_heads": 8,
        "d_model": 64,
        "length": 64,
        "batch": 16,
        "steps": 1000,
        "learning_rate": 3e-3,
        "held_out": 256,
    },
    small={
        "seeds": [1, 2],
        "n_layers": 2,
        "n_heads": 4,
        "d_model": 32,
        "length": 48,
        "batch": 16,
        "steps": 300,
        "learning_rate": 5e-3,
        "held_out": 64,
    },
    expectations=(
        Expectation(
            "the least head costs less than a sixteenth of what all heads cost together, its equal share",
            lambda found: found["least_head"].value < found["all_heads"].value / 16,
        ),
        Expectation(
            "the less important half of the heads costs less than half of what all cost",
            lambda found: found["half"].value < found["all_heads"].value / 2,
        ),
        Expectation(
            "a model that never had this half loses less than one from which it is removed",
            lambda found: found["never_had_half"].value < found["half"].value,
        ),
        Expectation(
            "without any head the model is no better than counting pairs of characters, to a tenth of the loss",
            lambda found: found["whole"].value + found["all_heads"].value > 0.9 * found["pairs"].value,
        ),
    ),
)
