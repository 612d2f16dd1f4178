"""ALiBi: a penalty on each score that grows with distance, at a rate of its own for each head."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .positions import Positions, relative_positions


def alibi_slopes(n_heads: int) -> list[float]:
    """m_h = 2^(−8h/n) for h = 1 … n, when n is a power of two.

    Otherwise, with p the largest power of two below n: the p slopes of p heads, then every other slope of 2p heads,
    which fall between them, until there are n.

    Source: Press et al. 2022, §3, and `get_slopes` in the authors' code (attention_with_linear_biases) for the rest.
    """
    power = 2 ** math.floor(math.log2(n_heads))
    slopes = [2.0 ** (-8 * h / power) for h in range(1, power + 1)]
    between = [2.0 ** (-8 * h / (2 * power)) for h in range(1, 2 * power + 1, 2)]
    return slopes + between[: n_heads - power]


class ALiBi(Positions):
    """scores[h, i, j] − m_h · |i − j|.

    The paper's models are causal, where |i − j| = i − j for every key in sight; without a causal mask the penalty is
    the same on both sides.

    Source: Press et al. 2022, §3.
    """

    def bias(
        self,
        query: Float[Tensor, "batch heads query d_k"],
        query_position_ids: Int[Tensor, "batch query"],
        key_position_ids: Int[Tensor, "batch key"],
    ) -> Float[Tensor, "batch heads query key"]:
        """−m_h · |i − j|."""
        n_heads = query.shape[1]
        bias_dtype = torch.promote_types(query.dtype, torch.float32)  # bfloat16 cannot tell a distance of 256 from 257
        slopes = torch.tensor(alibi_slopes(n_heads), device=query.device, dtype=bias_dtype)
        distance = relative_positions(query_position_ids, key_position_ids).abs()
        penalty = slopes[:, None, None] * distance[:, None]  # (heads, 1, 1) x (batch, 1, query, key)
        return -penalty.to(query.dtype)
