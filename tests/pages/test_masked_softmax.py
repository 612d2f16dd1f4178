"""The page's formulas against the reference's masked softmax, autograd, and what PyTorch rounds to in every format."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import sympy as sp
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

import veriformer.derivations
from veriformer.derivations import derivation
from veriformer.reference.attention import masked_softmax, scaled_dot_product_attention
from veriformer.reference.masks import padding_mask

PAGE = derivation("masked_softmax")
TEXT = (Path(veriformer.derivations.__file__).parent / "masked_softmax.md").read_text(encoding="utf-8")
HIDDEN = torch.tensor([True, False, False, True, False, True])
FORMATS = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


def scores() -> Tensor:
    return torch.randn(6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def reference(s: Tensor) -> Tensor:
    return masked_softmax(s[None], ~HIDDEN)[0]


@pytest.mark.parametrize("f", [0.0, -3.0, 2.0])
def test_share_of_replaced_scores(f: float):
    s = scores()
    share = float(s.masked_fill(HIDDEN, f).softmax(0)[HIDDEN].sum())
    Z, N = float(s[~HIDDEN].exp().sum()), int(HIDDEN.sum())
    assert share == pytest.approx(lambdified("replaced_share", "f Z N")(f, Z, N))
    assert share <= lambdified("replaced_bound", "f s_k N")(f, float(s[~HIDDEN].max()), N)
    if f == 0:
        assert share == pytest.approx(lambdified("zero_share", "Z N")(Z, N))


@pytest.mark.parametrize("c", [0.0, 3.0, 30.0])
def test_share_of_scores_from_which_a_number_is_subtracted(c: float):
    s = scores()
    share = float((s - c * HIDDEN).softmax(0)[HIDDEN].sum())
    Z, W = (float(s[each].exp().sum()) for each in (~HIDDEN, HIDDEN))
    assert share == pytest.approx(lambdified("subtracted_share", "c Z W")(c, Z, W), rel=1e-12, abs=0)


def test_weights_and_gradients_of_the_reference():
    s = scores()
    p, formula = reference(s), lambdified("masked_jacobian", "M_j p_i p_j delta_ij")
    assert torch.equal(p, lambdified("hidden_weight", "M_j p_j")(~HIDDEN, p))
    found = jacobian(reference, s)
    assert isinstance(found, Tensor)
    torch.testing.assert_close(found, formula(~HIDDEN, p[:, None], p[None, :], torch.eye(6)))
    assert torch.equal(found[:, HIDDEN], torch.zeros(6, 3, dtype=torch.float64))


@pytest.mark.parametrize("side", ["left", "right"])
def test_output_is_that_of_the_list_without_padding(side: str):
    generator, real = torch.Generator().manual_seed(0), 4
    q, k, v = (torch.randn(1, 1, 9, 3, generator=generator, dtype=torch.float64) for _ in range(3))
    mask = padding_mask(torch.tensor([real]), 9, side)[0]  # pyright: ignore[reportArgumentType]
    expected, _ = scaled_dot_product_attention(q, k[:, :, mask], v[:, :, mask])
    for padding in (0.0, 1e6, -3.0):
        hidden = ~mask[:, None]
        keys, values = k.masked_fill(hidden, padding), v.masked_fill(hidden, padding)
        output, _ = scaled_dot_product_attention(q, keys, values, mask=mask)
        torch.testing.assert_close(output, expected)


def test_what_still_flows_through_a_finite_number():
    s = scores()
    replaced = jacobian(lambda s: s.masked_fill(HIDDEN, -3.0).softmax(0), s)
    subtracted = jacobian(lambda s: (s - 3 * HIDDEN).softmax(0), s)
    assert torch.equal(replaced[:, HIDDEN], torch.zeros(6, 3, dtype=torch.float64))
    w = (s - 3 * HIDDEN).softmax(0)
    torch.testing.assert_close(subtracted, torch.diag(w) - torch.outer(w, w))
    values = torch.zeros(6, dtype=torch.float64)
    through = jacobian(lambda v: s.masked_fill(HIDDEN, -3.0).softmax(0) @ v, values)
    assert (through[HIDDEN] > 0).all()


def test_a_query_that_may_attend_to_nothing():
    s, nothing = scores(), torch.zeros(6, dtype=torch.bool)
    uniform = torch.full((6,), 1 / 6, dtype=torch.float64)
    torch.testing.assert_close(s.masked_fill(~nothing, -1e9).softmax(0), uniform)
    torch.testing.assert_close((s - 1e3).softmax(0), s.softmax(0))
    assert torch.equal(masked_softmax(s[None], nothing)[0], torch.zeros(6, dtype=torch.float64))
    assert torch.full((6,), -math.inf).softmax(0).isnan().all()
    single = (32 * s / (1.01 * s.abs().max())).float()
    assert torch.equal((single - 1e9).softmax(0), torch.full((6,), 1 / 6))


def test_table_of_zero_logits():
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) % \| ([\d.]+) % \|$", TEXT, re.M)
    assert len(rows) == 3
    for n, alike, leading in rows:
        for top, percent in ((0.0, alike), (5.0, leading)):
            logits = torch.zeros(int(n), dtype=torch.float64)
            logits[0] = top
            assert f"{100 * float(logits.softmax(0)[16:].sum()):.1f}" == percent


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_table_of_formats(dtype: torch.dtype):
    name = str(dtype).removeprefix("torch.")
    (row,) = re.findall(rf"^\| `{name}` \| 2\^(-\d+) \| ([\d.]+) \| (\S+) \|$", TEXT, re.M)
    power, gap, cast = int(row[0]), float(row[1]), float(row[2])
    tiny = torch.tensor([2.0**power, 2.0 ** (power - 1) if power > -1074 else 0.0], dtype=torch.float64).to(dtype)
    assert tiny[0] > 0
    assert tiny[1] == 0
    assert gap == math.ceil(-100 * (power - 1) * math.log(2)) / 100
    assert torch.tensor(-1e9, dtype=torch.float64).to(dtype).item() == cast
    logits = torch.tensor([0.0, -gap, -gap - 1, -2 * gap], dtype=dtype)
    logits = torch.where(logits > -gap, logits, torch.nextafter(logits, torch.tensor(-math.inf, dtype=dtype)))
    assert logits.softmax(0).tolist() == [1, 0, 0, 0]


def test_half_precision_refuses_the_usual_number():
    with pytest.raises(RuntimeError, match="overflow"):
        torch.zeros(6, dtype=torch.float16).masked_fill(HIDDEN, -1e9)
