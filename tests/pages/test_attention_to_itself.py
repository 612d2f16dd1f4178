"""Tokens without projections attend to themselves in the reference as the page says, and with projections do not."""

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
from veriformer.reference.attention import scaled_dot_product_attention

PAGE = derivation("attention_to_itself")
TEXT = (Path(veriformer.derivations.__file__).parent / "attention_to_itself.md").read_text(encoding="utf-8")
FAR = 6.5  # standard errors; the two-sided Gaussian tail beyond is below 1e-10


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


def deviations(terms: np.ndarray, expected: float) -> float:
    """By how many of its own standard errors the mean of the terms is off."""
    return abs(terms.mean() - expected) / (terms.std() / math.sqrt(len(terms)))


def tokens(n: int, d: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("d", [4, 64, 1024])
def test_distance_to_the_pointwise_map(d: int):
    n, x, v = 8, tokens(8, d), tokens(8, 5)
    output, weights = scaled_dot_product_attention(x[None, None], x[None, None], v[None, None])
    scores, alpha = x @ x.T / math.sqrt(d), weights[0, 0]
    others = scores.masked_fill(torch.eye(n, dtype=torch.bool), -math.inf).max(dim=1).values
    bound = lambdified("weight_of_others", "n g")(n, (scores.diag() - others).numpy())
    assert (1 - alpha.diag() <= torch.from_numpy(bound) + 1e-12).all()
    reach = torch.cdist(v, v).max(dim=1).values
    assert ((output[0, 0] - v).norm(dim=1) <= (1 - alpha.diag()) * reach + 1e-12).all()
    if d == 1024:
        torch.testing.assert_close(output[0, 0], v, atol=1e-6, rtol=0)


def test_largest_score_stands_on_the_diagonal():
    x = tokens(9, 3)
    scores = x @ x.T
    assert int(scores.argmax()) == int(scores.diag().argmax()) * 10
    assert not torch.equal(scores.argmax(dim=1), torch.arange(9)), "the tokens are not of one length"
    level = x / x.norm(dim=1, keepdim=True)
    assert torch.equal((level @ level.T).argmax(dim=1), torch.arange(9))


def test_smallest_example_of_different_lengths():
    x = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    assert (x @ x.T).tolist() == [[1, 2], [2, 4]]
    _, weights = scaled_dot_product_attention(x[None, None], x[None, None], x[None, None])
    assert weights[0, 0].argmax(dim=1).tolist() == [1, 1]


def test_lead_of_random_tokens():
    rng, d, samples = np.random.default_rng(0), 32, 100_000
    x, other = rng.standard_normal((2, samples, d))
    leads = (x * (x - other)).sum(axis=1) / math.sqrt(d)
    mean, spread = lambdified("mean_lead", "d delta_ij"), lambdified("variance_of_lead", "tau delta_ij")
    assert deviations(leads, mean(d, 0)) < FAR
    assert deviations((leads - mean(d, 0)) ** 2, spread(2, 0)) < FAR
    below = np.mean(leads < math.sqrt(d) / 2)
    assert 0 < below < 4 * (1 + 2) / d  # Chebyshev's bound is far above


def test_scores_of_fixed_tokens_under_random_projections():
    rng, d, d_k, sigma, samples = np.random.default_rng(0), 3, 2, 0.7, 100_000
    x = rng.standard_normal((2, d))
    W_Q, W_K = sigma * rng.standard_normal((2, samples, d, d_k))
    scores = np.einsum("ib,sbr,jc,scr->sij", x, W_Q, x, W_K) / math.sqrt(d_k)
    lengths = (x**2).sum(axis=1)
    for i in range(2):
        for j in range(2):
            assert deviations(scores[:, i, j], 0) < FAR
            assert deviations(scores[:, i, j] ** 2, sigma**4 * lengths[i] * lengths[j]) < FAR


def test_table_of_the_page():
    rows = re.findall(r"^\| (\d+) \| (\d+) \| ([\d.e-]+) \| ([\d.e-]+) \|$", TEXT, re.M)
    assert len(rows) == 4
    for d, lead, bound, others in rows:
        n, g = 16, math.sqrt(int(d))
        assert float(lead) == g
        scores = torch.zeros(1, 1, 1, n, dtype=torch.float64)
        scores[..., 0] = g
        left = float(torch.softmax(scores, dim=-1)[..., 1:].sum())
        digits = (lambda number: f"{number:.1e}") if g > 8 else (lambda number: f"{number:.4g}")
        assert [digits(float(lambdified("weight_of_others", "n g")(n, g))), digits(left)] == [bound, others]
