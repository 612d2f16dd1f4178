"""PyTorch's ``nn.Embedding`` and ``nn.Linear``, as the two ends of a model: with one tensor for both, or with two."""

from __future__ import annotations

from torch import Tensor, nn

from ..subjects import Config, Subject


class _WordsInAndOut(nn.Module):
    """``nn.Embedding`` and ``nn.Linear``, with nothing between them."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embed = nn.Embedding(config.vocab_size, config.d_model)
        self.logits = nn.Linear(config.d_model, config.vocab_size, bias=False)
        if config.options["tied"] == "yes":
            self.logits.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.logits(self.embed(tokens))

    @property
    def table(self) -> Tensor:
        return self.embed.weight

    @property
    def output(self) -> Tensor:
        return self.logits.weight


EMBEDDING = Subject(
    name="torch.nn.Embedding", contract="embedding", build=_WordsInAndOut, options={"tied": ("yes", "no")}
)
