"""Faults of packing: what goes wrong where a recurrent network is handed sequences of unequal length."""

from __future__ import annotations

from .fault import Fault

_VALUES = ("padding.content", "padding.amount_and_side")
_GRADIENTS = ("padding.gradients", "padding.parameter_gradients")

PACKING = (
    Fault(
        "rnn_runs_over_the_padding",
        "torch_recurrent.py",
        "if key_padding_mask is None:",
        "if True:",
        "no packing: the backward direction reads the padding before it reads a real token",
        {"encoder": (*_VALUES, *_GRADIENTS)},
        on="torch.nn.GRU",
    ),
    Fault(
        "rnn_length_one_too_many",
        "torch_recurrent.py",
        "lengths = _lengths(key_padding_mask)",
        "lengths = (_lengths(key_padding_mask) + 1).clamp(max=x.shape[1])",
        "a length that counts the end-of-sequence token, which has been cut off",
        {"encoder": (*_VALUES, *_GRADIENTS)},
        on="torch.nn.GRU",
    ),
    Fault(
        "rnn_length_one_too_few",
        "torch_recurrent.py",
        "lengths = _lengths(key_padding_mask)",
        "lengths = (_lengths(key_padding_mask) - 1).clamp(min=1)",
        "the index of the last token taken for the length",
        {"encoder": ("padding.amount_and_side", "padding.real_tokens_matter")},
        on="torch.nn.GRU",
    ),
    Fault(
        "rnn_sorted_and_never_unsorted",
        "torch_recurrent.py",
        "packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)",
        "lengths, order = lengths.sort(descending=True, stable=True)\n"
        "        packed = pack_padded_sequence(x[order], lengths.cpu(), batch_first=True)",
        "sorted by length by hand, as enforce_sorted=True wants it, and not put back",
        {"encoder": ("padding.amount_and_side",)},
        on="torch.nn.GRU",
    ),
    Fault(
        "rnn_lengths_of_another_order",
        "torch_recurrent.py",
        "lengths = _lengths(key_padding_mask)",
        "lengths = _lengths(key_padding_mask).sort(descending=True).values",
        "the lengths are sorted, the sequences are not",
        {"encoder": (*_VALUES, "padding.real_tokens_matter")},
        on="torch.nn.GRU",
    ),
)
