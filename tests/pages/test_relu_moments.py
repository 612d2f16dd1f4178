"""The moments of ReLU, and of layers of the reference, are those that the page proves."""

from __future__ import annotations

import math

import pytest
import sympy as sp
import torch
from torch import Tensor

from veriformer.derivations import derivation
from veriformer.reference.feed_forward import FeedForward

PAGE = derivation("relu_moments")
SAMPLES = 200_000
FAR = 6.5  # standard errors; the two-sided Gaussian tail beyond is below 1e-10


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


def deviations(terms: Tensor, expected: float) -> float:
    """By how many of its own standard errors the mean of the terms is off."""
    error = float(terms.std()) / math.sqrt(len(terms))
    return abs(float(terms.mean()) - expected) / error


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_mean_and_variance_for_a_normal_input(generator: torch.Generator):
    sigma = 1.7
    y = torch.relu(sigma * torch.randn(SAMPLES, dtype=torch.float64, generator=generator))
    mean = float(lambdified("normal_mean", "sigma")(sigma))
    assert deviations(y, mean) < FAR
    assert deviations((y - mean) ** 2, float(lambdified("normal_variance", "sigma")(sigma))) < FAR


@pytest.mark.parametrize("power", [1, 3])
def test_half_of_the_moments_of_a_symmetric_law(power: int, generator: torch.Generator):
    x = (2 * torch.rand(SAMPLES, dtype=torch.float64, generator=generator) - 1) ** power
    assert deviations(torch.relu(x) - x.abs() / 2, 0.0) < FAR
    assert deviations(torch.relu(x) ** 2 - x**2 / 2, 0.0) < FAR


def test_a_bias_breaks_the_half(generator: torch.Generator):
    x = 0.5 + torch.randn(SAMPLES, dtype=torch.float64, generator=generator)
    assert deviations(torch.relu(x) ** 2 - x**2 / 2, 0.0) > FAR


def test_homogeneity_is_exact():
    p = torch.linspace(-3, 3, 13, dtype=torch.float64)
    assert torch.equal(torch.relu(4 * p), 4 * torch.relu(p))


def test_one_layer(generator: torch.Generator):
    n, omega, h = 6, 0.8, torch.tensor([1.0, 0.0, 2.5, 0.3, 0.0, 1.1], dtype=torch.float64)
    weights = omega * math.sqrt(3) * (2 * torch.rand(20_000, n, n, dtype=torch.float64, generator=generator) - 1)
    lengths = (torch.relu(weights @ h) ** 2).sum(dim=1)
    assert deviations(lengths, float(lambdified("layer", "n omega h")(n, omega, h.numpy()))) < FAR


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_many_layers(factor: float, generator: torch.Generator):
    """Glorot's scale (1) and He's (2), each layer with weights of its own."""
    n, depth, omega = 16, 5, math.sqrt(factor / 16)
    x = torch.randn(20_000, n, 1, dtype=torch.float64, generator=generator)
    start = (x**2).sum(dim=(1, 2))
    for _ in range(depth):
        x = torch.relu(omega * torch.randn(20_000, n, n, dtype=torch.float64, generator=generator) @ x)
    formula = lambdified("depth", "n omega t v")
    lengths = (x**2).sum(dim=(1, 2))
    assert deviations(lengths - start * float(formula(n, omega, depth, 1.0)), 0.0) < FAR


def test_feed_forward_sees_one_token_at_a_time(generator: torch.Generator):
    layer = FeedForward(8).double()
    x, other = (torch.randn(5, 8, dtype=torch.float64, generator=generator) for _ in range(2))
    mixed = other.clone()
    mixed[2] = x[2]
    torch.testing.assert_close(layer(mixed)[2], layer(x)[2], rtol=0, atol=1e-14)
    assert not torch.allclose(layer(other)[2], layer(x)[2])
