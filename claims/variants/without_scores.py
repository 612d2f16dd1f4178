"""Layers whose weights are no product of two tokens: Synthesizer and FNet."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from veriformer.properties import Config, Subject
from veriformer.properties.subjects import MAX_LENGTH

from .declared import WIDE, named, quadratic


def subjects(variants: Any) -> dict[str, Subject]:
    """Synthesizer and FNet, by name, out of the package given."""

    def synthesizer(config: Config) -> nn.Module:
        dense = config.options["scores"] == "dense"
        return variants.Synthesizer(config.d_model, config.n_heads, MAX_LENGTH, dense=dense)

    def token_by_token(layer: Any) -> Any:
        """Each row of weights from its own token, in a sequence that has no other; and one head after the other."""

        def attend(x: Tensor, *, key_padding_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
            n, d_k = x.shape[1], layer.W_V.out_features // layer.n_heads
            rows = [torch.zeros_like(x)]
            value = layer.W_V(x)
            hidden = torch.zeros(x.shape[0], n, n, dtype=torch.bool, device=x.device)
            if key_padding_mask is not None:
                hidden |= ~key_padding_mask[:, None, :]
            if is_causal:
                hidden |= torch.ones_like(hidden).triu(1)
            for h in range(layer.n_heads):
                own = slice(h * d_k, (h + 1) * d_k)
                scores = torch.stack([_row_of_scores(layer, x[:, i], i, h, n) for i in range(n)], dim=1)
                weights = scores.masked_fill(hidden, -torch.inf).softmax(-1)
                rows.append(weights @ value[..., own] @ layer.W_O.weight[:, own].mT)
            return sum(rows) + layer.W_O.bias  # type: ignore[return-value]

        return attend

    def mixing(config: Config) -> nn.Module:
        return variants.FourierMixing()

    def by_matrices(built: Any) -> Any:
        def transform(n: int, like: Tensor) -> Tensor:
            place = torch.arange(n, dtype=like.dtype, device=like.device)
            angle = -2 * torch.pi * (place[:, None] * place[None, :] % n) / n
            return torch.complex(angle.cos(), angle.sin())

        def mix(x: Tensor) -> Tensor:
            places, features = transform(x.shape[1], x), transform(x.shape[2], x)
            return (places @ x.to(places.dtype) @ features).real

        return mix

    layer: dict[str, Any] = {"contract": "self_attention", "dtypes": WIDE}
    return {
        **named(
            "synthesizer",
            build=synthesizer,
            options={"scores": ("dense", "random")},
            plain=token_by_token,
            fully_masked="zero",
            growth=quadratic,
            **layer,
        ),
        **named("fnet", build=mixing, plain=by_matrices, **layer),
    }


def _row_of_scores(layer: Any, token: Tensor, i: int, h: int, n: int) -> Tensor:
    """What head h makes of the token (batch, d_model) at place i: (batch, n)."""
    if layer.B is not None:
        return layer.B[h, i, :n].expand(token.shape[0], -1)
    d_k = layer.W_1.out_features // layer.n_heads
    hidden = layer.W_1(token).relu()[:, h * d_k : (h + 1) * d_k]
    return hidden @ layer.W_2[h, :n].mT
