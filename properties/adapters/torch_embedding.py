"""PyTorch's ``nn.Embedding`` and ``nn.Linear``, as the two ends of a model: with one tensor for both, or with two."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..subjects import Config, Subject


class WordsInAndOut(nn.Module):
    """A table of embeddings and an output layer, each with its ``weight``, and nothing between them."""

    def __init__(self, embed: nn.Module, logits: nn.Module) -> None:
        """Keep both."""
        super().__init__()
        self.embed, self.logits = embed, logits

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, length) → (batch, length, vocab_size)."""
        return self.logits(self.embed(tokens))

    @property
    def table(self) -> Any:
        """(vocab_size, d_model)."""
        return self.embed.weight

    @property
    def output(self) -> Any:
        """The weights of the output layer, as it stores them."""
        return self.logits.weight


def _build(config: Config) -> WordsInAndOut:
    embed = nn.Embedding(config.vocab_size, config.d_model)
    logits = nn.Linear(config.d_model, config.vocab_size, bias=False)
    if config.options["tied"] == "yes":
        logits.weight = embed.weight
    return WordsInAndOut(embed, logits)


EMBEDDING = Subject(name="torch.nn.Embedding", contract="embedding", build=_build, options={"tied": ("yes", "no")})
