"""Token embeddings, and the output layer that may share their table."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class Embedding(nn.Module):
    """x = √d_model · E[token], with E of shape (V, d_model) drawn from N(0, 1/d_model), so that x has variance 1.

    Source: Vaswani et al. 2017, §3.4.
    """

    def __init__(self, vocab_size: int, d_model: int) -> None:
        """Draw the table."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocab_size, d_model))
        nn.init.normal_(self.weight, std=d_model**-0.5)

    def forward(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch length d_model"]:
        """√d_model · E[token]."""
        d_model = self.weight.shape[1]
        x = nn.functional.embedding(tokens, self.weight)
        return x * math.sqrt(d_model)


def output_layer(embedding: Embedding, *, tied: bool) -> nn.Linear:
    """logits = x Eᵀ when tied, x Wᵀ with a W of its own otherwise; no bias.

    Linear stores its weight as (out, in) = (V, d_model), the embedding's own shape, so one parameter serves both.

    Source: Press & Wolf 2017; Vaswani et al. 2017, §3.4.
    """
    vocab_size, d_model = embedding.weight.shape
    output = nn.Linear(d_model, vocab_size, bias=False)
    if tied:
        output.weight = embedding.weight
    return output
