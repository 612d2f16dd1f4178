"""The page's formulas against the reference's attention on mixed keys, autograd, PyTorch's counter, and a sample."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import sympy as sp
import torch
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.utils.flop_counter import FlopCounterMode

from veriformer.derivations import derivation
from veriformer.reference.attention import scaled_dot_product_attention

PAGE = derivation("low_rank_attention")
TEXT = (Path(__file__).parents[2] / "derivations" / "low_rank_attention.md").read_text(encoding="utf-8")


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def linformer(q: Tensor, key: Tensor, value: Tensor, E: Tensor, F: Tensor) -> tuple[Tensor, Tensor]:
    """The attention of the reference on mixed keys and values: its output, and the weights of the mixed places."""
    output, weights = scaled_dot_product_attention(*(t[None, None] for t in (q, E @ key, F @ value)), scale=1.0)
    return output[0, 0], weights[0, 0]


def inputs(n: int, k: int, d: int = 4, d_v: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return drawn(n, d), drawn(n, d), drawn(n, d_v), drawn(k, n), drawn(k, n)


def number(result: str, **numbers: int) -> int:
    return int(PAGE.results[result].subs({PAGE.symbols[name]: value for name, value in numbers.items()}))


def test_scores_and_outputs():
    q, key, value, E, F = inputs(7, 3)
    output, P = linformer(q, key, value, E, F)
    torch.testing.assert_close(torch.softmax((q @ key.T) @ E.T, dim=1), P)  # step 1
    B = P @ F
    torch.testing.assert_close(B @ value, output)  # step 3
    assert torch.linalg.matrix_rank(B) == 3
    torch.testing.assert_close(B.sum(dim=1), P @ F.sum(dim=1))  # step 5


def test_unmixed_is_full_attention():
    q, key, value, *_ = inputs(6, 6)
    identity = torch.eye(6, dtype=torch.float64)
    output, _ = linformer(q, key, value, identity, identity)
    torch.testing.assert_close(output, torch.softmax(q @ key.T, dim=1) @ value)


@pytest.mark.parametrize(("n", "k", "d", "d_v"), [(1, 1, 1, 1), (5, 2, 8, 3), (64, 16, 16, 16), (9, 4, 7, 2)])
def test_operations_are_those_that_pytorch_counts(n: int, k: int, d: int, d_v: int):
    with torch.device("meta"):
        full, (E, F) = (torch.empty(n, d), torch.empty(n, d), torch.empty(n, d_v)), torch.empty(2, k, n)
        with FlopCounterMode(display=False) as plain:
            scaled_dot_product_attention(*(t[None, None] for t in full))
        with FlopCounterMode(display=False) as mixed:
            linformer(*full, E, F)
    assert mixed.get_total_flops() == number("flops", n=n, k=k, d=d, d_v=d_v)
    assert plain.get_total_flops() - mixed.get_total_flops() == number("saved", n=n, k=k, d=d, d_v=d_v)


def test_order():
    (q, key, value, E, F), order = inputs(5, 2), torch.tensor([3, 0, 4, 1, 2])
    constant = E[:, :1].expand(-1, 5), F[:, :1].expand(-1, 5)
    for matrices, commutes in ((constant, True), ((E, F), False)):
        before, after = (linformer(q[p], key[p], value[p], *matrices)[0] for p in (torch.arange(5), order))
        assert torch.allclose(after, before[order], rtol=0, atol=1e-12) == commutes
    torch.testing.assert_close(E @ key[order] - E @ key, (E - E[:, order]) @ key[order])  # step 10


def test_two_tokens_and_one_mixed_place():
    q, key, value, *_ = inputs(2, 1)
    first = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    for order in (torch.tensor([0, 1]), torch.tensor([1, 0])):
        output, _ = linformer(q[order], key[order], value[order], first, first)
        torch.testing.assert_close(output, value[order[0]].expand(2, -1))


def test_later_tokens_act_on_earlier_ones():
    q, key, value, E, F = inputs(5, 2)
    _, P = linformer(q, key, value, E, F)
    by_value = jacobian(lambda x: linformer(q, key, x, E, F)[0], value)
    delta, B = torch.eye(3, dtype=torch.float64), P @ F
    torch.testing.assert_close(by_value, torch.einsum("cb,ij->icjb", delta, B))
    by_key = jacobian(lambda x: q @ (E @ x).T, key)
    torch.testing.assert_close(by_key, torch.einsum("aj,ir->iajr", E, q))
    assert (jacobian(lambda x: linformer(q, x, value, E, F)[0], key).abs().amax((1, 3)) > 0).all()


def test_sketch_has_the_mean_and_the_variance_of_the_page():
    torch.manual_seed(0)
    n, draws = 6, 400_000
    p, x = torch.softmax(drawn(n), dim=0), drawn(n)
    g = drawn(draws, n)
    product = (g @ p) * (g @ x)
    formula = sp.lambdify([PAGE.symbols[name] for name in ("p", "x", "n")], PAGE.results["sketch_variance"])
    variance = formula(p.numpy(), x.numpy(), n)
    for sample, expected in ((product, float(p @ x)), ((product - p @ x) ** 2, variance)):
        assert abs(float(sample.mean()) - expected) < 6.5 * float(sample.std()) / math.sqrt(draws)  # tail below 1e-10
    assert variance >= 2 * float(p @ x) ** 2


def test_table_of_the_page():
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \|$", TEXT, re.M)
    assert [int(row[0]) for row in rows] == [256, 512, 1024, 4096, 65536]
    for row in rows:
        n, full, mixed = map(int, row)
        operations = number("flops", n=n, k=256, d=64, d_v=64)
        assert round(operations / 1e6) == mixed
        assert round((operations + number("saved", n=n, k=256, d=64, d_v=64)) / 1e6) == full
