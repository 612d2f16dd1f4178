"""Layer normalisation: each token by its own mean and variance."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LayerNorm(nn.Module):
    """LayerNorm(x) = γ · (x − μ) / √(σ² + ε) + β, with μ and σ² the mean and variance (over d, not d − 1) of one token.

    ε stands inside the root. Shapes: (..., d) to (..., d). Statistics are computed in float32 at least: the square of
    300 overflows float16.

    Source: Ba et al. 2016, eq. 3 and §3; γ and β are its gain and bias, ε is later practice.
    """

    def __init__(self, d_model: int, eps: float = 1e-5) -> None:
        """Start at the identity, γ = 1 and β = 0."""
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(d_model))
        self.beta = nn.Parameter(torch.zeros(d_model))

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """γ · (x − μ) / √(σ² + ε) + β."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(dim=-1, keepdim=True)
        centred = wide - mean
        variance = centred.square().mean(dim=-1, keepdim=True)
        normalised = centred / torch.sqrt(variance + self.eps)
        return self.gamma * normalised.to(x.dtype) + self.beta
