"""Performer: random features whose products imitate e^{q·k}, so that linear attention imitates softmax."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .linear_attention import attend_by_features


def orthogonal_gaussian(n_features: int, d_k: int) -> Float[Tensor, "n_features d_k"]:
    """Rows w_a that are each N(0, I), and orthogonal to one another in blocks of d_k.

    A block is a rotation drawn uniformly, its rows stretched to the lengths of independent normal vectors. The factor
    Q of a QR decomposition is uniform only after its columns have been given the signs of R's diagonal.

    Source: Choromanski et al. 2021, §3.2 and appendix B.2.
    """
    n_blocks = -(-n_features // d_k)
    q, r = torch.linalg.qr(torch.randn(n_blocks, d_k, d_k))
    rotation = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    lengths = torch.randn(n_blocks, d_k, d_k).norm(dim=-1, keepdim=True)
    return (lengths * rotation.mT).flatten(0, 1)[:n_features]


def log_positive_features(
    x: Float[Tensor, "*batch d_k"], projection: Float[Tensor, "m d_k"]
) -> Float[Tensor, "*batch m"]:
    """log φ_a(x) = w_a · x − |x|²/2: for w_a of N(0, I), φ_a(q) φ_a(k) has the mean e^{q·k}.

    Source: Choromanski et al. 2021, lemma 1.
    """
    return x @ projection.mT - x.square().sum(dim=-1, keepdim=True) / 2


def performer_attention(
    query: Float[Tensor, "batch heads query d_k"],
    key: Float[Tensor, "batch heads key d_k"],
    value: Float[Tensor, "batch heads key d_v"],
    *,
    projection: Float[Tensor, "m d_k"],
    key_padding_mask: Bool[Tensor, "batch key"] | None = None,
    is_causal: bool = False,
) -> Float[Tensor, "batch heads query d_v"]:
    """softmax(QKᵀ/√d_k) V with e^{q·k/√d_k} replaced by Σ_a φ_a(q/d_k^{1/4}) φ_a(k/d_k^{1/4}) / m (FAVOR+).

    The kernel is estimated without bias; the weights are quotients of estimates, so they are biased a little at every
    finite m. What all features of one query share is divided away before it can underflow. (To do the same for the
    keys, by their common maximum, would let a later key reach earlier queries in rounding.)

    Args:
        query: Q.
        key: K.
        value: V.
        projection: the w_a, from `orthogonal_gaussian`.
        key_padding_mask: True = REAL token.
        is_causal: keys j ≤ i only.

    Source: Choromanski et al. 2021, §2.3 and algorithm 1.
    """
    quarter = query.shape[-1] ** -0.25
    log_query = log_positive_features(query * quarter, projection)
    log_key = log_positive_features(key * quarter, projection)
    query_features = (log_query - log_query.amax(dim=-1, keepdim=True)).exp()
    return attend_by_features(
        query_features, log_key.exp(), value, key_padding_mask=key_padding_mask, is_causal=is_causal
    )
