"""Sums and dot products stay within the bounds of the page, in any precision and any order, and come close to them."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor

from veriformer.derivations import derivation
from veriformer.properties import emulated, formulas, tolerance

PAGE = Path(__file__).parent.parent.parent / "derivations" / "rounding.md"
HALF, BRAIN, SINGLE = torch.float16, torch.bfloat16, torch.float32
PRECISIONS = [(HALF, HALF), (BRAIN, BRAIN), (SINGLE, SINGLE), (HALF, SINGLE), (BRAIN, SINGLE)]


@pytest.mark.parametrize(("dtype", "accumulate"), PRECISIONS, ids=str)
@pytest.mark.parametrize("n", [2, 64, 600])
def test_no_dot_product_exceeds_the_bound_and_one_comes_close(n: int, dtype: torch.dtype, accumulate: torch.dtype):
    found = emulated.of_dot_product(n, dtype, accumulate).worst(cases=16, rounds=10)
    assert max(found.values()) <= 1
    assert max(found.values()) >= 0.2


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE], ids=str)
def test_nor_does_that_of_pytorch(dtype: torch.dtype):
    found = emulated.of_dot_product(96, dtype, SINGLE, torchs_own=True).worst(cases=16, rounds=10)
    assert 0.2 <= max(found.values()) <= 1


def in_pairs(terms: Tensor) -> Tensor:
    """The sum over the last axis, neighbours first."""
    while terms.shape[-1] > 1:
        odd = terms[..., -1:] if terms.shape[-1] % 2 else terms[..., :0]
        terms = torch.cat([terms[..., :-1:2] + terms[..., 1::2], odd], -1)
    return terms[..., 0]


def in_four_lanes(terms: Tensor) -> Tensor:
    """The sum over the last axis: every fourth term, and then the four."""
    return emulated.running_sum(
        torch.stack([emulated.running_sum(terms[..., k::4], terms.dtype) for k in range(4)], -1), terms.dtype
    )


@pytest.mark.parametrize("order", [lambda x: emulated.running_sum(x, x.dtype), in_pairs, in_four_lanes])
@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE], ids=str)
def test_any_order_costs_one_roundoff_an_addition(order, dtype: torch.dtype):
    """Step 13, n − 1 additions: with exact fractions for the truth."""
    n, u = 40, tolerance.unit_roundoff(dtype)
    for family, make in emulated.vectors(n, u).items():
        terms = make(8, torch.Generator().manual_seed(0))[0].to(dtype)
        computed = order(terms)
        for row, found in zip(terms.tolist(), computed.tolist(), strict=True):
            error = abs(Fraction(found) - sum(map(Fraction, row)))
            assert error <= (n - 1) * Fraction(u) * sum(abs(Fraction(x)) for x in row), family


@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE], ids=str)
def test_a_sum_of_one_sign_is_precise_relative_to_itself(dtype: torch.dtype):
    for n in (3, 50, 1000):
        u = tolerance.unit_roundoff(dtype)
        terms = torch.full((1, n), u, dtype=torch.float64)
        terms[0, 0] = 1.0
        computed = float(emulated.running_sum(terms, dtype))
        assert abs(computed - float(terms.sum())) <= formulas.positive_sum_factor(n, sums=u) * computed


@pytest.mark.parametrize("size", [1e-3, 1e-4, 2e-7])
def test_underflow_is_allowed_for(size: float):
    """Products of 1e-6 and below, where float16 has no digits left."""
    generator = torch.Generator().manual_seed(0)
    x, y = (size * torch.randn(64, 20, generator=generator, dtype=torch.float64) for _ in range(2))
    x, y = x.half().double(), y.half().double()
    error = (emulated.dot_product(x, y, HALF, HALF).double() - (x * y).sum(-1)).abs()
    bound = tolerance.dot_product_error_bound(x, y, dtype=HALF)
    assert (error <= bound).all()
    u = tolerance.unit_roundoff(HALF)
    relative = formulas.dot_product_factor(20, products=u, sums=u, stored=u) * (x * y).abs().sum(-1)
    assert (error > relative).any()


def test_cancellation_leaves_no_correct_digit():
    x = torch.tensor([1.0, 2**-11, -1.0], dtype=torch.float64)
    assert float(emulated.running_sum(x, HALF)) == 0
    assert float(x.sum()) > 0


ROWS = re.findall(
    r"^\| (float32|float16|bfloat16) \| (\d+) \| (\S+) \| (\S+) \| (\S+) \|$", PAGE.read_text("utf-8"), re.M
)


@pytest.mark.parametrize(("precision", "terms", "made", "allowed", "power"), ROWS)
def test_in_numbers(precision: str, terms: str, made: str, allowed: str, power: str):
    dtype, n = getattr(torch, precision), int(terms)
    u = tolerance.unit_roundoff(dtype)
    x = torch.full((1, n), u, dtype=torch.float64)
    x[0, 0] = 1.0
    one, total = torch.ones_like(x), float(x.sum())
    error = abs(float(emulated.dot_product(x, one, dtype, dtype)) - total)
    assert error == (n - 1) * u
    assert f"{error / total:.3g}" == made
    assert f"{float(tolerance.dot_product_error_bound(x, one, dtype=dtype)) / total:.3g}" == allowed
    assert f"{(1 + u) ** (n + 2) - 1:.3g}" == power


def test_table_is_there():
    assert len(ROWS) == 6
    assert list(derivation("rounding").results) == [
        "sum", "sum_of_one_sign", "dot_product", "stored_dot_product", "factors"
    ]  # fmt: skip
