"""The page against the reference: what its cache holds, that decoding agrees, what it costs, and how it goes wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sympy as sp
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from veriformer.derivations import derivation
from veriformer.reference.causal_lm import CausalLM
from veriformer.reference.config import Config, PositionScheme
from veriformer.reference.encoder import Encoder
from veriformer.reference.masks import causal_mask

PAGE = derivation("kv_cache")
TEXT = (Path(__file__).parents[2] / "derivations" / "kv_cache.md").read_text(encoding="utf-8")
POSITIONS: list[PositionScheme] = ["learned", "rotary", "alibi"]


def formula(result: str, **numbers: int) -> int:
    """What the page says, as an integer."""
    found = PAGE.results[result].subs({PAGE.symbols[name]: number for name, number in numbers.items()})
    assert isinstance(found, sp.Integer)
    return int(found)


def model(position: PositionScheme = "rotary") -> CausalLM:
    torch.manual_seed(0)
    config = Config(d_model=16, n_heads=4, n_layers=3, d_ff=24, vocab_size=11, positions=position)
    return CausalLM(config).double().eval()


def texts(rows: int, n: int) -> Tensor:
    return torch.randint(0, 11, (rows, n), generator=torch.Generator().manual_seed(1))


def held(cache: object) -> list[Tensor]:
    """Keys and values of all layers."""
    return [tensor for layer in cache.layers for tensor in (layer.past.key, layer.past.value)]  # pyright: ignore


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("pieces", [(1,) * 9, (4, 5), (1, 7, 1), (9,)], ids=str)
def test_decoding_in_any_pieces_is_the_full_pass(position: PositionScheme, pieces: tuple[int, ...]):
    lm, tokens = model(position), texts(2, 9)
    cache, outputs = lm.new_cache(), []
    with torch.no_grad():
        for piece in tokens.split(pieces, dim=1):
            outputs.append(lm(piece, cache=cache))
        torch.testing.assert_close(torch.cat(outputs, dim=1), lm(tokens), rtol=0, atol=1e-12)
        whole = lm.new_cache()
        lm(tokens, cache=whole)
    for mine, theirs in zip(held(cache), held(whole), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_crop_and_gather_give_the_cache_of_the_other_text():
    lm, tokens, rows = model(), texts(3, 8), torch.tensor([2, 2, 0])
    cache, other = lm.new_cache(), lm.new_cache()
    with torch.no_grad():
        lm(tokens, cache=cache)
        lm(tokens[rows, :5], cache=other)
    cache.crop(5)
    cache.reorder(rows)
    for mine, theirs in zip(held(cache), held(other), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_mask_of_a_piece_is_that_of_the_reference():
    n, o = 7, 3
    full = causal_mask(n, n, device=None)
    assert torch.equal(causal_mask(n - o, n, device=None), full[o:])  # the lower right corner
    upper = torch.ones(n - o, n, dtype=torch.bool).tril()  # case C
    row, column = torch.arange(o, n)[:, None], torch.arange(n)
    assert torch.equal(upper, column <= row - o)
    assert ((full[o:].int() - upper.int()).sum(dim=1) == o).all()
    torch.manual_seed(0)
    query, key = torch.randn(1, 1, n - o, 4), torch.randn(1, 1, n, 4)
    pytorch = torch.nn.functional.scaled_dot_product_attention
    torch.testing.assert_close(pytorch(query, key, key, is_causal=True), pytorch(query, key, key, attn_mask=upper))


@pytest.mark.parametrize("t", [1, 2, 5, 8])
def test_work_is_what_pytorch_counts(t: int):
    lm, tokens = model(), texts(1, t)
    linear = 3 * (8 * 16**2 + 4 * 16 * 24) + 2 * 16 * 11  # three blocks, and the output layer
    per = {"lambda": linear, "mu": 3 * 4 * 16}
    cache = lm.new_cache()
    with torch.no_grad():
        with FlopCounterMode(display=False) as cached:
            for token in tokens.split(1, dim=1):
                lm(token, cache=cache)
        with FlopCounterMode(display=False) as again:
            for end in range(1, t + 1):
                lm(tokens[:, :end])
    assert cached.get_total_flops() == formula("work_with", t=t, **per)
    assert again.get_total_flops() == formula("work_without", t=t, **per)
    assert again.get_total_flops() - cached.get_total_flops() == formula("saved", t=t, **per)


def test_places_from_zero_again_go_wrong_without_an_error():
    lm, tokens = model("learned"), texts(1, 6)
    cache, outputs = lm.new_cache(), []
    with torch.no_grad():
        for token in tokens.split(1, dim=1):
            outputs.append(lm(token, cache=cache, position_ids=torch.zeros(1, 1, dtype=torch.long)))
        difference = (torch.cat(outputs, dim=1) - lm(tokens)).abs().amax(-1)[0]
    assert difference[0] < 1e-12
    assert difference[1:].min() > 1e-3


def test_an_earlier_row_of_a_model_that_looks_both_ways_changes():
    torch.manual_seed(0)
    encoder = Encoder(Config(16, 4), bidirectional=True).double().eval()
    x = torch.randn(1, 6, 16, dtype=torch.float64)
    with torch.no_grad():
        assert (encoder(x)[:, :5] - encoder(x[:, :5])).abs().amax(-1).min() > 1e-3


def test_table_of_the_page():
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", TEXT, re.M)
    assert [int(row[0]) for row in rows] == [16, 128, 1024, 8192]
    per = {"lambda": 8 * 512**2 + 4 * 512 * 2048, "mu": 4 * 512}
    assert all(str(number) in TEXT for number in per.values())
    for t, *figures in rows:
        without, cached = (formula(f"work_{how}", t=int(t), **per) for how in ("without", "with"))
        assert [f"{without / 1e9:.1f}", f"{cached / 1e9:.1f}", f"{without / cached:.1f}"] == figures
