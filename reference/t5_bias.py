"""T5's relative positions: one learned number per head for each bucket of offsets."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .positions import Positions, relative_positions


def t5_bucket(
    offset: Int[Tensor, "*shape"], *, bidirectional: bool, n_buckets: int = 32, max_distance: int = 128
) -> Int[Tensor, "*shape"]:
    """bucket(n) = n below E, and min(E + ⌊(B − E) · log(n/E) / log(max_distance/E)⌋, B − 1) from there, E = ⌊B/2⌋.

    `offset` is j − i (key minus query) and n the distance into the past, i − j. Bidirectional: B is half of the
    buckets and n = |i − j|; the future has the second half to itself. Otherwise B is all of them and the future,
    which a causal mask hides, falls into bucket 0.

    Source: Raffel et al. 2020, §2.1, and the published rule, `_relative_position_bucket` in
    mesh_tensorflow/transformer/transformer_layers.py.
    """
    distance = -offset
    first_bucket = torch.zeros_like(offset)
    if bidirectional:
        n_buckets = n_buckets // 2
        first_bucket = (distance < 0) * n_buckets
        distance = distance.abs()
    else:
        distance = distance.clamp(min=0)
    n_exact = n_buckets // 2
    ratio = distance.clamp(min=n_exact).float() / n_exact
    growth = torch.log(ratio) / math.log(max_distance / n_exact)
    logarithmic = n_exact + (growth * (n_buckets - n_exact)).to(offset.dtype)
    logarithmic = logarithmic.clamp(max=n_buckets - 1)
    bucket = torch.where(distance < n_exact, distance, logarithmic)
    return first_bucket + bucket


class T5Bias(Positions):
    """scores[h, i, j] + table[bucket(j − i), h].

    One table serves every layer of a stack, as in the paper: the layers are handed the same object. T5 itself leaves
    out the 1/√d_k; here the bias is added to scaled scores, as every other scheme's is.

    Source: Raffel et al. 2020, §2.1.
    """

    def __init__(self, n_heads: int, *, bidirectional: bool) -> None:
        """Draw the table, 32 buckets by n_heads; 32 and 128 are the paper's numbers."""
        super().__init__()
        self.bidirectional = bidirectional
        self.n_buckets = 32
        self.max_distance = 128
        self.table = nn.Parameter(torch.empty(self.n_buckets, n_heads))
        nn.init.normal_(self.table)

    def bias(
        self,
        query: Float[Tensor, "batch heads query d_k"],
        query_position_ids: Int[Tensor, "batch query"],
        key_position_ids: Int[Tensor, "batch key"],
    ) -> Float[Tensor, "batch heads query key"]:
        """table[bucket(j − i), h]."""
        offset = relative_positions(query_position_ids, key_position_ids)
        bucket = t5_bucket(
            offset,
            bidirectional=self.bidirectional,
            n_buckets=self.n_buckets,
            max_distance=self.max_distance,
        )
        return self.table[bucket].permute(0, 3, 1, 2)  # (batch, query, key, heads) -> (batch, heads, query, key)
