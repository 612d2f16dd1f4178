"""Where a position scheme may act: on the embedding, on queries and keys, on the scores, on the values."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class Positions(nn.Module):
    """Four places where position can enter; each scheme overrides its own. This base, as it stands, is "none".

    | hook     | in the formula                        | who uses it         |
    |----------|---------------------------------------|---------------------|
    | embed    | x_i + PE(i)                           | sinusoidal, learned |
    | rotate   | R_i q_i, R_j k_j                      | rotary              |
    | bias     | softmax(QKᵀ/√d_k + bias)              | Shaw, T5, ALiBi     |
    | values   | Σ_j A_ij (v_j + a_ij)                 | Shaw                |

    A scheme reads the position ids that it is given and nothing else, so a token's place in the tensor (padding on the
    left, a permutation, a cache) does not matter, and no table can go stale.
    """

    def embed(
        self, x: Float[Tensor, "batch length d_model"], position_ids: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length d_model"]:
        """x_i + PE(i), once, before the first layer."""
        return x

    def rotate(
        self, x: Float[Tensor, "batch heads length d_k"], position_ids: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch heads length d_k"]:
        """R_i x_i, for queries and keys alike, in every layer."""
        return x

    def bias(
        self,
        query: Float[Tensor, "batch heads query d_k"],
        query_position_ids: Int[Tensor, "batch query"],
        key_position_ids: Int[Tensor, "batch key"],
    ) -> Float[Tensor, "batch heads query key"] | None:
        """What is added to the scaled scores; None for nothing."""
        return None

    def values(
        self,
        weights: Float[Tensor, "batch heads query key"],
        query_position_ids: Int[Tensor, "batch query"],
        key_position_ids: Int[Tensor, "batch key"],
    ) -> Float[Tensor, "batch heads query d_k"] | None:
        """What is added to the heads' outputs; None for nothing."""
        return None


def relative_positions(
    query_position_ids: Int[Tensor, "batch query"], key_position_ids: Int[Tensor, "batch key"]
) -> Int[Tensor, "batch query key"]:
    """j − i: how far the key at j stands after the query at i; negative for the past."""
    return key_position_ids[:, None, :] - query_position_ids[:, :, None]


def resolve_position_ids(
    position_ids: Int[Tensor, "batch length"] | None, x: Float[Tensor, "batch length d_model"], n_past: int = 0
) -> Int[Tensor, "batch length"]:
    """Return the position ids given, or n_past, n_past + 1, … for every row of x.

    Raises:
        ValueError: the ids given are not integers of shape (batch, length).
    """
    batch, length, _ = x.shape
    if position_ids is None:
        return torch.arange(n_past, n_past + length, device=x.device).expand(batch, length)
    if position_ids.shape != (batch, length) or position_ids.is_floating_point():
        raise ValueError(
            f"position_ids must be integers of shape (batch, length) = ({batch}, {length}), "
            f"got {position_ids.dtype} of shape {tuple(position_ids.shape)}; "
            "give one id per token of this call, or leave them out to count from the end of the cache"
        )
    return position_ids
