"""The reference as subjects: how the suite sees it, contract by contract.

``subjects_of(package)`` takes the package as an argument, so that a copy of the reference with a planted fault is
seen in exactly the same way.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

import veriformer.reference
from veriformer.properties import (
    BatchNormParts,
    Block,
    Blocks,
    Config,
    GainAndBias,
    Normal,
    PaddedDecoder,
    Projections,
    Subject,
    TwoLayers,
)
from veriformer.properties.adapters.torch_embedding import WordsInAndOut
from veriformer.properties.adapters.torch_norms import PLACES, OverTokens

POSITIONS = ("none", "sinusoidal", "learned", "shaw", "t5", "alibi", "rotary")
ABSOLUTE = ("sinusoidal", "learned")
RELATIVE = ("alibi", "rotary", "rotary_half", "shaw", "t5", "t5_causal")
NORMS = ("pre", "post")


class _Layer(nn.Module):
    """Multi-head attention that returns its weights only when asked."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor, memory: Tensor | None = None, *, need_weights: bool = False, **masks: Any) -> Any:
        output, weights = self.attention(x, memory, **masks)
        return (output, weights) if need_weights else output


class _Added(nn.Module):
    """What a scheme adds to the embedding."""

    def __init__(self, scheme: Any) -> None:
        super().__init__()
        self.scheme = scheme

    def forward(self, x: Tensor, position_ids: Tensor) -> Tensor:
        return self.scheme.embed(x, position_ids)


class _Scores(nn.Module):
    """Scaled scores with what a scheme does to queries, keys and scores; its tables are its only parameters."""

    def __init__(self, scheme: Any) -> None:
        super().__init__()
        self.scheme = scheme

    def forward(self, query: Tensor, key: Tensor, query_position_ids: Tensor, key_position_ids: Tensor) -> Tensor:
        query = self.scheme.rotate(query, query_position_ids)
        key = self.scheme.rotate(key, key_position_ids)
        scores = query @ key.mT / query.shape[-1] ** 0.5
        bias = self.scheme.bias(query, query_position_ids, key_position_ids)
        return scores if bias is None else scores + bias


class _Dropped(nn.Module):
    """What a residual connection makes of the output of a sub-layer, where nothing comes by the other way."""

    def __init__(self, residual: nn.Module) -> None:
        super().__init__()
        self.residual = residual.requires_grad_(False)  # of its norm nothing is seen

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(torch.zeros_like(x), lambda _: x)


class _Decoder(PaddedDecoder):
    def __init__(self, model: Any) -> None:
        self.model, self.cache = model, model.new_cache()

    def append(self, tokens: Tensor) -> Tensor:
        return self.model(tokens, cache=self.cache)

    def append_padded(self, tokens: Tensor, *, key_padding_mask: Tensor, position_ids: Tensor) -> Tensor:
        return self.model(tokens, key_padding_mask=key_padding_mask, position_ids=position_ids, cache=self.cache)

    def reorder(self, rows: Tensor) -> None:
        self.cache.reorder(rows)

    def crop(self, length: int) -> None:
        self.cache.crop(length)


def _projections(attention: Any) -> Projections:
    q, k, v, o = (getattr(attention, name) for name in ("W_Q", "W_K", "W_V", "W_O"))
    return Projections(q.weight, k.weight, v.weight, o.weight, q.bias, k.bias, v.bias, o.bias)


def _two_layers(network: Any) -> TwoLayers:
    return TwoLayers(network.W_1.weight, network.W_2.weight, network.W_1.bias, network.W_2.bias)


def _gain_and_bias(norm: Any) -> GainAndBias:
    return GainAndBias(norm.gamma, norm.beta, norm.eps)


def _blocks(encoder: Any) -> Blocks:
    layers = tuple(
        Block(
            attention=_projections(layer.self_attention),
            attention_norm=_gain_and_bias(layer.self_attention_residual.norm),
            feed_forward=_two_layers(layer.feed_forward),
            feed_forward_norm=_gain_and_bias(layer.feed_forward_residual.norm),
        )
        for layer in encoder.layers
    )
    return Blocks(layers, None if isinstance(encoder.norm, nn.Identity) else _gain_and_bias(encoder.norm))


def _batch_norm(built: Any) -> BatchNormParts:
    norm = built.norm
    return BatchNormParts(norm.gamma, norm.beta, norm.eps, norm.running_mean, norm.running_var, norm.momentum)


def configured(reference: Any, config: Config, **choices: Any) -> Any:
    """The Config of the package ``reference`` that has the sizes of ``config``, and these choices."""
    return reference.Config(
        d_model=config.d_model,
        n_heads=config.n_heads,
        n_kv_heads=config.n_kv_heads,
        n_layers=config.n_layers,
        d_ff=config.d_ff,
        vocab_size=config.vocab_size,
        max_length=config.max_length,
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
        **choices,
    )


def subjects_of(package: ModuleType, name: str = "reference") -> list[Subject]:
    """Every contract that the reference in ``package`` fulfils, as subjects called ``name``."""
    reference: Any = package

    def chosen(config: Config) -> Any:
        return configured(reference, config, **config.options)

    def attention(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        mask: Tensor | None = None,
        scale: float | None = None,
        need_weights: bool = False,
    ) -> Any:
        output, weights = reference.scaled_dot_product_attention(query, key, value, mask=mask, scale=scale)
        return (output, weights) if need_weights else output

    def layer(config: Config) -> nn.Module:
        return _Layer(reference.MultiHeadAttention(config.d_model, config.n_heads, config.n_kv_heads))

    def relative(config: Config) -> nn.Module:
        match config.options["positions"]:
            case "shaw":
                return _Scores(reference.ShawPositions(config.d_k))
            case "t5":
                return _Scores(reference.T5Bias(config.n_heads, bidirectional=True))
            case "t5_causal":
                return _Scores(reference.T5Bias(config.n_heads, bidirectional=False))
            case "alibi":
                return _Scores(reference.ALiBi())
            case "rotary":
                return _Scores(reference.Rotary("interleaved"))
        return _Scores(reference.Rotary("half"))

    def words(config: Config) -> nn.Module:
        embed = reference.Embedding(config.vocab_size, config.d_model)
        return WordsInAndOut(embed, reference.output_layer(embed, tied=config.options["tied"] == "yes"))

    def first_table(vocab_size: int, d_model: int, seed: int) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return reference.Embedding(vocab_size, d_model).weight

    models = {
        "options": {"norm": NORMS, "positions": POSITIONS},
        "grouped_queries": True,
        "fully_masked": "zero",
        "drops": {"embedding": "dropout", "sublayer": "dropout", "attention": "attention_dropout"},
    }
    return [
        Subject(name=name, contract="attention", call=attention, grouped_queries=True, fully_masked="zero"),
        Subject(
            name=name,
            contract="self_attention",
            build=layer,
            features={"key_padding_mask", "mask", "is_causal", "need_weights"},
            grouped_queries=True,
            fully_masked="zero",
            projections=lambda layer: _projections(layer.attention),
        ),
        Subject(
            name=name,
            contract="cross_attention",
            build=layer,
            features={"key_padding_mask", "need_weights"},
            grouped_queries=True,
            fully_masked="zero",
            projections=lambda layer: _projections(layer.attention),
        ),
        Subject(
            name=name,
            contract="encoder",
            build=lambda c: reference.Encoder(chosen(c)),
            plain_blocks=True,
            blocks=_blocks,
            **models,
        ),
        Subject(
            name=name,
            contract="causal_lm",
            build=lambda c: reference.CausalLM(chosen(c)),
            decoder=lambda model, batch: _Decoder(model),
            **models,
        ),
        Subject(name=name, contract="seq2seq", build=lambda c: reference.Transformer(chosen(c)), **models),
        Subject(
            name=name,
            contract="feed_forward",
            build=lambda c: reference.FeedForward(c.d_model, c.d_ff),
            two_layers=_two_layers,
        ),
        Subject(
            name=name,
            contract="normalization",
            build=lambda c: reference.LayerNorm(c.d_model),
            norm_parts=_gain_and_bias,
        ),
        Subject(
            name=name,
            contract="batch_norm",
            build=lambda c: OverTokens(reference.BatchNorm(c.d_model), c.options["places"]),
            paths={"places": PLACES},
            norm_parts=_batch_norm,
        ),
        Subject(
            name=name,
            contract="embedding",
            build=words,
            options={"tied": ("yes", "no")},
        ),
        Subject(
            name=name,
            contract="dropout",
            build=lambda c: _Dropped(reference.Residual(c.d_model, "pre", c.dropout)),
        ),
        Subject(name=name, contract="bpe_tokenizer", call=reference.train_byte_pair),
        Subject(name=name, contract="wordpiece_tokenizer", call=reference.train_wordpiece, features={"joins"}),
        Subject(name=name, contract="unigram_tokenizer", call=reference.train_unigram, features={"em_step"}),
        Subject(name=name, contract="schedule", call=reference.learning_rate),
        Subject(
            name=name,
            contract="initializer",
            call=first_table,
            entries=lambda vocab_size, d_model: Normal(d_model**-0.5),
        ),
        Subject(
            name=name,
            contract="absolute_positions",
            build=lambda c: _Added(reference.build_positions(chosen(c), bidirectional=True)),
            options={"positions": ABSOLUTE},
        ),
        Subject(name=name, contract="relative_positions", build=relative, options={"positions": RELATIVE}),
    ]


REFERENCE = subjects_of(veriformer.reference)


class _AdditiveAttention(nn.Module):
    """Additive attention that returns its weights only when asked."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = veriformer.reference.AdditiveAttention(config.d_k)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None, need_weights: bool = False
    ) -> Any:
        output, weights = self.attention(query, key, value, mask=mask)
        return (output, weights) if need_weights else output


ADDITIVE_ATTENTION = Subject(
    name="reference.additive_attention",
    contract="attention",
    build=_AdditiveAttention,
    grouped_queries=True,
    dot_product=False,
    fully_masked="zero",
)


class _Bahdanau(nn.Module):
    """Cross-attention as Bahdanau et al. 2015 have it: one additive head, and the annotations themselves as values."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = veriformer.reference.AdditiveAttention(config.d_model)

    def forward(
        self, x: Tensor, memory: Tensor, *, key_padding_mask: Tensor | None = None, need_weights: bool = False
    ) -> Any:
        mask = None if key_padding_mask is None else veriformer.reference.key_padding_to_mask(key_padding_mask)
        context, weights = self.attention(x[:, None], memory[:, None], memory[:, None], mask=mask)
        return (context[:, 0], weights) if need_weights else context[:, 0]


BAHDANAU = Subject(
    name="reference.bahdanau", contract="cross_attention", build=_Bahdanau, dot_product=False, fully_masked="zero"
)
