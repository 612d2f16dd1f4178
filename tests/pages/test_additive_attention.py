"""The page's formulas against the reference: what is counted and held, how scores spread, and the figures shown."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from veriformer.derivations import derivation
from veriformer.reference.additive_attention import AdditiveAttention

PAGE = derivation("additive_attention")
TEXT = (Path(__file__).parents[2] / "derivations" / "additive_attention.md").read_text(encoding="utf-8")


def formula(result: str, names: str):
    return sp.lambdify([PAGE.symbols[name] for name in names.split()], PAGE.results[result])


def layers(n: int, d_k: int, w: int) -> tuple[AdditiveAttention, Tensor, Tensor, Tensor]:
    """The reference with random weights, a query and a key, and the hidden layer that it holds for them."""
    torch.manual_seed(0)
    model = AdditiveAttention(d_k, w).double()
    query, key, value = (torch.randn(1, 1, n, d_k, dtype=torch.float64) for _ in range(3))
    seen: list[Any] = []
    hook = model.v.register_forward_hook(lambda module, inputs, output: seen.extend((inputs[0], output)))
    model(query, key, value)
    hook.remove()
    return model, query, key, torch.cat([seen[0], seen[1]], dim=-1)


@pytest.mark.parametrize(("n", "d_k", "w"), [(5, 4, 4), (3, 8, 2), (7, 1, 3)])
def test_what_is_counted_and_held(n: int, d_k: int, w: int):
    model, query, key, held = layers(n, d_k, w)
    hidden, scores = held[..., :-1], held[..., -1]
    with FlopCounterMode(display=False) as dot_product:
        torch.matmul(query, key.transpose(-2, -1))
    assert dot_product.get_total_flops() == formula("dot_product_operations", "n d_k")(n, d_k)
    with FlopCounterMode(display=False) as network:
        model(query, key, query)
    averages = 2 * n * n * d_k  # the weighted average of the values, which both have
    additions = hidden.numel()  # a counter of matrix products does not see W q + U k
    counted = network.get_total_flops() - averages + additions
    expected = formula("additive_operations", "n w")(n, w) + formula("projection_operations", "n d_k w")(n, d_k, w)
    assert counted == expected
    assert hidden.numel() / scores.numel() == formula("hidden_numbers", "w")(w)


def test_bound_and_variance_of_the_reference():
    n, w, draws = 4, 8, 20_000
    model, _, _, held = layers(n, 6, w)
    hidden, scores = held[0, 0, ..., :-1], held[0, 0, ..., -1]
    v = model.v.weight[0].detach()
    x = torch.atanh(hidden)
    torch.testing.assert_close(hidden @ v, scores)
    assert scores.abs().max() <= formula("bound", "v w")(v.abs().numpy(), w)
    # given x, the score of a Gaussian v is Gaussian: its squares over the variance are a χ² with `draws` degrees
    sigma = 1 / math.sqrt(w)
    entries = x[0, 1].detach().numpy()
    sample = np.random.default_rng(0).normal(0, sigma, (draws, w)) @ np.tanh(entries)
    variance = formula("conditional_variance", "sigma x w")(sigma, entries, w)
    assert abs((sample**2).sum() / variance - draws) < 7 * math.sqrt(2 * draws)  # the chance beyond is below 1e-10
    assert variance <= 1


def test_slope_is_the_gradient():
    x, v = torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()
    (v * torch.tanh(x)).sum().backward()
    assert x.grad is not None
    found = formula("slope", "v_r x_r")(v.numpy(), x.detach().numpy())
    np.testing.assert_allclose(x.grad, found, rtol=1e-12)


def rows(columns: int) -> list[tuple[Any, ...]]:
    found = re.findall(r"^\|" + r" ([\d.]+) \|" * columns + "$", TEXT, re.M)
    return [tuple(map(float, row)) for row in found]


def test_tables_of_the_page():
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    additive = math.sqrt((weights * np.tanh(math.sqrt(2) * nodes) ** 2).sum() / weights.sum())
    assert rows(4) == [(d_k, math.sqrt(d_k), 1, round(additive, 2)) for d_k in (16, 64, 256, 1024)]
    mib = 4 * 1024**2 / 2**20
    assert rows(3) == [(d_k, mib, mib * d_k) for d_k in (16, 64, 256)]
