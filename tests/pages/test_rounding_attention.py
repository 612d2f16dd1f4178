"""Softmax and attention stay within the bounds of the page, whatever is searched for, and come near them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sympy as sp
import torch

from veriformer.derivations import derivation
from veriformer.properties import emulated, formulas, tolerance

PAGE = Path(__file__).parent.parent.parent / "derivations" / "rounding_attention.md"
HALF, BRAIN, SINGLE = torch.float16, torch.bfloat16, torch.float32
ROWS = re.findall(r"^\| (\w+) \| (\w+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", PAGE.read_text(encoding="utf-8"), re.M)


def test_table_has_every_precision():
    assert len(ROWS) == 5


@pytest.mark.parametrize(("stored", "inside", "dot_product", "softmax", "attention"), ROWS)
def test_in_numbers(stored: str, inside: str, dot_product: str, softmax: str, attention: str):
    """The shares of the bound that the page says were reached; none is above 1, and none below 0.01."""
    dtype, accumulate = getattr(torch, stored), getattr(torch, inside)
    for experiment, share in (
        (emulated.of_dot_product(64, dtype, accumulate), dot_product),
        (emulated.of_softmax(64, dtype, accumulate), softmax),
        (emulated.of_attention(16, 8, dtype, accumulate), attention),
    ):
        found = experiment.worst(cases=16, rounds=8)
        assert 0.01 < float(share) <= max(found.values()) <= 1, found


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE], ids=str)
def test_pytorchs_own_kernels(dtype: torch.dtype):
    softmax = emulated.of_softmax(100, dtype, SINGLE, torchs_own=True).worst(cases=16, rounds=5)
    attention = emulated.of_attention(20, 8, dtype, SINGLE, torchs_own=True).worst(cases=16, rounds=5)
    assert 0.01 < max(softmax.values()) <= 1
    assert 0.01 < max(attention.values()) <= 1


def test_long_attention_in_bfloat16():
    """n u = 4: the denominator stands still at 256, and all weights come out four times too large."""
    experiment = emulated.of_softmax(1024, BRAIN, BRAIN)
    z = torch.zeros(1, 1024, dtype=torch.float64)
    assert torch.equal(experiment.computed(z), torch.full((1, 1024), 1 / 256, dtype=BRAIN))
    assert 0.5 < float(experiment.ratios((z,))) <= 1


def test_a_perturbed_logit_moves_no_weight_by_more_than_the_factor():
    generator = torch.Generator().manual_seed(0)
    z = 3 * torch.randn(200, 12, generator=generator, dtype=torch.float64)
    h = torch.rand(200, 12, generator=generator, dtype=torch.float64)
    sign = torch.randint(2, z.shape, generator=generator) * 2.0 - 1
    p, moved = z.softmax(-1), (z + sign * h).softmax(-1)
    factor = formulas.weight_factor(p, h)
    assert (moved <= factor * p).all()
    assert (p <= factor * moved).all()
    alike = formulas.weight_factor(p, torch.full_like(h, 0.25))
    (epsilon,) = derivation("rounding_attention").results["logit_factor"].free_symbols
    expected = float(derivation("rounding_attention").results["logit_factor"].subs(epsilon, sp.Rational(1, 4)))
    torch.testing.assert_close(alike, torch.full_like(h, expected))


def test_the_ceiling_is_for_logits_that_are_lost():
    generator = torch.Generator().manual_seed(0)
    query, key, value = ((100 * torch.randn(1, 1, n, 16, generator=generator)).bfloat16().double() for n in (1, 8, 8))
    bound = tolerance.attention_error_bound(query, key, value, mask=None, scale=0.25, dtype=BRAIN)
    computed = emulated.attention(query, key, value, BRAIN, BRAIN, 0.25).double()
    exact = (query @ key.mT * 0.25).softmax(-1) @ value
    assert ((computed - exact).abs() <= bound).all()
    assert (bound < 2.2 * value.abs().amax(-2)).all()


def test_underflow_of_exponentials_and_weights():
    """Weights of 1e-7 and below have no digits in float16."""
    z = torch.linspace(-20, 0, 64, dtype=torch.float64)[None].half().double()
    experiment = emulated.of_softmax(64, HALF, HALF)
    assert float(experiment.ratios((z,))) <= 1
    p = z.softmax(-1)
    assert ((experiment.computed(z).double() - p).abs() / p).max() > 0.5
