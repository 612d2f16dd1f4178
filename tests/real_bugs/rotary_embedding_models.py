"""rotary-embedding-torch, in the scores of attention and in a layer that begins at an offset."""

from __future__ import annotations

from rotary_embedding_torch import RotaryEmbedding, apply_rotary_emb  # pyright: ignore[reportMissingImports]
from torch import Tensor, nn

from veriformer.properties import Config, Subject


class _Scores(nn.Module):
    """q·k/√d_k, both turned by the frequencies of their positions."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.rotary = RotaryEmbedding(dim=config.d_k)

    def forward(self, query: Tensor, key: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        def turned(t: Tensor, positions: Tensor) -> Tensor:
            return apply_rotary_emb(self.rotary(positions[0].to(t)), t)

        return turned(query, query_positions) @ turned(key, key_positions).mT / query.shape[-1] ** 0.5


class _Layer(nn.Module):
    """One head over x itself, whose first token stands at ``position_ids[:, 0]``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.rotary = RotaryEmbedding(dim=config.d_model)

    def forward(self, x: Tensor, *, position_ids: Tensor | None = None) -> Tensor:
        offset = 0 if position_ids is None else int(position_ids[0, 0])
        turned = self.rotary.rotate_queries_or_keys(x[:, None], offset=offset)
        return (turned @ turned.mT / x.shape[-1] ** 0.5).softmax(-1)[:, 0] @ x


scores = Subject(name="apply_rotary_emb", contract="relative_positions", build=_Scores, positions="rotary")
layer = Subject(name="rotate_queries_or_keys", contract="self_attention", build=_Layer, positions="rotary")
