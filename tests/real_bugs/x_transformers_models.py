"""x-transformers as subjects: the arguments that its bugs depended on, one subject each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from x_transformers import Decoder, Encoder, TransformerWrapper  # pyright: ignore[reportMissingImports]

from veriformer.properties import Config, Sizes, Subject, Unsupported


class _Encoder(nn.Module):
    """A bare stack: x-transformers' ``mask`` says True = a real token, as ours does."""

    def __init__(self, config: Config, **choices: Any) -> None:
        super().__init__()
        self.stack = Encoder(dim=config.d_model, depth=config.n_layers, heads=config.n_heads, **choices)

    def forward(self, x: Tensor, *, key_padding_mask: Tensor | None = None) -> Tensor:
        return self.stack(x, mask=key_padding_mask)


class _Model(nn.Module):
    """A causal language model."""

    def __init__(self, config: Config, **choices: Any) -> None:
        super().__init__()
        sizes = {"dim": config.d_model, "depth": config.n_layers, "heads": config.n_heads, "attn_dim_head": config.d_k}
        stack = Decoder(**sizes, **choices)
        self.model = TransformerWrapper(num_tokens=config.vocab_size, max_seq_len=config.max_length, attn_layers=stack)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model(tokens)


class _Cached:
    """x-transformers' cache: the whole sequence is handed over every time, and one new token is computed."""

    def __init__(self, built: Any) -> None:
        self.model, self.tokens, self.cache = built.model, None, None

    def append(self, tokens: Tensor) -> Tensor:
        outputs = []
        for token in tokens.split(1, dim=1):
            self.tokens = token if self.tokens is None else torch.cat([self.tokens, token], dim=1)
            logits, self.cache = self.model(self.tokens, cache=self.cache, return_intermediates=True)
            outputs.append(logits[:, -1:])
        return torch.cat(outputs, dim=1)

    def reorder(self, rows: Tensor) -> None:
        raise Unsupported("x-transformers does not reorder its cache")

    def crop(self, length: int) -> None:
        raise Unsupported("x-transformers does not crop its cache")


def _model(name: str, *, cached: bool = False, sizes: Sizes | None = None, **choices: Any) -> Subject:
    return Subject(
        name=name,
        contract="causal_lm",
        build=lambda config: _Model(config, **choices),
        positions="learned",
        decoder=(lambda built, batch: _Cached(built)) if cached else None,
        sizes=sizes,
    )


# Padded rows give NaN even where the bug is mended, and a second layer would spread it.
encoder = Subject(
    name="x_transformers.Encoder", contract="encoder", build=_Encoder, sizes=Sizes(d_k=(4, 8), n_layers=(1,))
)
sparse = _model("sparse top-k", attn_sparse_topk=2)
# Head counts that are no power of two raise a NameError in both.
alibi = _model("ALiBi", alibi_pos_bias=True, sizes=Sizes(d_k=(4, 8), n_heads=(1, 2, 4)))
# One head alone raises in both: its keys are expanded to the shape of the queries.
flash = _model("flash attention, cached", cached=True, sizes=Sizes(d_k=(4, 8), n_heads=(2, 4)), attn_flash=True)
talking = _model("talking heads", attn_talking_heads=True)
scaled = _model("scaled query-key norm", attn_qk_norm=True, attn_qk_norm_dim_scale=True)
