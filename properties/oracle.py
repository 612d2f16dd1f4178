"""The oracle: the reference, in float64. The one place where the properties use it."""

from __future__ import annotations

from torch import Tensor

from veriformer.reference.attention import scaled_dot_product_attention


def attention(query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None, scale: float) -> Tensor:
    """softmax(scale · QKᵀ)V of float64 tensors (batch, heads, length, d_k); mask as in the attention contract."""
    output, _ = scaled_dot_product_attention(query.double(), key.double(), value.double(), mask=mask, scale=scale)
    return output
