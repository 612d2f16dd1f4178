"""The page's formulas against tensors: the two orders, the recurrence, the count, the ranks, and random features."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import sympy as sp
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from veriformer.derivations import derivation
from veriformer.reference.attention import scaled_dot_product_attention

PAGE = derivation("linear_attention")
TEXT = (Path(__file__).parents[2] / "derivations" / "linear_attention.md").read_text(encoding="utf-8")


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def elu_features(x: Tensor) -> Tensor:
    return torch.nn.functional.elu(x) + 1


def masked_kernel(phi: Tensor, psi: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Attention as it is defined: all pairs, each row divided by its sum."""
    kernel = (phi @ psi.T) * mask
    return kernel @ values / kernel.sum(dim=1, keepdim=True)


def number(result: str, **numbers: float) -> float:
    found = PAGE.results[result].subs({PAGE.symbols[name]: value for name, value in numbers.items()})
    return float(found)


def test_reading_the_table_is_attention():
    torch.manual_seed(0)
    phi, psi, values = elu_features(drawn(7, 4)), elu_features(drawn(7, 4)), drawn(7, 3)
    state, total = torch.zeros(8, 4, 3, dtype=torch.float64), torch.zeros(8, 4, dtype=torch.float64)
    for t in range(7):
        state[t + 1] = state[t] + torch.outer(psi[t], values[t])
        total[t + 1] = total[t] + psi[t]
    everything = torch.ones(7, 7, dtype=torch.float64)
    for result, names, tables, mask in (
        ("output", "phi S z i c m", (state[7], total[7]), everything),
        ("causal_output", "phi S_hat z_hat t c m", (state, total), everything.tril()),
    ):
        formula = sp.lambdify([PAGE.setting.names[name] for name in names.split()], PAGE.results[result])
        arrays = [tensor.numpy() for tensor in (phi, *tables)]
        found = [[formula(*arrays, place, c, 4) for c in range(3)] for place in range(7)]
        expected = masked_kernel(phi, psi, values, mask)
        torch.testing.assert_close(torch.tensor(found, dtype=torch.float64), expected)


@pytest.mark.parametrize(("n", "d", "d_v", "m"), [(1, 1, 1, 1), (5, 8, 3, 4), (64, 16, 16, 16), (9, 4, 7, 2)])
def test_operations_are_those_that_pytorch_counts(n: int, d: int, d_v: int, m: int):
    with torch.device("meta"), FlopCounterMode(display=False) as softmax:
        scaled_dot_product_attention(torch.empty(1, 1, n, d), torch.empty(1, 1, n, d), torch.empty(1, 1, n, d_v))
    with torch.device("meta"), FlopCounterMode(display=False) as linear:
        values_and_one = torch.empty(n, d_v + 1)
        torch.matmul(torch.empty(n, m), torch.empty(m, n) @ values_and_one)
    assert softmax.get_total_flops() == number("softmax_flops", n=n, d=d, d_v=d_v)
    assert linear.get_total_flops() == number("linear_flops", n=n, m=m, d_v=d_v)


def test_rank_of_features_and_of_softmax():
    torch.manual_seed(0)
    n, m = 9, 3
    phi, psi = elu_features(drawn(n, m)), elu_features(drawn(n, m))
    weights = phi @ psi.T / (phi @ psi.T).sum(dim=1, keepdim=True)
    assert torch.linalg.matrix_rank(weights) == m
    places = sp.Matrix(n, n, lambda i, j: sp.Rational(3 + i, 2) ** j)  # (e^ξ_i)^j, for n different queries
    assert places.rank() == n


def test_random_features_have_the_mean_and_the_variance_of_the_page():
    torch.manual_seed(0)
    draws, q, k = 400_000, 0.3 * drawn(4), 0.3 * drawn(4)
    w = drawn(draws, 4)
    product = torch.exp(w @ q - q @ q / 2) * torch.exp(w @ k - k @ k / 2)
    formulas = {
        name: sp.lambdify([PAGE.symbols[n] for n in ("q", "k", "d")], PAGE.results[name])(q.numpy(), k.numpy(), 4)
        for name in ("kernel_mean", "kernel_variance")
    }
    assert formulas["kernel_mean"] == pytest.approx(math.exp(q @ k))
    squares = (product - formulas["kernel_mean"]) ** 2
    for sample, expected in ((product, formulas["kernel_mean"]), (squares, formulas["kernel_variance"])):
        error = float(sample.std()) / math.sqrt(draws)
        assert abs(float(sample.mean()) - expected) < 6.5 * error  # the tail beyond is below 1e-10


def test_table_of_the_page():
    rows = re.findall(r"^\| (\d+) \| (\d+) \|$", TEXT, re.M)
    assert [int(row[0]) for row in rows] == [1, 2, 4, 8, 16]
    for length, draws in rows:
        # q = k of one entry with (2 q)² = length: variance over the mean's square is what 100 multiplies
        numbers = {"mean": math.exp(int(length) / 4), "factor": math.exp(int(length)) - 1}
        q = [math.sqrt(int(length)) / 2]
        variance = sp.lambdify([PAGE.symbols[n] for n in ("q", "k", "d")], PAGE.results["kernel_variance"])(q, q, 1)
        assert variance / numbers["mean"] ** 2 == pytest.approx(numbers["factor"])
        assert int(draws) == math.ceil(100 * variance / numbers["mean"] ** 2)


def test_squared_length_of_a_query_and_a_key():
    torch.manual_seed(0)
    q, k = drawn(2, 20_000, 64) / 64**0.25
    lengths = (q + k).square().sum(dim=1)
    assert "is $`2 \\sqrt{d}`$ on average, which is 16 for" in TEXT
    assert abs(float(lengths.mean()) - 16) < 6.5 * float(lengths.std()) / math.sqrt(20_000)  # tail below 1e-10
