"""The page's formulas against the reference: biases under a move, ALiBi's weights and slopes, Shaw's limit, buckets."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import sympy as sp
import torch
from torch import Tensor

from veriformer.derivations import derivation
from veriformer.reference.alibi import ALiBi, alibi_slopes
from veriformer.reference.attention import scaled_dot_product_attention
from veriformer.reference.masks import causal_mask
from veriformer.reference.positions import Positions
from veriformer.reference.shaw import ShawPositions
from veriformer.reference.t5_bias import T5Bias, t5_bucket

PAGE = derivation("relative_positions")
TEXT = (Path(__file__).parents[2] / "derivations" / "relative_positions.md").read_text(encoding="utf-8")
LENGTH, D_K = 7, 6
CAUSAL = causal_mask(LENGTH, LENGTH, device=None)
ALL = torch.ones_like(CAUSAL)
SCHEMES = {
    "alibi": ALiBi(),
    "shaw": ShawPositions(D_K, max_distance=3),
    "t5 decoder": T5Bias(3, bidirectional=False),
    "t5 encoder": T5Bias(3, bidirectional=True),
}


def formula(result: str, names: str):
    return sp.lambdify([PAGE.symbols[name] for name in names.split()], PAGE.results[result])


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def output(
    scheme: Positions, query: Tensor, key: Tensor, value: Tensor, positions: Tensor, mask: Tensor = CAUSAL
) -> tuple[Tensor, Tensor]:
    """Attention of the reference with the scheme's bias and its part of the values, and its weights."""
    bias = scheme.bias(query, positions, positions)
    found, weights = scaled_dot_product_attention(query, key, value, mask=mask, bias=bias)
    beside = scheme.values(weights, positions, positions)
    return found + (0 if beside is None else beside), weights


@pytest.mark.parametrize("mask", [CAUSAL, ALL], ids=["causal", "none"])
@pytest.mark.parametrize("name", SCHEMES)
def test_a_moved_text_has_the_same_output(name: str, mask: Tensor):
    torch.manual_seed(0)
    scheme = SCHEMES[name].double()
    query, key, value = drawn(1, 3, LENGTH, D_K), drawn(1, 3, LENGTH, D_K), drawn(1, 3, LENGTH, D_K)
    positions = torch.arange(LENGTH)[None]
    here, _ = output(scheme, query, key, value, positions, mask)
    moved, _ = output(scheme, query, key, value, positions + 1000, mask)
    apart, _ = output(scheme, query, key, value, positions + 2 * (positions > 3), mask)
    torch.testing.assert_close(moved, here, rtol=0, atol=1e-12)
    assert (apart - here).abs().max() > 1e-3


@pytest.mark.parametrize("n_heads", [3, 8])
def test_one_row_is_enough_and_weights_fall(n_heads: int):
    torch.manual_seed(0)
    query, key, value = (drawn(1, n_heads, LENGTH, D_K) for _ in range(3))
    positions = torch.arange(LENGTH)[None]
    _, weights = output(ALiBi(), query, key, value, positions)
    slopes = torch.tensor(alibi_slopes(n_heads), dtype=torch.float64)
    row = slopes[:, None, None] * positions[:, None, :]
    _, from_a_row = scaled_dot_product_attention(query, key, value, mask=CAUSAL, bias=row)
    torch.testing.assert_close(from_a_row, weights, rtol=1e-12, atol=0)
    _, both_sides = output(ALiBi(), query, key, value, positions, ALL)
    _, one_side = scaled_dot_product_attention(query, key, value, bias=row)
    assert (both_sides - one_side).abs().max() > 0.1  # without a mask a row is not enough for −m |j − i|
    content = query @ key.transpose(-1, -2) / math.sqrt(D_K)
    own = content.diagonal(dim1=-2, dim2=-1)[..., None]
    omega = (content - own).masked_fill(~CAUSAL, 0).amax()
    bound = formula("weight_bound", "omega m p_i p_j")
    for head, slope in enumerate(alibi_slopes(n_heads)):
        for i in range(LENGTH):
            for j in range(i + 1):
                assert float(weights[0, head, i, j]) <= bound(float(omega), slope, i, j)


@pytest.mark.parametrize("n_heads", [1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 16, 24, 31, 40])
def test_slopes_of_any_number_of_heads(n_heads: int):
    power = 2 ** (n_heads.bit_length() - 1)
    slopes = alibi_slopes(n_heads)
    first, between = slopes[:power], slopes[power:]
    next_slope, next_between = formula("next_slope", "mu_a h"), formula("slope_between", "mu_a h")
    assert first[0] == pytest.approx(2 ** (-8 / power), rel=1e-14)
    assert first[-1] == pytest.approx(1 / 256, rel=1e-14)
    assert [next_slope(mu, power) for mu in first[:-1]] == pytest.approx(first[1:], rel=1e-14)
    assert [next_between(mu, power) for mu in first[: max(0, len(between) - 1)]] == pytest.approx(between[1:])
    assert len(set(slopes)) == len(slopes) == n_heads
    assert all(0 < mu < 1 for mu in slopes)
    assert first == sorted(first, reverse=True)


def test_six_heads_as_on_the_page():
    shown = re.search(r"6 heads have the slopes (.*?)\. All", TEXT, re.S)
    assert shown
    assert [1 / int(below) for below in re.findall(r"\{1\}\{(\d+)\}", shown[1])] == alibi_slopes(6)


def test_beyond_the_limit_all_keys_look_alike():
    rows = ShawPositions(D_K, max_distance=3).row(torch.tensor([[50]]), torch.arange(101)[None])[0, 0]
    C = PAGE.setting.names["C"]
    (z, k), clipped = PAGE.setting.definitions[C]
    assert [int(row) - 3 for row in rows] == [int(clipped.subs({z: offset, k: 3})) for offset in range(-50, 51)]
    assert len(set(rows.tolist())) == 2 * 3 + 1


def first_of(bucket: int, exact: int, ranges: int, end: int) -> int:
    """The distance at which a bucket begins, by whole numbers: step 22 without roots."""
    z = bucket - exact
    return next(
        x for x in range(10 * end) if (x >= bucket if z <= 0 else x**ranges * exact**z >= end**z * exact**ranges)
    )


@pytest.mark.parametrize(("bidirectional", "exact", "ranges"), [(False, 16, 16), (True, 8, 8)])
def test_buckets_begin_where_whole_numbers_say(bidirectional: bool, exact: int, ranges: int):
    starts = [first_of(bucket, exact, ranges, 128) for bucket in range(exact + ranges)]
    expected = [sum(start <= x for start in starts) - 1 for x in range(1001)]
    assert t5_bucket(-torch.arange(1001), bidirectional=bidirectional).tolist() == expected
    future = t5_bucket(torch.arange(1, 1001), bidirectional=bidirectional).tolist()
    assert future == ([exact + ranges + bucket for bucket in expected[1:]] if bidirectional else [0] * 1000)
    if not bidirectional:
        shown = [
            int(x)
            for row in re.findall(r"^\| (16, .*) \| (46, .*) \|$", TEXT, re.M)
            for x in ", ".join(row).split(", ")
        ]
        assert shown == starts[exact:]


def test_slope_of_the_buckets():
    def bucket(x: float) -> float:
        return 16 + 16 * math.log(x / 16) / math.log(8)

    slope = formula("bucket_slope", "G gamma x")
    assert slope(16, math.log(8), 40.0) == pytest.approx((bucket(40.001) - bucket(39.999)) / 0.002, rel=1e-8)
    assert "8^{1/16} = 1.139" in TEXT
    assert abs(8 ** (1 / 16) - 1.139) < 0.0005


def test_table_of_distances():
    rows = re.findall(r"^\| 1/(\d+) \| ([\d.]+) \|$", TEXT, re.M)
    assert {1 / int(below) for below, _ in rows} <= set(alibi_slopes(8))
    assert len(rows) == 5
    assert all(float(shown) == pytest.approx(int(below) * math.log(100), abs=0.05) for below, shown in rows)
