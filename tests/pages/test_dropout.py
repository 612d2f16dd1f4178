"""PyTorch's dropout, and the reference's, has the moments that the page proves."""

from __future__ import annotations

import math

import pytest
import sympy as sp
import torch

from veriformer.derivations import derivation
from veriformer.reference.residual import Residual

PAGE = derivation("dropout")
SAMPLES = 100_000
FAR = 6.5  # standard errors; the two-sided Gaussian tail beyond is below 1e-10


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


def deviations(terms: torch.Tensor, expected: float) -> float:
    """By how many of its own standard errors the mean of the terms is off."""
    error = float(terms.std()) / math.sqrt(len(terms))
    return abs(float(terms.mean()) - expected) / error


@pytest.fixture(params=[0.1, 0.4, 0.8], scope="module")
def drawn(request: pytest.FixtureRequest) -> tuple[float, torch.Tensor, torch.Tensor]:
    """The rate, the values, and many outcomes of dropout on them."""
    p, x = request.param, torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    torch.manual_seed(0)
    return p, x, torch.nn.functional.dropout(x.expand(SAMPLES, 3), p, training=True)


def test_mean_and_variance(drawn: tuple[float, torch.Tensor, torch.Tensor]):
    p, x, y = drawn
    variance = lambdified("variance", "p x_i")
    for i in range(3):
        assert deviations(y[:, i], float(lambdified("mean", "x_i")(x[i]))) < FAR
        assert deviations((y[:, i] - x[i]) ** 2, float(variance(p, x[i]))) < FAR


def test_covariance(drawn: tuple[float, torch.Tensor, torch.Tensor]):
    p, x, y = drawn
    covariance = lambdified("covariance", "p x_i x_j delta_ij")
    for i in range(3):
        for j in range(3):
            terms = (y[:, i] - x[i]) * (y[:, j] - x[j])
            assert deviations(terms, float(covariance(p, x[i], x[j], int(i == j)))) < FAR


def test_variance_of_a_sum(drawn: tuple[float, torch.Tensor, torch.Tensor]):
    p, x, y = drawn
    w = torch.tensor([1.0, 0.3, -0.7], dtype=torch.float64)
    formula = lambdified("variance_of_sum", "p w x n")
    assert deviations(((y - x) @ w) ** 2, float(formula(p, w.numpy(), x.numpy(), 3))) < FAR


def test_identity_at_test_time():
    x = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with_dropout, without = (Residual(4, "pre", rate).double().eval() for rate in (0.5, 0.0))
    assert torch.equal(with_dropout(x, torch.tanh), without(x, torch.tanh))
    assert not torch.equal(with_dropout.train()(x, torch.tanh), without(x, torch.tanh))
