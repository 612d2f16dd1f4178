"""The page's formulas against the reference: scores, lengths, the two layouts, and the envelope of the decay."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch
from torch import Tensor

from veriformer.derivations import derivation
from veriformer.reference.rotary import Layout, rotate_pairs

PAGE = derivation("rotary_positions")
TEXT = (Path(__file__).parents[2] / "derivations" / "rotary_positions.md").read_text(encoding="utf-8")
M = 4
THETA = 10000.0 ** (-np.arange(M) / M)


def formula(result: str, names: str):
    return sp.lambdify([PAGE.symbols[name] for name in names.split()], PAGE.results[result])


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def turned(x: Tensor, position: int, layout: Layout = "interleaved") -> Tensor:
    """One vector, turned by the reference."""
    return rotate_pairs(x[None, None, None], torch.tensor([[position]]), layout)[0, 0, 0]


@pytest.mark.parametrize(("p", "s"), [(0, 0), (5, 5), (7, 2), (3, 400)])
def test_score_of_the_reference(p: int, s: int):
    torch.manual_seed(0)
    query, key = drawn(2 * M), drawn(2 * M)
    measured = turned(query, p) @ turned(key, s)
    score = formula("score", "q r k l theta p s m")
    pairs = [t.numpy() for t in (query[0::2], query[1::2], key[0::2], key[1::2])]
    assert score(*pairs, THETA, p, s, M) == pytest.approx(float(measured), abs=1e-12)
    if p == s:
        assert float(measured) == pytest.approx(float(query @ key), abs=1e-12)


@pytest.mark.parametrize("layout", ["interleaved", "half"])
def test_turns_keep_lengths_and_make_one_turn(layout: Layout):
    torch.manual_seed(0)
    query, p, tau = drawn(2 * M), 7, 5
    q, r = (query[0::2], query[1::2]) if layout == "interleaved" else query.chunk(2)
    length = formula("squared_length", "q r m")(q.numpy(), r.numpy(), M)
    assert float(turned(query, p, layout) @ turned(query, p, layout)) == pytest.approx(length, rel=1e-12)
    further = turned(turned(query, p, layout), tau, layout)
    torch.testing.assert_close(further, turned(query, p + tau, layout), rtol=0, atol=1e-12)
    first = formula("turned_further", "q_i r_i theta_i p tau")(q.numpy(), r.numpy(), THETA, p, tau)
    np.testing.assert_allclose(further[0::2] if layout == "interleaved" else further[:M], first, atol=1e-12)


def test_layouts_differ_by_an_order_of_columns_and_do_not_mix():
    torch.manual_seed(0)
    x, y, W, V, p, s = drawn(6), drawn(6), drawn(6, 2 * M), drawn(6, 2 * M), 3, 11
    order = [*range(0, 2 * M, 2), *range(1, 2 * M, 2)]
    score = turned(x @ W, p) @ turned(y @ V, s)
    other = turned(x @ W[:, order], p, "half") @ turned(y @ V[:, order], s, "half")
    torch.testing.assert_close(other, score, rtol=0, atol=1e-12)
    as_it_was = turned(x @ W, p, "half") @ turned(y @ V, s, "half")
    mixed = turned(x @ W, p) @ turned(y @ V, s, "half")
    assert min(abs(as_it_was - score), abs(mixed - score)) > 0.1
    # a key in a cache is moved by turning it on
    moved = turned(turned(y @ V, s), -2)
    torch.testing.assert_close(moved, turned(y @ V, s - 2), rtol=0, atol=1e-12)


def arrows(offset: float, theta: np.ndarray) -> np.ndarray:
    """The sums of the first 1, 2, … complex numbers of the paper's equation 35."""
    return np.cumsum(np.exp(1j * offset * theta))


def test_sum_by_parts_and_the_envelope():
    rng, p, s = np.random.default_rng(0), 3.0, 20.0
    q, r, k, ell = rng.standard_normal((4, M))
    score = formula("score", "q r k l theta p s m")(q, r, k, ell, THETA, p, s, M)
    h = np.append((q + 1j * r) * (k - 1j * ell), 0)  # f + i g
    changes, sums = np.diff(h), arrows(s - p, THETA)
    w = np.real(changes) * np.real(sums) + np.imag(changes) * np.imag(sums)
    assert formula("by_parts", "w m")(w, M) == pytest.approx(score, abs=1e-12)
    lengths = np.append(0, abs(sums))
    assert abs(score) <= formula("envelope", "M sigma m")(abs(changes).max(), lengths, M)


def test_table_of_the_page():
    m = 64
    theta = 10000.0 ** (-np.arange(m) / m)
    envelope = [abs(arrows(offset, theta)).sum() / m for offset in range(5001)]
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \|$", TEXT, re.M)
    assert [int(offset) for offset, _ in rows] == [0, 1, 8, 64, 512, 2048, 4096]
    assert all(envelope[int(offset)] == pytest.approx(float(shown), abs=0.005) for offset, shown in rows)
    rises = np.nonzero(np.diff(envelope) > 0)[0]
    assert rises[0] == 18
    assert 0.45 < len(rises) / 5000 < 0.5
    assert envelope[4096] > envelope[2048]
    assert (m * envelope[0], math.fsum(np.cos(0 * theta))) == pytest.approx((2080, 64))
