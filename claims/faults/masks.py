"""Faults of masks: causal ones and those of padding."""

from __future__ import annotations

from .fault import Fault

CAUSAL_MASK = (
    Fault(
        "causal_diagonal_off_by_one",
        "masks.py",
        "return key <= query + n_past",
        "return key <= query + n_past + 1",
        "tril(1) for tril(0), triu(2) for triu(1)",
        {
            "self_attention": (
                "causality.no_future_influence",
                "causality.no_future_gradient",
                "causality.prefix_consistency",
                "consistency.paths_agree",
                "heads.loop_equivalence",
            ),
            "causal_lm": ("causality.no_future_influence", "causality.prefix_consistency"),
        },
    ),
    Fault(
        "causal_mask_strict",
        "masks.py",
        "return key <= query + n_past",
        "return key < query + n_past",
        "tril(−1): a token may not attend to itself",
        {
            "self_attention": (
                "causality.one_layer_spares_the_last",
                "causality.past_influences",
                "consistency.paths_agree",
            )
        },
    ),
    Fault(
        "causal_mask_transposed",
        "masks.py",
        "return key <= query + n_past",
        "return key >= query + n_past",
        "triu read as True = may attend, where it was made as True = hidden",
        {
            "self_attention": (
                "causality.one_layer_spares_the_last",
                "causality.past_influences",
            ),
            "encoder": ("causality.no_future_gradient",),
            "causal_lm": ("causality.no_future_influence", "causality.past_influences"),
            "seq2seq": ("causality.prefix_consistency",),
        },
    ),
    Fault(
        "causal_mask_dropped_in_training",
        "multi_head.py",
        "device=x.device) if is_causal else None",
        "device=x.device) if is_causal and not self.training else None",
        "a path with dropout takes no mask",
        {
            "encoder": ("causality.deeper_layers_do_not",),
            "self_attention": ("causality.no_future_gradient", "consistency.paths_agree"),
            "causal_lm": ("causality.no_future_influence",),
        },
    ),
    Fault(
        "causal_mask_replaced_by_padding_mask",
        "multi_head.py",
        "device=x.device) if is_causal else None",
        "device=x.device) if is_causal and key_padding_mask is None else None",
        "an `elif`: a mask that is given is used instead of the causal one",
        {
            "self_attention": ("causality.prefix_consistency", "consistency.paths_agree"),
            "causal_lm": ("causality.no_future_influence",),
        },
    ),
    Fault(
        "causal_flag_ignored",
        "multi_head.py",
        "device=x.device) if is_causal else None",
        "device=x.device) if is_causal and cache is not None else None",
        "the causal mask is made on the path with a cache only (the symptom of transformers 4.42's Gemma 2)",
        {
            "encoder": ("causality.deeper_layers_do_not",),
            "self_attention": ("order.order_is_seen", "causality.prefix_consistency"),
        },
    ),
    Fault(
        "causal_window_left_on",
        "masks.py",
        "return key <= query + n_past",
        "return (key <= query + n_past) & (key > query + n_past - 3)",
        "a sliding window of another configuration is left in the causal mask",
        {
            "self_attention": ("causality.one_layer_spares_the_last",),
            "encoder": ("causality.one_layer_spares_the_last",),
        },
    ),
    Fault(
        "causal_mask_in_last_layer_only",
        "encoder.py",
        "        for i, layer in enumerate(self.layers):\n",
        "        whole = is_causal\n"
        "        for i, layer in enumerate(self.layers):\n"
        "            is_causal = whole and layer is self.layers[-1]\n",
        "the mask is built once, after the loop that should have used it",
        {"encoder": ("causality.deeper_layers_do_not", "causality.no_future_influence")},
    ),
    Fault(
        "causal_by_default",
        "multi_head.py",
        "is_causal: bool = False",
        "is_causal: bool = True",
        "a decoder's attention is used for cross-attention as it is",
        {
            "self_attention": ("order.permutation_equivariance",),
            "cross_attention": (
                "cross.every_source_is_reached",
                "order.memory_permutation_invariance",
                "order.permutation_equivariance",
            ),
        },
    ),
    Fault(
        "masks_combined_with_or",
        "masks.py",
        "combined & mask",
        "combined | mask",
        "True = may attend combined as if True = hidden",
        {
            "self_attention": ("causality.no_future_influence", "padding.content"),
            "causal_lm": ("causality.no_future_gradient", "padding.gradients"),
        },
    ),
    Fault(
        "sliding_window_always_on",
        "masks.py",
        "return key <= query + n_past",
        "return (key <= query + n_past) & (key > query + n_past - 2)",
        "a window that one path has and another has not (transformers #28980)",
        {"self_attention": ("causality.past_influences", "consistency.paths_agree")},
    ),
    Fault(
        "memory_attended_to_within_a_window",
        "attention.py",
        "scores = query @ key.transpose(-2, -1)",
        "scores = (query @ key.transpose(-2, -1)).triu(-1)",
        "a band applied to the scores, where 0 is not −∞, and to cross-attention, which has no diagonal",
        {"attention": ("order.memory_permutation_invariance",), "self_attention": ("order.permutation_equivariance",)},
    ),
)

_MASKING = (
    "    scores = scores.masked_fill(hidden, -math.inf)\n"
    "    # A row of −inf alone would be 0/0, and NaN in backward too: make it finite, its weights are emptied below.\n"
    "    scores = scores.masked_fill(sees_nothing, 0.0)\n"
    "    weights = torch.softmax(scores, dim=-1)\n"
    "    # Hidden weights are 0 by now. This also stops their gradients, which a huge hidden value can make infinite.\n"
    "    return weights.masked_fill(hidden, 0.0)"
)
"""The lines of the reference in which a mask meets the scores."""

PADDING_MASK = (
    Fault(
        "mask_polarity_inverted",
        "masks.py",
        "return key_padding_mask[:, None, None, :]",
        "return ~key_padding_mask[:, None, None, :]",
        "PyTorch's modules read True as hidden, most others as real (x-transformers 0.0.26)",
        {
            "self_attention": (
                "padding.content",
                "padding.gradients",
                "padding.parameter_gradients",
                "padding.real_tokens_matter",
            ),
            "cross_attention": (
                "cross.every_source_is_reached",
                "padding.amount_and_side",
                "padding.real_tokens_matter",
            ),
            "causal_lm": ("padding.amount_and_side",),
        },
    ),
    Fault(
        "padding_mask_dropped",
        "multi_head.py",
        "mask = combine_masks(mask, causal, real_key)",
        "mask = combine_masks(mask, causal)",
        "the mask is accepted and not passed on",
        {
            "self_attention": ("padding.content", "padding.gradients"),
            "encoder": ("padding.parameter_gradients",),
            "causal_lm": ("padding.amount_and_side",),
        },
    ),
    Fault(
        "padding_mask_on_query_axis",
        "masks.py",
        "return key_padding_mask[:, None, None, :]",
        "return key_padding_mask[:, None, :, None]",
        "the mask broadcasts over the wrong axis (equinox PR #190)",
        {"self_attention": ("padding.content", "padding.gradients", "padding.parameter_gradients")},
    ),
    Fault(
        "padding_mask_of_first_row_for_all",
        "masks.py",
        "return key_padding_mask[:, None, None, :]",
        "return key_padding_mask[:1, None, None, :]",
        "a mask without a batch axis is made from the first row",
        {"self_attention": ("consistency.batch_invariance", "padding.real_tokens_matter")},
    ),
    Fault(
        "mask_applied_after_softmax",
        "attention.py",
        "scores = scores.masked_fill(hidden, -math.inf)",
        "scores = scores + 0.0",
        "weights are zeroed and not normalised again: what is hidden still counts in the denominator",
        {
            "attention": ("consistency.agreement_with_oracle", "causality.no_future_influence", "padding.content"),
            "self_attention": ("padding.parameter_gradients", "causality.no_future_gradient"),
        },
    ),
    Fault(
        "masked_scores_set_to_zero",
        "attention.py",
        "scores = scores.masked_fill(hidden, -math.inf)",
        "scores = scores.masked_fill(hidden, 0.0)",
        "scores · mask: a hidden score of 0 is a score like any other",
        {
            "attention": ("padding.amount_and_side", "causality.prefix_consistency"),
            "causal_lm": ("padding.amount_and_side",),
        },
    ),
    Fault(
        "finite_filler_added",
        "attention.py",
        "scores = scores.masked_fill(hidden, -math.inf)",
        "scores = scores - 10000.0 * hidden",
        "an additive mask of −10000 (BERT's): a large enough score climbs over it",
        {"attention": ("padding.content",), "self_attention": ("padding.content", "causality.no_future_influence")},
    ),
    Fault(
        "empty_row_attends_uniformly",
        "attention.py",
        "return weights.masked_fill(hidden, 0.0)",
        "return weights",
        "−1e9 for −∞: in a row that sees nothing, every score is the same",
        {"attention": ("padding.fully_masked_rows",)},
    ),
    Fault(
        "empty_row_attends_to_everything",
        "attention.py",
        "hidden = ~mask\n",
        "hidden = ~mask & mask.any(dim=-1, keepdim=True)\n",
        "rows without a key are unmasked to keep NaN away (transformers, AttentionMaskConverter._unmask_unattended)",
        {"attention": ("padding.fully_masked_rows",)},
    ),
    Fault(
        "empty_row_is_nan_in_backward",
        "attention.py",
        "    scores = scores.masked_fill(hidden, -math.inf)\n"
        "    # A row of −inf alone would be 0/0, and NaN in backward too: make it finite, "
        "its weights are emptied below.\n"
        "    scores = scores.masked_fill(sees_nothing, 0.0)",
        "    scores = scores + torch.where(hidden, -math.inf, 0.0)",
        "−∞ is added, and the row that is nothing else is mended in the forward pass only (PyTorch #41508)",
        {
            "self_attention": ("padding.fully_masked_rows",),
            "causal_lm": ("padding.parameter_gradients", "padding.fully_masked_rows"),
        },
    ),
    Fault(
        "filler_with_its_signs_lost",
        "attention.py",
        _MASKING,
        "    return torch.softmax(scores.masked_fill(hidden, 1e-9), dim=-1)",
        "1e-9 for −1e9: a hidden score is 0 to nine digits",
        {"attention": ("filler.masked_is_exactly_zero", "padding.content", "padding.amount_and_side")},
    ),
    Fault(
        "filler_tiny_for_min",
        "attention.py",
        _MASKING,
        "    return torch.softmax(scores.masked_fill(hidden, torch.finfo(scores.dtype).tiny), dim=-1)",
        "finfo.tiny is the smallest positive number, finfo.min the lowest",
        {"attention": ("filler.masked_is_exactly_zero", "padding.content")},
    ),
    Fault(
        "filler_of_minus_ten_thousand",
        "attention.py",
        _MASKING,
        "    return torch.softmax(scores.masked_fill(hidden, -1e4), dim=-1)",
        "GPT-2's masked_bias, a number that float16 holds: it is not low where all real scores lie lower",
        {"attention": ("filler.masked_is_exactly_zero",)},
    ),
    Fault(
        "filler_added_and_climbed_over",
        "attention.py",
        _MASKING,
        "    return torch.softmax(scores - 1e4 * hidden, dim=-1)",
        "BERT's extended mask: added, so that a hidden score keeps what it was above the others",
        {"attention": ("filler.masked_is_exactly_zero",)},
    ),
    Fault(
        "zero_scores_hidden",
        "attention.py",
        "    scores = query @ key.transpose(-2, -1)",
        "    scores = query @ key.transpose(-2, -1); scores = scores.masked_fill(scores == 0, -math.inf)",
        "a score of 0 taken for no score, as where a mask was multiplied in before",
        {"attention": ("filler.zero_takes_a_share", "consistency.agreement_with_oracle")},
    ),
    Fault(
        "cross_attention_ignores_padding",
        "decoder.py",
        "self.cross_attention(x, memory, key_padding_mask=memory_key_padding_mask)",
        "self.cross_attention(x, memory)",
        "memory_key_padding_mask is forgotten",
        {"seq2seq": ("padding.content", "padding.amount_and_side")},
    ),
    Fault(
        "memory_cut_off_from_the_gradient",
        "multi_head.py",
        "key_position_ids = resolve_position_ids(memory_position_ids, memory)",
        "key_position_ids = resolve_position_ids(memory_position_ids, memory); memory = memory.detach()",
        "the encoder's output is detached, as for a frozen encoder: it never learns",
        {"cross_attention": ("cross.every_source_is_reached",)},
    ),
    Fault(
        "keys_from_the_queries",
        "multi_head.py",
        "key = split_heads(self.W_K(memory), self.n_kv_heads)",
        "key = split_heads(self.W_K(x if x.shape == memory.shape else memory), self.n_kv_heads)",
        "a call for self-attention is kept where the lengths happen to agree",
        {"cross_attention": ("cross.queries_do_not_meet",)},
    ),
    Fault(
        "queries_centred_over_the_sequence",
        "multi_head.py",
        "query = split_heads(self.W_Q(x), self.n_heads)",
        "query = split_heads(self.W_Q(x - x.mean(dim=1, keepdim=True)), self.n_heads)",
        "a norm over the length, where one over the width was meant",
        {"cross_attention": ("cross.queries_do_not_meet",)},
    ),
    Fault(
        "memory_never_attended_to",
        "decoder.py",
        "x = self.cross_attention_residual(x, attend_to_memory)",
        "x = self.cross_attention_residual(x, attend_to_self)",
        "the closures of two sub-layers confused",
        {"seq2seq": ("padding.real_tokens_matter", "consistency.parameters_matter")},
    ),
    Fault(
        "tail_block_of_keys_dropped",
        "attention.py",
        "output = weights @ value",
        "output = weights[..., : key.shape[2] // 2 * 2] @ value[:, :, : key.shape[2] // 2 * 2]",
        "a kernel works on blocks of keys and leaves out what does not fill one",
        {
            "attention": ("heads.two_copies", "padding.real_tokens_matter", "consistency.agreement_with_oracle"),
            "self_attention": ("causality.prefix_consistency",),
        },
    ),
)

PACKING_MASK = (
    Fault(
        "attention_mask_ignored",
        "multi_head.py",
        "mask = combine_masks(mask, causal, real_key)",
        "mask = combine_masks(causal, real_key)",
        "the mask is accepted and not used: packed documents read each other",
        {
            "self_attention": ("lengths.packing_agrees", "lengths.documents_do_not_meet"),
            "encoder": ("lengths.packing_agrees", "lengths.documents_do_not_meet"),
        },
    ),
    Fault(
        "attention_mask_off_by_one",
        "multi_head.py",
        "mask = combine_masks(mask, causal, real_key)",
        "mask = combine_masks(None if mask is None else mask.roll(1, dims=-1), causal, real_key)",
        "the borders of documents are counted from 1: each sees the first token of the next",
        {"self_attention": ("lengths.packing_agrees", "lengths.documents_do_not_meet")},
    ),
    Fault(
        "attention_mask_of_the_first_query",
        "multi_head.py",
        "mask = combine_masks(mask, causal, real_key)",
        "mask = combine_masks(None if mask is None else mask[..., :1, :].expand_as(mask), causal, real_key)",
        "a mask of one row, as padding has it, is made of one that has a row for each query",
        {"self_attention": ("lengths.packing_agrees", "lengths.documents_do_not_meet")},
    ),
    Fault(
        "flag_displaces_the_mask",
        "multi_head.py",
        "mask = combine_masks(mask, causal, real_key)",
        "mask = combine_masks(causal if is_causal else mask, real_key)",
        "is_causal and a mask are taken for two ways to say one thing, and the flag wins",
        {
            "self_attention": ("lengths.packing_agrees", "lengths.documents_do_not_meet"),
            "encoder": ("lengths.packing_agrees",),
        },
    ),
    Fault(
        "starts_of_documents_ignored",
        "attention.py",
        "weights = masked_softmax(scores, mask)",
        "weights = masked_softmax(scores, None if mask is None else mask.flip(-1).cumsum(-1).flip(-1) > 0)",
        "of a document's two borders the kernel reads the end alone: each sees all before it",
        {"attention": ("lengths.packing_agrees", "lengths.documents_do_not_meet")},
    ),
    Fault(
        "flag_displaces_the_mask_of_a_module",
        "torch_modules.py",
        "attn_mask=_attn_mask(x, mask, is_causal=is_causal),",
        "attn_mask=_causal(x) if is_causal else _hidden(mask),",
        "as above, made where a module is adapted: PyTorch's is_causal wants the causal mask, and the caller's is lost",
        {"self_attention": ("lengths.packing_agrees", "lengths.documents_do_not_meet")},
        on="torch.nn.MultiheadAttention",
    ),
)
