"""PyTorch's BatchNorm has the slopes that the page proves, and batches drawn at random have its moments."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import sympy as sp
import torch
from torch import Tensor
from torch.nn.functional import batch_norm

import veriformer.derivations
from veriformer.derivations import derivation

PAGE = derivation("batch_norm")
TEXT = (Path(veriformer.derivations.__file__).parent / "batch_norm.md").read_text(encoding="utf-8")
BATCHES = 100_000
FAR = 6.5  # standard errors; the two-sided Gaussian tail beyond is below 1e-10


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


def deviations(terms: Tensor, expected: float) -> float:
    """By how many of its own standard errors the mean of the terms is off."""
    return abs(float(terms.mean()) - expected) / (float(terms.std()) / math.sqrt(len(terms)))


def one_feature(x: Tensor, epsilon: float) -> Tensor:
    return batch_norm(x[:, None], None, None, training=True, eps=epsilon)[:, 0]


@pytest.fixture
def sample() -> Tensor:
    return torch.randn(6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("epsilon", [1e-5, 0.3])
def test_one_sample_moves_the_output_of_another(sample: Tensor, epsilon: float):
    m, z = len(sample), one_feature(sample, epsilon)
    found = torch.autograd.functional.jacobian(lambda x: one_feature(x, epsilon), sample)
    assert isinstance(found, Tensor)
    others = 1 - torch.eye(m, dtype=torch.float64)
    root = (sample.var(correction=0) + epsilon).sqrt()
    expected = lambdified("crosstalk", "delta_ij z_i z_j m R")(1 - others, z[:, None], z[None, :], m, root)
    torch.testing.assert_close(others * found, expected)
    assert (others * found).abs().max() > 0.1


def test_output_stays_within_the_bound():
    bound = math.sqrt(lambdified("bound", "gamma m")(1, 6))
    spike = one_feature(1e6 * torch.eye(6, dtype=torch.float64)[0] + 1e3, 1e-5)
    assert float(spike.abs().max()) == pytest.approx(bound, rel=1e-9)


def test_batch_of_one_is_refused():
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        batch_norm(torch.ones(1, 1), None, None, training=True)


@pytest.mark.parametrize("law", ["normal", "sign", "exponential"])
@pytest.mark.parametrize("m", [3, 5])
def test_moments_of_the_statistics_of_a_batch(law: str, m: int):
    generator = torch.Generator().manual_seed(m)
    shape, mu, sigma = (BATCHES, m), 0.7, 1.5
    if law == "normal":
        u, kappa = torch.randn(shape, generator=generator, dtype=torch.float64), 3
    elif law == "sign":
        u, kappa = torch.randint(0, 2, shape, generator=generator).double() * 2 - 1, 1
    else:
        u, kappa = torch.empty(shape, dtype=torch.float64).exponential_(generator=generator) - 1, 9
    x = mu + sigma * u
    means, variances = x.mean(dim=1), x.var(dim=1, correction=0)
    assert deviations((means - mu) ** 2, lambdified("variance_of_mean", "sigma m")(sigma, m)) < FAR
    average = lambdified("mean_variance", "sigma m")(sigma, m)
    assert deviations(variances, average) < FAR
    spread = lambdified("variance_of_variance", "sigma m kappa")(sigma, m, kappa)
    assert deviations((variances - average) ** 2, spread) < FAR
    if law == "normal":
        squares = m * variances
        assert lambdified("sum_of_squares", "sigma m")(sigma, m) == pytest.approx(m**2 * spread)
        assert deviations((squares - (m - 1) * sigma**2) ** 2, m**2 * spread) < FAR


def test_torch_normalises_with_the_biased_variance_and_keeps_the_unbiased_one(sample: Tensor):
    layer = torch.nn.BatchNorm1d(1, eps=1e-14, momentum=1.0, dtype=torch.float64)
    y = layer(sample[:, None])[:, 0]
    torch.testing.assert_close(y, (sample - sample.mean()) / sample.std(correction=0))
    assert layer.running_var is not None
    torch.testing.assert_close(layer.running_var[0], sample.var(correction=1))


def test_a_shift_at_test_time_goes_through():
    generator = torch.Generator().manual_seed(1)
    mu, sigma, gamma, beta, shift, tau = 0.5, 2.0, 1.5, -0.3, 1.2, 0.7
    layer = torch.nn.BatchNorm1d(1, eps=0, dtype=torch.float64)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    layer.running_mean.fill_(mu + 0.1)
    layer.running_var.fill_(4.4)
    layer.weight.data.fill_(gamma)
    layer.bias.data.fill_(beta)
    t = mu + shift + tau * sigma * torch.randn(BATCHES, 1, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        h = layer.eval()(t)[:, 0]
    mean = lambdified("test_mean", "beta gamma mu Delta mu_r sigma_r")(beta, gamma, mu, shift, mu + 0.1, math.sqrt(4.4))
    variance = lambdified("test_variance", "gamma tau sigma sigma_r")(gamma, tau, sigma, math.sqrt(4.4))
    assert deviations(h, mean) < FAR
    assert deviations((h - mean) ** 2, variance) < FAR


def test_table_of_the_page():
    rows = re.findall(r"^\| (\d+) \| (\d+) % \|$", TEXT, re.M)
    assert len(rows) == 5
    for row in rows:
        m, share = map(int, row)
        spread = lambdified("variance_of_variance", "sigma m kappa")(1, m, 3) ** 0.5
        assert round(100 * spread / lambdified("mean_variance", "sigma m")(1, m)) == share
