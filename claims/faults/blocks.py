"""Faults of blocks: their norms, their randomness, and parameters that nothing reads."""

from __future__ import annotations

from .fault import Fault

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

COMPOSITION = (
    Fault(
        "pre_norm_computed_as_post_norm",
        "residual.py",
        "return x + self.dropout(sublayer(self.norm(x)))",
        "return self.norm(x + self.dropout(sublayer(x)))",
        "a checkpoint of the one kind run by the code of the other (norm_first left at its default)",
        {"encoder": ("blocks.formula", "blocks.equal_torch", "residual.no_direction_is_lost")},
    ),
    Fault(
        "shortcut_from_the_normalised_stream",
        "residual.py",
        "return x + self.dropout(sublayer(self.norm(x)))",
        "x = self.norm(x)\n            return x + self.dropout(sublayer(x))",
        "the residual taken after LayerNorm, as BLOOM has it under apply_residual_connection_post_layernorm",
        {"encoder": ("blocks.formula", "residual.no_direction_is_lost")},
    ),
    Fault(
        "residual_forgotten",
        "residual.py",
        "return x + self.dropout(sublayer(self.norm(x)))",
        "return self.dropout(sublayer(self.norm(x)))",
        "a sub-layer's output assigned where it should be added",
        {"encoder": ("blocks.formula", "residual.no_direction_is_lost")},
    ),
    Fault(
        "sum_scaled_by_the_root_of_a_half",
        "residual.py",
        "return x + self.dropout(sublayer(self.norm(x)))",
        "return (x + self.dropout(sublayer(self.norm(x)))) * 0.5**0.5",
        "the sum scaled by √½ after each branch, as convolutional sequence models do it",
        {"encoder": ("residual.no_direction_is_lost",)},
    ),
    Fault(
        "shortcut_detached",
        "residual.py",
        "return x + self.dropout(sublayer(self.norm(x)))",
        "return x.detach() + self.dropout(sublayer(self.norm(x)))",
        "detached to save memory: the output is right, and no gradient comes by the shortcut",
        {"encoder": ("residual.no_direction_is_lost",)},
    ),
    Fault(
        "shortcut_scaled_up",
        "residual.py",
        "return x + self.dropout(sublayer(self.norm(x)))",
        "return 2 * x + self.dropout(sublayer(self.norm(x)))",
        "DeepNet's weight on the shortcut, which is meant for post-LN",
        {"encoder": ("residual.no_direction_is_lost",)},
    ),
    Fault(
        "post_norm_of_the_branch_alone",
        "residual.py",
        "return self.norm(x + self.dropout(sublayer(x)))",
        "return x + self.norm(self.dropout(sublayer(x)))",
        "the residual added after LayerNorm (Swin v2's res-post-norm) and called post-LN",
        {"encoder": ("blocks.formula", "blocks.equal_torch")},
    ),
    Fault(
        "final_norm_after_post_norm",
        "encoder.py",
        'self.norm = LayerNorm(config.d_model) if config.norm == "pre" else nn.Identity()',
        "self.norm = LayerNorm(config.d_model)",
        "a LayerNorm behind one that has just normalised, as torch.nn.Transformer has it with norm_first=False",
        {"encoder": ("blocks.formula",)},
    ),
    Fault(
        "one_norm_for_both_branches",
        "encoder.py",
        "return self.feed_forward_residual(x, self.feed_forward)",
        "return self.self_attention_residual(x, self.feed_forward)",
        "copied and pasted: the first LayerNorm of a block is used twice",
        {"encoder": ("blocks.formula", "blocks.equal_torch")},
    ),
    Fault(
        "branches_side_by_side",
        "encoder.py",
        "x = self.self_attention_residual(x, attend)\n        return self.feed_forward_residual(x, self.feed_forward)",
        "attended = self.self_attention_residual(x, attend)\n"
        "        return attended + self.feed_forward_residual(x, self.feed_forward) - x",
        "the parallel block of GPT-J and PaLM, in an encoder that is to be Vaswani et al.'s",
        {"encoder": ("blocks.formula", "blocks.equal_torch")},
    ),
    Fault(
        "feed_forward_before_attention",
        "encoder.py",
        "x = self.self_attention_residual(x, attend)\n        return self.feed_forward_residual(x, self.feed_forward)",
        "x = self.feed_forward_residual(x, self.feed_forward)\n        return self.self_attention_residual(x, attend)",
        "the branches of a block in the other order",
        {"encoder": ("blocks.equal_torch",)},
    ),
    Fault(
        "gelu_for_relu",
        "feed_forward.py",
        "hidden = torch.relu(self.W_1(x))",
        "hidden = torch.nn.functional.gelu(self.W_1(x))",
        "BERT's activation in a Transformer of 2017",
        {"encoder": ("blocks.formula", "blocks.equal_torch")},
    ),
    Fault(
        "output_bias_forgotten",
        "feed_forward.py",
        "return self.W_2(hidden)",
        "return hidden @ self.W_2.weight.mT",
        "a product written out by hand, without the bias that the layer has",
        {"encoder": ("blocks.formula",)},
    ),
    Fault(
        "epsilon_outside_the_root",
        "layer_norm.py",
        "normalised = centred / torch.sqrt(variance + self.eps)",
        "normalised = centred / (torch.sqrt(variance) + self.eps)",
        "ε added to the deviation, not to the variance",
        {"encoder": ("blocks.formula", "blocks.equal_torch")},
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
