"""Scaled dot-product attention."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .masks import check_boolean


def masked_softmax(
    scores: Float[Tensor, "*batch query key"], mask: Bool[Tensor, "..."] | None = None
) -> Float[Tensor, "*batch query key"]:
    """A[i, j] = exp(s[i, j]) / Σ_j' exp(s[i, j']), both over the keys that the mask (True = may attend) allows query i.

    A weight that the mask forbids is exactly 0, and so is its gradient. A query that may attend to nothing has
    weights of exactly 0, hence an output of exactly 0, and zero gradients: never NaN.

    Raises:
        ValueError: the mask is not boolean.
    """
    if mask is None:
        return torch.softmax(scores, dim=-1)
    check_boolean("mask", mask)
    hidden = ~mask
    sees_nothing = hidden.all(dim=-1, keepdim=True)
    scores = scores.masked_fill(hidden, -math.inf)
    # A row of −inf alone would be 0/0, and NaN in backward too: make it finite, its weights are emptied below.
    scores = scores.masked_fill(sees_nothing, 0.0)
    weights = torch.softmax(scores, dim=-1)
    # Hidden weights are 0 by now. This also stops their gradients, which a huge hidden value can make infinite.
    return weights.masked_fill(hidden, 0.0)


def repeat_heads(x: Float[Tensor, "batch kv_heads length d"], n_heads: int) -> Float[Tensor, "batch heads length d"]:
    """Repeat each key/value head in a block, so that query head h uses key/value head h // (n_heads / n_kv_heads).

    Raises:
        ValueError: n_heads is not a multiple of the heads given.

    Source: Ainslie et al. 2023 (GQA), §2.2.
    """
    n_kv_heads = x.shape[1]
    if n_heads % n_kv_heads != 0:
        raise ValueError(
            f"the query's heads must be a multiple of the key's and value's, got {n_heads} and {n_kv_heads}; "
            "give the key and value a number of heads that divides the query's"
        )
    group_size = n_heads // n_kv_heads
    return x.repeat_interleave(group_size, dim=1)


def scaled_dot_product_attention(
    query: Float[Tensor, "batch heads query d_k"],
    key: Float[Tensor, "batch kv_heads key d_k"],
    value: Float[Tensor, "batch kv_heads key d_v"],
    *,
    mask: Bool[Tensor, "..."] | None = None,
    scale: float | None = None,
    bias: Float[Tensor, "..."] | None = None,
    dropout_p: float = 0.0,
) -> tuple[Float[Tensor, "batch heads query d_v"], Float[Tensor, "batch heads query key"]]:
    """Attention(Q, K, V) = softmax(QKᵀ/√d_k + bias) V, and the weights that multiplied V.

    Args:
        query: Q.
        key: K, with as many heads as the query or a divisor of them (grouped heads).
        value: V.
        mask: True = may attend; broadcasts to (batch, heads, query, key). See `masked_softmax` for a query that may
            attend to nothing.
        scale: what multiplies QKᵀ; 1/√d_k if None.
        bias: added to the scaled scores; broadcasts to (batch, heads, query, key).
        dropout_p: probability with which a weight is dropped; give it in training only.

    Raises:
        ValueError: the heads do not divide, or the mask is not boolean.

    Source: Vaswani et al. 2017, eq. 1; Ainslie et al. 2023, §2.2, for grouped heads.
    """
    n_heads = query.shape[1]
    d_k = query.shape[-1]
    if scale is None:
        scale = 1.0 / math.sqrt(d_k)
    key = repeat_heads(key, n_heads)
    value = repeat_heads(value, n_heads)

    query = query * scale  # before the product: in float16 QKᵀ may overflow where QKᵀ/√d_k does not
    scores = query @ key.transpose(-2, -1)  # (batch, heads, query, key)
    if bias is not None:
        scores = scores + bias
    weights = masked_softmax(scores, mask)
    if dropout_p > 0.0:
        weights = nn.functional.dropout(weights, dropout_p)
    output = weights @ value  # (batch, heads, query, d_v)
    return output, weights
