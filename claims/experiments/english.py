"""English text that every Python brings along: the help topics of ``pydoc``, as characters."""

from __future__ import annotations

from dataclasses import dataclass
from pydoc_data.topics import topics

import torch
from torch import Tensor

STRETCH = 65
"""Topics quote each other: two that share this many characters on end count as one text."""


@dataclass(frozen=True)
class Text:
    """Three parts of one text, each (characters,) integer; no stretch of 65 characters stands in two of them."""

    training: Tensor
    choosing: Tensor
    judging: Tensor
    vocab_size: int


def english() -> Text:
    """The help topics in three parts: to train on, to choose by, to judge by. They differ from Python to Python."""
    alphabet = {character: i for i, character in enumerate(sorted(set("".join(topics.values()))))}
    largest, *others = related_topics()

    def part(groups: list[list[str]]) -> Tensor:
        return torch.tensor([alphabet[character] for group in groups for name in group for character in topics[name]])

    return Text(part([largest, *others[2::3]]), part(others[0::3]), part(others[1::3]), len(alphabet))


def related_topics() -> list[list[str]]:
    """Names of the topics in groups, the largest first: no stretch stands in topics of two groups."""
    first_with: dict[str, str] = {}
    parent = {name: name for name in topics}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for name in sorted(topics):
        text = topics[name]
        for start in range(len(text) - STRETCH + 1):
            other = first_with.setdefault(text[start : start + STRETCH], name)
            parent[root(name)] = root(other)
    groups: dict[str, list[str]] = {}
    for name in sorted(topics):
        groups.setdefault(root(name), []).append(name)
    return sorted(groups.values(), key=lambda names: (-sum(len(topics[name]) for name in names), names))


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
