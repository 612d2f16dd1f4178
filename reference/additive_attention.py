"""Additive attention: a small network scores each pair, where the Transformer takes a dot product."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .attention import masked_softmax, repeat_heads


class AdditiveAttention(nn.Module):
    """score(q, k) = vᵀ tanh(W q + U k); output = softmax(score) V.

    | paper                    | here                              |
    |--------------------------|-----------------------------------|
    | s_{i−1}, the state       | query, of width d_k               |
    | h_j, the annotation      | key, of width d_k                 |
    | W_a, U_a, v_a            | W, U, v                           |
    | n', the hidden width     | d_hidden, d_k if None             |
    | α_ij, eq. 6; c_i, eq. 5  | weights; output                   |

    Called as `scaled_dot_product_attention` is, and masked by the same softmax. It holds a
    (batch, heads, query, key, d_hidden) tensor, which the dot product never needs.

    Source: Bahdanau et al. 2015, §3.1 (eqs. 5 and 6) and appendix A.1.2.
    """

    def __init__(self, d_k: int, d_hidden: int | None = None) -> None:
        """Draw W, U and v, none of which has a bias in the paper."""
        super().__init__()
        d_hidden = d_k if d_hidden is None else d_hidden
        self.W = nn.Linear(d_k, d_hidden, bias=False)
        self.U = nn.Linear(d_k, d_hidden, bias=False)
        self.v = nn.Linear(d_hidden, 1, bias=False)

    def forward(
        self,
        query: Float[Tensor, "batch heads query d_k"],
        key: Float[Tensor, "batch kv_heads key d_k"],
        value: Float[Tensor, "batch kv_heads key d_v"],
        *,
        mask: Bool[Tensor, "..."] | None = None,
    ) -> tuple[Float[Tensor, "batch heads query d_v"], Float[Tensor, "batch heads query key"]]:
        """Return the output and the weights. The mask (True = may attend) broadcasts to (batch, heads, query, key).

        Raises:
            ValueError: the heads do not divide, or the mask is not boolean.
        """
        n_heads = query.shape[1]
        key = repeat_heads(key, n_heads)
        value = repeat_heads(value, n_heads)
        projected_query = self.W(query)[:, :, :, None, :]  # (batch, heads, query, 1, d_hidden)
        projected_key = self.U(key)[:, :, None, :, :]  # (batch, heads, 1, key, d_hidden)
        hidden = torch.tanh(projected_query + projected_key)
        scores = self.v(hidden).squeeze(-1)  # (batch, heads, query, key)
        weights = masked_softmax(scores, mask)
        output = weights @ value
        return output, weights
