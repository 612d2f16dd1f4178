"""Models that use one layer, or one segment, over and over: Universal Transformer and Transformer-XL."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from veriformer.properties import CachedDecoder, Config, Sizes, Subject, Unsupported

from ..reference_subject import configured
from .declared import WIDE, named, quadratic

SEGMENT = 2


class _XLDecoder(CachedDecoder):
    """Decoding with the memory as the cache, which has to hold all of the past."""

    def __init__(self, model: Any, batch: int) -> None:
        if model.n_remembered is not None:
            raise Unsupported("it forgets what came before its memory")
        self.model, self.memory = model, model.new_memory(batch)

    def append(self, tokens: Tensor) -> Tensor:
        states, self.memory = self.model.read(self.model.embedding(tokens), self.memory)
        return self.model.output(states)

    def reorder(self, rows: Tensor) -> None:
        self.memory = [past[rows] for past in self.memory]

    def crop(self, length: int) -> None:
        self.memory = [past[:, :length] for past in self.memory]


def subjects(reference: Any, variants: Any) -> dict[str, Subject]:
    """Universal Transformer and Transformer-XL, by name, out of the packages given."""

    def universal(config: Config) -> nn.Module:
        return variants.UniversalEncoder(configured(reference, config, **config.options))

    def unrolled(built: Any) -> Any:
        """A stack of as many layers, each a copy of the one."""
        stack = [copy.deepcopy(built.layer) for _ in range(built.n_steps)]

        def encode(x: Tensor, *, position_ids: Tensor | None = None, **masks: Any) -> Tensor:
            place = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
            place = place if position_ids is None else position_ids
            for t, layer in enumerate(stack, 1):
                step = torch.full_like(place, t)
                x = built.positions.embed(x, place) + reference.sinusoidal_encoding(step, x.shape[-1], x.dtype)
                x = layer(x, position_ids=place, **masks)
            return built.norm(x)

        return encode

    def recurrent(config: Config) -> nn.Module:
        n_remembered = None if config.options["memory"] == "all" else SEGMENT
        choices = {"positions": "none", "norm": "post"}
        return variants.TransformerXL(
            configured(reference, config, **choices), segment=SEGMENT, n_remembered=n_remembered
        )

    def one_pass(model: Any) -> Any:
        """The whole sequence at once, under the mask of what each segment sees of it."""

        def read(tokens: Tensor | None = None, *, inputs_embeds: Tensor | None = None) -> Tensor:
            x = model.embedding(tokens) if inputs_embeds is None else inputs_embeds
            place = torch.arange(x.shape[1], device=x.device)
            first = torch.zeros_like(place)
            if model.n_remembered is not None:
                first = place // model.segment * model.segment - model.n_remembered
            mask = (place[None, :] <= place[:, None]) & (place[None, :] >= first[:, None])
            for layer in model.layers:
                x = layer(x, x[:, :0], mask=mask)
            return model.output(x)

        return read

    return {
        **named(
            "universal",
            contract="encoder",
            build=universal,
            options={"norm": ("pre", "post"), "positions": ("none", "sinusoidal")},
            plain=unrolled,
            growth=quadratic,
            fully_masked="zero",
        ),
        **named(
            "transformer_xl",
            contract="causal_lm",
            build=recurrent,
            options={"memory": ("all", "one segment")},
            positions="relative",
            plain=one_pass,
            growth=lambda path: 2 if path["memory"] == "all" else 1,
            segment=SEGMENT,
            dtypes=WIDE,
            decoder=_XLDecoder,
            sizes=Sizes(d_k=(4, 8), n_layers=(1, 2)),
        ),
    }
