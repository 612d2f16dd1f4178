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
        {
            "encoder": ("order.tokens_move_with_their_positions",),
            "causal_lm": ("decoding.cached_equals_full",),
            "absolute_positions": ("positions.learned_table",),
        },
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

ABSOLUTE = (
    Fault(
        "sinusoidal_frequencies_squared",
        "sinusoidal.py",
        "10000.0 ** (-two_i / d_model)",
        "10000.0 ** (-2 * two_i / d_model)",
        "2i is counted in twos already, and doubled again: the hands slow down twice as fast",
        {
            "absolute_positions": (
                "positions.sinusoidal_shift",
                "positions.sinusoidal_product",
            )
        },
    ),
    Fault(
        "sinusoidal_cosine_first",
        "sinusoidal.py",
        "torch.stack([angle.sin(), angle.cos()], dim=-1)",
        "torch.stack([angle.cos(), angle.sin()], dim=-1)",
        "sine and cosine swapped: weights trained elsewhere do not fit",
        {"absolute_positions": ("positions.sinusoidal_shift",)},
    ),
    Fault(
        "sinusoidal_from_one",
        "sinusoidal.py",
        "position_ids.to(angle_dtype)[..., None]",
        "(position_ids + 1).to(angle_dtype)[..., None]",
        "positions are counted from 1",
        {"absolute_positions": ("positions.sinusoidal_shift",)},
    ),
    Fault(
        "sinusoidal_frequency_for_each_entry",
        "sinusoidal.py",
        "[angle.sin(), angle.cos()]",
        "[angle.sin(), (angle * 10000.0 ** (-1 / d_model)).cos()]",
        "the exponent is made from the entry, not from its pair: a sine and a cosine of two angles",
        {
            "absolute_positions": (
                "positions.sinusoidal_product",
                "positions.sinusoidal_shift",
            )
        },
    ),
    Fault(
        "sinusoidal_scaled_with_the_embedding",
        "sinusoidal.py",
        "[..., :d_model].to(dtype)",
        "[..., :d_model].to(dtype) * d_model**0.5",
        "the factor for the embedding is multiplied onto the sum",
        {
            "absolute_positions": (
                "positions.sinusoidal_product",
                "positions.told_apart",
            )
        },
    ),
    Fault(
        "sinusoidal_wraps",
        "sinusoidal.py",
        "angle = position_ids.to(angle_dtype)",
        "angle = (position_ids % 128).to(angle_dtype)",
        "a table of 128 positions, read again from the start",
        {"absolute_positions": ("positions.told_apart",)},
    ),
    Fault(
        "sinusoidal_positions_in_half",
        "sinusoidal.py",
        "angle = position_ids.to(angle_dtype)",
        "angle = position_ids.to(torch.bfloat16).to(angle_dtype)",
        "positions pass through bfloat16, which cannot tell 257 from 256",
        {"absolute_positions": ("positions.told_apart",)},
    ),
    Fault(
        "learned_positions_clamped",
        "learned.py",
        "outside = (position_ids < 0) | (position_ids >= max_length)",
        "position_ids = position_ids.clamp(0, max_length - 1)\n        outside = position_ids < 0",
        "whatever is beyond the table gets its last vector, and nobody is told",
        {"absolute_positions": ("positions.learned_table",)},
    ),
    Fault(
        "learned_positions_wrap",
        "learned.py",
        "outside = (position_ids < 0) | (position_ids >= max_length)",
        "position_ids = position_ids % max_length\n        outside = position_ids < 0",
        "positions beyond the table begin again at its start",
        {"absolute_positions": ("positions.learned_table",)},
    ),
    Fault(
        "learned_positions_from_the_end",
        "learned.py",
        "outside = (position_ids < 0) | (position_ids >= max_length)",
        "outside = position_ids >= max_length",
        "an offset that is too large gives position −1, which Python reads from the end",
        {"absolute_positions": ("positions.learned_table",)},
    ),
)

RELATIVE = (
    Fault(
        "rotary_turns_values",
        "multi_head.py",
        "        key = self.positions.rotate(key, key_position_ids)\n",
        "        key = self.positions.rotate(key, key_position_ids)\n"
        "        value = self.positions.rotate(value, key_position_ids)\n",
        "values are turned as queries and keys are",
        {"encoder": ("positions.shift_invariance",)},
    ),
    Fault(
        "rotary_turns_queries_alone",
        "multi_head.py",
        "        key = self.positions.rotate(key, key_position_ids)\n",
        "",
        "keys are cached before they are turned, and never turned after",
        {"encoder": ("positions.shift_invariance",)},
    ),
    Fault(
        "offset_is_the_key_position",
        "positions.py",
        "return key_position_ids[:, None, :] - query_position_ids[:, :, None]",
        "return key_position_ids[:, None, :] - 0 * query_position_ids[:, :, None]",
        "the bias is looked up by the position of the key",
        {"relative_positions": ("positions.shift_invariance",)},
    ),
    Fault(
        "rotary_base_follows_length",
        "rotary.py",
        "theta = 10000.0 **",
        "theta = (10000.0 * (1 + position_ids.max() / 8)) **",
        "dynamic scaling of the base: what was cached before was turned by other angles",
        {"relative_positions": ("positions.shift_invariance",)},
    ),
    Fault(
        "rotary_pairs_of_the_other_layout",
        "rotary.py",
        "a, b = x[..., 0::2], x[..., 1::2]",
        "a, b = x.chunk(2, dim=-1)",
        "halves are turned where weights were made for neighbours: norms and shifts are right, scores are not",
        {"relative_positions": ("positions.rotary_score",)},
    ),
    Fault(
        "rotary_frequencies",
        "rotary.py",
        "(-two_i / d_k)",
        "(-two_i / (2 * d_k))",
        "the exponent is divided by the width twice",
        {"relative_positions": ("positions.rotary_score",)},
    ),
    Fault(
        "rotary_halves_by_two_angles",
        "rotary.py",
        "turned_b = a * sin + b * cos",
        "turned_b = a * sin.roll(1, -1) + b * cos.roll(1, -1)",
        "angles are laid out for one layout and entries for the other",
        {"relative_positions": ("positions.rotary_score",)},
    ),
    Fault(
        "rotary_stale_angles",
        "rotary.py",
        "    cos = angle.cos().to(x.dtype)\n",
        "    angle = rotate_pairs.__dict__.setdefault((angle.shape, angle.dtype), angle)\n"
        "    cos = angle.cos().to(x.dtype)\n",
        "sines and cosines are cached by length, whatever the positions are",
        {"relative_positions": ("positions.rotary_score",)},
    ),
    Fault(
        "alibi_slopes_by_head_count",
        "alibi.py",
        "power = 2 ** math.floor(math.log2(n_heads))",
        "power = n_heads",
        "the series of a power of two is used for every number of heads",
        {"relative_positions": ("positions.alibi_slopes",)},
    ),
    Fault(
        "alibi_slopes_not_alternate",
        "alibi.py",
        "range(1, 2 * power + 1, 2)",
        "range(1, 2 * power + 1)",
        "the slopes between are taken one after another, not every other one: some occur twice",
        {"relative_positions": ("positions.alibi_slopes",)},
    ),
    Fault(
        "alibi_first_slope_one",
        "alibi.py",
        "for h in range(1, power + 1)]",
        "for h in range(power)]",
        "heads are counted from 0",
        {"relative_positions": ("positions.alibi_slopes",)},
    ),
    Fault(
        "shaw_limit_off_by_one",
        "shaw.py",
        "offset.clamp(-self.max_distance, self.max_distance)",
        "offset.clamp(-self.max_distance + 1, self.max_distance - 1)",
        "the limit itself is clipped to the distance before it",
        {"relative_positions": ("positions.shaw_clips",)},
    ),
    Fault(
        "shaw_wraps",
        "shaw.py",
        "offset.clamp(-self.max_distance, self.max_distance)",
        "(offset + self.max_distance) % (2 * self.max_distance + 1) - self.max_distance",
        "a remainder in place of a limit: the far past looks like the near future",
        {"relative_positions": ("positions.shaw_clips",)},
    ),
    Fault(
        "shaw_future_clipped_to_now",
        "shaw.py",
        "offset.clamp(-self.max_distance, self.max_distance)",
        "offset.clamp(-self.max_distance, 0)",
        "tables for a decoder, used in an encoder",
        {"relative_positions": ("positions.shaw_clips",)},
    ),
    Fault(
        "t5_sides_share_buckets",
        "t5_bias.py",
        "return first_bucket + bucket",
        "return bucket",
        "the buckets of the future are not set apart",
        {"relative_positions": ("positions.bucket_ranges",)},
    ),
    Fault(
        "t5_offset_turned_round",
        "t5_bias.py",
        "distance = -offset",
        "distance = offset",
        "query minus key where key minus query is due: a causal model has one bucket for all of its past",
        {"relative_positions": ("positions.bucket_ranges",)},
    ),
    Fault(
        "t5_range_without_its_start",
        "t5_bias.py",
        "math.log(max_distance / n_exact)",
        "math.log(max_distance)",
        "ranges end far beyond the largest distance, and some buckets are never reached",
        {"relative_positions": ("positions.bucket_ranges",)},
    ),
)
