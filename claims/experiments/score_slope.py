"""What slope softmax has left under three scores, and how well each learns to look up, over the width (claim Q05.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from veriformer.reference.additive_attention import AdditiveAttention
from veriformer.reference.attention import scaled_dot_product_attention

from .experiment import Budget, Chart, Curve, Expectation, Experiment, Figure, Outcome
from .intervals import mean_with_interval

SCORES = ("unscaled", "scaled", "additive")
"""The dot product as it is, the dot product over √d_k, and the network with a hidden layer as wide as the head."""


def attention(score: str, d_k: int) -> Callable[..., tuple[Tensor, Tensor]]:
    """Attention with one of ``SCORES``: (query, key, value) → (output, weights). Weights of its own are N(0, 1/d_k)."""
    if score != "additive":
        scale = 1.0 if score == "unscaled" else None
        return lambda query, key, value: scaled_dot_product_attention(query, key, value, scale=scale)
    additive = AdditiveAttention(d_k)
    for parameter in additive.parameters():
        nn.init.normal_(parameter, std=d_k**-0.5)
    return additive


@torch.no_grad()
def slope(score: str, d_k: int, *, keys: int, queries: int, seed: int) -> float:
    """Mean over standard normal queries of 1 − Σp², the trace of softmax's Jacobian: at most 1 − 1/keys."""
    torch.manual_seed(seed)
    query, key = torch.randn(1, 1, queries, d_k), torch.randn(1, 1, keys, d_k)
    _, weights = attention(score, d_k)(query, key, key)
    return float(1 - weights.square().sum(-1).mean())


class LookUp(nn.Module):
    """Reads pairs of a name and a value, and says which value stood beside the name that it is asked for.

    One head of width d_k on one-hot names: queries and keys are standard normal at initialisation, at every width.
    """

    def __init__(self, score: str, d_k: int, n_symbols: int) -> None:
        """Draw the tables of queries, keys and values, and the output layer."""
        super().__init__()
        self.query, self.key, self.value = (nn.Embedding(n_symbols, d_k) for _ in range(3))
        self.output = nn.Linear(d_k, n_symbols)
        self.attend = attention(score, d_k)

    def forward(self, names: Tensor, values: Tensor, asked: Tensor) -> Tensor:
        """Integers (batch, pairs), (batch, pairs), (batch,) → logits (batch, n_symbols)."""
        query = self.query(asked)[:, None, None]
        found, _ = self.attend(query, self.key(names)[:, None], self.value(values)[:, None])
        return self.output(found[:, 0, 0])


def learned(score: str, d_k: int, budget: Budget, *, seed: int) -> float:
    """Mean cross-entropy in nats over the last tenth of a training of fixed length."""
    torch.manual_seed(seed)
    model = LookUp(score, d_k, budget["symbols"])
    draw = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=budget["learning_rate"])
    losses = []
    for _ in range(budget["steps"]):
        names = torch.rand(budget["batch"], budget["symbols"], generator=draw).argsort(1)[:, : budget["pairs"]]
        values = torch.randint(budget["symbols"], names.shape, generator=draw)
        place = torch.randint(budget["pairs"], (budget["batch"], 1), generator=draw)
        asked, due = names.gather(1, place)[:, 0], values.gather(1, place)[:, 0]
        loss = nn.functional.cross_entropy(model(names, values, asked), due)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    return float(torch.stack(losses[-max(1, budget["steps"] // 10) :]).mean())


Table = dict[tuple[str, int], list[float]]
"""By score and width, one number a seed."""


def measure(budget: Budget, say: Callable[[str], None]) -> Outcome:
    """Slopes and losses of the three scores at every width; and by how much more additive attention gains when wide."""
    slopes: Table = {
        (score, d_k): [
            slope(score, d_k, keys=budget["keys"], queries=budget["queries"], seed=seed)
            for seed in budget["slope_seeds"]
        ]
        for d_k in budget["slope_widths"]
        for score in SCORES
    }
    losses: Table = {}
    for d_k in budget["loss_widths"]:
        for score in SCORES:
            losses[score, d_k] = [learned(score, d_k, budget, seed=seed) for seed in budget["loss_seeds"]]
            say(f"{score}, d_k {d_k}: loss {mean_with_interval(losses[score, d_k])[0]:.3g}")
    figures = (
        *_figures("slope", "slope of softmax at initialisation, 1 − Σp²", slopes, budget["slope_widths"], "", sign=1),
        *_figures("loss", "loss after training", losses, budget["loss_widths"], "nats", sign=-1),
    )
    chance = 1 - 1 / budget["keys"]
    charts = (
        _chart("slope", "Slope of softmax at initialisation", f"1 − Σp² (at most {chance:.3g})", slopes, budget),
        _chart("loss", "Looking up a value by its name, after training", "loss, nats", losses, budget),
    )
    return Outcome(figures, charts)


def _figures(name: str, what: str, table: Table, widths: Sequence[int], unit: str, *, sign: int) -> tuple[Figure, ...]:
    """The three at the largest width; and how much more of it additive attention gains there than at the smallest.

    More is better where ``sign`` is 1, and less where it is −1.
    """
    narrow, wide = min(widths), max(widths)
    unit = unit or "dimensionless"

    def gains(score: str, d_k: int) -> list[float]:
        pairs = zip(table["additive", d_k], table[score, d_k], strict=True)
        return [sign * (additive - other) for additive, other in pairs]

    def figure(key: str, text: str, values: Sequence[float]) -> Figure:
        return Figure(f"{name}_{key}", text, *mean_with_interval(values), unit, len(values))

    rises = []
    for score in ("unscaled", "scaled"):
        pairs = zip(gains(score, wide), gains(score, narrow), strict=True)
        rises.append(
            figure(
                f"gain_over_{score}",
                f"{name}: rise of additive attention's gain over the {score} dot product from d_k = {narrow} to {wide}",
                [late - early for late, early in pairs],
            )
        )
    return (*rises, *(figure(score, f"{what}: {score}, d_k = {wide}", table[score, wide]) for score in SCORES))


def _chart(name: str, title: str, y_label: str, table: Table, budget: Budget) -> Chart:
    widths = budget[f"{name}_widths"]
    curves = []
    for score in SCORES:
        value, low, high = zip(*(mean_with_interval(table[score, d_k]) for d_k in widths), strict=True)
        curves.append(Curve(score, tuple(map(float, widths)), value, low, high))
    return Chart(name, title, "d_k", y_label, tuple(curves), {}, log_x=True)


SCORE_SLOPE = Experiment(
    name="score_slope",
    claims=("Q05.2",),
    question="Does additive attention gain on the dot product as heads get wider?",
    method="The slope that softmax has left is measured on standard normal queries and keys. Then small models learn "
    "to look up the value that stands beside a name, in a fixed number of steps, alike but for the score: the additive "
    "one has a network of its own to train. The dot product is taken with and without its scale. Intervals are "
    "Student's, 95 %, over seeds, which the scores share.",
    measure=measure,
    full={
        "slope_seeds": list(range(1, 11)),
        "slope_widths": [2, 4, 8, 16, 32, 64, 128, 256, 512],
        "keys": 64,
        "queries": 64,
        "loss_seeds": [1, 2, 3, 4, 5],
        "loss_widths": [4, 16, 64, 256],
        "symbols": 32,
        "pairs": 8,
        "batch": 64,
        "steps": 500,
        "learning_rate": 3e-3,
    },
    small={
        "slope_seeds": [1, 2, 3],
        "slope_widths": [2, 128],
        "keys": 32,
        "queries": 64,
        "loss_seeds": [1, 2],
        "loss_widths": [4, 64],
        "symbols": 32,
        "pairs": 8,
        "batch": 64,
        "steps": 300,
        "learning_rate": 5e-3,
    },
    expectations=(
        Expectation(
            "additive attention keeps ever more slope than the unscaled dot product, the wider a head is",
            lambda found: found["slope_gain_over_unscaled"].value > 0.3,
        ),
        Expectation(
            "… than the scaled one it does not: their difference stays within a twentieth",
            lambda found: abs(found["slope_gain_over_scaled"].value) < 0.05,
        ),
        Expectation(
            "trained, it gains ever more over the unscaled dot product as well",
            lambda found: found["loss_gain_over_unscaled"].value > 0.3,
        ),
        Expectation(
            "… and over the scaled one it does not gain with the width",
            lambda found: found["loss_gain_over_scaled"].value < 0.1,
        ),
    ),
)
