"""The law of a score, against samples of it and against the reference's own logits."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch

from veriformer.derivations import derivation
from veriformer.reference.attention import scaled_dot_product_attention

PAGE = derivation("score_law")
TEXT = (Path(__file__).parents[2] / "derivations" / "score_law.md").read_text(encoding="utf-8")
FAR = 6.5  # standard errors: the two-sided Gaussian tail beyond is below 1e-10


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


def deviations(samples: np.ndarray, expected: float) -> float:
    """How many standard errors, taken from the samples, their mean is away from what is expected."""
    return abs(samples.mean() - expected) / (samples.std() / math.sqrt(samples.size))


def test_fourth_moment_agrees_with_a_sample():
    rng, d_k, samples, sigma_q, sigma_k = np.random.default_rng(0), 6, 400_000, 1.5, 0.7
    q = sigma_q * rng.uniform(-math.sqrt(3), math.sqrt(3), (samples, d_k))  # kurtosis 9/5
    k = sigma_k * rng.standard_normal((samples, d_k))  # kurtosis 3
    formula = lambdified("fourth_moment", "sigma_q sigma_k kappa_q kappa_k d_k")
    assert deviations((q * k).sum(1) ** 4, formula(sigma_q, sigma_k, 9 / 5, 3, d_k)) < FAR


def test_moment_generating_function_agrees_with_a_sample():
    rng, d_k, t = np.random.default_rng(1), 8, 0.5
    scores = (rng.standard_normal((400_000, d_k)) * rng.standard_normal((400_000, d_k))).sum(1)
    formula = lambdified("mgf", "w d_k")
    assert deviations(np.exp(t / math.sqrt(d_k) * scores), formula(1 - t**2 / d_k, d_k)) < FAR


def test_logits_of_the_reference_are_gaussian_and_independent_once_the_query_is_held():
    torch.manual_seed(0)
    d_k, samples, t = 5, 60_000, 0.7
    query = 1.5 * torch.randn(1, 1, 1, d_k, dtype=torch.float64)
    key = torch.randn(samples, 1, 3, d_k, dtype=torch.float64)
    _, weights = scaled_dot_product_attention(query.expand(samples, -1, -1, -1), key, key)
    first = (query * key[:, :, :1]).sum(-1, keepdim=True) / math.sqrt(d_k)  # softmax hides one constant a row
    _, second, third = (first + (weights / weights[..., :1]).log())[:, 0, 0].T.numpy()
    log_mgf = lambdified("log_mgf", "t s a d_k")(t, 1 / math.sqrt(d_k), query.flatten().numpy(), d_k)
    assert deviations(np.exp(t * second), math.exp(log_mgf)) < FAR
    assert deviations(np.exp(t * (second - third)), math.exp(2 * log_mgf)) < FAR


@pytest.mark.parametrize("keys", [1, 4])
def test_sum_of_squares_is_chi_squared(keys: int):
    X = (np.random.default_rng(2).standard_normal((200_000, keys)) ** 2).sum(1)
    for w in (0.7, 1.5):  # at 0.5 and below, the square of what is averaged has no mean
        assert deviations(np.exp((1 - w) / 2 * X), lambdified("sum_of_squares", "w n")(w, keys)) < FAR


def test_table_of_kurtoses():
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \|$", TEXT, re.M)
    formula = lambdified("kurtosis", "kappa_q kappa_k d_k")
    assert [width for width, _ in rows] == ["1", "4", "16", "64", "128"]
    assert all(float(shown) == pytest.approx(formula(3, 3, int(width)), abs=5e-4) for width, shown in rows)
