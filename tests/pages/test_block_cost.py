"""The polynomials of the page are the integers that PyTorch's own counters read on the reference, at every size."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sympy as sp
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from veriformer.derivations import derivation
from veriformer.reference.causal_lm import CausalLM
from veriformer.reference.config import Config
from veriformer.reference.embedding import Embedding, output_layer
from veriformer.reference.encoder import EncoderLayer
from veriformer.reference.feed_forward import FeedForward
from veriformer.reference.multi_head import MultiHeadAttention
from veriformer.reference.positions import Positions

PAGE = derivation("block_cost")
TEXT = (Path(__file__).parents[2] / "derivations" / "block_cost.md").read_text(encoding="utf-8")
SIZES = [(1, 4, 1, 16), (5, 8, 2, 32), (16, 8, 4, 32), (48, 8, 8, 32), (7, 12, 3, 10), (64, 32, 4, 100)]
SIZED = pytest.mark.parametrize(("n", "d", "h", "d_ff"), SIZES)


def formula(result: str, **sizes: int) -> int:
    """What the page says, as an integer."""
    found = PAGE.results[result].subs({PAGE.symbols[name]: size for name, size in sizes.items()})
    assert isinstance(found, sp.Integer)
    return int(found)


def counted(run: Callable[..., Any], *inputs: Any) -> int:
    """The operations that PyTorch counts; on the meta device, so that nothing has to be computed."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        run(*inputs)
    return counter.get_total_flops()


def block(d: int, h: int, d_ff: int) -> EncoderLayer:
    return EncoderLayer(Config(d_model=d, n_heads=h, d_ff=d_ff), Positions()).to("meta")


def tokens(n: int, d: int) -> torch.Tensor:
    return torch.empty(1, n, d, device="meta")


@SIZED
def test_attention(n: int, d: int, h: int, d_ff: int):
    assert counted(MultiHeadAttention(d, h).to("meta"), tokens(n, d)) == formula("attention_flops", n=n, d=d)


@SIZED
def test_feed_forward(n: int, d: int, h: int, d_ff: int):
    measured = counted(FeedForward(d, d_ff).to("meta"), tokens(n, d))
    assert measured == formula("feed_forward_flops", n=n, d=d, d_ff=d_ff)


@SIZED
def test_block(n: int, d: int, h: int, d_ff: int):
    layer = block(d, h, d_ff)
    assert counted(layer, tokens(n, d)) == formula("block_flops", n=n, d=d, d_ff=d_ff)
    assert sum(p.numel() for p in layer.parameters()) == formula("block_parameters", d=d, d_ff=d_ff)
    if d_ff == 4 * d:
        assert formula("usual_block_flops", n=n, d=d) == formula("block_flops", n=n, d=d, d_ff=d_ff)


@SIZED
def test_way_back_costs_twice_as_much(n: int, d: int, h: int, d_ff: int):
    layer, x = block(d, h, d_ff), tokens(n, d).requires_grad_()

    def there_and_back():
        with torch.enable_grad():
            layer(x).sum().backward()

    assert counted(there_and_back) == 3 * formula("block_flops", n=n, d=d, d_ff=d_ff)


@SIZED
def test_layer_of_pytorch_has_one_bias_more(n: int, d: int, h: int, d_ff: int):
    layer = nn.TransformerEncoderLayer(d, h, d_ff, device="meta")
    assert sum(p.numel() for p in layer.parameters()) == formula("block_parameters", d=d, d_ff=d_ff) + d


@SIZED
def test_which_half_leads(n: int, d: int, h: int, d_ff: int):
    lead = counted(FeedForward(d, d_ff).to("meta"), tokens(n, d)) - counted(
        MultiHeadAttention(d, h).to("meta"), tokens(n, d)
    )
    assert lead == formula("lead", n=n, d=d, d_ff=d_ff)
    assert (lead > 0) == (n < d_ff - 2 * d)


@SIZED
def test_a_causal_mask_saves_a_plain_implementation_nothing(n: int, d: int, h: int, d_ff: int):
    attention = MultiHeadAttention(d, h).to("meta")
    assert counted(lambda x: attention(x, is_causal=True), tokens(n, d)) == formula("attention_flops", n=n, d=d)


@SIZED
def test_softmax_takes_an_exponential_for_each_score(n: int, d: int, h: int, d_ff: int):
    _, weights = MultiHeadAttention(d, h).to("meta")(tokens(n, d))
    assert weights.numel() == formula("softmax_exponentials", n=n, h=h)


def test_output_layer_costs_a_product_and_the_embedding_none():
    n, d, vocab_size = 7, 8, 50
    embedding = Embedding(vocab_size, d).to("meta")
    output: nn.Linear = output_layer(embedding, tied=True)
    assert counted(embedding, torch.zeros(1, n, dtype=torch.long, device="meta")) == 0
    assert counted(output, tokens(n, d)) == formula("output_flops", n=n, d=d, V=vocab_size)


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_cache_and_one_step_of_decoding(n_kv_heads: int):
    config = Config(d_model=16, n_heads=4, n_layers=3, d_ff=24, n_kv_heads=n_kv_heads, vocab_size=11)
    model = CausalLM(config).double()
    cache, n = model.new_cache(), 5
    with torch.no_grad():
        model(torch.zeros(1, n, dtype=torch.long), cache=cache)
        pasts = [layer.past for layer in cache.layers if layer.past is not None]
        held = sum(tensor.nbytes for past in pasts for tensor in (past.key, past.value))
        assert held == formula("cache_bytes", n=n, L=3, h_kv=n_kv_heads, d_k=4, beta=8)
        with FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, 1, dtype=torch.long), cache=cache)
    if n_kv_heads == 4:
        step = 3 * formula("decoding_flops", d=16, d_ff=24, t=n) + formula("output_flops", n=1, d=16, V=11)
        assert counter.get_total_flops() == step
        cache = model.new_cache()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            for _ in range(n):
                model(torch.zeros(1, 1, dtype=torch.long), cache=cache)
        steps = 3 * formula("decoded_flops", d=16, d_ff=24, t=n) + formula("output_flops", n=n, d=16, V=11)
        assert counter.get_total_flops() == steps


def test_table_of_the_page():
    rows = re.findall(r"^\| (\d+) \| (\d+) \+ (\d+) = (\d+) \|$", TEXT, re.M)
    assert [int(row[0]) for row in rows] == [128, 1024, 3072]
    for n, attention, feed_forward, whole in (map(int, row) for row in rows):
        assert attention + feed_forward == whole
        assert counted(MultiHeadAttention(512, 8).to("meta"), tokens(n, 512)) == attention
        assert counted(FeedForward(512).to("meta"), tokens(n, 512)) == feed_forward
        assert counted(block(512, 8, 2048), tokens(n, 512)) == whole
