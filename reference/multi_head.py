"""Multi-head attention: several small attentions side by side."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .attention import scaled_dot_product_attention
from .config import check_heads
from .kv_cache import LayerCache, Past
from .masks import causal_mask, check_key_padding_mask, combine_masks, key_padding_to_mask
from .positions import Positions, resolve_position_ids


def split_heads(x: Float[Tensor, "batch length width"], n_heads: int) -> Float[Tensor, "batch heads length d_k"]:
    """Head h takes dimensions h · d_k to (h + 1) · d_k − 1."""
    batch, length, width = x.shape
    heads = x.view(batch, length, n_heads, width // n_heads)
    return heads.transpose(1, 2)


def merge_heads(x: Float[Tensor, "batch heads length d_k"]) -> Float[Tensor, "batch length width"]:
    """Concat(head_1, …, head_h), the inverse of `split_heads`."""
    batch, n_heads, length, d_k = x.shape
    tokens = x.transpose(1, 2)
    return tokens.reshape(batch, length, n_heads * d_k)


class MultiHeadAttention(nn.Module):
    """MultiHead(Q, K, V) = Concat(head_1, …, head_h) W_O, with head_i = Attention(Q W_Q^i, K W_K^i, V W_V^i).

    Q, K and V are all x in self-attention; in cross-attention K and V are the memory. The heads' matrices stand side
    by side in one: W_Q is d_model to n_heads · d_k, W_K and W_V are d_model to n_kv_heads · d_k.

    Args:
        d_model: width of x, of the memory and of the output.
        n_heads: number of query heads.
        n_kv_heads: number of key and value heads, shared by blocks of query heads; n_heads if None.
        positions: the scheme whose `rotate`, `bias` and `values` apply here; none if None.
        dropout: probability with which an attention weight is dropped in training.

    Raises:
        ValueError: n_heads does not divide d_model, or n_kv_heads does not divide n_heads.

    Source: Vaswani et al. 2017, §3.2.2; Ainslie et al. 2023, §2.2, for grouped heads.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        n_kv_heads: int | None = None,
        positions: Positions | None = None,
        dropout: float = 0.0,
    ) -> None:
        """Draw the four projections."""
        super().__init__()
        check_heads(d_model, n_heads, n_kv_heads)
        self.n_heads = n_heads
        self.n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
        self.dropout = dropout
        self.positions = Positions() if positions is None else positions
        d_k = d_model // n_heads
        self.W_Q = nn.Linear(d_model, n_heads * d_k)
        # No bias b: it would add q·b to every score of a row, and softmax does not see what a whole row shares. (Under
        # rotary positions it would not be inert; one layer for every scheme is worth more.)
        self.W_K = nn.Linear(d_model, self.n_kv_heads * d_k, bias=False)
        self.W_V = nn.Linear(d_model, self.n_kv_heads * d_k)
        self.W_O = nn.Linear(n_heads * d_k, d_model)

    def forward(
        self,
        x: Float[Tensor, "batch query d_model"],
        memory: Float[Tensor, "batch key d_model"] | None = None,
        *,
        key_padding_mask: Bool[Tensor, "batch key"] | None = None,
        mask: Bool[Tensor, "..."] | None = None,
        is_causal: bool = False,
        position_ids: Int[Tensor, "batch query"] | None = None,
        memory_position_ids: Int[Tensor, "batch key"] | None = None,
        cache: LayerCache | None = None,
    ) -> tuple[Float[Tensor, "batch query d_model"], Float[Tensor, "batch heads query all_keys"]]:
        """Return the output and the weights; `all_keys` counts the cached tokens, `key` the new ones only.

        Args:
            x: queries, and without a memory the keys and values.
            memory: keys and values of cross-attention.
            key_padding_mask: True = REAL token (PyTorch's own is the opposite). With a cache, of the new tokens only.
            mask: True = may attend; (query, key), or (batch, heads or 1, query, key).
            is_causal: hide the keys that come after each query; the last query sees every key.
            position_ids: positions of x; 0, 1, … after the cache's length if None.
            memory_position_ids: positions of the memory; 0, 1, … if None.
            cache: this layer's past, to which the new keys and values are added. Self-attention only.

        A query that may attend to nothing gets heads of exactly 0, hence W_O's bias.

        Raises:
            ValueError: a mask or position_ids has the wrong shape or dtype, or memory and cache are both given.
        """
        if memory is not None and cache is not None:
            raise ValueError("a cache holds the past of self-attention, got a memory as well; give one of the two")
        n_past = 0 if cache is None else cache.length
        query_position_ids = resolve_position_ids(position_ids, x, n_past)
        if memory is None:
            memory = x
            key_position_ids = query_position_ids
        else:
            key_position_ids = resolve_position_ids(memory_position_ids, memory)
        if key_padding_mask is not None:
            check_key_padding_mask(key_padding_mask, *memory.shape[:2])

        query = split_heads(self.W_Q(x), self.n_heads)  # (batch, heads, query, d_k)
        key = split_heads(self.W_K(memory), self.n_kv_heads)  # (batch, kv_heads, key, d_k)
        value = split_heads(self.W_V(memory), self.n_kv_heads)
        query = self.positions.rotate(query, query_position_ids)
        key = self.positions.rotate(key, key_position_ids)

        if cache is not None:
            if key_padding_mask is None:
                key_padding_mask = torch.ones_like(key_position_ids, dtype=torch.bool)
            new = Past(key, value, key_position_ids, key_padding_mask)
            key, value, key_position_ids, key_padding_mask = cache.append(new)

        causal = causal_mask(query.shape[2], key.shape[2], device=x.device) if is_causal else None
        real_key = None if key_padding_mask is None else key_padding_to_mask(key_padding_mask)
        mask = combine_masks(mask, causal, real_key)

        bias = self.positions.bias(query, query_position_ids, key_position_ids)
        dropout_p = self.dropout if self.training else 0.0
        heads, weights = scaled_dot_product_attention(query, key, value, mask=mask, bias=bias, dropout_p=dropout_p)
        relative_values = self.positions.values(weights, query_position_ids, key_position_ids)
        if relative_values is not None:
            heads = heads + relative_values
        return self.W_O(merge_heads(heads)), weights
