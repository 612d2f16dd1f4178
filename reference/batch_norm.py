"""Batch normalisation: each channel by its mean and variance over the batch, and by running ones at test time."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class BatchNorm(nn.Module):
    """BatchNorm(x) = γ · (x − μ) / √(σ² + ε) + β, with μ and σ² those of one channel over all samples and places.

    Shapes: (batch, channels, ...) to the same; a sequence has one axis of places, an image two. In training μ and σ²
    are those of the batch, σ² over m = batch · places and not m − 1. In evaluation they are the running ones, to which
    each training batch adds its share: running ← (1 − momentum) · running + momentum · batch, where the batch's
    variance is the unbiased one, over m − 1. A single value has no spread: β goes out in training. (PyTorch refuses
    it.) Statistics are computed in float32 at least.

    Source: Ioffe and Szegedy 2015, algorithms 1 and 2 and §3.2; the momentum is later practice.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        """Start at γ = 1 and β = 0, and at a running mean of 0 and a running variance of 1."""
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Float[Tensor, "batch channels *places"]) -> Float[Tensor, "batch channels *places"]:
        """γ · (x − μ) / √(σ² + ε) + β; in training the running statistics are updated."""
        by_channel = x.movedim(1, -1)  # the rest broadcasts
        wide = by_channel.to(torch.promote_types(x.dtype, torch.float32))
        mean, variance = self.batch_statistics(wide) if self.training else (self.running_mean, self.running_var)
        normalised = (wide - mean) / torch.sqrt(variance + self.eps)
        return (self.gamma * normalised.to(x.dtype) + self.beta).movedim(-1, 1)

    def batch_statistics(self, x: Float[Tensor, "*samples channels"]) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel over all else, (channels,) each; they leave their share behind."""
        samples = x.flatten(0, -2)
        m = samples.shape[0]
        mean = samples.mean(dim=0)
        variance = (samples - mean).square().mean(dim=0)
        unbiased = variance * m / max(m - 1, 1)
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)
        return mean, variance
