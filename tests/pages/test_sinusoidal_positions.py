"""The reference's encoding, and scores made of it, are what the page proves; its figures are recomputed."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch

import veriformer.derivations
from veriformer.derivations import derivation
from veriformer.reference.sinusoidal import sinusoidal_encoding

PAGE = derivation("sinusoidal_positions")
TEXT = (Path(veriformer.derivations.__file__).parent / "sinusoidal_positions.md").read_text(encoding="utf-8")
PAIRS = [(0, 1), (3, 17), (40, -11), (5000, 710)]  # a position, and a shift


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


def encoding(positions: list[int] | range | np.ndarray, d: int) -> np.ndarray:
    ids = torch.as_tensor(np.asarray(positions, dtype=np.int64))[None]
    return sinusoidal_encoding(ids, d, torch.float64)[0].numpy()


def frequencies(d: int, base: float = 10000.0) -> np.ndarray:
    return base ** (-2 * np.arange(d // 2) / d)


@pytest.mark.parametrize(("p", "k"), PAIRS)
@pytest.mark.parametrize("d", [2, 8, 64])
def test_a_shift_is_a_rotation(d: int, p: int, k: int):
    here, there = encoding([p, p + k], d)
    sine, cosine = (lambdified(f"turned_{name}", "s_i c_i omega_i k") for name in ("sine", "cosine"))
    given = here[0::2], here[1::2], frequencies(d), k
    np.testing.assert_allclose(there[0::2], sine(*given), atol=1e-10)
    np.testing.assert_allclose(there[1::2], cosine(*given), atol=1e-10)


@pytest.mark.parametrize(("p", "k"), PAIRS)
@pytest.mark.parametrize("d", [2, 8, 64])
def test_length_inner_product_and_distance(d: int, p: int, k: int):
    (here, there), omega, m = encoding([p, p + k], d), frequencies(d), d // 2
    assert here @ here == pytest.approx(lambdified("length", "d")(d))
    assert here @ there == pytest.approx(lambdified("inner_product", "omega m k")(omega, m, k), abs=1e-9)
    squared = lambdified("distance", "omega m k")(omega, m, k)
    assert (here - there) @ (here - there) == pytest.approx(squared, abs=1e-9)
    assert squared >= 4 * math.sin(k / 2) ** 2 > 0
    assert abs(here).max() <= 1


def test_positions_do_not_run_out():
    far = encoding([10**9, 10**9 + 1], 512)
    assert np.isfinite(far).all()
    assert np.linalg.norm(far[0] - far[1]) == pytest.approx(3.7143, abs=1e-4)


def test_where_real_positions_share_an_encoding():
    """For 1, 2 and 4 pairs, after the period that the page gives; for 3 pairs not after the like of it."""

    def at(p: float, m: int) -> np.ndarray:
        angles = p * frequencies(2 * m)
        return np.concatenate([np.sin(angles), np.cos(angles)])

    for m, period in ((1, 2), (2, 200), (4, 2000)):
        np.testing.assert_allclose(at(0.7 + period * math.pi, m), at(0.7, m), atol=1e-10)
    assert all(np.linalg.norm(at(0.7 + 2 * math.pi * turns, 3) - at(0.7, 3)) > 1e-4 for turns in range(1, 2000))


def scores(d: int, weights: np.ndarray, p: int, k: int) -> float:
    here, there = encoding([p, p + k], d)
    return float(here @ weights @ there)


def test_weights_that_turn_give_a_directed_relative_score():
    d, m = 16, 8
    a, g = np.random.default_rng(0).standard_normal((2, m))
    weights = np.zeros((d, d))
    for i in range(m):
        weights[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[a[i], -g[i]], [g[i], a[i]]]
    formula = lambdified("relative_score", "a g omega m k")
    for p in (0, 5, 300):
        assert scores(d, weights, p, 7) == pytest.approx(formula(a, g, frequencies(d), m, 7), abs=1e-10)
    assert abs(scores(d, weights, 50, 7) - scores(d, weights, 50, -7)) > 0.1


def test_other_weights_do_not():
    """One block of one pair: what it adds is the absolute part and something that depends on the distance only."""
    d, pair, k = 8, 1, 3
    (A, B), (C, D) = block = np.random.default_rng(1).standard_normal((2, 2))
    weights = np.zeros((d, d))
    weights[2 * pair : 2 * pair + 2, 2 * pair : 2 * pair + 2] = block
    formula = lambdified("absolute_part", "A_ii B_ii C_ii D_ii omega_i p k")
    absolute = [formula(A, B, C, D, frequencies(d)[pair], p, k) for p in range(40)]
    rest = [scores(d, weights, p, k) - absolute[p] for p in range(40)]
    np.testing.assert_allclose(rest, rest[0], atol=1e-12)
    swing = lambdified("swing", "A_ii B_ii C_ii D_ii")(A, B, C, D)
    wave = [formula(A, B, C, D, 1.0, p, k) for p in np.linspace(0, 2 * math.pi, 1001)]
    assert (2 * max(wave)) ** 2 == pytest.approx((2 * min(wave)) ** 2, rel=1e-3) == pytest.approx(swing, rel=1e-3)
    assert np.ptp(absolute) > 0.1
    full = np.random.default_rng(2).standard_normal((d, d))
    assert np.ptp([scores(d, full, p, k) for p in range(40)]) > 0.1


def test_a_head_can_look_at_an_offset():
    d, m, wanted = 512, 256, 5
    omega = frequencies(d)
    weights = np.zeros((d, d))
    for i, (sine, cosine) in enumerate(zip(np.sin(wanted * omega), np.cos(wanted * omega), strict=True)):
        weights[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[cosine, -sine], [sine, cosine]]
    found = [scores(d, weights, 100, k) for k in range(-100, 100)]
    assert int(np.argmax(found)) - 100 == wanted
    assert max(found) == pytest.approx(m)


def test_two_speeds_in_a_pair_change_the_length():
    d, entries = 8, np.arange(8)
    angles = np.arange(50)[:, None] * 10000.0 ** (-entries / d)
    slip = np.where(entries % 2 == 0, np.sin(angles), np.cos(angles))
    assert np.ptp((slip**2).sum(axis=1)) > 1
    assert np.ptp((encoding(range(50), d) ** 2).sum(axis=1)) < 1e-12


def test_table_of_the_page():
    rows = re.findall(r"^\| (\d+) \| (\S+) \| (\S+) \|$", TEXT, re.M)
    assert len(rows) == 10
    for k, *shares in rows:
        for d, share in zip((8, 512), shares, strict=True):
            start, other = encoding([0, int(k)], d)
            assert f"{2 * (start @ other) / d:.4f}" == share.replace("−", "-")


def test_other_figures_of_the_page():
    at_512 = encoding(range(10001), 512)
    shares = at_512 @ at_512[0] / 256
    assert min(k for k in range(100) if shares[k + 1] > shares[k]) == 43
    distances = np.sqrt(2 * 256 * np.maximum(0, 1 - shares[1:]))
    assert int(np.argmin(distances)) + 1 == 1
    assert f"{distances[0]:.4f}" == "3.7143"
    assert "3.7143 apart" in TEXT
    start, near = encoding([0, 710], 2)
    assert 0 < np.linalg.norm(near - start) < 1e-4
    assert f"which is {2 * math.pi / frequencies(512)[-1]:.0f} tokens for $`d = 512`$" in TEXT.replace("\n", " ")
