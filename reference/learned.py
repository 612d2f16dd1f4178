"""Learned positions: one trained vector for each position, and none beyond the table."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .positions import Positions


class LearnedPositions(Positions):
    """x_i + P[i], with P of shape (max_length, d_model) drawn from N(0, 1/d_model).

    Source: Gehring et al. 2017, §3.1; Vaswani et al. 2017, table 3, row E.
    """

    def __init__(self, max_length: int, d_model: int) -> None:
        """Draw the table."""
        super().__init__()
        self.table = nn.Parameter(torch.empty(max_length, d_model))
        nn.init.normal_(self.table, std=d_model**-0.5)

    def embed(
        self, x: Float[Tensor, "batch length d_model"], position_ids: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length d_model"]:
        """x_i + P[i].

        Raises:
            ValueError: a position id, even of padding, is negative or beyond the table.
        """
        max_length = self.table.shape[0]
        outside = (position_ids < 0) | (position_ids >= max_length)
        if outside.any():
            raise ValueError(
                f"learned positions cover ids 0 to {max_length - 1}, got {position_ids[outside][0].item()}; "
                "raise max_length and train the new rows, or shorten the input (ids of padding can be clamped to 0)"
            )
        return x + self.table[position_ids]
