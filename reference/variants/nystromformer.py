"""Nyströmformer: the matrix of weights, rebuilt from a few of its rows and columns."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def segment_means(x: Float[Tensor, "*batch length d_k"], n_segments: int) -> Float[Tensor, "*batch n_segments d_k"]:
    """The mean of each of `n_segments` stretches of equal length, or of lengths one apart."""
    return torch.stack([part.mean(dim=-2) for part in x.tensor_split(n_segments, dim=-2)], dim=-2)


def nystrom_attention(
    query: Float[Tensor, "batch heads length d_k"],
    key: Float[Tensor, "batch heads length d_k"],
    value: Float[Tensor, "batch heads length d_v"],
    *,
    n_landmarks: int,
) -> Float[Tensor, "batch heads length d_v"]:
    """softmax(QK̃ᵀ/√d_k) softmax(Q̃K̃ᵀ/√d_k)⁺ softmax(Q̃Kᵀ/√d_k) V, where Q̃ and K̃ are means of stretches of Q and K.

    With every token a landmark the three matrices are one, A A⁺ A = A: attention itself. The pseudo-inverse ⁺ is
    exact, where the paper approaches it by iteration (its eq. 11). Landmarks are means over all places, later ones and
    padding among them: there is no causal form, and no mask.

    Source: Xiong et al. 2021 (Nyströmformer), eqs. 9 and 13.
    """
    n, d_k = query.shape[-2:]
    n_landmarks = min(n_landmarks, n)
    query = query / math.sqrt(d_k)
    few_queries, few_keys = segment_means(query, n_landmarks), segment_means(key, n_landmarks)
    to_landmarks = torch.softmax(query @ few_keys.mT, dim=-1)  # (batch, heads, length, n_landmarks)
    between = torch.softmax(few_queries @ few_keys.mT, dim=-1)
    from_landmarks = torch.softmax(few_queries @ key.mT, dim=-1)
    return to_landmarks @ (torch.linalg.pinv(between) @ (from_landmarks @ value))
