"""Reformer's LSH attention: only tokens that fall into one bucket, and lie close in it, look at each other."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..attention import masked_softmax
from ..config import check_heads
from ..multi_head import merge_heads, split_heads
from .shared_query_key import not_itself, unit_keys


def lsh_buckets(
    x: Float[Tensor, "*batch length d_k"], rotations: Float[Tensor, "d_k half"]
) -> Int[Tensor, "*batch length"]:
    """h(x) = argmax([xR; −xR]), one of 2 · half buckets: vectors at a small angle tend to share one.

    Source: Andoni et al. 2015, as used by Kitaev et al. 2020 (Reformer), §2.
    """
    rotated = x @ rotations
    return torch.cat([rotated, -rotated], dim=-1).argmax(dim=-1)


def bucket_order(
    buckets: Int[Tensor, "*batch length"], real: Bool[Tensor, "*#batch length"]
) -> Int[Tensor, "*batch length"]:
    """Places in the order of their buckets, and within one in their own order; padding comes last."""
    n = buckets.shape[-1]
    last = torch.iinfo(buckets.dtype).max // n - 1
    sorted_by = buckets.masked_fill(~real, last) * n + torch.arange(n, device=buckets.device)
    return sorted_by.argsort(dim=-1)


def lsh_attention(
    query: Float[Tensor, "batch heads length d_k"],
    value: Float[Tensor, "batch heads length d_v"],
    *,
    rotations: Float[Tensor, "d_k half"],
    chunk: int,
    key_padding_mask: Bool[Tensor, "batch length"] | None = None,
    is_causal: bool = False,
) -> Float[Tensor, "batch heads length d_v"]:
    """Shared-QK attention among tokens of one bucket, in their own chunk of the sorted sequence or the one before.

    Tokens are sorted by bucket and cut into chunks, so that 2 · chunk scores a query are computed: apart from the
    sorting, the cost is linear in the length. One round of hashing; the paper averages several. Where a chunk begins
    depends on all tokens, later ones among them.

    Args:
        query: Q, from which the keys are made: k_j = q_j / |q_j|.
        value: V.
        rotations: R of `lsh_buckets`.
        chunk: tokens in a chunk.
        key_padding_mask: True = REAL token.
        is_causal: keys j ≤ i only.

    Source: Kitaev et al. 2020 (Reformer), §2, "LSH attention" and figure 2.
    """
    batch, n_heads, n, d_k = query.shape
    real = torch.ones(batch, n, dtype=torch.bool, device=query.device) if key_padding_mask is None else key_padding_mask
    real = real[:, None].expand(batch, n_heads, n)
    buckets = lsh_buckets(query, rotations)
    order = bucket_order(buckets, real)

    def chunked(x: Tensor, fill: float) -> Tensor:
        """(batch, heads, length, …) → (batch, heads, chunks, chunk, …), sorted, the last chunk filled up."""
        index = order.reshape(order.shape + (1,) * (x.dim() - 3)).expand(order.shape + x.shape[3:])
        missing = (0, 0) * (x.dim() - 3) + (0, -n % chunk)
        return nn.functional.pad(x.gather(2, index), missing, value=fill).unflatten(2, (-1, chunk))

    def with_previous(x: Tensor, fill: float) -> Tensor:
        """Each chunk after the one before it; before the first there is nothing."""
        before = torch.cat([torch.full_like(x[:, :, :1], fill), x[:, :, :-1]], dim=2)
        return torch.cat([before, x], dim=3)

    nowhere = -1
    places = chunked(torch.arange(n, device=query.device).expand(batch, n_heads, n), nowhere)
    hashes = chunked(buckets.masked_fill(~real, nowhere), nowhere)
    queries, values = chunked(query, 0.0), chunked(value, 0.0)
    key_places, key_hashes = with_previous(places, nowhere), with_previous(hashes, nowhere)
    keys, values = with_previous(unit_keys(queries), 0.0), with_previous(values, 0.0)

    visible = (hashes[..., :, None] == key_hashes[..., None, :]) & (key_hashes != nowhere)[..., None, :]
    if is_causal:
        visible = visible & (key_places[..., None, :] <= places[..., :, None])
    visible = not_itself(visible, key_places[..., None, :] == places[..., :, None])
    scores = queries @ keys.mT / math.sqrt(d_k)  # (batch, heads, chunks, chunk, 2 chunk)
    output = (masked_softmax(scores, visible) @ values).flatten(2, 3)[:, :, :n]
    return torch.zeros_like(output).scatter(2, order.unsqueeze(-1).expand_as(output), output)


class LSHAttention(nn.Module):
    """Multi-head self-attention by `lsh_attention`; the rotations are drawn once.

    Source: Kitaev et al. 2020 (Reformer), §2.
    """

    rotations: Tensor

    def __init__(self, d_model: int, n_heads: int, *, n_buckets: int, chunk: int) -> None:
        """Draw three projections and the rotations, for an even number of buckets."""
        super().__init__()
        check_heads(d_model, n_heads, None)
        self.n_heads, self.chunk = n_heads, chunk
        self.W_QK = nn.Linear(d_model, d_model, bias=False)
        self.W_V = nn.Linear(d_model, d_model)
        self.W_O = nn.Linear(d_model, d_model)
        self.register_buffer("rotations", torch.randn(d_model // n_heads, n_buckets // 2))

    def forward(
        self,
        x: Float[Tensor, "batch length d_model"],
        *,
        key_padding_mask: Bool[Tensor, "batch length"] | None = None,
        is_causal: bool = False,
    ) -> Float[Tensor, "batch length d_model"]:
        """Return the output. `key_padding_mask`: True = REAL token."""
        query = split_heads(self.W_QK(x), self.n_heads)
        value = split_heads(self.W_V(x), self.n_heads)
        heads = lsh_attention(
            query,
            value,
            rotations=self.rotations,
            chunk=self.chunk,
            key_padding_mask=key_padding_mask,
            is_causal=is_causal,
        )
        return self.W_O(merge_heads(heads))
