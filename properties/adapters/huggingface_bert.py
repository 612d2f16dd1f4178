"""BERT as the library ``transformers`` has it, with random weights: its attention, its encoder, and it as a decoder.

Nothing of BERT is written here: modules of the library are called as ``BertModel`` calls them. The library is an extra,
``pip install 'veriformer[huggingface]'``. It takes seconds to import, so that is done where a model is first built.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn

from ..contracts import Path
from ..extras import Extra
from ..subjects import Config, PaddedDecoder, Projections, Subject


def _transformers() -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # with threads of its own it is not safe to fork
    import transformers

    return transformers


def _bert_config(config: Config, **choices: Any) -> Any:
    """The library's own configuration, as small as the case: every size that BERT has is in it."""
    return _transformers().BertConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.d_model,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_heads,
        intermediate_size=config.d_ff,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
        max_position_embeddings=config.max_length,
        pad_token_id=None,  # the suite's tokens are all words: none of them stands for padding
        attn_implementation=config.options["attention"],
        **choices,
    )


class _Bert(nn.Module):
    """What the parts of BERT have in common here: their configuration, and how their masks are made."""

    def __init__(self, config: Config, **choices: Any) -> None:
        super().__init__()
        self.config = _bert_config(config, **choices)

    def hidden(self, x: Tensor, keys: Tensor, key_padding_mask: Tensor | None, mask: Tensor | None = None) -> Any:
        """The mask over (query, key) as the attention of the library takes it, made by the library itself.

        Its attention takes a mask that is not of padding alone ready made: boolean where PyTorch's kernel computes,
        and in its own ("eager") a number that is added to the scores.
        """
        if mask is None:
            from transformers.masking_utils import create_bidirectional_mask

            return create_bidirectional_mask(self.config, x, key_padding_mask, encoder_hidden_states=keys)
        allowed = mask if key_padding_mask is None else mask & key_padding_mask[:, None, None, :]
        allowed = allowed.expand(x.shape[0], 1, x.shape[1], keys.shape[1])
        if self.config._attn_implementation == "sdpa":
            return allowed
        return torch.zeros_like(allowed, dtype=x.dtype).masked_fill(~allowed, torch.finfo(x.dtype).min)


class _Attention(_Bert):
    """A layer's attention up to its residual: ``BertSelfAttention`` or ``BertCrossAttention``, then ``dense``."""

    def __init__(self, config: Config, *, cross: bool) -> None:
        super().__init__(config, is_decoder=cross, add_cross_attention=cross)
        layer = _transformers().BertModel(self.config).encoder.layer[0]
        attention = layer.crossattention if cross else layer.attention
        self.attention, self.dense = attention.self, attention.output.dense

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        *,
        key_padding_mask: Tensor | None = None,
        mask: Tensor | None = None,
        need_weights: bool = False,
    ) -> Any:
        keys = x if memory is None else memory
        hidden = self.hidden(x, keys, key_padding_mask, mask)
        context, weights = self.attention(x, attention_mask=hidden, encoder_hidden_states=memory)
        return (self.dense(context), weights) if need_weights else self.dense(context)


def _projections(layer: _Attention) -> Projections:
    q, k, v, o = layer.attention.query, layer.attention.key, layer.attention.value, layer.dense
    return Projections(q.weight, k.weight, v.weight, o.weight, q.bias, k.bias, v.bias, o.bias)


class _Encoder(_Bert):
    """``BertModel`` from embeddings on, where its positions are learned; its ``BertEncoder`` where there are none."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        model = _transformers().BertModel(self.config, add_pooling_layer=False)
        self.bert = model if config.options["positions"] == "learned" else model.encoder

    def forward(
        self,
        x: Tensor,
        *,
        key_padding_mask: Tensor | None = None,
        mask: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        if not hasattr(self.bert, "embeddings"):
            return self.bert(x, self.hidden(x, x, key_padding_mask, mask)).last_hidden_state
        hidden = key_padding_mask if mask is None else self.hidden(x, x, key_padding_mask, mask)
        return self.bert(inputs_embeds=x, attention_mask=hidden, position_ids=position_ids).last_hidden_state


class _Decoder(nn.Module):
    """``BertLMHeadModel``: BERT with a causal mask and a head that predicts the next token."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.bert = _transformers().BertLMHeadModel(_bert_config(config, is_decoder=True))

    def forward(
        self,
        tokens: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        return self.bert(
            input_ids=tokens,
            inputs_embeds=inputs_embeds,
            attention_mask=key_padding_mask,
            position_ids=position_ids,
            cache=cache,
            use_cache=cache is not None,
        ).logits


class _Cached(PaddedDecoder):
    """Decoding with the library's ``DynamicCache``. It wants the mask of all tokens so far, old and new."""

    def __init__(self, model: _Decoder, batch: int) -> None:
        self.model = model
        self.cache = _transformers().DynamicCache(config=model.bert.config)
        self.real = torch.ones(batch, 0, dtype=torch.bool)

    def append(self, tokens: Tensor) -> Tensor:
        self.real = torch.cat([self.real.to(tokens.device), torch.ones_like(tokens, dtype=torch.bool)], dim=1)
        return self.model(tokens, cache=self.cache)

    def append_padded(self, tokens: Tensor, *, key_padding_mask: Tensor, position_ids: Tensor) -> Tensor:
        self.real = torch.cat([self.real.to(tokens.device), key_padding_mask], dim=1)
        return self.model(tokens, key_padding_mask=self.real, position_ids=position_ids, cache=self.cache)

    def reorder(self, rows: Tensor) -> None:
        self.cache.reorder_cache(rows)
        self.real = self.real[rows]

    def crop(self, length: int) -> None:
        self.cache.crop(length - self.real.shape[1])  # a number below zero: how many tokens to forget
        self.real = self.real[:, :length]


def _refuses(path: Path, device: str) -> str | None:
    if path["weights"] == "yes" and path["attention"] == "sdpa":
        return "PyTorch's kernel, attention=sdpa, returns no weights"
    return None


_COMMON: dict[str, Any] = {
    "name": "transformers.BertModel",
    "extra": Extra("huggingface", library="transformers"),
    "paths": {"attention": ("eager", "sdpa")},
    "refuses": _refuses,
}

_KEY_BIAS = {"*key.bias": "softmax ignores a constant, and a bias on the keys adds one to a row of scores"}

BERT = [
    Subject(
        contract="self_attention",
        build=lambda config: _Attention(config, cross=False),
        features={"key_padding_mask", "mask", "need_weights"},
        projections=_projections,
        inert=_KEY_BIAS,
        **_COMMON,
    ),
    Subject(
        contract="cross_attention",
        build=lambda config: _Attention(config, cross=True),
        features={"key_padding_mask", "need_weights"},
        projections=_projections,
        inert=_KEY_BIAS,
        **_COMMON,
    ),
    Subject(
        contract="encoder",
        build=_Encoder,
        features={"key_padding_mask", "mask", "position_ids"},
        options={"positions": ("learned", "none")},
        plain_blocks=True,
        inert={**_KEY_BIAS, "*.word_embeddings.weight": "the encoder is handed embeddings, not tokens"},
        **_COMMON,
    ),
    Subject(
        contract="causal_lm",
        build=_Decoder,
        features={"key_padding_mask", "position_ids", "inputs_embeds"},
        positions="learned",
        inert=_KEY_BIAS,
        decoder=_Cached,
        **_COMMON,
    ),
]
