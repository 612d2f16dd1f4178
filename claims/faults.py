"""The planted faults: one mistake at a time, made in a copy of the reference.

Each entry of ``FAULTS`` is a patch of one or two lines, named after the real mistake that it imitates, with the laws
that must catch it and the contracts on which they do. :func:`planted` is what plants it.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import veriformer.reference

REFERENCE = Path(veriformer.reference.__file__).parent


@dataclass(frozen=True)
class Fault:
    """``old``, which occurs exactly once in ``file`` of the reference, becomes ``new``.

    ``imitates`` says what the mistake is, and names the real bug where there is one. ``caught`` says by which laws, per
    contract.
    """

    name: str
    file: str
    old: str
    new: str
    imitates: str
    caught: Mapping[str, tuple[str, ...]] = field(hash=False)


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
        {"self_attention": ("causality.past_influences", "consistency.paths_agree")},
    ),
    Fault(
        "causal_mask_transposed",
        "masks.py",
        "return key <= query + n_past",
        "return key >= query + n_past",
        "triu read as True = may attend, where it was made as True = hidden",
        {
            "self_attention": ("causality.past_influences",),
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
        {"self_attention": ("order.order_is_seen", "causality.prefix_consistency")},
    ),
    Fault(
        "causal_by_default",
        "multi_head.py",
        "is_causal: bool = False",
        "is_causal: bool = True",
        "a decoder's attention is used for cross-attention as it is",
        {
            "self_attention": ("order.permutation_equivariance",),
            "cross_attention": ("order.memory_permutation_invariance", "order.permutation_equivariance"),
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
            "cross_attention": ("padding.amount_and_side", "padding.real_tokens_matter"),
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

HEADS = (
    Fault(
        "split_by_view_without_transpose",
        "multi_head.py",
        "heads = x.view(batch, length, n_heads, width // n_heads)\n    return heads.transpose(1, 2)",
        "return x.view(batch, n_heads, length, width // n_heads)",
        "the shape is right and the tokens are mixed",
        {
            "self_attention": (
                "heads.removal_is_deletion",
                "heads.loop_equivalence",
                "order.permutation_equivariance",
                "causality.no_future_gradient",
                "causality.prefix_consistency",
            ),
            "cross_attention": ("order.memory_permutation_invariance",),
        },
    ),
    Fault(
        "merge_without_transpose",
        "multi_head.py",
        "tokens = x.transpose(1, 2)",
        "tokens = x",
        "the heads' outputs are reshaped as they lie: a token gets features of others",
        {"self_attention": ("heads.removal_is_deletion", "heads.loop_equivalence", "order.permutation_equivariance")},
    ),
    Fault(
        "heads_interleaved",
        "multi_head.py",
        "heads = x.view(batch, length, n_heads, width // n_heads)\n    return heads.transpose(1, 2)",
        "return x.view(batch, length, width // n_heads, n_heads).permute(0, 3, 1, 2)",
        "a checkpoint's head layout read as (d_k, heads)",
        {
            "self_attention": (
                "heads.removal_is_deletion",
                "heads.loop_equivalence",
            )
        },
    ),
    Fault(
        "grouped_heads_repeated_in_wrong_order",
        "attention.py",
        "return x.repeat_interleave(group_size, dim=1)",
        "return x.repeat(1, group_size, 1, 1)",
        "repeat for repeat_interleave: query head h uses key head h mod n_kv_heads",
        {
            "attention": ("heads.loop_equivalence", "consistency.agreement_with_oracle"),
            "self_attention": ("heads.loop_equivalence",),
        },
    ),
)

COST = (
    Fault(
        "heads_of_full_width",
        "multi_head.py",
        "d_k = d_model // n_heads",
        "d_k = d_model",
        "every head as wide as the model: h heads cost h times as much",
        {"self_attention": ("cost.matrix_products", "cost.weights", "cost.independent_of_heads")},
    ),
    Fault(
        "head_width_rounded_up",
        "multi_head.py",
        "d_k = d_model // n_heads",
        "d_k = -(-(d_model // n_heads) // 8) * 8",
        "narrow heads are widened to a multiple of 8, as hardware likes it, and their products with them",
        {"self_attention": ("cost.matrix_products", "cost.weights", "cost.independent_of_heads")},
    ),
    Fault(
        "keys_projected_for_each_head",
        "multi_head.py",
        "key = split_heads(self.W_K(memory), self.n_kv_heads)",
        "key = torch.cat([split_heads(self.W_K(memory), self.n_kv_heads)[:, h : h + 1] "
        "for h in range(self.n_kv_heads)], dim=1)",
        "a loop over heads projects for all of them and keeps one: right, and h times the work",
        {"self_attention": ("cost.matrix_products", "cost.independent_of_heads")},
    ),
    Fault(
        "weights_computed_again",
        "attention.py",
        "return output, weights",
        "return output, masked_softmax(query @ key.transpose(-2, -1), mask)",
        "the weights that are returned are computed a second time, as beside a kernel that does not give them",
        {"self_attention": ("cost.matrix_products", "cost.softmax_entries")},
    ),
    Fault(
        "heads_share_one_softmax",
        "attention.py",
        "weights = masked_softmax(scores, mask)",
        "weights = masked_softmax(scores.mean(1, keepdim=True), mask).expand_as(scores)",
        "scores are averaged over the heads before softmax, not weights after it",
        {
            "attention": ("heads.two_copies",),
            "self_attention": ("cost.softmax_entries", "heads.removal_is_deletion", "heads.loop_equivalence"),
        },
    ),
    Fault(
        "softmax_over_padded_rows",
        "attention.py",
        "return torch.softmax(scores, dim=-1)",
        "padding = (0, -scores.shape[-1] % 8)\n"
        "        padded = torch.nn.functional.pad(scores, padding, value=-math.inf)\n"
        "        return torch.softmax(padded, dim=-1)[..., : scores.shape[-1]]",
        "rows of scores are filled up to a multiple of 8: right, and up to eight times the work",
        {"self_attention": ("cost.softmax_entries",)},
    ),
    Fault(
        "keys_and_values_share_a_matrix",
        "multi_head.py",
        "self.W_V = nn.Linear(d_model, self.n_kv_heads * d_k)",
        "self.W_V = self.W_K",
        "one matrix where the paper has two: a layer of 3d² weights",
        {"self_attention": ("cost.weights",)},
    ),
)

SOFTMAX_AND_SCALE = (
    Fault(
        "scale_by_d_model",
        "attention.py",
        "scale = 1.0 / math.sqrt(d_k)",
        "scale = 1.0 / math.sqrt(d_k * n_heads)",
        "√d_model for √d_k",
        {
            "attention": (
                "scaling.logit_variance",
                "consistency.agreement_with_oracle",
                "heads.loop_equivalence",
            )
        },
    ),
    Fault(
        "scale_missing",
        "attention.py",
        "scale = 1.0 / math.sqrt(d_k)",
        "scale = 1.0",
        "softmax(QKᵀ)",
        {
            "attention": (
                "scores.two_matrices_act_as_one",
                "softmax.more_keys_dilute",
                "softmax.ratios",
                "filler.zero_takes_a_share",
                "scaling.logit_variance",
                "consistency.agreement_with_oracle",
                "softmax.jacobian",
            )
        },
    ),
    Fault(
        "scale_without_root",
        "attention.py",
        "scale = 1.0 / math.sqrt(d_k)",
        "scale = 1.0 / d_k",
        "d_k for √d_k",
        {
            "attention": (
                "scores.two_matrices_act_as_one",
                "scaling.logit_variance",
            )
        },
    ),
    Fault(
        "scale_argument_ignored",
        "attention.py",
        "    if scale is None:\n        scale = 1.0 / math.sqrt(d_k)",
        "    scale = 1.0 / math.sqrt(d_k)",
        "the argument is accepted and overwritten",
        {"attention": ("scaling.logit_variance",)},
    ),
    Fault(
        "softmax_over_queries",
        "attention.py",
        "return torch.softmax(scores, dim=-1)",
        "return torch.softmax(scores, dim=-2)",
        "the wrong axis; silent where both lengths agree",
        {
            "attention": (
                "heads.two_copies",
                "consistency.agreement_with_oracle",
                "softmax.jacobian",
                "softmax.saturation",
            ),
            "self_attention": ("consistency.paths_agree",),
        },
    ),
    Fault(
        "softmax_to_base_two",
        "attention.py",
        "return torch.softmax(scores, dim=-1)",
        "return torch.softmax(scores * math.log(2.0), dim=-1)",
        "exp2 without the factor log₂ e in the scale, as in hand-written kernels",
        {
            "attention": (
                "softmax.more_keys_dilute",
                "softmax.entropy",
                "softmax.ratios",
                "filler.finite_lets_through",
                "filler.zero_takes_a_share",
                "softmax.jacobian",
                "scaling.logit_variance",
                "consistency.paths_agree",
            )
        },
    ),
    Fault(
        "scores_negated",
        "attention.py",
        "scores = query @ key.transpose(-2, -1)",
        "scores = -query @ key.transpose(-2, -1)",
        "distances taken for similarities",
        {
            "attention": (
                "heads.two_copies",
                "scores.one_matrix_has_no_direction",
                "softmax.ratios",
                "softmax.jacobian",
                "consistency.agreement_with_oracle",
            )
        },
    ),
    Fault(
        "scores_of_the_query_with_itself",
        "attention.py",
        "scores = query @ key.transpose(-2, -1)",
        "scores = query @ (query if query.shape == key.shape else key).transpose(-2, -1)",
        "a slip of the hand that no shape betrays in self-attention",
        {"attention": ("consistency.agreement_with_oracle",)},
    ),
    Fault(
        "scores_biased_to_earlier_keys",
        "attention.py",
        "scores = query @ key.transpose(-2, -1)",
        "scores = query @ key.transpose(-2, -1); scores = scores - 0.1 * torch.arange(scores.shape[-1])",
        "a bias by the key's place that the caller did not ask for",
        {
            "attention": (
                "scores.two_matrices_act_as_one",
                "scores.one_matrix_has_no_direction",
                "order.memory_permutation_invariance",
            )
        },
    ),
    Fault(
        "scores_less_half_the_keys_square",
        "attention.py",
        "scores = query @ key.transpose(-2, -1)",
        "scores = query @ key.transpose(-2, -1) - 0.5 * (key * key).sum(-1)[..., None, :]",
        "a squared distance multiplied out, with the key's own square kept and the query's left out",
        {"attention": ("scores.one_matrix_has_no_direction", "consistency.agreement_with_oracle")},
    ),
    Fault(
        "scores_clamped",
        "attention.py",
        "scores = query @ key.transpose(-2, -1)",
        "scores = (query @ key.transpose(-2, -1)).clamp(-5.0, 5.0)",
        "a clamp against overflow",
        {
            "attention": (
                "filler.finite_lets_through",
                "softmax.saturation",
            )
        },
    ),
    Fault(
        "scores_soft_capped",
        "attention.py",
        "scores = query @ key.transpose(-2, -1)",
        "scores = 5.0 * torch.tanh(query @ key.transpose(-2, -1) / 5.0)",
        "Gemma 2's soft cap left on",
        {
            "attention": (
                "scores.two_matrices_act_as_one",
                "softmax.more_keys_dilute",
                "softmax.ratios",
                "filler.finite_lets_through",
                "softmax.saturation",
                "scaling.logit_variance",
            )
        },
    ),
    Fault(
        "zero_key_added",
        "attention.py",
        "return torch.softmax(scores, dim=-1)",
        "return torch.softmax(torch.nn.functional.pad(scores, (0, 1)), dim=-1)[..., :-1]",
        "add_zero_attn, or a softmax with one more in the denominator: the weights do not sum to 1",
        {
            "attention": (
                "softmax.entropy",
                "filler.finite_lets_through",
                "filler.zero_takes_a_share",
                "softmax.saturation",
                "consistency.paths_agree",
                "consistency.agreement_with_oracle",
            )
        },
    ),
    Fault(
        "gradient_through_scores_halved",
        "attention.py",
        "scores = query @ key.transpose(-2, -1)",
        "scores = query @ key.transpose(-2, -1); scores = (scores + scores.detach()) / 2",
        "a hand-written backward that leaves out a factor",
        {
            "attention": (
                "softmax.entropy",
                "softmax.jacobian",
            )
        },
    ),
)

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
            "encoder": ("order.tokens_move_with_their_positions",),
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

NORMALISATION = (
    Fault(
        "batchnorm_for_layernorm",
        "layer_norm.py",
        "mean = wide.mean(dim=-1, keepdim=True)",
        "mean = wide.mean(dim=0, keepdim=True)",
        "statistics over the batch",
        {
            "normalization": ("consistency.batch_invariance",),
            "encoder": ("padding.content", "consistency.batch_invariance"),
        },
    ),
    Fault(
        "layernorm_over_length",
        "layer_norm.py",
        "variance = centred.square().mean(dim=-1, keepdim=True)",
        "variance = centred.square().mean(dim=(-2, -1), keepdim=True)",
        "normalized_shape of two axes: every token sees the variance of all",
        {
            "causal_lm": (
                "causality.no_future_influence",
                "causality.no_future_gradient",
                "causality.prefix_consistency",
            ),
            "encoder": ("padding.content", "padding.gradients"),
        },
    ),
    Fault(
        "token_shift_in_feed_forward",
        "feed_forward.py",
        "hidden = torch.relu(self.W_1(x))",
        "hidden = torch.relu(self.W_1(x + x.roll(1, dims=-2)))",
        "a neighbour mixed in by a roll that wraps round: the first token sees the last",
        {
            "feed_forward": ("order.permutation_equivariance",),
            "causal_lm": ("causality.no_future_influence",),
        },
    ),
)

RANDOMNESS = (
    Fault(
        "attention_dropout_on_by_default",
        "attention.py",
        "dropout_p: float = 0.0",
        "dropout_p: float = 0.5",
        "dropout in evaluation as well: a kernel has no training mode of its own",
        {"attention": ("consistency.determinism", "softmax.saturation")},
    ),
    Fault(
        "functional_dropout_in_evaluation",
        "residual.py",
        "return x + self.dropout(sublayer(self.norm(x)))",
        "return x + nn.functional.dropout(sublayer(self.norm(x)), 0.1)",
        "the function, unlike the module, is in training unless it is told",
        {"encoder": ("consistency.determinism",)},
    ),
    Fault(
        "noise_in_embedding",
        "embedding.py",
        "return x * math.sqrt(d_model)",
        "return x * math.sqrt(d_model) + 0.01 * torch.randn_like(x)",
        "regularising noise left on",
        {"causal_lm": ("consistency.determinism",), "seq2seq": ("consistency.determinism",)},
    ),
)

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

DEAD_PARAMETERS = (
    Fault(
        "bias_on_keys",
        "multi_head.py",
        "self.W_K = nn.Linear(d_model, self.n_kv_heads * d_k, bias=False)",
        "self.W_K = nn.Linear(d_model, self.n_kv_heads * d_k)",
        "softmax does not see what every score of a row shares",
        {"self_attention": ("consistency.parameters_matter",)},
    ),
    Fault(
        "final_norm_not_applied",
        "encoder.py",
        "return self.norm(x)",
        "return x",
        "made in __init__ and forgotten in forward (x-transformers 0.2.4 and 2.25.4, #352)",
        {"encoder": ("consistency.parameters_matter",), "causal_lm": ("consistency.parameters_matter",)},
    ),
    Fault(
        "first_layer_runs_n_times",
        "encoder.py",
        "            x = layer(\n",
        "            x = self.layers[0](\n",
        "the loop runs over layers and calls one",
        {"encoder": ("consistency.parameters_matter",)},
    ),
    Fault(
        "relative_values_not_added",
        "multi_head.py",
        "heads = heads + relative_values",
        "heads = heads + 0.0",
        "Shaw et al.'s second table is learned for nothing",
        {"encoder": ("consistency.parameters_matter",)},
    ),
    Fault(
        "gain_forgotten",
        "layer_norm.py",
        "return self.gamma * normalised.to(x.dtype) + self.beta",
        "return normalised.to(x.dtype) + self.beta",
        "γ exists and is not used",
        {"normalization": ("consistency.parameters_matter",)},
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
        "crop_keeps_one_too_many",
        "kv_cache.py",
        "layer.crop(length)",
        "layer.crop(length + 1)",
        "a rejected token of speculative decoding stays",
        {"causal_lm": ("decoding.cached_equals_full",)},
    ),
)

FAULTS = (
    *CAUSAL_MASK,
    *PADDING_MASK,
    *HEADS,
    *COST,
    *SOFTMAX_AND_SCALE,
    *POSITIONS,
    *NORMALISATION,
    *RANDOMNESS,
    *STATE,
    *IN_PLACE_AND_STRIDES,
    *DEAD_PARAMETERS,
    *FAST_PATHS,
    *CACHE,
)


def write_copy(folder: Path, fault: Fault | None = None) -> Path:
    """A copy of the reference in ``folder``, under a name of its own, with the fault planted. Returns its path.

    Raises ValueError where the old text does not occur exactly once: the reference has changed, the patch must follow.
    """
    package = folder / f"reference_with_{fault.name if fault else 'no_fault'}"
    shutil.copytree(REFERENCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    if fault is not None:
        path = package / fault.file
        text = path.read_text()
        if (count := text.count(fault.old)) != 1:
            raise ValueError(f"{fault.name}: expected once in {fault.file}, found {count} times: {fault.old!r}")
        path.write_text(text.replace(fault.old, fault.new))
    return package


@contextmanager
def planted(fault: Fault) -> Iterator[ModuleType]:
    """The reference with the fault in it, imported afresh. Nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        package = write_copy(Path(folder), fault)
        spec = importlib.util.spec_from_file_location(package.name, package / "__init__.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[package.name] = module
        try:
            spec.loader.exec_module(module)
            yield module
        finally:
            for name in [n for n in sys.modules if n == package.name or n.startswith(f"{package.name}.")]:
                del sys.modules[name]
