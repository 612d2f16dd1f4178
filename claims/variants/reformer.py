"""Reformer's layers: one matrix for queries and keys, and attention within buckets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from veriformer.properties import Config, Projections, Subject
from veriformer.properties.subjects import MAX_LENGTH

from .declared import WIDE, WeightsWhenAsked, named, quadratic

CHUNK = 2


def subjects(reference: Any, variants: Any) -> dict[str, Subject]:
    """Shared-QK and LSH attention, by name, out of the packages given."""

    def shared(config: Config) -> nn.Module:
        reformer = config.options["form"] == "reformer"
        return WeightsWhenAsked(variants.SharedQueryKeyAttention(config.d_model, config.n_heads, reformer=reformer))

    def projections(layer: Any) -> Projections:
        qk, v, o = (getattr(layer.attention, name) for name in ("W_QK", "W_V", "W_O"))
        return Projections(qk.weight, qk.weight, v.weight, o.weight, None, None, v.bias, o.bias)

    def hashed(config: Config) -> nn.Module:
        one = config.options["buckets"] == "one"
        layer = variants.LSHAttention(
            config.d_model, config.n_heads, n_buckets=4, chunk=MAX_LENGTH + 2 if one else CHUNK
        )
        if one:
            layer.rotations.zero_()
        return layer

    def unchunked(layer: Any) -> Any:
        """Reformer's shared query and key over all pairs; of several buckets, under the mask of bucket and chunk."""
        full = variants.SharedQueryKeyAttention(layer.W_V.in_features, layer.n_heads, reformer=True)
        full.to(layer.rotations)
        full.load_state_dict({name: w for name, w in layer.state_dict().items() if name != "rotations"})

        def attend(x: Tensor, *, key_padding_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
            query = reference.split_heads(layer.W_QK(x), layer.n_heads)
            buckets = variants.lsh_buckets(query, layer.rotations)
            real = torch.ones_like(x[..., 0], dtype=torch.bool) if key_padding_mask is None else key_padding_mask
            chunks = variants.bucket_order(buckets, real[:, None].expand_as(buckets)).argsort(-1) // layer.chunk
            back = chunks[..., :, None] - chunks[..., None, :]
            near = (buckets[..., :, None] == buckets[..., None, :]) & (back >= 0) & (back <= 1)
            return full(x, mask=near, key_padding_mask=key_padding_mask, is_causal=is_causal)[0]

        return attend

    layer: dict[str, Any] = {"contract": "self_attention", "fully_masked": "zero"}
    return {
        **named(
            "shared_query_key",
            build=shared,
            features={"key_padding_mask", "mask", "is_causal", "need_weights"},
            options={"form": ("plain", "reformer")},
            projections=projections,
            dtypes=WIDE,
            growth=quadratic,
            **layer,
        ),
        **named(
            "lsh_attention",
            build=hashed,
            options={"buckets": ("several", "one")},
            plain=unchunked,
            growth=lambda path: 1 if path["buckets"] == "several" else None,
            dtypes=("float64",),  # where a rounding turns a vector over into another bucket, the output jumps
            **layer,
        ),
    }
