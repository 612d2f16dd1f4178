"""PyTorch's own modules: MultiheadAttention, TransformerEncoder, Transformer, and a feed-forward Sequential.

PyTorch reads a boolean mask as True = hidden; the suite's masks say True = may attend, so each adapter negates.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..subjects import Block, Blocks, Config, GainAndBias, Projections, Subject, TwoLayers
from .quiet import quiet


def _hidden(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else ~mask


def _causal(x: Tensor) -> Tensor:
    """Boolean (length, length), True = hidden."""
    length = x.shape[1]
    return torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)


def _attn_mask(x: Tensor, mask: Tensor | None, *, is_causal: bool) -> Tensor | None:
    """What is hidden, by ``mask``, by the flag or by both: to PyTorch the flag is a hint, and its mask is still due."""
    if not is_causal:
        return _hidden(mask)
    return _causal(x) if mask is None else _causal(x) | ~mask


class _MultiheadAttention(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(config.d_model, config.n_heads, batch_first=True)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        *,
        key_padding_mask: Tensor | None = None,
        mask: Tensor | None = None,
        is_causal: bool = False,
        need_weights: bool = False,
    ) -> Any:
        memory = x if memory is None else memory
        output, weights = self.attention(
            x,
            memory,
            memory,
            key_padding_mask=_hidden(key_padding_mask),
            attn_mask=_attn_mask(x, mask, is_causal=is_causal),
            is_causal=is_causal and mask is None,  # it says that the mask is the causal one and no other
            need_weights=need_weights,
        )
        return (output, weights) if need_weights else output


def _projections(attention: Any) -> Projections:
    w_q, w_k, w_v = attention.in_proj_weight.chunk(3)
    b_q, b_k, b_v = attention.in_proj_bias.chunk(3)
    return Projections(w_q, w_k, w_v, attention.out_proj.weight, b_q, b_k, b_v, attention.out_proj.bias)


class _TransformerEncoder(nn.Module):
    @quiet()
    def __init__(self, config: Config) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            config.d_model,
            config.n_heads,
            config.d_ff,
            dropout=config.dropout,
            batch_first=True,
            norm_first=config.options["norm"] == "pre",
        )
        # PyTorch leaves the LayerNorm at the end of a pre-LN stack to its user (Xiong et al. 2020, table 1).
        last = nn.LayerNorm(config.d_model) if config.options["norm"] == "pre" else None
        nested = config.options["nested_tensor"] == "on"
        self.encoder = nn.TransformerEncoder(layer, config.n_layers, norm=last, enable_nested_tensor=nested)

    @quiet()
    def forward(
        self,
        x: Tensor,
        *,
        key_padding_mask: Tensor | None = None,
        mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        return self.encoder(
            x,
            mask=_attn_mask(x, mask, is_causal=is_causal),
            src_key_padding_mask=_hidden(key_padding_mask),
            is_causal=True if is_causal and mask is None else None,
        )


def gain_and_bias(norm: Any) -> GainAndBias:
    """The weights of a ``torch.nn.LayerNorm``."""
    return GainAndBias(norm.weight, norm.bias, norm.eps)


def _block(layer: Any) -> Block:
    first, second = layer.linear1, layer.linear2
    return Block(
        attention=_projections(layer.self_attn),
        attention_norm=gain_and_bias(layer.norm1),
        feed_forward=TwoLayers(first.weight, second.weight, first.bias, second.bias),
        feed_forward_norm=gain_and_bias(layer.norm2),
    )


def _blocks(module: Any) -> Blocks:
    last = module.encoder.norm
    return Blocks([_block(layer) for layer in module.encoder.layers], None if last is None else gain_and_bias(last))


class _Transformer(nn.Module):
    """``torch.nn.Transformer`` between an embedding and an output layer, which it leaves to its user."""

    @quiet()
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.transformer = nn.Transformer(
            config.d_model,
            config.n_heads,
            config.n_layers,
            config.n_layers,
            config.d_ff,
            dropout=config.dropout,
            batch_first=True,
            norm_first=config.options["norm"] == "pre",
        )
        self.output = nn.Linear(config.d_model, config.vocab_size)

    @quiet()
    def forward(
        self,
        source: Tensor,
        target: Tensor,
        *,
        source_key_padding_mask: Tensor | None = None,
        target_key_padding_mask: Tensor | None = None,
    ) -> Tensor:
        decoded = self.transformer(
            self.embedding(source),
            self.embedding(target),
            tgt_mask=_causal(target),
            src_key_padding_mask=_hidden(source_key_padding_mask),
            memory_key_padding_mask=_hidden(source_key_padding_mask),
            tgt_key_padding_mask=_hidden(target_key_padding_mask),
            tgt_is_causal=True,
        )
        return self.output(decoded)


_DROPS = {"sublayer": "dropout", "attention": "dropout", "hidden": "dropout"}
"""PyTorch's layers have one rate for three places; embeddings are left to their user."""

MULTIHEAD_ATTENTION = [
    Subject(
        name="torch.nn.MultiheadAttention",
        contract="self_attention",
        build=_MultiheadAttention,
        features={"key_padding_mask", "mask", "is_causal", "need_weights"},
        projections=lambda module: _projections(module.attention),
    ),
    Subject(
        name="torch.nn.MultiheadAttention",
        contract="cross_attention",
        build=_MultiheadAttention,
        features={"key_padding_mask", "need_weights"},
        projections=lambda module: _projections(module.attention),
    ),
]
TRANSFORMER_ENCODER = Subject(
    name="torch.nn.TransformerEncoder",
    contract="encoder",
    build=_TransformerEncoder,
    options={"norm": ("pre", "post")},
    paths={"nested_tensor": ("off", "on")},
    plain_blocks=True,
    blocks=_blocks,
    drops=_DROPS,
)
TRANSFORMER = Subject(
    name="torch.nn.Transformer",
    contract="seq2seq",
    build=_Transformer,
    options={"norm": ("pre", "post")},
    drops=_DROPS,
)
SEQUENTIAL = Subject(
    name="torch.nn.Sequential",
    contract="feed_forward",
    build=lambda c: nn.Sequential(nn.Linear(c.d_model, c.d_ff), nn.ReLU(), nn.Linear(c.d_ff, c.d_model)),
    two_layers=lambda f: TwoLayers(f[0].weight, f[2].weight, f[0].bias, f[2].bias),
)
DROPOUT = Subject(name="torch.nn.Dropout", contract="dropout", build=lambda config: nn.Dropout(config.dropout))
