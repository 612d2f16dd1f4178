"""Faults of positional encodings."""

from __future__ import annotations

from .fault import Fault

POSITIONS = (
    Fault(
        "positions_not_added",
        "sinusoidal.py",
        "return x + sinusoidal_encoding(position_ids, d_model, x.dtype)",
        "return x",
        "the encoding is made and not added",
        {"encoder": ("order.order_is_seen",)},
    ),
    Fault(
        "positions_count_rows",
        "positions.py",
        "torch.arange(n_past, n_past + length, device=x.device).expand(batch, length)",
        "torch.arange(n_past, n_past + batch, device=x.device)[:, None].expand(batch, length)",
        "batch and length swapped: every token of a row stands at the same position",
        {"encoder": ("order.order_is_seen", "consistency.batch_invariance")},
    ),
    Fault(
        "relative_positions_all_zero",
        "positions.py",
        "return key_position_ids[:, None, :] - query_position_ids[:, :, None]",
        "return 0 * (key_position_ids[:, None, :] - query_position_ids[:, :, None])",
        "a bias that is computed and multiplied by a switch that is off",
        {"encoder": ("order.order_is_seen",)},
    ),
    Fault(
        "positions_cannot_be_switched_off",
        "schemes.py",
        "return Positions()",
        "return SinusoidalPositions()",
        'positions="none" falls through to the default',
        {"encoder": ("order.permutation_equivariance",), "seq2seq": ("order.memory_permutation_invariance",)},
    ),
    Fault(
        "position_ids_ignored",
        "positions.py",
        "    return position_ids\n",
        "    return torch.arange(n_past, n_past + length, device=x.device).expand(batch, length)\n",
        "positions count from the left edge: with padding on the left, every real token is moved",
        {
            "encoder": ("order.tokens_move_with_their_positions", "lengths.packing_agrees"),
            "causal_lm": ("padding.amount_and_side",),
        },
    ),
    Fault(
        "learned_positions_by_place",
        "learned.py",
        "return x + self.table[position_ids]",
        "return x + self.table[: x.shape[1]]",
        "a slice of the table in place of a look-up",
        {"encoder": ("order.tokens_move_with_their_positions",), "causal_lm": ("decoding.cached_equals_full",)},
    ),
    Fault(
        "relative_positions_by_place",
        "positions.py",
        "return key_position_ids[:, None, :] - query_position_ids[:, :, None]",
        "n_keys, n_queries = key_position_ids.shape[1], query_position_ids.shape[1]\n"
        "    return torch.arange(n_keys)[None, None] - torch.arange(n_queries)[None, :, None]",
        "a bias from the shape of the scores: wrong for a permutation, for padding on the left, for a cache",
        {
            "encoder": ("order.tokens_move_with_their_positions", "padding.amount_and_side"),
            "causal_lm": ("decoding.cached_equals_full",),
        },
    ),
    Fault(
        "logits_scaled_by_log_length",
        "attention.py",
        "scores = query @ key.transpose(-2, -1)",
        "scores = query @ key.transpose(-2, -1) * math.log(1.0 + key.shape[2])",
        "log n scaling by the keys in the tensor, not by those that a query sees",
        {
            "attention": ("softmax.more_keys_dilute",),
            "self_attention": ("causality.prefix_consistency", "padding.amount_and_side", "heads.loop_equivalence"),
        },
    ),
)
