"""PyTorch's initialisers have the variances of the page, and the figures of its table are what they draw."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import sympy as sp
import torch
from torch import nn

from veriformer.derivations import derivation
from veriformer.reference.embedding import Embedding

PAGE = derivation("initialisation")
TEXT = (Path(__file__).parents[2] / "derivations" / "initialisation.md").read_text(encoding="utf-8")
FAR = 6.5  # standard errors; the two-sided Gaussian tail beyond is below 1e-10
V, D = 8000, 512


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


def deviations(terms: torch.Tensor, expected: float) -> float:
    """By how many of its own standard errors the mean of the terms is off."""
    return abs(float(terms.mean()) - expected) / (float(terms.std()) / math.sqrt(terms.numel()))


def of_the_reference(table: torch.Tensor) -> torch.Tensor:
    return table.copy_(Embedding(V, D).weight.data)


TABLES: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], float]] = {
    "Glorot, uniform": (nn.init.xavier_uniform_, float(lambdified("glorot_embedding", "V d")(V, D))),
    "Glorot, normal": (nn.init.xavier_normal_, float(lambdified("glorot_embedding", "V d")(V, D))),
    "Keras' default": (
        lambda table: nn.init.uniform_(table, -0.05, 0.05),
        float(lambdified("keras_embedding", "d")(D)),
    ),
    "the reference": (of_the_reference, float(PAGE.results["unit_embedding"])),
    "PyTorch's default": (
        nn.init.normal_,
        float(PAGE.steps["C"].relation.right.subs(sp.Symbol("d", integer=True, positive=True), D)),
    ),
}


def drawn(initialise: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    torch.manual_seed(0)
    return initialise(torch.empty(V, D)).double() * math.sqrt(D)


@pytest.mark.parametrize("name", TABLES)
def test_embedding(name: str):
    initialise, variance = TABLES[name]
    assert deviations(drawn(initialise) ** 2, variance) < FAR


def test_table_of_the_page():
    rows = re.findall(r"^\| (?!law|-)(.*) \| ([\d.]+), measured ([\d.]+) \|$", TEXT, re.M)
    assert len(rows) == 4
    for (law, by_formula, measured), name in zip(rows, [t for t in TABLES if t != "Glorot, normal"], strict=True):
        initialise, variance = TABLES[name]
        assert name in law
        assert float(by_formula) == pytest.approx(variance, rel=5e-4)
        assert float(measured) == pytest.approx(float((drawn(initialise) ** 2).mean()), rel=5e-4)


def test_uniform_law_and_glorots_limit():
    n, m = 300, 700
    variance = float(lambdified("glorot_variance", "n m")(n, m))
    assert lambdified("uniform_variance", "a")(math.sqrt(6 / (n + m))) == pytest.approx(variance)
    torch.manual_seed(0)
    weights = nn.init.xavier_uniform_(torch.empty(m, n)).double()
    assert float(weights.abs().max()) <= math.sqrt(6 / (n + m))
    assert deviations(weights**2, variance) < FAR


def test_default_of_pytorchs_linear_layer():
    torch.manual_seed(0)
    weights = nn.Linear(300, 700).weight.detach().double()
    variance = float(lambdified("uniform_variance", "a")(300**-0.5))
    assert variance == pytest.approx(1 / 900)
    assert deviations(weights**2, variance) < FAR


def test_layer_forwards_and_backwards():
    n, m, samples, sigma_w, sigma_x, mu, sigma_g = 6, 3, 40_000, 0.8, 1.5, -0.7, 0.4
    torch.manual_seed(0)
    weights = sigma_w * math.sqrt(3) * (2 * torch.rand(samples, n, m, dtype=torch.float64) - 1)
    x = (mu + sigma_x * torch.randn(samples, 1, n, dtype=torch.float64)).requires_grad_()
    g = sigma_g * torch.randn(samples, 1, m, dtype=torch.float64)
    outputs = x @ weights
    (gradient,) = torch.autograd.grad(outputs, x, g)
    forward = lambdified("forward", "n sigma_w sigma_x mu")(n, sigma_w, sigma_x, mu)
    backward = lambdified("backward", "m sigma_w sigma_g")(m, sigma_w, sigma_g)
    assert deviations(outputs.detach()[:, 0, 0] ** 2, forward) < FAR
    assert deviations(gradient[:, 0, 0] ** 2, backward) < FAR
