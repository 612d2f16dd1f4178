"""Faults of nested tensors: what goes wrong between a padded batch and one without padding."""

from __future__ import annotations

from .fault import Fault

NESTED = (
    Fault(
        "nested_with_its_padding",
        "torch_nested.py",
        "real = real if key_padding_mask is None else key_padding_mask",
        "real = real if key_padding_mask is None else torch.ones_like(key_padding_mask)",
        "the padded batch is made nested as it is",
        {"self_attention": ("padding.content", "padding.amount_and_side", "padding.gradients")},
        on="torch.nested",
    ),
    Fault(
        "nested_lengths_of_another_order",
        "torch_nested.py",
        "real.sum(1).cumsum(0)",
        "real.sum(1).sort().values.cumsum(0)",
        "the lengths are sorted, the sequences are not: a border falls inside a sequence",
        {"self_attention": ("padding.amount_and_side",)},
        on="torch.nested",
    ),
)
