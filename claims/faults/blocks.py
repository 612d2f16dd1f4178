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
