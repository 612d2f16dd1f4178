"""Faults of additive cross-attention, planted in the layer that keeps the laws beside the reference."""

from __future__ import annotations

from .fault import Fault

_CALL = "self.attention(x[:, None], memory[:, None], memory[:, None], mask=mask)"

BAHDANAU = (
    Fault(
        "bahdanau_mask_inverted",
        "reference_subject.py",
        "veriformer.reference.key_padding_to_mask(key_padding_mask)",
        "veriformer.reference.key_padding_to_mask(~key_padding_mask)",
        "True is read as hidden",
        {
            "cross_attention": (
                "cross.every_source_is_reached",
                "padding.content",
                "padding.amount_and_side",
                "padding.gradients",
            )
        },
        on="reference.bahdanau",
    ),
    Fault(
        "bahdanau_annotations_detached",
        "reference_subject.py",
        _CALL,
        "self.attention(x[:, None], memory[:, None].detach(), memory[:, None].detach(), mask=mask)",
        "the encoder is not trained through the attention",
        {"cross_attention": ("cross.every_source_is_reached",)},
        on="reference.bahdanau",
    ),
    Fault(
        "bahdanau_one_state_for_all_queries",
        "reference_subject.py",
        _CALL,
        "self.attention(x.mean(1, keepdim=True).expand_as(x)[:, None], memory[:, None], memory[:, None], mask=mask)",
        "a summary of all decoder states scores the source in place of each one",
        {"cross_attention": ("cross.queries_do_not_meet",)},
        on="reference.bahdanau",
    ),
    Fault(
        "bahdanau_values_out_of_step",
        "reference_subject.py",
        _CALL,
        "self.attention(x[:, None], memory[:, None], memory[:, None].roll(1, 2), mask=mask)",
        "annotations shifted by one against the scores that were made for them",
        {"cross_attention": ("order.memory_permutation_invariance",)},
        on="reference.bahdanau",
    ),
)
