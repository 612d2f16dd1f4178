"""Reformer's shared query and key: one matrix makes both."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..attention import scaled_dot_product_attention
from ..config import check_heads
from ..masks import causal_mask, combine_masks, key_padding_to_mask
from ..multi_head import merge_heads, split_heads


def not_itself(visible: Bool[Tensor, "*batch query key"], itself: Bool[Tensor, "..."]) -> Bool[Tensor, "..."]:
    """Hide each query's own key, unless it has no other: a token is always most like itself.

    Source: Kitaev et al. 2020 (Reformer), §2, "Causal masking for shared-QK attention".
    """
    others = visible & ~itself
    return others | (visible & itself & ~others.any(dim=-1, keepdim=True))


class SharedQueryKeyAttention(nn.Module):
    """Multi-head self-attention with W_K = W_Q.

    The scores q_i · q_j are symmetric. As Reformer has it (`reformer=True`), keys are also brought to length 1,
    k_j = q_j / |q_j|, and a token does not attend to itself while there is another: the scores q_i · q_j / |q_j| are
    then not symmetric any more.

    Source: Kitaev et al. 2020 (Reformer), §2, "Shared-QK attention".
    """

    def __init__(self, d_model: int, n_heads: int, *, reformer: bool) -> None:
        """Draw three projections where `MultiHeadAttention` has four."""
        super().__init__()
        check_heads(d_model, n_heads, None)
        self.n_heads = n_heads
        self.reformer = reformer
        self.W_QK = nn.Linear(d_model, d_model, bias=False)
        self.W_V = nn.Linear(d_model, d_model)
        self.W_O = nn.Linear(d_model, d_model)

    def forward(
        self,
        x: Float[Tensor, "batch length d_model"],
        *,
        key_padding_mask: Bool[Tensor, "batch length"] | None = None,
        mask: Bool[Tensor, "..."] | None = None,
        is_causal: bool = False,
    ) -> tuple[Float[Tensor, "batch length d_model"], Float[Tensor, "batch heads length length"]]:
        """Return the output and the weights; the arguments are those of `MultiHeadAttention`."""
        n = x.shape[1]
        query = split_heads(self.W_QK(x), self.n_heads)
        value = split_heads(self.W_V(x), self.n_heads)
        causal = causal_mask(n, n, device=x.device) if is_causal else None
        real_key = None if key_padding_mask is None else key_padding_to_mask(key_padding_mask)
        visible = combine_masks(mask, causal, real_key)
        key = query
        if self.reformer:
            key = unit_keys(query)
            itself = torch.eye(n, dtype=torch.bool, device=x.device)
            visible = not_itself(torch.ones_like(itself) if visible is None else visible, itself)
        heads, weights = scaled_dot_product_attention(query, key, value, mask=visible)
        return self.W_O(merge_heads(heads)), weights


def unit_keys(query: Float[Tensor, "*batch d_k"]) -> Float[Tensor, "*batch d_k"]:
    """k_j = q_j / |q_j|, and 0 where q_j is 0."""
    smallest = torch.finfo(query.dtype).tiny  # PyTorch's own 1e-12 is 0 in float16, and 0/0 is not a number
    return nn.functional.normalize(query, dim=-1, eps=smallest)
