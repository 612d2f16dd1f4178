"""Faults of state: what is kept between calls, written in place, done on one path only, or cached."""

from __future__ import annotations

from .fault import Fault

STATE = (
    Fault(
        "learned_positions_cached_at_first_length",
        "learned.py",
        "return x + self.table[position_ids]",
        'return x + self.table[position_ids.clamp(max=vars(self).setdefault("longest", x.shape[1] - 1))]',
        "rows of the table are cut to the first length seen, and longer inputs repeat the last",
        {"encoder": ("consistency.statelessness",), "causal_lm": ("consistency.statelessness",)},
    ),
    Fault(
        "alibi_bias_cached_at_first_length",
        "alibi.py",
        ".abs()",
        '.abs()\n        distance = distance.clamp(max=vars(self).setdefault("longest", distance.max()))',
        "a cached bias is used where it is too short (x-transformers 0.17.2)",
        {"encoder": ("consistency.statelessness",)},
    ),
    Fault(
        "rotary_rescaled_after_a_long_input",
        "rotary.py",
        "return rotate_pairs(x, position_ids, self.layout)",
        'self.longest = max(vars(self).get("longest", 4), x.shape[2])\n'
        "        return rotate_pairs(x, position_ids * 4 / self.longest, self.layout)",
        "dynamic scaling that a long input switches on and nothing switches off (transformers, dynamic NTK)",
        {"encoder": ("consistency.statelessness",)},
    ),
    Fault(
        "rotary_angles_cached_without_offset",
        "rotary.py",
        "return rotate_pairs(x, position_ids, self.layout)",
        'cached = vars(self).setdefault(f"positions of {x.shape[2]}", position_ids[:1])\n'
        "        return rotate_pairs(x, cached, self.layout)",
        "angles kept by length alone (rotary-embedding-torch 0.2.6, #11)",
        {"encoder": ("padding.amount_and_side",), "causal_lm": ("decoding.cached_equals_full",)},
    ),
    Fault(
        "kv_cache_kept_between_calls",
        "causal_lm.py",
        "position_ids=position_ids, cache=cache)",
        'position_ids=position_ids, cache=cache or vars(self).setdefault("cache", self.new_cache()))',
        "a cache in the module that no call resets",
        {"causal_lm": ("consistency.determinism",)},
    ),
    Fault(
        "running_mean_updated_in_evaluation",
        "layer_norm.py",
        "mean = wide.mean(dim=-1, keepdim=True)",
        'mean = self.mean = (0.9 * vars(self).get("mean", 0.0) + 0.1 * wide.mean()).detach()',
        "batch normalisation's running statistics, moved by every call",
        {"normalization": ("consistency.determinism", "consistency.statelessness")},
    ),
    Fault(
        "embedding_renormalised_in_place",
        "embedding.py",
        "nn.functional.embedding(tokens, self.weight)",
        "nn.functional.embedding(tokens, self.weight, max_norm=0.5)",
        "max_norm shrinks the rows that a call looks up, for good",
        {"causal_lm": ("consistency.statelessness",)},
    ),
)

IN_PLACE_AND_STRIDES = (
    Fault(
        "in_place_add_on_input",
        "sinusoidal.py",
        "return x + sinusoidal_encoding(position_ids, d_model, x.dtype)",
        "return x.add_(sinusoidal_encoding(position_ids, d_model, x.dtype))",
        "x += PE(i) on the caller's tensor",
        {"encoder": ("consistency.inputs_unmodified",)},
    ),
    Fault(
        "in_place_residual",
        "residual.py",
        "return x + self.dropout(sublayer(self.norm(x)))",
        "return x.add_(self.dropout(sublayer(self.norm(x))))",
        "x += f(x), where x is still the caller's",
        {"encoder": ("consistency.inputs_unmodified",)},
    ),
    Fault(
        "query_scaled_in_place",
        "attention.py",
        "query = query * scale",
        "query = query.mul_(scale)",
        "q *= scale",
        {"attention": ("consistency.inputs_unmodified",)},
    ),
    Fault(
        "mask_inverted_in_place",
        "masks.py",
        "return key_padding_mask[:, None, None, :]",
        "return key_padding_mask.logical_not_().logical_not()[:, None, None, :]",
        "the caller's mask is turned round to another convention where it lies",
        {"self_attention": ("consistency.inputs_unmodified",), "encoder": ("padding.content",)},
    ),
    Fault(
        "layernorm_in_place",
        "layer_norm.py",
        "centred = wide - mean",
        "centred = wide.sub_(mean)",
        "in place on what .to() gives back, which is the input where the dtype is the same",
        {"normalization": ("consistency.inputs_unmodified",)},
    ),
    Fault(
        "query_last_stride_taken_for_one",
        "attention.py",
        "query = query * scale",
        "query = query.as_strided(query.shape, (*query.stride()[:-1], 1)) * scale",
        "a kernel that is handed pointers and all strides but the last",
        {"attention": ("consistency.noncontiguous_inputs",)},
    ),
    Fault(
        "layernorm_reads_memory_as_contiguous",
        "layer_norm.py",
        "wide = x.to(torch.promote_types(x.dtype, torch.float32))",
        "wide = x.as_strided(x.shape, torch.empty(x.shape).stride())",
        "a fused kernel without .contiguous()",
        {"normalization": ("consistency.noncontiguous_inputs",)},
    ),
    Fault(
        "tokens_read_as_contiguous",
        "embedding.py",
        "nn.functional.embedding(tokens, self.weight)",
        "nn.functional.embedding(tokens.as_strided(tokens.shape, (tokens.shape[1], 1)), self.weight)",
        "a look-up by data_ptr",
        {"causal_lm": ("consistency.noncontiguous_inputs",)},
    ),
    Fault(
        "batch_axis_guessed_from_strides",
        "feed_forward.py",
        "hidden = torch.relu(self.W_1(x))",
        "hidden = torch.relu(self.W_1(x if x.stride(0) >= x.stride(-2) else x.flip(-2)))",
        "a layout read off the strides, which a transposed batch does not have",
        {"feed_forward": ("consistency.noncontiguous_inputs",)},
    ),
)

FAST_PATHS = (
    Fault(
        "fast_path_without_padding_mask",
        "multi_head.py",
        "mask = combine_masks(mask, causal, real_key)",
        "mask = combine_masks(mask, causal, real_key if torch.is_grad_enabled() else None)",
        "without gradients a faster path is taken, and the mask is lost on it (PyTorch #160064 is of that kind)",
        {
            "self_attention": ("padding.content", "padding.amount_and_side", "consistency.paths_agree"),
            "encoder": ("consistency.paths_agree",),
        },
    ),
    Fault(
        "norm_uses_batch_statistics_in_training",
        "layer_norm.py",
        "mean = wide.mean(dim=-1, keepdim=True)",
        "mean = wide.mean(dim=0 if self.training else -1, keepdim=True)",
        "batch normalisation, in training only",
        {"normalization": ("consistency.paths_agree", "consistency.batch_invariance")},
    ),
)

CACHE = (
    Fault(
        "kv_cache_top_left_causal_mask",
        "masks.py",
        "n_past = n_keys - n_queries",
        "n_past = 0",
        "one new token sees the first key alone (x-transformers #187; flax #5591)",
        {"causal_lm": ("decoding.cached_equals_full",)},
    ),
    Fault(
        "rotary_offset_forgotten_with_cache",
        "encoder.py",
        "n_past = 0 if cache is None else cache.length",
        "n_past = 0",
        "positions restart at 0 for every chunk",
        {"causal_lm": ("decoding.cached_equals_full",)},
    ),
    Fault(
        "cached_keys_rotated_again",
        "multi_head.py",
        "key, value, key_position_ids, key_padding_mask = cache.append(new)",
        "key, value, key_position_ids, key_padding_mask = cache.append(new)\n"
        "            key = self.positions.rotate(key, key_position_ids)",
        "rotated before they are stored and after they are read",
        {"causal_lm": ("decoding.cached_equals_full",)},
    ),
    Fault(
        "one_cache_for_all_layers",
        "kv_cache.py",
        "[LayerCache() for _ in range(n_layers)]",
        "[LayerCache()] * n_layers",
        "a list of one object n times",
        {"causal_lm": ("decoding.cached_equals_full",)},
    ),
    Fault(
        "reorder_forgets_the_values",
        "kv_cache.py",
        "self.past = Past(*(tensor.index_select(0, rows) for tensor in self.past))",
        "self.past = self.past._replace(key=self.past.key.index_select(0, rows))",
        "beam search follows the keys alone",
        {"causal_lm": ("decoding.cached_equals_full",)},
    ),
    Fault(
        "opened_beams_forget_the_prompt",
        "kv_cache.py",
        "self.past = Past(*(tensor.index_select(0, rows) for tensor in self.past))",
        "kept = Past(*(tensor.index_select(0, rows) for tensor in self.past))\n"
        "            self.past = kept if len(rows) <= len(self.past.key) else None",
        "a cache of a fixed batch is made anew for a larger one",
        {"causal_lm": ("decoding.beams_open_and_end",)},
    ),
    Fault(
        "first_rows_kept_for_the_survivors",
        "kv_cache.py",
        "self.past = Past(*(tensor.index_select(0, rows) for tensor in self.past))",
        "cut = len(rows) < len(self.past.key)\n"
        "            self.past = Past(*(t[: len(rows)] if cut else t.index_select(0, rows) for t in self.past))",
        "a batch that shrinks is cut short, whichever beams have ended",
        {"causal_lm": ("decoding.beams_open_and_end",)},
    ),
    Fault(
        "reorder_gathers_by_rank",
        "kv_cache.py",
        "self.past = Past(*(tensor.index_select(0, rows) for tensor in self.past))",
        "self.past = Past(*(tensor.index_select(0, rows.sort().values) for tensor in self.past))",
        "the survivors are right, and in the order of their old rows",
        {"causal_lm": ("decoding.beams_open_and_end", "decoding.cached_equals_full")},
    ),
    Fault(
        "crop_keeps_one_too_many",
        "kv_cache.py",
        "layer.crop(length)",
        "layer.crop(length + 1)",
        "a rejected token of speculative decoding stays",
        {"causal_lm": ("decoding.cached_equals_full",)},
    ),
    Fault(
        "cached_padding_becomes_real",
        "kv_cache.py",
        "key_padding_mask=torch.cat([old.key_padding_mask, new.key_padding_mask], dim=1),",
        "key_padding_mask=torch.cat([torch.ones_like(old.key_padding_mask), new.key_padding_mask], dim=1),",
        "each step passes the mask of its own token, and the prompt's is filled up with ones",
        {"causal_lm": ("decoding.padded_prompts",)},
    ),
    Fault(
        "reorder_leaves_the_padding_mask",
        "kv_cache.py",
        "self.past = Past(*(tensor.index_select(0, rows) for tensor in self.past))",
        "moved = Past(*(tensor.index_select(0, rows) for tensor in self.past))\n"
        "            self.past = moved._replace(key_padding_mask=self.past.key_padding_mask)",
        "keys and values change rows, and the mask is kept elsewhere",
        {"causal_lm": ("decoding.padded_prompts",)},
    ),
    Fault(
        "crop_takes_the_mask_from_the_wrong_end",
        "kv_cache.py",
        "key_padding_mask=self.past.key_padding_mask[:, :length],",
        "key_padding_mask=self.past.key_padding_mask[:, -length:],",
        "the mask is cut from the left, as for a window, where keys and values are cut from the right",
        {"causal_lm": ("decoding.padded_prompts",)},
    ),
    Fault(
        "decoded_positions_count_the_padding",
        "encoder.py",
        "position_ids = resolve_position_ids(position_ids, x, n_past)",
        "position_ids = resolve_position_ids(position_ids if n_past == 0 else None, x, n_past)",
        "the prompt has position ids, and the tokens after it are numbered by the length of the cache",
        {"causal_lm": ("decoding.padded_prompts",)},
    ),
)
