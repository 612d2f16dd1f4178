"""The position-wise feed-forward network."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FeedForward(nn.Module):
    """FFN(x) = max(0, x W₁ + b₁) W₂ + b₂, on each position alone: (..., d_model) to (..., d_model).

    `d_ff=None` means 4 · d_model, the paper's ratio (2048 to 512).

    Source: Vaswani et al. 2017, §3.3, eq. 2.
    """

    def __init__(self, d_model: int, d_ff: int | None = None) -> None:
        """Draw W₁ (d_ff wide) and W₂, with their biases."""
        super().__init__()
        d_ff = 4 * d_model if d_ff is None else d_ff
        self.W_1 = nn.Linear(d_model, d_ff)
        self.W_2 = nn.Linear(d_ff, d_model)

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """max(0, x W₁ + b₁) W₂ + b₂."""
        hidden = torch.relu(self.W_1(x))
        return self.W_2(hidden)
