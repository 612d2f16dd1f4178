"""Whether a linear reader gets word and position back from their sum, over the width (claim Q14.1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from veriformer.reference.embedding import Embedding
from veriformer.reference.sinusoidal import sinusoidal_encoding

from .experiment import Budget, Chart, Curve, Expectation, Experiment, Figure, Outcome
from .intervals import mean_with_interval

READERS = ("probe", "inner product")
"""A linear map that is fitted to half of the pairs; and the table itself, without any training."""

Read = dict[tuple[str, str, bool, int], list[float]]
"""Share of what is read rightly, one a seed: by "word" or "position", reader, whether the factor √d is there, width."""


def tables(d: int, budget: Budget, *, factor: bool) -> tuple[Tensor, Tensor]:
    """Words as the reference draws them, (words, d), times √d if ``factor``; and positions (positions, d); float64."""
    embedding = Embedding(budget["words"], d)
    words = embedding.weight.detach().double() * (d**0.5 if factor else 1.0)
    return words, sinusoidal_encoding(torch.arange(budget["positions"])[None], d, torch.float64)[0]


def probe_accuracy(x: Tensor, due: Tensor, fitted: Tensor) -> float:
    """Share of the rows of x (pairs, d) outside ``fitted`` whose label a linear map tells, (pairs,) integer.

    The map is that of least squares from x to one-hot labels on ``fitted``, with a ridge of 1e-9 of the mean square.
    """
    classes = int(due.max()) + 1
    seen = torch.cat([x[fitted], torch.ones(int(fitted.sum()), 1, dtype=x.dtype)], dim=-1)
    gram = seen.mT @ seen
    gram.diagonal().add_(1e-9 * gram.diagonal().mean())
    one_hot_products = torch.zeros(classes, seen.shape[1], dtype=x.dtype).index_add_(0, due[fitted], seen)
    weights = torch.linalg.solve(gram, one_hot_products.mT)
    told = (x[~fitted] @ weights[:-1] + weights[-1]).argmax(-1)
    return float((told == due[~fitted]).double().mean())


def inner_product_accuracy(x: Tensor, due: Tensor, table: Tensor, fitted: Tensor) -> float:
    """The same, where the label told is the row of ``table`` with the largest inner product."""
    told = (x[~fitted] @ table.mT).argmax(-1)
    return float((told == due[~fitted]).double().mean())


def read(d: int, budget: Budget, *, factor: bool, seed: int) -> dict[tuple[str, str], float]:
    """Shares read rightly, by what is read and by which reader, of pairs that the probe was not fitted to."""
    torch.manual_seed(seed)
    words, positions = tables(d, budget, factor=factor)
    pairs = torch.randperm(len(words) * len(positions))[: budget["pairs"]]
    word, position = pairs // len(positions), pairs % len(positions)
    x = words[word] + positions[position]
    fitted = torch.arange(len(pairs)) < len(pairs) // 2
    found = {}
    for name, due, table in (("word", word, words), ("position", position, positions)):
        found[name, "probe"] = probe_accuracy(x, due, fitted)
        found[name, "inner product"] = inner_product_accuracy(x, due, table, fitted)
    return found


def measure(budget: Budget, say: Callable[[str], None]) -> Outcome:
    """What is read rightly at each width, with the factor √d on the words and without."""
    shares: Read = {}
    for d in budget["widths"]:
        for factor in (True, False):
            for seed in budget["seeds"]:
                for (name, reader), share in read(d, budget, factor=factor, seed=seed).items():
                    shares.setdefault((name, reader, factor, d), []).append(share)
        say(f"d {d}: the probe reads {mean_with_interval(shares['word', 'probe', True, d])[0]:.1%} of the words")
    return Outcome(
        tuple(_figure(shares, *key) for key in shares if key[3] in (min(budget["widths"]), max(budget["widths"]))),
        tuple(_chart(shares, name, budget) for name in ("word", "position")),
    )


def _figure(shares: Read, name: str, reader: str, factor: bool, d: int) -> Figure:
    values = shares[name, reader, factor, d]
    with_factor = "with" if factor else "without"
    wide = "wide" if d == max(key[3] for key in shares) else "narrow"
    return Figure(
        f"{name}_by_{reader.replace(' ', '_')}_{with_factor}_{wide}",
        f"{name}s read rightly by the {reader}, d = {d}, {with_factor} the factor √d",
        *mean_with_interval(values),
        "dimensionless",
        len(values),
    )


def _chart(shares: Read, name: str, budget: Budget) -> Chart:
    curves = []
    for reader in READERS:
        for factor in (True, False):
            by_width = [mean_with_interval(shares[name, reader, factor, d]) for d in budget["widths"]]
            value, low, high = zip(*by_width, strict=True)
            label = f"{reader}, {'with' if factor else 'without'} √d"
            curves.append(Curve(label, tuple(map(float, budget["widths"])), value, low, high))
    return Chart(
        name, f"{name.capitalize()}s read from the sum", "d", "share read rightly", tuple(curves), {}, log_x=True
    )


PROBE = Experiment(
    name="probe",
    claims=("Q14.1",),
    question="Can word and position still be read when the one is added to the other?",
    method="Words are drawn as the reference draws them, and sinusoidal positions are added. A linear probe is fitted "
    "by least squares to half of the pairs and judged by the other half; beside it stands the plainest reader, the "
    "largest inner product with the table. Both are tried with the factor √d on the words and without it. Intervals "
    "are Student's, 95 %, over seeds.",
    measure=measure,
    full={
        "seeds": [1, 2, 3, 4, 5],
        "widths": [16, 32, 64, 128, 256, 512],
        "words": 400,
        "positions": 64,
        "pairs": 12800,
    },
    small={"seeds": [1, 2], "widths": [16, 256], "words": 100, "positions": 32, "pairs": 3200},
    expectations=(
        Expectation(
            "in a wide model a linear probe reads nearly every word from the sum, and most positions",
            lambda found: (
                found["word_by_probe_with_wide"].value > 0.99 and found["position_by_probe_with_wide"].value > 0.85
            ),
        ),
        Expectation(
            "… in a narrow one it reads few positions: there adding does cost something",
            lambda found: found["position_by_probe_with_narrow"].value < 0.5,
        ),
        Expectation(
            "… without the factor √d the probe still reads the words",
            lambda found: found["word_by_probe_without_wide"].value > 0.95,
        ),
        Expectation(
            "… but the largest inner product does not, which reads them with the factor",
            lambda found: (
                found["word_by_inner_product_with_wide"].value > 0.95
                and found["word_by_inner_product_without_wide"].value < 0.5
            ),
        ),
    ),
)
