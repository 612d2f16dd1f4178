"""Synthesizer: weights that no pair of tokens has agreed on."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..attention import masked_softmax
from ..config import check_heads
from ..masks import causal_mask, combine_masks, key_padding_to_mask
from ..multi_head import merge_heads, split_heads


class Synthesizer(nn.Module):
    """Concat(softmax(B_1) V_1, …, softmax(B_h) V_h) W_O, where the scores B_h come from no product of two tokens.

    Dense: row i of B_h is W_2^h max(0, W_1^h x_i), made of token i alone. Random: B_h is a trained matrix, whatever
    the tokens are. Entry j of a row belongs to place j, so sequences are at most `max_length` long.

    Source: Tay et al. 2021 (Synthesizer), §3.1 (dense) and §3.2 (random).
    """

    def __init__(self, d_model: int, n_heads: int, max_length: int, *, dense: bool) -> None:
        """Draw the projections of the values and the output, and what makes the scores."""
        super().__init__()
        check_heads(d_model, n_heads, None)
        self.n_heads = n_heads
        d_k = d_model // n_heads
        self.W_V = nn.Linear(d_model, d_model)
        self.W_O = nn.Linear(d_model, d_model)
        self.W_1 = nn.Linear(d_model, d_model) if dense else None
        self.W_2 = nn.Parameter(torch.randn(n_heads, max_length, d_k) * d_k**-0.5) if dense else None
        self.B = None if dense else nn.Parameter(torch.randn(n_heads, max_length, max_length))

    def scores(self, x: Float[Tensor, "batch length d_model"]) -> Float[Tensor, "batch heads length length"]:
        """B, cut to the length of x."""
        batch, n, _ = x.shape
        if self.W_1 is not None and self.W_2 is not None:
            hidden = split_heads(torch.relu(self.W_1(x)), self.n_heads)  # (batch, heads, length, d_k)
            return hidden @ self.W_2[:, :n].mT
        assert self.B is not None
        return self.B[:, :n, :n].expand(batch, -1, -1, -1)

    def forward(
        self,
        x: Float[Tensor, "batch length d_model"],
        *,
        key_padding_mask: Bool[Tensor, "batch length"] | None = None,
        is_causal: bool = False,
    ) -> Float[Tensor, "batch length d_model"]:
        """Return the output. `key_padding_mask`: True = REAL token."""
        n = x.shape[1]
        causal = causal_mask(n, n, device=x.device) if is_causal else None
        real_key = None if key_padding_mask is None else key_padding_to_mask(key_padding_mask)
        weights = masked_softmax(self.scores(x), combine_masks(causal, real_key))
        return self.W_O(merge_heads(weights @ split_heads(self.W_V(x), self.n_heads)))
