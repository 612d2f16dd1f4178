"""English text that every Python brings along: the help topics of ``pydoc``, as characters."""

from __future__ import annotations

from dataclasses import dataclass
from pydoc_data.topics import topics

import torch
from torch import Tensor


@dataclass(frozen=True)
class Text:
    """Three parts of one text, each (characters,) integer; no topic stands in two of them."""

    training: Tensor
    choosing: Tensor
    judging: Tensor
    vocab_size: int


def english() -> Text:
    """Four topics in six for training, one to choose by, one to judge by. It differs from one Python to the next."""
    alphabet = {character: i for i, character in enumerate(sorted(set("".join(topics.values()))))}
    ordered = [topics[name] for name in sorted(topics)]

    def part(*places: int) -> Tensor:
        text = "".join(topic for i, topic in enumerate(ordered) if i % 6 in places)
        return torch.tensor([alphabet[character] for character in text])

    return Text(part(0, 1, 3, 4), part(2), part(5), len(alphabet))


def windows(text: Tensor, *, length: int, count: int, generator: torch.Generator | None = None) -> Tensor:
    """``count`` stretches of ``length`` + 1 characters: drawn, or evenly spaced if no generator is given."""
    last = len(text) - length - 1
    if generator is None:
        starts = torch.linspace(0, last, count).long()
    else:
        starts = torch.randint(last + 1, (count,), generator=generator)
    return text[starts[:, None] + torch.arange(length + 1)]


def pair_loss(text: Text) -> float:
    """Loss in nats a character, on the judging part, of the best guess that sees one character only.

    Pairs are counted on the training part, each once more than it occurs.
    """
    counts = torch.ones(text.vocab_size, text.vocab_size, dtype=torch.float64)
    counts.index_put_(
        (text.training[:-1], text.training[1:]),
        torch.ones(len(text.training) - 1, dtype=torch.float64),
        accumulate=True,
    )
    share = counts / counts.sum(1, keepdim=True)
    return float(-share[text.judging[:-1], text.judging[1:]].log().mean())
