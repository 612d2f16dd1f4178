"""PyTorch's LayerNorm and RMSNorm, and the reference's LayerNorm, have the slopes that the page proves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sympy as sp
import torch
from torch import Tensor
from torch.nn.functional import layer_norm, rms_norm

import veriformer.derivations
from veriformer.derivations import derivation
from veriformer.reference.layer_norm import LayerNorm

PAGE = derivation("layer_norm")
TEXT = (Path(veriformer.derivations.__file__).parent / "layer_norm.md").read_text(encoding="utf-8")


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


def token(d: int) -> Tensor:
    return torch.randn(d, generator=torch.Generator().manual_seed(d), dtype=torch.float64) * 2 + 0.5


def jacobian(norm, x: Tensor) -> Tensor:
    found = torch.autograd.functional.jacobian(norm, x)
    assert isinstance(found, Tensor)
    return found


def on_the_page(x: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    sigma = (x.var(correction=0) + epsilon).sqrt()
    z, d = (x - x.mean()) / sigma, len(x)
    formula = lambdified("jacobian", "z_i z_j delta_ij sigma d")
    return z, formula(z[:, None], z[None, :], torch.eye(d, dtype=torch.float64), sigma, d)


@pytest.mark.parametrize("epsilon", [0.0, 1e-5, 0.3])
@pytest.mark.parametrize("d", [2, 3, 7])
def test_jacobian_of_torch_and_of_the_reference(d: int, epsilon: float):
    x, reference = token(d), LayerNorm(d, eps=epsilon).double()
    z, expected = on_the_page(x, epsilon)
    torch.testing.assert_close(layer_norm(x, (d,), eps=epsilon), z)
    torch.testing.assert_close(jacobian(lambda x: layer_norm(x, (d,), eps=epsilon), x), expected)
    torch.testing.assert_close(jacobian(reference, x), expected)
    squares = lambdified("squares_of_jacobian", "sigma d varepsilon")
    sigma = (x.var(correction=0) + epsilon).sqrt()
    torch.testing.assert_close(expected.square().sum(), squares(sigma, d, epsilon), atol=1e-12, rtol=1e-9)
    if d == 2 and epsilon == 0:
        torch.testing.assert_close(expected, torch.zeros(2, 2, dtype=torch.float64), atol=1e-12, rtol=0)
    else:
        assert expected.abs().max() > 1e-6


@pytest.mark.parametrize("epsilon", [0.0, 1e-5, 0.3])
@pytest.mark.parametrize("d", [1, 2, 7])
def test_jacobian_of_rms_norm(d: int, epsilon: float):
    x = token(d)
    rho = (x.square().mean() + epsilon).sqrt()
    r = x / rho
    formula = lambdified("rms_jacobian", "r_i r_j delta_ij rho d")
    expected = formula(r[:, None], r[None, :], torch.eye(d, dtype=torch.float64), rho, d)
    torch.testing.assert_close(jacobian(lambda x: rms_norm(x, (d,), eps=epsilon), x), expected)


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_length_and_largest_entry(epsilon: float):
    d, formula = 7, lambdified("length", "d varepsilon sigma")
    x = token(d)
    z = layer_norm(x, (d,), eps=epsilon)
    sigma = (x.var(correction=0) + epsilon).sqrt()
    torch.testing.assert_close(z.square().sum(), formula(d, epsilon, sigma))
    spike = layer_norm(torch.eye(d, dtype=torch.float64)[0], (d,), eps=0)
    assert float(spike.square().max()) == pytest.approx(lambdified("largest", "d")(d))
    assert float(z.square().max()) <= d - 1


@pytest.mark.parametrize("scale", [0.01, 3.0])
def test_a_scale_is_felt_as_another_epsilon(scale: float):
    d, epsilon = 7, 1e-3
    x = token(d)
    formula = lambdified("rescaled", "x_i mu v varepsilon_tilde a")
    expected = torch.from_numpy(formula(x.numpy(), float(x.mean()), float(x.var(correction=0)), epsilon, scale))
    torch.testing.assert_close(layer_norm(scale * x + 5, (d,), eps=epsilon), expected)
    torch.testing.assert_close(LayerNorm(d, eps=epsilon).double()(scale * x + 5), expected)


def test_table_of_the_page():
    rows = re.findall(r"^\| ([\d.]+) \| ([\d.]+) \|$", TEXT, re.M)
    assert len(rows) == 5
    x = layer_norm(token(16), (16,), eps=0)  # entries of variance 1
    for scale, share in rows:
        length = layer_norm(float(scale) * x, (16,), eps=1e-5).square().sum().sqrt() / 4
        assert f"{float(length):.6f}" == share
