"""What the batch size does to BatchNorm: how far its statistics scatter, and what a net loses by it (claim Q24.3).

Wu and He 2018 measured the second on images, with groups of channels in LayerNorm's place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from veriformer.reference.batch_norm import BatchNorm
from veriformer.reference.layer_norm import LayerNorm

from .experiment import Budget, Chart, Curve, Expectation, Experiment, Figure, Outcome
from .intervals import mean_with_interval
from .proved import proved

STATISTICS = ("mean", "variance")
NORMS: dict[str, Callable[[int], nn.Module]] = {"BatchNorm": BatchNorm, "LayerNorm": LayerNorm}

OWN_STATISTICS = "BatchNorm, statistics of the new samples"


def proved_spread(statistic: str, m: int) -> float:
    """Standard deviation of a batch's mean in units of σ, or of its variance as a share of what that is on average."""
    if statistic == "mean":
        return proved("batch_norm", "variance_of_mean", sigma=1, m=m) ** 0.5
    average = proved("batch_norm", "mean_variance", sigma=1, m=m)
    return proved("batch_norm", "variance_of_variance", sigma=1, m=m, kappa=3) ** 0.5 / average


@torch.no_grad()
def spread(m: int, *, batches: int, seed: int) -> dict[str, float]:
    """The same two, over standard normal batches of ``m``: each channel of BatchNorm is one batch."""
    samples = torch.randn(m, batches, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mean, variance = BatchNorm(batches).double().batch_statistics(samples)
    return {"mean": float(mean.square().mean() ** 0.5), "variance": float(variance.std() / variance.mean())}


def net(norm: str, budget: Budget) -> nn.Sequential:
    """Two hidden layers of ReLU behind a norm: (batch, inputs) → logits (batch, classes)."""
    width, layers = budget["width"], []
    for before, after in pairwise([budget["inputs"], width, width]):
        layers += [nn.Linear(before, after), NORMS[norm](after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, budget["classes"]))


def task(budget: Budget, seed: int) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Draws n samples: normal inputs (n, inputs), and the class that a random network of tanh gives each of them."""
    draw = torch.Generator().manual_seed(seed)
    into = torch.randn(budget["inputs"], budget["width"], generator=draw) * 2 / budget["inputs"] ** 0.5
    out = torch.randn(budget["width"], budget["classes"], generator=draw)

    def samples(n: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(n, budget["inputs"], generator=draw)
        return x, ((x @ into).tanh() @ out).argmax(1)

    return samples


def errors_of(norm: str, m: int, budget: Budget, *, seed: int) -> dict[str, float]:
    """Share of new samples that a net gets wrong that was trained in batches of ``m``; all sizes see as many samples.

    The step size goes with the batch size. BatchNorm is judged with its running statistics, and again with those of
    the new samples themselves: what is left then is not the fault of the running ones.
    """
    samples = task(budget, seed)
    torch.manual_seed(seed)
    model = net(norm, budget)
    rate = budget["learning_rate"] * m / max(budget["train_sizes"])
    optimiser = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    for _ in range(budget["samples"] // m):
        x, due = samples(m)
        loss = nn.functional.cross_entropy(model(x), due)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x, due = samples(budget["held_out"])

    @torch.no_grad()
    def wrong() -> float:
        return float((model(x).argmax(1) != due).double().mean())

    model.eval()
    found = {norm: wrong()}
    if norm == "BatchNorm":
        model.train()
        found[OWN_STATISTICS] = wrong()
    return found


Table = dict[tuple[str, int], list[float]]
"""By norm or statistic, and batch size: one number a seed."""


def measure(budget: Budget, say: Callable[[str], None]) -> Outcome:
    """The scatter of the statistics beside what is proved, and the errors of nets with either norm."""
    spreads: Table = {}
    for m in budget["sizes"]:
        for seed in budget["seeds"]:
            for statistic, value in spread(m, batches=budget["batches"], seed=seed).items():
                spreads.setdefault((statistic, m), []).append(value)
    errors: Table = {}
    for m in budget["train_sizes"]:
        for norm in NORMS:
            for seed in budget["seeds"]:
                for judged, share in errors_of(norm, m, budget, seed=seed).items():
                    errors.setdefault((judged, m), []).append(share)
            say(f"{norm}, batches of {m}: {mean_with_interval(errors[norm, m])[0]:.1%} wrong")
    return Outcome(
        (*_error_figures(errors, budget["train_sizes"]), *_spread_figures(spreads, budget["sizes"])),
        (_spread_chart(spreads, budget["sizes"]), _error_chart(errors, budget["train_sizes"])),
    )


def _figure(name: str, what: str, values: Sequence[float]) -> Figure:
    return Figure(name, what, *mean_with_interval(values), "dimensionless", len(values))


def _difference(left: Sequence[float], right: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(left, right, strict=True)]


def _error_figures(errors: Table, sizes: Sequence[int]) -> list[Figure]:
    small, large = min(sizes), max(sizes)
    rises = [
        _figure(
            f"rise_{norm}",
            f"rise of the share of errors from batches of {large} to batches of {small}, with {norm}",
            _difference(errors[norm, small], errors[norm, large]),
        )
        for norm in NORMS
    ]
    gap = _figure(
        "gap_large",
        f"share of errors with BatchNorm less that with LayerNorm, batches of {large}",
        _difference(errors["BatchNorm", large], errors["LayerNorm", large]),
    )
    shares = [
        _figure(f"error_{norm}_{m}", f"share of errors, {norm}, batches of {m}", errors[norm, m])
        for norm in NORMS
        for m in (small, large)
    ]
    own = _figure(
        f"own_statistics_{small}",
        f"share of errors, BatchNorm with the statistics of the new samples, batches of {small}",
        errors[OWN_STATISTICS, small],
    )
    return [*rises, gap, *shares, own]


def _spread_figures(spreads: Table, sizes: Sequence[int]) -> list[Figure]:
    figures = []
    for statistic in STATISTICS:
        ratios = [
            [value / proved_spread(statistic, m) for value in spreads[statistic, m]] for m in sizes
        ]  # by size, then by seed
        farthest = [max(abs(ratio - 1) for ratio in of_seed) for of_seed in zip(*ratios, strict=True)]
        figures.append(
            _figure(
                f"off_{statistic}",
                f"scatter of a batch's {statistic}: farthest, over all sizes, from what is proved, as a share of it",
                farthest,
            )
        )
    small = min(sizes)
    figures.append(
        _figure(
            "scatter_small",
            f"scatter of the variance of a batch of {small}, as a share of the variance",
            spreads["variance", small],
        )
    )
    return figures


def _curve(label: str, table: Table, key: str, sizes: Sequence[int]) -> Curve:
    value, low, high = zip(*(mean_with_interval(table[key, m]) for m in sizes), strict=True)
    return Curve(label, tuple(map(float, sizes)), value, low, high)


def _spread_chart(spreads: Table, sizes: Sequence[int]) -> Chart:
    curves = []
    for statistic in STATISTICS:
        due = tuple(proved_spread(statistic, m) for m in sizes)
        curves.append(_curve(f"{statistic}, measured", spreads, statistic, sizes))
        curves.append(Curve(f"{statistic}, proved", tuple(map(float, sizes)), due, due, due))
    return Chart(
        name="scatter",
        title="How far the statistics of a batch scatter",
        x_label="samples in a batch",
        y_label="mean in units of σ; variance as a share of itself",
        curves=tuple(curves),
        marks={},
        log_x=True,
        log_y=True,
    )


def _error_chart(errors: Table, sizes: Sequence[int]) -> Chart:
    return Chart(
        name="error",
        title="A small net, trained on as many samples in batches of each size",
        x_label="samples in a batch",
        y_label="share of errors on new samples",
        curves=tuple(_curve(norm, errors, norm, sizes) for norm in (*NORMS, OWN_STATISTICS)),
        marks={},
        log_x=True,
    )


BATCH_SIZE = Experiment(
    name="batch_size",
    claims=("Q24.3",),
    question="What does a small batch do to BatchNorm's statistics, and to a net that is trained with it?",
    method="The mean and the variance of batches of normal samples are taken by the reference's BatchNorm, and their "
    "scatter is set beside the derived one. Then nets alike but for the norm learn to name the class that a random "
    "network gives to normal inputs, from the same number of samples in batches of each size, with a step size that "
    "goes with the batch size; they are judged in evaluation, BatchNorm by its running statistics, and once more by "
    "those of the new samples. Intervals are Student's, 95 %, over seeds, which the norms share.",
    measure=measure,
    full={
        "seeds": [1, 2, 3, 4, 5],
        "sizes": [2, 4, 8, 16, 32, 64, 128, 256],
        "batches": 20000,
        "train_sizes": [2, 4, 8, 16, 32, 64],
        "samples": 4096,
        "inputs": 16,
        "width": 32,
        "classes": 8,
        "learning_rate": 0.3,
        "held_out": 4096,
    },
    small={
        "seeds": [1, 2],
        "sizes": [2, 8, 64],
        "batches": 10000,
        "train_sizes": [2, 32],
        "samples": 2048,
        "inputs": 16,
        "width": 32,
        "classes": 8,
        "learning_rate": 0.3,
        "held_out": 2048,
    },
    expectations=(
        Expectation(
            "mean and variance of a batch scatter as derived, √(1/m) and √(2/(m − 1)), to a twentieth at every size",
            lambda found: max(found["off_mean"].value, found["off_variance"].value) < 0.05,
        ),
        Expectation(
            "with BatchNorm the smallest batches leave clearly more errors than the largest",
            lambda found: found["rise_BatchNorm"].value > 0.1,
        ),
        Expectation(
            "with LayerNorm they leave less than half of that rise",
            lambda found: found["rise_LayerNorm"].value < found["rise_BatchNorm"].value / 2,
        ),
        Expectation(
            "in the largest batches the two norms are within a twentieth of each other",
            lambda found: abs(found["gap_large"].value) < 0.05,
        ),
    ),
)
