"""torch.nn.TransformerEncoder with the weights of another encoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..subjects import Block, Blocks, GainAndBias


def torch_encoder(blocks: Blocks, *, n_heads: int, norm_first: bool) -> nn.TransformerEncoder:
    """PyTorch's encoder with copies of the weights of ``blocks``, in their dtype and on their device.

    Key/value heads that are shared are copied once for each of the ``n_heads`` that reads them, and a bias or a gain
    that is not there becomes 0 or 1: PyTorch's encoder has all of them. It is in training mode, where PyTorch takes no
    shortcuts, and drops nothing.
    """
    w_1 = blocks.layers[0].feed_forward.w_1
    (d_ff, d_model), placed = w_1.shape, {"dtype": w_1.dtype, "device": w_1.device}
    layer = nn.TransformerEncoderLayer(
        d_model, n_heads, d_ff, dropout=0.0, batch_first=True, norm_first=norm_first, **placed
    )
    last = None if blocks.final_norm is None else nn.LayerNorm(d_model, **placed)
    encoder = nn.TransformerEncoder(layer, len(blocks.layers), norm=last, enable_nested_tensor=False)
    with torch.no_grad():
        for copy, block in zip(encoder.layers, blocks.layers, strict=True):
            _fill_layer(copy, block)
        if blocks.final_norm is not None:
            _fill_norm(last, blocks.final_norm)
    return encoder


def _fill_layer(layer: Any, block: Block) -> None:
    weights, network, attention = block.attention, block.feed_forward, layer.self_attn
    d_k = attention.head_dim

    def for_each_head(shared: Tensor) -> Tensor:
        by_head = shared.unflatten(0, (-1, d_k))
        return by_head.repeat_interleave(attention.num_heads // len(by_head), dim=0).flatten(0, 1)

    query, key, value = attention.in_proj_weight.chunk(3)
    query_bias, key_bias, value_bias = attention.in_proj_bias.chunk(3)
    _fill(query, weights.w_q)
    _fill(key, for_each_head(weights.w_k))
    _fill(value, for_each_head(weights.w_v))
    _fill(query_bias, weights.b_q)
    _fill(key_bias, None if weights.b_k is None else for_each_head(weights.b_k))
    _fill(value_bias, None if weights.b_v is None else for_each_head(weights.b_v))
    _fill(attention.out_proj.weight, weights.w_o)
    _fill(attention.out_proj.bias, weights.b_o)
    _fill(layer.linear1.weight, network.w_1)
    _fill(layer.linear1.bias, network.b_1)
    _fill(layer.linear2.weight, network.w_2)
    _fill(layer.linear2.bias, network.b_2)
    _fill_norm(layer.norm1, block.attention_norm)
    _fill_norm(layer.norm2, block.feed_forward_norm)


def _fill_norm(norm: Any, weights: GainAndBias) -> None:
    norm.eps = weights.eps
    _fill(norm.weight, weights.gain, otherwise=1.0)
    _fill(norm.bias, weights.bias)


def _fill(place: Tensor, value: Tensor | None, *, otherwise: float = 0.0) -> None:
    place.fill_(otherwise) if value is None else place.copy_(value)
