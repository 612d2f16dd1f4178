"""Hugging Face's causal language models, small and with random weights."""

from __future__ import annotations

from typing import Any

import transformers
from torch import Tensor, nn

from veriformer.properties import Config, Subject

WINDOW = 4


class _Model(nn.Module):
    """``attention_mask`` says 1 = a real token."""

    def __init__(self, name: str, config: Config, attention: str, **choices: Any) -> None:
        super().__init__()
        settings = getattr(transformers, f"{name}Config")(
            vocab_size=config.vocab_size,
            hidden_size=config.d_model,
            intermediate_size=config.d_ff,
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
            num_key_value_heads=config.n_kv_heads,
            max_position_embeddings=config.max_length,
            pad_token_id=None,
            **choices,
        )
        kind = getattr(transformers, f"{name}ForCausalLM")
        self.model = kind._from_config(settings, attn_implementation=attention)

    def forward(self, tokens: Tensor, *, key_padding_mask: Tensor | None = None) -> Tensor:
        mask = None if key_padding_mask is None else key_padding_mask.long()
        return self.model(tokens, attention_mask=mask, use_cache=False).logits


def _mistral(config: Config) -> nn.Module:
    return _Model("Mistral", config, config.options["attention"], sliding_window=WINDOW)


def _gemma2(config: Config) -> nn.Module:
    return _Model(
        "Gemma2", config, "eager", sliding_window=WINDOW, head_dim=config.d_k, query_pre_attn_scalar=config.d_k
    )


mistral = Subject(
    name="transformers.MistralForCausalLM",
    contract="causal_lm",
    build=_mistral,
    paths={"attention": ("eager", "sdpa")},
    positions="rotary",
    grouped_queries=True,
)
gemma2 = Subject(
    name="transformers.Gemma2ForCausalLM", contract="causal_lm", build=_gemma2, positions="rotary", grouped_queries=True
)
