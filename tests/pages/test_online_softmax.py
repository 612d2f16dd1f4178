"""The page's algorithm, written down in PyTorch, against the reference's attention; and the ranges of its table."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import sympy as sp
import torch
from torch import Tensor

import veriformer.derivations
from veriformer.derivations import derivation
from veriformer.reference.attention import scaled_dot_product_attention

PAGE = derivation("online_softmax")
TEXT = (Path(veriformer.derivations.__file__).parent / "online_softmax.md").read_text(encoding="utf-8")
State = tuple[Tensor, Tensor, Tensor]  # the reference, and the two sums with it
BLOCKS, WIDTH = 5, 3


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


def drawn() -> tuple[Tensor, Tensor]:
    """Scores that grow from block to block, and values."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(BLOCKS, WIDTH, generator=generator, dtype=torch.float64)
    values = torch.randn(BLOCKS, WIDTH, 2, generator=generator, dtype=torch.float64)
    return 3 * scores + 20 * torch.arange(BLOCKS)[:, None], values


def reference(scores: Tensor, values: Tensor) -> Tensor:
    """Attention of one query whose scores are these: its only entry is 1, and the keys are the scores."""
    key, value = scores.reshape(1, 1, -1, 1), values.reshape(1, 1, -1, values.shape[-1])
    output, _ = scaled_dot_product_attention(torch.ones_like(key[:, :, :1]), key, value, scale=1.0)
    return output[0, 0, 0]


def running_maximum(m: Tensor, scores: Tensor) -> Tensor:
    return torch.maximum(m, scores.max())


def constant(m: Tensor, scores: Tensor) -> Tensor:
    return torch.tensor(40.0, dtype=torch.float64)


def any_number(m: Tensor, scores: Tensor) -> Tensor:
    return 10 * scores.sum().sin()


def run(scores: Tensor, values: Tensor, choose: Callable[[Tensor, Tensor], Tensor]) -> list[State]:
    m, ell = torch.tensor(-1e4, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    o, states = torch.zeros(values.shape[-1], dtype=torch.float64), []
    for s, v in zip(scores, values, strict=True):
        new = choose(m, s)
        factor = (m - new).exp()
        m, ell, o = new, factor * ell + (s - new).exp().sum(), factor * o + (s - new).exp() @ v
        states.append((m, ell, o))
    return states


def block(scores: Tensor, values: Tensor) -> State:
    m = scores.max()
    return m, (scores - m).exp().sum(), (scores - m).exp() @ values


def merge(first: State, second: State) -> State:
    """By the page's step 11, with the larger reference first."""
    (m, ell, o), (n, more, values) = (first, second) if first[0] >= second[0] else (second, first)
    formula = lambdified("merged", "p q eta")
    return m, formula(ell, more, float(m - n)), formula(o, values, float(m - n))


@pytest.mark.parametrize("choose", [running_maximum, constant, any_number])
def test_after_each_block_it_is_attention_to_the_keys_so_far(choose: Callable[[Tensor, Tensor], Tensor]):
    scores, values = drawn()
    formula = lambdified("running_sum", "s m_t t w")
    for t, (m, ell, o) in enumerate(run(scores, values, choose), start=1):
        torch.testing.assert_close(o / ell, reference(scores[:t], values[:t]))
        assert float(ell) == pytest.approx(formula(scores.numpy(), float(m), t, WIDTH))


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]])
def test_blocks_merge_in_any_order_and_grouping(order: list[int]):
    scores, values = drawn()
    states = [block(scores[t], values[t]) for t in order]
    one_by_one = functools.reduce(merge, states)
    in_groups = merge(merge(states[0], states[1]), merge(merge(states[2], states[3]), states[4]))
    nothing = (scores.min() - 5, torch.zeros((), dtype=torch.float64), torch.zeros(2, dtype=torch.float64))
    for m, ell, o in (one_by_one, in_groups, merge(nothing, in_groups)):
        torch.testing.assert_close(o / ell, reference(scores, values))
        assert m == scores.max()
        assert 1 <= ell <= BLOCKS * WIDTH
        assert ((scores - m).exp() <= lambdified("largest_term", "")()).all()


def test_outputs_of_blocks_are_averaged_by_their_denominators():
    scores, values = drawn()
    outputs = torch.stack([reference(s, v) for s, v in zip(scores, values, strict=True)])
    expected = reference(scores, values)
    torch.testing.assert_close(scores.logsumexp(1).softmax(0) @ outputs, expected)
    formula, denominators = lambdified("averaged", "D h a T"), scores.exp().sum(1).numpy()
    for a in range(2):
        assert float(expected[a]) == pytest.approx(formula(denominators, outputs.numpy(), a, BLOCKS))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_table_of_formats(dtype: torch.dtype):
    name = str(dtype).removeprefix("torch.")
    ((largest, smallest),) = re.findall(rf"^\| `{name}` \| ([\d.]+) \| (-[\d.]+) \|$", TEXT, re.M)
    most = math.log(torch.finfo(dtype).max)
    tiniest = float(torch.nextafter(torch.zeros(1, dtype=dtype), torch.ones(1, dtype=dtype)))
    least = math.log(tiniest) - math.log(2)  # what is below half of the smallest number is rounded to 0
    assert float(largest) == math.floor(100 * most) / 100
    assert float(smallest) == math.floor(100 * least) / 100
    assert torch.tensor(math.exp(float(largest)), dtype=torch.float64).to(dtype).isfinite()
    assert torch.tensor(math.exp(float(smallest)), dtype=torch.float64).to(dtype) == 0
