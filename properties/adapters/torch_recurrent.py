"""PyTorch's recurrent networks, on packed sequences: what a padding mask was before there was attention.

Packing (``pack_padded_sequence``) hands the network the real tokens alone, so no step is taken in the padding. It
knows lengths only: padding stands on the right, and every sequence has a token.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..contracts import Path, Unsupported
from ..subjects import Config, Subject

_Kind = type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]


class _Packed(nn.Module):
    """``kind`` over (batch, length, d_model), in one direction or in both, with d_model outputs a token."""

    def __init__(self, kind: _Kind, config: Config) -> None:
        super().__init__()
        both = config.options["direction"] == "both"
        width = config.d_model // 2 if both else config.d_model  # two directions are concatenated
        self.network = kind(config.d_model, width, config.n_layers, batch_first=True, bidirectional=both)

    def forward(self, x: Tensor, *, key_padding_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """``is_causal`` changes nothing: a network that reads one way is causal by nature."""
        if key_padding_mask is None:
            return self.network(x)[0]
        lengths = _lengths(key_padding_mask)
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        output, _ = pad_packed_sequence(self.network(packed)[0], batch_first=True, total_length=x.shape[1])
        return output


def _lengths(real: Tensor) -> Tensor:
    """How many tokens of each row are real: (batch,) integer. Raises Unsupported where packing cannot tell."""
    lengths = real.sum(1)
    if not torch.equal(real, torch.arange(real.shape[1], device=real.device) < lengths[:, None]):
        raise Unsupported("pack_padded_sequence takes lengths: padding stands on the right")
    if not bool((lengths > 0).all()):
        raise Unsupported("pack_padded_sequence takes no sequence without a token")
    return lengths


def _refuses(path: Path, device: str) -> str | None:
    if (path["causal"] == "flag") != (path["direction"] == "forward"):
        return "one direction is causal, both are not: the direction decides"
    return None


def _recurrent(name: str, kind: _Kind) -> Subject:
    return Subject(
        name=name,
        contract="encoder",
        build=partial(_Packed, kind),
        options={"direction": ("both", "forward")},
        positions="recurrent",
        refuses=_refuses,
    )


RNN = _recurrent("torch.nn.RNN", nn.RNN)
GRU = _recurrent("torch.nn.GRU", nn.GRU)
LSTM = _recurrent("torch.nn.LSTM", nn.LSTM)
