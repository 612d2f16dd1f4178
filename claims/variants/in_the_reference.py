"""Variants that are choices of the reference itself."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from veriformer.properties import Subject

from ..reference_subject import subjects_of
from .declared import WeightsWhenAsked, quadratic


def subjects(reference: Any) -> dict[str, Subject]:
    """Grouped queries, and the decoders with ALiBi and with rotary positions, by name, out of the package given."""
    (layer,) = (s for s in subjects_of(reference) if s.contract == "self_attention")
    (decoder,) = (s for s in subjects_of(reference) if s.contract == "causal_lm")

    def of_every_head(built: Any) -> Any:
        """As many key and value heads as query heads, those of a group alike."""
        shared = built.attention
        full = type(shared)(shared.W_Q.in_features, shared.n_heads)
        full.to(shared.W_Q.weight)
        group = shared.n_heads // shared.n_kv_heads

        def repeated(weights: Tensor) -> Tensor:
            return weights.unflatten(0, (shared.n_kv_heads, -1)).repeat_interleave(group, dim=0).flatten(0, 1)

        grouped = ("W_K", "W_V")
        weights = shared.state_dict()
        full.load_state_dict({name: repeated(w) if name.startswith(grouped) else w for name, w in weights.items()})
        return WeightsWhenAsked(full)

    named = partial(replace, decoder)
    return {
        "grouped_queries": replace(
            layer, name="reference.variants.grouped_queries", plain=of_every_head, growth=quadratic
        ),
        "alibi": named(name="reference.variants.alibi", options={**decoder.options, "positions": ("alibi",)}),
        "rotary": named(name="reference.variants.rotary", options={**decoder.options, "positions": ("rotary",)}),
    }
