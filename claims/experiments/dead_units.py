"""How many units of a ReLU network are dead after training, over the learning rate (claim Q25.4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .experiment import Budget, Chart, Curve, Expectation, Experiment, Figure, Outcome
from .intervals import mean_with_interval

OPTIMISERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}
LAYERS = ("first", "second")


class Network(nn.Module):
    """Two hidden layers of ReLU, from He's initialisation with biases 0."""

    def __init__(self, d_in: int, width: int, classes: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.first, self.second, self.last = nn.Linear(d_in, width), nn.Linear(width, width), nn.Linear(width, classes)
        for layer in (self.first, self.second, self.last):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def hidden(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the units of both layers put out, each (samples, width)."""
        first = torch.relu(self.first(x))
        return first, torch.relu(self.second(first))

    def forward(self, x: Tensor) -> Tensor:
        """(samples, d_in) → logits (samples, classes)."""
        return self.last(self.hidden(x)[1])

    @torch.no_grad()
    def dead(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Boolean (width,) of both layers: the unit puts out 0 for all of ``x``."""
        first, second = self.hidden(x)
        return first.amax(0) == 0, second.amax(0) == 0


def task(budget: Budget, seed: int) -> tuple[Tensor, Tensor]:
    """Standard normal samples, and the class that a random network of one hidden layer puts each of them in."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(budget["samples"], budget["d_in"], generator=draw)
    hidden = torch.tanh(x @ torch.randn(budget["d_in"], budget["width"], generator=draw))
    return x, (hidden @ torch.randn(budget["width"], budget["classes"], generator=draw)).argmax(1)


@dataclass(frozen=True)
class Run:
    """One training: by layer the share of dead units at its end, and how many that were dead half way were not then."""

    share: Mapping[str, float]
    revived: Mapping[str, float]
    loss: float


def trained(optimiser: str, learning_rate: float, budget: Budget, seed: int) -> Run:
    """Train on all samples at every step, without momentum, decay or noise: what a unit sees is what it will see."""
    x, classes = task(budget, seed)
    torch.manual_seed(seed)
    network = Network(budget["d_in"], budget["width"], budget["classes"])
    steps = OPTIMISERS[optimiser](network.parameters(), lr=learning_rate)
    half_way, loss = network.dead(x), torch.tensor(math.nan)
    for step in range(budget["steps"]):
        if step == budget["steps"] // 2:
            half_way = network.dead(x)
        loss = nn.functional.cross_entropy(network(x), classes)
        steps.zero_grad()
        loss.backward()
        steps.step()
    last = network.dead(x)
    return Run(
        {layer: float(dead.double().mean()) for layer, dead in zip(LAYERS, last, strict=True)},
        {layer: float((before & ~after).sum()) for layer, before, after in zip(LAYERS, half_way, last, strict=True)},
        float(loss.detach()),
    )


Runs = dict[tuple[str, float], list[Run]]
"""By optimiser and learning rate, one run a seed."""


def measure(budget: Budget, say: Callable[[str], None]) -> Outcome:
    """Dead units of both layers, at every learning rate of both optimisers."""
    runs: Runs = {}
    for optimiser in OPTIMISERS:
        for rate in budget[f"{optimiser}_rates"]:
            found = [trained(optimiser, rate, budget, seed) for seed in budget["seeds"]]
            runs[optimiser, rate] = found
            say(f"{optimiser} at {rate:g}: {sum(r.share['second'] for r in found) / len(found):.0%} dead")
    return Outcome(tuple(_figures(runs, budget)), (_chart(runs, budget),))


def _figures(runs: Runs, budget: Budget) -> Iterable[Figure]:
    def figure(name: str, what: str, values: list[float], unit: str = "dimensionless") -> Figure:
        return Figure(name, what, *mean_with_interval(values), unit, len(values))

    for name, optimiser, rate in (
        ("sgd_good", "SGD", budget["good_rate"]),
        ("sgd_high", "SGD", budget["high_rate"]),
        ("sgd_too_high", "SGD", budget["too_high_rate"]),
        ("adam_high", "Adam", budget["adam_high_rate"]),
    ):
        at = f"{optimiser} at a learning rate of {rate:g}"
        found = runs[optimiser, rate]
        yield figure(name, f"share of dead units, second layer, {at}", [run.share["second"] for run in found])
        yield figure(f"{name}_loss", f"loss after training, {at}", [run.loss for run in found], "nats")
    plain = [run for (optimiser, _), found in runs.items() if optimiser == "SGD" for run in found]
    for layer in LAYERS:
        yield figure(
            f"revived_{layer}",
            f"units of the {layer} layer that were dead half way and not at the end, SGD, at all rates",
            [run.revived[layer] for run in plain],
            "units",
        )


def _chart(runs: Runs, budget: Budget) -> Chart:
    curves = []
    for optimiser in OPTIMISERS:
        rates = budget[f"{optimiser}_rates"]
        for layer in LAYERS:
            found = [mean_with_interval([run.share[layer] for run in runs[optimiser, rate]]) for rate in rates]
            value, low, high = zip(*found, strict=True)
            curves.append(Curve(f"{optimiser}, {layer} layer", tuple(rates), value, low, high))
    return Chart(
        "share",
        "Dead ReLU units after training",
        "learning rate",
        "share of units that put out 0 for all samples",
        tuple(curves),
        {},
        log_x=True,
    )


_TASK = {"samples": 1024, "d_in": 16, "width": 64, "classes": 10, "steps": 300}
_NAMED = {"good_rate": 1.0, "high_rate": 3.0, "too_high_rate": 10.0, "adam_high_rate": 0.1}

DEAD_UNITS = Experiment(
    name="dead_units",
    claims=("Q25.4",),
    question="What share of the units of a ReLU network dies, at which learning rate, and do any come back?",
    method="A network of two hidden layers learns to put standard normal samples into the classes of a random network, "
    "from He's initialisation, all samples at every step. A unit is dead if it puts out 0 for all of them. Intervals "
    "are Student's, 95 %, over seeds, which all learning rates share.",
    measure=measure,
    full={
        **_TASK,
        **_NAMED,
        "seeds": [1, 2, 3, 4, 5, 6, 7, 8],
        "SGD_rates": [0.03, 0.1, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0],
        "Adam_rates": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3],
    },
    small={**_TASK, **_NAMED, "seeds": [1, 2], "SGD_rates": [1.0, 3.0, 10.0], "Adam_rates": [0.1]},
    expectations=(
        Expectation(
            "at a learning rate that serves, next to no unit dies",
            lambda found: found["sgd_good"].value < 0.02 and found["sgd_good_loss"].value < 0.1,
        ),
        Expectation(
            "three times that, the loss is as good, and a fifth of a layer is dead or more",
            lambda found: found["sgd_high"].value > 0.2 and found["sgd_high_loss"].value < 0.1,
        ),
        Expectation(
            "ten times that, more than the 40 % are dead, and nothing much is learned",
            lambda found: found["sgd_too_high"].value > 0.4 and found["sgd_too_high_loss"].value > 1,
        ),
        Expectation(
            "with Adam more than the 40 % can be dead as well",
            lambda found: found["adam_high"].value > 0.4,
        ),
        Expectation(
            "under plain gradient descent on the same samples no dead unit of the first layer ever comes back",
            lambda found: found["revived_first"].value == 0,
        ),
    ),
)
