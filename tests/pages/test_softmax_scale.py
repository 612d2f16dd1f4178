"""The page's formulas against softmax in float64 and autograd, and its table against fresh draws."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import sympy as sp
import torch
from torch import Tensor

import veriformer.derivations
from veriformer.derivations import derivation
from veriformer.reference.attention import masked_softmax

PAGE = derivation("softmax_scale")
TEXT = (Path(veriformer.derivations.__file__).parent / "softmax_scale.md").read_text(encoding="utf-8")
SCALES = [0.3, 1.0, 4.0]


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


def weights(z: Tensor, c: float | Tensor) -> Tensor:
    return masked_softmax(c * z[None])[0]


def logits(n: int, ties: int = 1, lead: float = 0.5) -> Tensor:
    """Random ones of which `ties` are the largest, and lead the next one by `lead`."""
    z = torch.randn(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64).sort(descending=True).values
    z[:ties] = z[ties] + lead if ties < n else z[0]
    return z


@pytest.mark.parametrize("c", SCALES)
def test_ratio_of_two_weights(c: float):
    z = logits(7)
    p, formula = weights(z, c), lambdified("ratio", "c z_i z_j")
    torch.testing.assert_close(p[:, None] / p, torch.from_numpy(formula(c, z[:, None].numpy(), z.numpy())))


@pytest.mark.parametrize("scale", SCALES)
def test_entropy_slope(scale: float):
    z, c = logits(7), torch.tensor(scale, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(torch.special.entr(weights(z, c)).sum(), c)
    p = weights(z, scale)
    V = float((p * z**2).sum() - (p * z).sum() ** 2)
    assert float(slope) == pytest.approx(lambdified("entropy_slope", "c V")(scale, V))


@pytest.mark.parametrize("c", SCALES)
def test_at_twice_the_scale_weights_are_squared(c: float):
    z = logits(7)
    squares = weights(z, c).square()
    torch.testing.assert_close(weights(z, 2 * c), squares / squares.sum())


@pytest.mark.parametrize("c", [*SCALES, 30.0])
@pytest.mark.parametrize(("n", "ties"), [(7, 1), (7, 3), (7, 7), (2, 1)])
def test_what_is_not_at_the_top(n: int, ties: int, c: float):
    z, g = logits(n, ties), 0.5
    p = weights(z, c)
    below = float(p[ties:].sum())
    R = float((c * (z[ties:] - z[0])).exp().sum())
    assert below == pytest.approx(lambdified("below_the_top", "K R")(ties, R), rel=1e-9, abs=0)
    assert below <= lambdified("below_the_top_bound", "n K c g")(n, ties, c, g) * (1 + 1e-12)
    torch.testing.assert_close(p[:ties], torch.full((ties,), (1 - below) / ties, dtype=torch.float64))
    if ties == 1:
        jacobian = torch.diag(p) - torch.outer(p, p)
        trace, bound = float(jacobian.trace()), lambdified("trace_bound", "n c g")(n, c, g)
        assert float(torch.linalg.matrix_norm(jacobian, 2)) <= trace + 1e-15
        assert trace <= bound


@pytest.mark.parametrize("n", [2, 10, 1000])
def test_equal_gaps(n: int):
    formula, g, c = lambdified("equal_gaps", "n c g"), 0.7, 1.5
    z = torch.zeros(n, dtype=torch.float64)
    z[0] = g
    assert float(weights(z, c)[1:].sum()) == pytest.approx(formula(n, c, g))
    assert formula(n, math.log(n - 1) / g, g) == pytest.approx(0.5)


@pytest.mark.parametrize("c", SCALES)
@pytest.mark.parametrize("n", [1, 7, 1000])
def test_bound_of_a_weight(n: int, c: float):
    z = torch.rand(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    bound = lambdified("weight_bound", "n c b z_i")(n, c, float(z.min()), z.numpy())
    assert (weights(z, c).numpy() <= bound * (1 + 1e-12)).all()


def test_table_of_the_page():
    rows = [[float(each) for each in row.split("|")] for row in re.findall(r"^\| ([\d.| ]+\d) \|$", TEXT, re.M)]
    spreads, generator = (1, 2, 4, 8, 16), torch.Generator().manual_seed(0)
    assert f"| $`n`$ | {' | '.join(map(str, spreads))} |" in TEXT
    assert [row[0] for row in rows] == [16, 256, 4096]
    for n, *cells in rows:
        drawn = torch.randn(500, int(n), generator=generator, dtype=torch.float64)
        for spread, cell in zip(spreads, cells, strict=True):
            largest = (spread * drawn).softmax(-1).amax(-1)
            deviation = float(largest.std()) / math.sqrt(len(largest))
            assert abs(float(largest.mean()) - cell) < 0.005 + 6.5 * deviation
