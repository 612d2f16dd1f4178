"""The KV cache: what attention keeps of the past, so that a new token costs one row and not all of them."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Past(NamedTuple):
    """The tokens that one attention layer can look back on. Keys are stored as the scores need them: rotated."""

    key: Float[Tensor, "batch kv_heads length d_k"]
    value: Float[Tensor, "batch kv_heads length d_k"]
    position_ids: Int[Tensor, "batch length"]
    key_padding_mask: Bool[Tensor, "batch length"]  # True = REAL token


class LayerCache:
    """The past of one layer, empty at first."""

    def __init__(self) -> None:
        """Start empty."""
        self.past: Past | None = None

    @property
    def length(self) -> int:
        """How many tokens are held, padding included."""
        return 0 if self.past is None else self.past.key.shape[2]

    def append(self, new: Past) -> Past:
        """Add new tokens after the old ones, and return them all."""
        if self.past is None:
            self.past = new
        else:
            old = self.past
            self.past = Past(
                key=torch.cat([old.key, new.key], dim=2),
                value=torch.cat([old.value, new.value], dim=2),
                position_ids=torch.cat([old.position_ids, new.position_ids], dim=1),
                key_padding_mask=torch.cat([old.key_padding_mask, new.key_padding_mask], dim=1),
            )
        return self.past

    def reorder(self, rows: Int[Tensor, "new_batch"]) -> None:
        """Make row i of the batch what row rows[i] was."""
        if self.past is not None:
            self.past = Past(*(tensor.index_select(0, rows) for tensor in self.past))

    def crop(self, length: int) -> None:
        """Keep the first `length` tokens."""
        if self.past is not None:
            self.past = Past(
                key=self.past.key[:, :, :length],
                value=self.past.value[:, :, :length],
                position_ids=self.past.position_ids[:, :length],
                key_padding_mask=self.past.key_padding_mask[:, :length],
            )


class KVCache:
    """K_{1…t} and V_{1…t} of each layer of a causal model, to which K_{t+1} and V_{t+1} are appended.

    Many tokens appended at once, or one by one, or no cache at all: the logits are the same.

    Source: Shazeer 2019, §2.4, multi-head attention (incremental).
    """

    def __init__(self, n_layers: int) -> None:
        """Start empty."""
        self.layers = [LayerCache() for _ in range(n_layers)]

    @property
    def length(self) -> int:
        """How many tokens are held, padding included."""
        return self.layers[0].length

    def reorder(self, rows: Int[Tensor, "new_batch"]) -> None:
        """Make row i of the batch what row rows[i] was: the survivors of a beam search. Rows may repeat or vanish."""
        for layer in self.layers:
            layer.reorder(rows)

    def crop(self, length: int) -> None:
        """Forget all but the first `length` tokens.

        Raises:
            ValueError: fewer tokens than that are held, or `length` is negative.
        """
        if not 0 <= length <= self.length:
            raise ValueError(
                f"crop keeps between 0 and {self.length} tokens, the number held, got length={length}; "
                "a cache grows by running the model on more tokens"
            )
        for layer in self.layers:
            layer.crop(length)
