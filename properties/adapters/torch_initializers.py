"""First weights as PyTorch's own modules draw them by default."""

from __future__ import annotations

import torch
from torch import Tensor

from ..distributions import Normal
from ..subjects import Subject


def _embedding_table(vocab_size: int, d_model: int, seed: int) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.nn.Embedding(vocab_size, d_model).weight


EMBEDDING_TABLE = Subject(
    name="torch.nn.Embedding.reset_parameters",
    contract="initializer",
    call=_embedding_table,
    entries=lambda vocab_size, d_model: Normal(1.0),
)
