"""The reference splits and merges heads as the page says, and heads can be cut out of it at the price on the page."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch
from torch import Tensor

import veriformer.derivations
from veriformer.derivations import derivation
from veriformer.derivations.instances import World, value
from veriformer.reference.attention import scaled_dot_product_attention
from veriformer.reference.multi_head import MultiHeadAttention, merge_heads, split_heads

PAGE = derivation("heads")
TEXT = (Path(veriformer.derivations.__file__).parent / "heads.md").read_text(encoding="utf-8")


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


def tensor(name: str, world: World) -> Tensor:
    array = world.setting.names[name]
    shape = [int(value(size, world, {}, {})) for size in array.shape]
    return torch.tensor([value(array[at], world, {}, {}) for at in np.ndindex(*shape)], dtype=torch.float64).reshape(
        shape
    )


def layer(x: Tensor, W_Q: Tensor, W_K: Tensor, W_V: Tensor, W_O: Tensor, n_heads: int) -> Tensor:
    query, key, values = (split_heads((x @ W)[None], n_heads) for W in (W_Q, W_K, W_V))
    heads, _ = scaled_dot_product_attention(query, key, values)
    return (merge_heads(heads) @ W_O)[0]


def test_split_and_merge_are_those_of_the_page():
    for world in PAGE.steps["1"].worlds:
        torch.testing.assert_close(
            split_heads(tensor("f", world)[None], tensor("H", world).shape[0])[0], tensor("H", world)
        )
    for world in PAGE.steps["2"].worlds:
        torch.testing.assert_close(merge_heads(tensor("y", world)[None])[0], tensor("z", world))


def test_layer_of_the_page_is_that_of_the_reference():
    for world in PAGE.steps["10"].worlds:
        W_Q, W_K, W_V, W_O = (tensor(f"W_{which}", world) for which in "QKVO")
        output = layer(tensor("x", world), W_Q, W_K, W_V, W_O, len(tensor("y", world)))
        torch.testing.assert_close(output, tensor("o", world))


def test_layer_without_a_head_is_that_of_the_reference():
    worlds = [world for world in PAGE.steps["17"].worlds if len(tensor("y", world)) > 1]
    assert len(worlds) > 10
    for world in worlds:
        h, p, d_k = (
            tensor("y", world).shape[0],
            int(world.numbers[PAGE.setting.names["p"]]),
            tensor("y", world).shape[2],
        )
        gone = torch.arange(p * d_k, (p + 1) * d_k)
        stay = [c for c in range(h * d_k) if c not in gone]
        W_Q, W_K, W_V = (tensor(f"W_{which}", world)[:, stay] for which in "QKV")
        output = layer(tensor("x", world), W_Q, W_K, W_V, tensor("W_O", world)[stay], h - 1)
        torch.testing.assert_close(output, tensor("o_bar", world))


@pytest.mark.parametrize("p", [0, 1, 2])
def test_a_head_cut_out_of_the_module(p: int):
    torch.manual_seed(0)
    d, h, d_k = 12, 3, 4
    full, x = MultiHeadAttention(d, h).double(), torch.randn(1, 5, d, dtype=torch.float64)
    stay = torch.tensor([c for c in range(d) if c // d_k != p])
    query, key, values = (
        split_heads(torch.nn.functional.linear(x, W.weight[stay], None if W.bias is None else W.bias[stay]), h - 1)
        for W in (full.W_Q, full.W_K, full.W_V)
    )
    heads, _ = scaled_dot_product_attention(query, key, values)
    deleted = torch.nn.functional.linear(merge_heads(heads), full.W_O.weight[:, stay], full.W_O.bias)
    whole = full(x)[0]
    with torch.no_grad():
        full.W_O.weight[:, p * d_k : (p + 1) * d_k] = 0
    torch.testing.assert_close(full(x)[0], deleted)
    assert not torch.allclose(whole, deleted)
    weights = [W.weight for W in (full.W_Q, full.W_K, full.W_V, full.W_O)]
    assert sum(W.numel() for W in weights) == lambdified("parameters", "d h d_k")(d, h, d_k)
    assert 4 * len(stay) * d == sum(W.numel() for W in weights) - lambdified("parameters_of_a_head", "d d_k")(d, d_k)


def test_a_view_without_the_transpose_swaps_places_and_heads():
    n, h, d_k = 3, 3, 2
    x = torch.arange(n * h * d_k, dtype=torch.float64).reshape(1, n, h * d_k)
    wrong = x.view(1, h, n, d_k)
    torch.testing.assert_close(wrong, split_heads(x, h).transpose(1, 2))
    assert not torch.equal(wrong, split_heads(x, h))


def test_two_heads_copy_two_tokens():
    n, d = 5, 3
    x = torch.randn(1, 1, n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 2, 1, n, dtype=torch.bool)
    mask[0, 0, 0, 1] = mask[0, 1, 0, 4] = True
    heads, _ = scaled_dot_product_attention(torch.ones(1, 2, 1, d, dtype=torch.float64), x, x, mask=mask)
    assert torch.equal(merge_heads(heads)[0, 0], torch.cat([x[0, 0, 1], x[0, 0, 4]]))


def test_distance_of_one_head_in_a_sample():
    rng, d, n, samples = np.random.default_rng(0), 2, 2, 200_000
    rho, tau, omega = 0.5, 0.3, np.array([0.15, 0.05])
    M, N = rng.standard_normal((2, d, d)) / 2
    xi, eta, x = (rng.standard_normal((samples, *shape, d)) for shape in ((), (), (n,)))
    mu = rho * xi + tau * eta + np.einsum("j,sjb->sb", omega, x)
    terms = ((xi - mu @ M) ** 2).sum(axis=1) + ((eta - mu @ N) ** 2).sum(axis=1)
    formula = lambdified("distance", "d rho tau nu M N")(d, rho, tau, rho**2 + tau**2 + omega @ omega, M, N)
    assert abs(terms.mean() - formula) * math.sqrt(samples) < 6.5 * terms.std()  # a Gaussian tail below 1e-10
    assert terms.mean() > lambdified("least_distance", "d")(d)


def test_table_of_the_page():
    formula, least = lambdified("distance", "d rho tau nu M N"), lambdified("least_distance", "d")
    rows = re.findall(r"^\| ([\d.]+) \| ([\d.]+) \| ([\d.]+) % \| ([\d.]+) % \| ([\d.]+) % \|$", TEXT, re.M)
    assert len(rows) == 5
    for row in rows:
        rho, tau = map(float, row[:2])
        nu, one, none = rho**2 + tau**2 + (1 - rho - tau) ** 2, np.ones((1, 1)), np.zeros((1, 1))
        both = formula(1, rho, tau, nu, rho / nu * one, tau / nu * one)
        lost = [formula(1, rho, tau, nu, rho / nu * one, none) - 1, formula(1, rho, tau, nu, none, tau / nu * one) - 1]
        assert [f"{100 * abs(share):.1f}" for share in (*lost, both / 2)] == list(row[2:])
        assert both > least(1) - 1e-12


def test_parameters_on_the_page():
    head, all_of_them = lambdified("parameters_of_a_head", "d d_k"), lambdified("parameters", "d h d_k")
    found = [int(number.replace(",", "")) for number in re.findall(r"\d+(?:,\d{3})+", TEXT)]
    assert found == [head(512, 64), all_of_them(512, 8, 64), head(768, 64), all_of_them(768, 12, 64)]
