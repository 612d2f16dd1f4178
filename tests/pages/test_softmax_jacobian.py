"""The page's slopes against autograd, and its bounds against the Jacobian of the reference's softmax."""

from __future__ import annotations

import pytest
import sympy as sp
import torch
from torch import Tensor

from veriformer.derivations import derivation
from veriformer.reference.attention import masked_softmax

PAGE = derivation("softmax_jacobian")


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


def drawn(n: int) -> Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)


def weights(logits: Tensor) -> Tensor:
    return masked_softmax(logits[None])[0]


@pytest.mark.parametrize("scale", [-1.5, 0.4, 3.0])
def test_slopes_along_the_scale(scale: float):
    z, c = drawn(6), torch.tensor(scale, dtype=torch.float64, requires_grad=True)
    (of_squares,) = torch.autograd.grad(weights(c * z).square().sum(), c)
    (of_entropy,) = torch.autograd.grad(torch.special.entr(weights(c * z)).sum(), c)
    p = weights(scale * z).numpy()
    assert float(of_squares) == pytest.approx(lambdified("collision_slope", "p z n")(p, z.numpy(), 6))
    assert float(of_entropy) == pytest.approx(lambdified("entropy_slope", "c p z n")(scale, p, z.numpy(), 6))
    assert scale * float(of_squares) > 0 > scale * float(of_entropy)


def test_two_equal_logits_reach_the_bound_of_the_norm():
    z = torch.tensor([1.7, 1.7], dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(weights, z)
    assert isinstance(jacobian, Tensor)
    assert float(torch.linalg.matrix_norm(jacobian, 2)) == pytest.approx(float(PAGE.results["norm_bound"]))
    v = torch.tensor([1, -1], dtype=torch.float64) / 2**0.5
    assert float(v @ jacobian @ v) == pytest.approx(0.5)


@pytest.mark.parametrize("beta", [0.5, 2.0, 8.0])
@pytest.mark.parametrize("n", [2, 5, 40])
def test_one_largest_logit(n: int, beta: float):
    z, g = drawn(n), 0.7
    z[-1] = z[:-1].max() + g
    p = weights(beta * z)
    trace = float((p * (1 - p)).sum())
    assert trace <= lambdified("trace_bound", "n beta g")(n, beta, g)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_the_bound_of_the_trace_is_nearly_met(n: int):
    z, g = torch.zeros(n, dtype=torch.float64), 0.7  # all others are as close as the lead allows
    z[0] = g
    p = weights(15 * z)
    assert float((p * (1 - p)).sum()) > 0.99 * lambdified("trace_bound", "n beta g")(n, 15, g)


@pytest.mark.parametrize("n", [3, 4])
def test_a_wrong_jacobian_that_two_logits_do_not_tell(n: int):
    def wrong(p: Tensor) -> Tensor:
        return (p * (1 - p))[:, None] * (2 * torch.eye(len(p), dtype=torch.float64) - 1)

    def right(p: Tensor) -> Tensor:
        return torch.diag(p) - torch.outer(p, p)

    for few in (1, 2):
        torch.testing.assert_close(wrong(weights(drawn(few))), right(weights(drawn(few))))
    assert not torch.allclose(wrong(weights(drawn(n))), right(weights(drawn(n))))
