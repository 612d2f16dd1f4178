"""Faults of attention itself: its heads, what it computes, its softmax and its scale."""

from __future__ import annotations

from .fault import Fault

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
    Fault(
        "one_head_reads_values_as_keys",
        "attention.py",
        "key = repeat_heads(key, n_heads)",
        "key = repeat_heads(key if key.shape[1] > 1 else value, n_heads)",
        "a cache of a single key and value head hands out the wrong one of the two",
        {"attention": ("heads.two_copies",)},
    ),
)

COST = (
    Fault(
        "heads_of_full_width",
        "multi_head.py",
        "d_k = d_model // n_heads",
        "d_k = d_model",
        "every head as wide as the model: h heads cost h times as much",
        {
            "self_attention": ("cost.matrix_products", "cost.weights", "cost.independent_of_heads"),
            "encoder": ("cost.parts_of_a_block", "cost.share_of_the_weights"),
        },
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
        {"self_attention": ("cost.weights",), "encoder": ("cost.share_of_the_weights",)},
    ),
    Fault(
        "feed_forward_width_not_passed_on",
        "encoder.py",
        "FeedForward(config.d_model, config.d_ff)",
        "FeedForward(config.d_model)",
        "the width that is configured goes nowhere: the layer keeps its default",
        {"encoder": ("cost.parts_of_a_block", "cost.share_of_the_weights")},
    ),
    Fault(
        "feed_forward_width_rounded_up",
        "feed_forward.py",
        "d_ff = 4 * d_model if d_ff is None else d_ff",
        "d_ff = 4 * d_model if d_ff is None else -(-d_ff // 64) * 64",
        "widths are rounded up to a multiple of 64, as hardware likes it (LLaMA's multiple_of)",
        {"encoder": ("cost.parts_of_a_block", "cost.share_of_the_weights")},
    ),
    Fault(
        "feed_forward_gated_at_full_width",
        "feed_forward.py",
        "self.W_1 = nn.Linear(d_model, d_ff)",
        "self.W_1 = nn.Sequential(nn.Linear(d_model, 2 * d_ff), nn.GLU())",
        "a gate is added and d_ff kept, where two thirds of it would keep the size: half as much again",
        {"encoder": ("cost.parts_of_a_block", "cost.share_of_the_weights")},
    ),
    Fault(
        "feed_forward_computed_twice",
        "encoder.py",
        "return self.feed_forward_residual(x, self.feed_forward)",
        "self.feed_forward(x); return self.feed_forward_residual(x, self.feed_forward)",
        "a call left over from debugging, whose result nobody uses",
        {"encoder": ("cost.parts_of_a_block",)},
    ),
    Fault(
        "one_layer_many_times",
        "encoder.py",
        "[EncoderLayer(config, self.positions) for _ in range(config.n_layers)]",
        "[EncoderLayer(config, self.positions)] * config.n_layers",
        "a list multiplied: one layer, n times over, where each should have weights of its own",
        {"encoder": ("cost.share_of_the_weights",)},
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
                "scaling.independent_of_width",
                "scaling.logit_variance",
                "consistency.agreement_with_oracle",
                "softmax.jacobian",
            )
        },
    ),
    Fault(
        "scale_of_heads_of_64",
        "attention.py",
        "scale = 1.0 / math.sqrt(d_k)",
        "scale = 0.125",
        "the scale of the paper's base model written out, 1/√64, and kept for heads of another width",
        {"attention": ("scaling.independent_of_width", "scaling.logit_variance")},
    ),
    Fault(
        "scale_without_root",
        "attention.py",
        "scale = 1.0 / math.sqrt(d_k)",
        "scale = 1.0 / d_k",
        "d_k for √d_k",
        {
            "attention": (
                "itself.equals_attend_to_themselves",
                "itself.lead_decides",
                "itself.projections_level_the_diagonal",
                "scores.two_matrices_act_as_one",
                "scaling.independent_of_width",
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
        {"attention": ("scaling.independent_of_width", "scaling.logit_variance")},
    ),
    Fault(
        "softmax_over_queries",
        "attention.py",
        "return torch.softmax(scores, dim=-1)",
        "return torch.softmax(scores, dim=-2)",
        "the wrong axis; silent where both lengths agree",
        {
            "attention": (
                "cross.queries_do_not_meet",
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
                "itself.lead_decides",
                "itself.equals_attend_to_themselves",
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
                "itself.largest_score",
                "itself.equals_attend_to_themselves",
                "itself.lead_decides",
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
        {
            "attention": (
                "itself.projections_level_the_diagonal",
                "consistency.agreement_with_oracle",
            )
        },
    ),
    Fault(
        "own_score_lowered",
        "attention.py",
        "scores = query @ key.transpose(-2, -1)",
        "scores = query @ key.transpose(-2, -1); scores = scores - 2.0 * torch.eye(*scores.shape[-2:])",
        "a token is held off from itself, as in the Reformer, where nobody asked for it",
        {
            "attention": (
                "itself.largest_score",
                "itself.equals_attend_to_themselves",
                "itself.lead_decides",
                "itself.projections_level_the_diagonal",
            )
        },
    ),
    Fault(
        "own_place_favoured",
        "attention.py",
        "scores = query @ key.transpose(-2, -1)",
        "scores = query @ key.transpose(-2, -1); scores = scores + 1.5 * torch.eye(*scores.shape[-2:])",
        "a bias of relative positions is left on at distance 0",
        {"attention": ("itself.projections_level_the_diagonal", "itself.equals_attend_to_themselves")},
    ),
    Fault(
        "scores_biased_to_the_first_key",
        "attention.py",
        "scores = query @ key.transpose(-2, -1)",
        "scores = query @ key.transpose(-2, -1); scores = scores + 3.0 * (torch.arange(scores.shape[-1]) == 0)",
        "a bias for an attention sink, which this kernel was not asked for",
        {"attention": ("itself.largest_score", "itself.lead_decides")},
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
