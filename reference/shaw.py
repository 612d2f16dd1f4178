"""Shaw et al.'s relative positions: each clipped offset has a key vector and a value vector."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .positions import Positions, relative_positions


class ShawPositions(Positions):
    """e_ij = q_i · (k_j + a^K_ij) / √d_k,  z_i = Σ_j A_ij (v_j + a^V_ij),  a_ij = w[clip(j − i, −k, k)].

    | paper                 | here                                               |
    |-----------------------|----------------------------------------------------|
    | w^K, w^V              | key_table, value_table: (2k + 1, d_k)              |
    | k                     | max_distance                                       |
    | d_z                   | d_k                                                |

    The tables are shared by all heads (§3.1). The value term uses the same weights as the values do.

    Source: Shaw et al. 2018, eqs. 3 and 4, and §3.2 for the clipping.
    """

    def __init__(self, d_k: int, max_distance: int = 16) -> None:
        """Draw both tables from N(0, 1/d_k); the paper's experiments clip at 16."""
        super().__init__()
        self.max_distance = max_distance
        self.key_table = nn.Parameter(torch.empty(2 * max_distance + 1, d_k))
        self.value_table = nn.Parameter(torch.empty(2 * max_distance + 1, d_k))
        nn.init.normal_(self.key_table, std=d_k**-0.5)
        nn.init.normal_(self.value_table, std=d_k**-0.5)

    def row(
        self, query_position_ids: Int[Tensor, "batch query"], key_position_ids: Int[Tensor, "batch key"]
    ) -> Int[Tensor, "batch query key"]:
        """clip(j − i, −k, k) + k, the row of both tables."""
        offset = relative_positions(query_position_ids, key_position_ids)
        clipped = offset.clamp(-self.max_distance, self.max_distance)
        return clipped + self.max_distance

    def bias(
        self,
        query: Float[Tensor, "batch heads query d_k"],
        query_position_ids: Int[Tensor, "batch query"],
        key_position_ids: Int[Tensor, "batch key"],
    ) -> Float[Tensor, "batch heads query key"]:
        """q_i · a^K_ij / √d_k, the second half of eq. 4."""
        d_k = query.shape[-1]
        relative_key = self.key_table[self.row(query_position_ids, key_position_ids)]  # (batch, query, key, d_k)
        return torch.einsum("bhid,bijd->bhij", query / math.sqrt(d_k), relative_key)

    def values(
        self,
        weights: Float[Tensor, "batch heads query key"],
        query_position_ids: Int[Tensor, "batch query"],
        key_position_ids: Int[Tensor, "batch key"],
    ) -> Float[Tensor, "batch heads query d_k"]:
        """Σ_j A_ij a^V_ij, the second half of eq. 3."""
        relative_value = self.value_table[self.row(query_position_ids, key_position_ids)]  # (batch, query, key, d_k)
        return torch.einsum("bhij,bijd->bhid", weights, relative_value)
