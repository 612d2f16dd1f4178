"""The reference encoder keeps gradients as the page says, with its residual and without it."""

# pyright: reportAttributeAccessIssue=false, reportCallIssue=false
# PyTorch does not say of what type the parts of a module are.

from __future__ import annotations

import math
import re
from pathlib import Path
from statistics import median

import pytest
import sympy as sp
import torch
from torch import Tensor, nn

import veriformer.derivations
from veriformer.derivations import derivation
from veriformer.reference.config import Config
from veriformer.reference.encoder import Encoder
from veriformer.reference.feed_forward import FeedForward

PAGE = derivation("residual_path")
TEXT = (Path(veriformer.derivations.__file__).parent / "residual_path.md").read_text(encoding="utf-8")


def at(result: str, kappa: list[float]) -> float:
    """The formula of the page for these κ, with N_0 = 1."""
    names, t = PAGE.setting.names, len(kappa)
    formula = PAGE.results[result].subs(names["t"], t).doit()
    return float(formula.subs({names["kappa"][k]: kappa[k] for k in range(t)} | {names["N"][0]: 1}))


def branches(depth: int, scale: float, width: int = 6) -> list[FeedForward]:
    torch.manual_seed(depth)
    layers = [FeedForward(width).double() for _ in range(depth)]
    for layer in layers:
        nn.init.normal_(layer.W_2.weight, std=scale)
    return layers


def stretched(layers: list[FeedForward], residual: bool, width: int = 6, length: int = 3) -> tuple[float, list[float]]:
    """By how much a stack stretches a gradient, and the norms of its branches' slopes."""
    x = start = torch.randn(1, length, width, dtype=torch.float64, requires_grad=True)
    norms = []
    for layer in layers:
        slopes = torch.autograd.functional.jacobian(layer, x.detach())
        assert isinstance(slopes, Tensor)
        norms.append(float(torch.linalg.matrix_norm(slopes.reshape(length * width, -1), ord=2)))
        x = x + layer(x) if residual else layer(x)
    top = torch.randn_like(x)
    (found,) = torch.autograd.grad(x, start, top)
    return float(found.norm() / top.norm()), norms


@pytest.mark.parametrize("depth", [1, 4, 16])
def test_bounds_with_and_without_the_residual(depth: int):
    layers = branches(depth, scale=0.1 / depth)
    factor, norms = stretched(layers, residual=True)
    assert max(norms) < 1
    assert at("kept", norms) <= factor <= math.sqrt(at("grown", norms))
    assert at("kept", norms) >= 1 - sum(norms)
    factor, norms = stretched(layers, residual=False)
    assert factor <= math.sqrt(at("without", norms))
    assert factor < at("kept", norms)


def test_smallest_and_largest_singular_value():
    layers, x = branches(5, scale=0.02), torch.randn(6, dtype=torch.float64)
    norms, whole = [], torch.eye(6, dtype=torch.float64)
    for layer in layers:
        slopes = torch.autograd.functional.jacobian(layer, x)
        assert isinstance(slopes, Tensor)
        norms.append(float(torch.linalg.matrix_norm(slopes, ord=2)))
        x, whole = (x + layer(x)).detach(), whole + slopes @ whole
    *_, smallest = values = torch.linalg.svdvals(whole)
    assert at("kept", norms) <= smallest < 1 < values[0] <= math.sqrt(at("grown", norms))


def test_stream_of_the_reference_is_the_sum_of_what_its_branches_add():
    torch.manual_seed(0)
    encoder = Encoder(Config(d_model=8, n_heads=2, n_layers=3, positions="none")).double()
    added: list[Tensor] = []
    for layer in encoder.layers:
        for branch in (layer.self_attention, layer.feed_forward):
            branch.register_forward_hook(
                lambda *call: added.append(call[2][0] if isinstance(call[2], tuple) else call[2])
            )
    x, reached = torch.randn(2, 5, 8, dtype=torch.float64), []
    encoder.norm.register_forward_hook(lambda module, arguments, output: reached.append(arguments[0]))
    encoder(x)
    assert len(added) == 6
    torch.testing.assert_close(reached[0], x + sum(added))


def test_two_branches():
    first, second = branches(2, scale=0.5)
    x, width, names = torch.randn(6, dtype=torch.float64), 6, PAGE.setting.names
    jacobian = torch.autograd.functional.jacobian
    slopes = torch.stack([jacobian(first, x), jacobian(second, (x + first(x)).detach())])
    whole = jacobian(lambda x: x + first(x) + second(x + first(x)), x)
    at_place = {names["d"]: width, names["i"]: 2, names["j"]: 5}
    formula = PAGE.steps["4"].relation.right.subs(at_place).doit()
    entries = {entry: float(slopes[tuple(map(int, entry.indices))]) for entry in formula.atoms(sp.Indexed)}
    assert float(formula.subs(entries)) == pytest.approx(float(whole[2, 5]))


def test_table_of_shares():
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \| (?:\$`10\^\{(-\d+)\}`\$|([\d.]+)) \|$", TEXT, re.M)
    assert len(rows) == 5
    for L, share, power, number in rows:
        count = int(L)
        assert f"{(1 - 1 / count) ** count:.3f}" == share
        left = -count * math.log10(count)
        assert round(left) == int(power) if power else round(10**left, 4) == float(number)
    shares = [(1 - 1 / count) ** count for count in range(2, 500)]
    assert shares == sorted(shares)
    assert shares[-1] < float(PAGE.results["limit"]) < shares[-1] + 1e-3


def measured(blocks: int, residual: bool, norm: bool, seed: int) -> float:
    """By how much the reference encoder, with fresh weights, stretches a random gradient."""
    torch.manual_seed(seed)
    encoder = Encoder(Config(d_model=64, n_heads=4, n_layers=blocks, positions="none")).double()
    encoder.norm = nn.Identity()
    x = torch.randn(1, 16, 64, dtype=torch.float64, requires_grad=True)
    for layer in encoder.layers:
        for place in (layer.self_attention_residual, layer.feed_forward_residual):
            if not norm:
                place.norm = nn.Identity()
            if not residual:
                place.forward = lambda x, branch, norm=place.norm: branch(norm(x))
    y = encoder(x)
    top = torch.randn_like(y)
    (found,) = torch.autograd.grad(y, x, top)
    return float(found.norm() / top.norm())


def test_table_of_the_reference():
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \| \$`10\^\{(-\d+)\}`\$ \| ([\d.]+) \| ([\d.]+) \|$", TEXT, re.M)
    assert [int(row[0]) for row in rows] == [4, 16, 64]
    for row in rows:
        count, *shown = row
        for text, (residual, norm) in zip(
            shown, [(True, False), (False, False), (True, True), (False, True)], strict=True
        ):
            found = median(measured(int(count) // 2, residual, norm, seed) for seed in range(5))
            if text.startswith("-"):
                assert round(math.log10(found)) == int(text)
            else:
                assert f"{found:.2g}" == text
