"""The page's formulas against the reference: its mask, its gradients, its stacks, and what they do without a mask."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from veriformer.derivations import derivation
from veriformer.derivations.instances import World, value
from veriformer.derivations.setting import Model
from veriformer.reference.attention import scaled_dot_product_attention
from veriformer.reference.config import Config
from veriformer.reference.encoder import Encoder
from veriformer.reference.masks import causal_mask

PAGE = derivation("causality")
TEXT = (Path(__file__).parents[2] / "derivations" / "causality.md").read_text(encoding="utf-8")
ALL, CAUSAL, OFF_BY_ONE = (torch.ones(5, 5, dtype=torch.bool).tril(diagonal) for diagonal in (4, 0, 1))
NAMES = PAGE.setting.names


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def stack(n_layers: int, d_model: int, n_heads: int, *, norm: str = "pre") -> Encoder:
    """A causal stack of the reference, with random weights."""
    torch.manual_seed(0)
    config = Config(d_model, n_heads, n_layers, norm=norm)  # pyright: ignore[reportArgumentType]
    return Encoder(config, bidirectional=False).double().eval()


def attention(x: Tensor, W: Tensor, V: Tensor, beta: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The page's layer, by the attention of the reference: its output and its weights."""
    query, key, values = (t[None, None] for t in (x @ W, x, x @ V))
    output, weights = scaled_dot_product_attention(query, key, values, mask=mask, scale=1.0, bias=beta)
    return output[0, 0], weights[0, 0]


@pytest.mark.parametrize(("name", "mask"), [("C", causal_mask(5, 5, device=None)), ("O", OFF_BY_ONE)])
def test_masks(name: str, mask: Tensor):
    world = World(PAGE.setting, Model(), {NAMES["n"]: 5})
    entries = [value(NAMES[name][at], world, {}, {}) for at in np.ndindex(5, 5)]
    assert torch.equal(torch.tensor(entries).reshape(5, 5) == 1, mask)


@pytest.mark.parametrize("mask", [CAUSAL, ALL, OFF_BY_ONE], ids=["causal", "none", "off by one"])
def test_jacobian_of_one_layer(mask: Tensor):
    torch.manual_seed(0)
    x, W, V, beta = drawn(5, 3), drawn(3, 3), drawn(3, 3), drawn(5, 5)
    y, alpha = attention(x, W, V, beta, mask)
    kappa, v = x @ W.T, x @ V
    gamma = torch.einsum("ij,ijb,jc->icb", alpha, kappa - (alpha @ kappa)[:, None], v)
    names = "alpha_ik V_bc q_ib v_kc y_ic delta_ik Gamma_ibc"
    formula = sp.lambdify([PAGE.symbols[name] for name in names.split()], PAGE.results["attention_jacobian"])
    found = formula(  # the axes are i, c, k, b
        alpha[:, None, :, None],
        V.T[None, :, None, :],
        (x @ W)[:, None, None, :],
        v.T[None, :, :, None],
        y[:, :, None, None],
        torch.eye(5)[:, None, :, None],
        gamma[:, :, None, :],
    )
    measured = jacobian(lambda x: attention(x, W, V, beta, mask)[0], x)
    torch.testing.assert_close(found, measured, rtol=1e-10, atol=1e-12)
    assert torch.equal(measured.abs().amax((1, 3)) > 0, mask)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_chain_of_layers_is_the_jacobian_of_a_stack(norm: str):
    n, d, n_layers = 3, 4, 2
    model = stack(n_layers, d, 2, norm=norm)
    x, inputs, layers = drawn(n, d), [], {}
    inputs.append(x)
    for ell, layer in enumerate(model.layers):

        def run(x: Tensor, layer: torch.nn.Module = layer) -> Tensor:
            return layer(x[None], is_causal=True)[0]

        layers |= {(ell, *at): float(entry) for at, entry in np.ndenumerate(jacobian(run, inputs[-1]).numpy())}
        inputs.append(run(inputs[-1]).detach())

    def whole(x: Tensor) -> Tensor:
        for layer in model.layers:
            x = layer(x[None], is_causal=True)[0]
        return x

    world = World(PAGE.setting, Model(), {NAMES["n"]: n, NAMES["d"]: d, NAMES["L"]: n_layers}, {NAMES["D"]: layers})
    entries = [value(NAMES["J"][(n_layers, *at)], world, {}, {}) for at in np.ndindex(n, d, n, d)]
    measured = jacobian(whole, x)
    torch.testing.assert_close(torch.tensor(entries, dtype=torch.float64).reshape(n, d, n, d), measured)
    assert torch.equal(measured.abs().amax((1, 3)) > 0, torch.ones(n, n).tril() == 1)
    assert PAGE.results["stack_jacobian"] == 0


@pytest.mark.parametrize(("n_layers", "norm"), list(itertools.product([1, 3], ["pre", "post"])))
def test_nothing_before_a_change_moves_and_a_prefix_is_enough(n_layers: int, norm: str):
    model, (x, g), t = stack(n_layers, 8, 2, norm=norm), drawn(2, 1, 6, 8), 3
    other = torch.cat([x[:, : t + 1], g[:, t + 1 :]], dim=1)
    with torch.no_grad():
        outputs, others, prefix = (model(each, is_causal=True) for each in (x, other, x[:, : t + 1]))
    torch.testing.assert_close(others[:, : t + 1], outputs[:, : t + 1], rtol=0, atol=1e-12)
    torch.testing.assert_close(prefix, outputs[:, : t + 1], rtol=0, atol=1e-12)
    assert (others != outputs)[:, t + 1 :].any(-1).all()


def test_all_that_a_block_uses_of_its_input_is_that_it_agrees(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(PAGE.setting.definitions, NAMES["x_tilde"])
    assert all(PAGE.steps[str(number)].proves(PAGE.steps[str(number)].relation) for number in range(2, 10))
    # step 9 says of the output what step 1 says of the input, so the next block can start from it
    into = {NAMES[f"f{tilde}"]: NAMES[f"x{tilde}"] for tilde in ("", "_tilde")}
    block, start = PAGE.steps["9"].relation, PAGE.steps["1"].relation
    assert (block.left.xreplace(into), block.right.xreplace(into)) == (start.left, start.right)


def test_table_of_the_page():
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) % \|$", TEXT, re.M)
    assert [int(blocks) for blocks, _ in rows] == [1, 2, 4, 8]
    for blocks, percent in rows:
        model, x = stack(int(blocks), 32, 4), drawn(1, 16, 32)
        with torch.no_grad():
            masked, free = (model(x, is_causal=causal)[0] for causal in (True, False))
        change = 100 * (free - masked).norm(dim=1) / masked.norm(dim=1)
        assert float(change[-1]) == pytest.approx(float(percent), abs=0.05)
        assert change[:-1].min() > 0.1  # before the last place the mask is seen at every depth
