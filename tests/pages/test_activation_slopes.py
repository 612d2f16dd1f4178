"""Slopes and bounds of the page, against PyTorch's activations, autograd and optimisers."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import sympy as sp
import torch
from torch import Tensor

from veriformer.derivations import derivation

PAGE = derivation("activation_slopes")
GRID = torch.linspace(-12, 12, 97, dtype=torch.float64)


def slope(activation: Callable[[Tensor], Tensor]) -> Tensor:
    x = GRID.clone().requires_grad_(True)
    (found,) = torch.autograd.grad(activation(x).sum(), x)
    return found


def test_slope_of_the_sigmoid_and_its_bounds():
    formula = sp.lambdify(sp.Symbol("s"), _of("sigmoid_slope", "sigma"))
    found = slope(torch.sigmoid)
    torch.testing.assert_close(found, formula(torch.sigmoid(GRID)), rtol=0, atol=1e-15)
    assert found.max() == float(PAGE.results["sigmoid_bound"]) == 0.25
    bound = sp.lambdify(PAGE.symbols["x"], PAGE.results["saturation"], modules=[{"exp": torch.exp}])
    assert (found <= bound(GRID)).all()
    assert (found <= bound(-GRID)).all()


def test_slope_of_tanh():
    formula = sp.lambdify(sp.Symbol("s"), _of("tanh_slope", "theta"))
    torch.testing.assert_close(slope(torch.tanh), formula(torch.tanh(GRID)), rtol=0, atol=1e-15)
    torch.testing.assert_close(torch.tanh(GRID), 2 * torch.sigmoid(2 * GRID) - 1, rtol=0, atol=1e-15)


def _of(result: str, function: str) -> sp.Expr:
    """The formula, with the value of the function as a symbol s."""
    return PAGE.results[result].replace(PAGE.setting.names[function], lambda _: sp.Symbol("s"))


@pytest.mark.parametrize(("activation", "kappa"), [(torch.sigmoid, 0.25), (torch.tanh, 1.0), (torch.relu, 1.0)])
def test_gradient_through_many_layers_stays_below_the_bound(activation: Callable[[Tensor], Tensor], kappa: float):
    generator = torch.Generator().manual_seed(0)
    bound = sp.lambdify([PAGE.symbols[name] for name in ("omega", "kappa", "t")], PAGE.results["depth_bound"])
    weights = 1.5 * (2 * torch.rand(6, dtype=torch.float64, generator=generator) - 1)
    x = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    y = x
    for depth, weight in enumerate(weights, start=1):
        y = activation(weight * y)
        (found,) = torch.autograd.grad(y, x, retain_graph=True)
        assert abs(float(found)) <= float(bound(1.5, kappa, depth))


def chain(activation: Callable[[Tensor], Tensor], weights: list[float]) -> tuple[list[float], float]:
    """What a chain of units makes of 0.7, layer after layer, and its slope."""
    x = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    values = [x]
    for weight in weights:
        values.append(activation(weight * values[-1]))
    (found,) = torch.autograd.grad(values[-1], x)
    return [float(value.detach()) for value in values], float(found)


def test_slope_of_a_chain_of_sigmoids():
    weights, names = [1.5, -0.4, 3.0, 0.8], PAGE.setting.names
    values, found = chain(torch.sigmoid, weights)
    formula = PAGE.results["sigmoid_chain"].subs(names["t"], 4).doit()
    formula = formula.replace(names["sigma"], lambda z: 1 / (1 + sp.exp(-z)))
    at = {names[name][j]: numbers[j] for name, numbers in (("w", weights), ("a", values)) for j in range(4)}
    assert float(formula.subs(at)) == pytest.approx(found)
    bound = PAGE.results["sigmoid_chain_bound"].subs({names["t"]: 4, names["omega"]: 3})
    assert abs(found) <= float(bound)
    assert 0 < chain(torch.sigmoid, [1.0] * 10)[1] < 1e-6


def test_relu_leaves_only_the_weights_on_a_positive_path():
    weights, names = [1.5, 0.4, 3.0, 0.8], PAGE.setting.names
    formula = PAGE.results["positive_path"].subs(names["t"], 4).doit()
    product = float(formula.subs({names["w"][j]: weights[j] for j in range(4)}))
    assert product == pytest.approx(chain(torch.relu, weights)[1]) == pytest.approx(math.prod(weights))
    assert chain(torch.relu, [1.0] * 50)[1] == 1
    assert chain(torch.relu, [-1.5, *weights])[1] == 0


def trained(decay: float = 0.0, bias: float = 0.0, moved: bool = False) -> tuple[Tensor, Tensor, bool]:
    """Weights of a unit before and after training on data for which it is negative, and whether it is alive then."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(20, 3, dtype=torch.float64, generator=generator) + 0.5
    weights = torch.tensor([-1.0, -2.0, -0.5], dtype=torch.float64, requires_grad=True)
    before = weights.detach().clone()
    optimiser = torch.optim.SGD([weights], lr=0.1, weight_decay=decay)
    for _ in range(200):
        seen = -inputs if moved else inputs
        optimiser.zero_grad()
        ((torch.relu(seen @ weights + bias) - 1) ** 2).mean().backward()
        optimiser.step()
    return before, weights.detach(), bool((inputs @ weights + bias > 0).any())


def test_a_dead_unit_stays_dead():
    before, after, alive = trained()
    assert torch.equal(before, after)
    assert not alive


def test_decay_moves_it_and_wakes_it_only_where_a_bias_is_left():
    before, after, alive = trained(decay=0.1)
    ratio = after / before
    assert not torch.equal(before, after)
    torch.testing.assert_close(ratio, torch.full_like(ratio, math.pow(1 - 0.01, 200)))
    assert not alive
    assert trained(decay=0.1, bias=1.0)[2]


def test_other_inputs_move_it():
    before, after, _ = trained(moved=True)
    assert not torch.equal(before, after)
