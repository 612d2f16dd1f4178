"""Faults of feed-forward networks: other activations for ReLU, misplaced biases, tokens mixed, hidden layers rescaled.

Most of them train well, so nothing but a law tells them from what was asked for.
"""

from __future__ import annotations

from .fault import Fault

_FILE = "feed_forward.py"
_RELU = "hidden = torch.relu(self.W_1(x))"
_OUTPUT = "return self.W_2(hidden)"

ACTIVATIONS = (
    Fault(
        "leaky_relu_for_relu",
        _FILE,
        _RELU,
        "hidden = nn.functional.leaky_relu(self.W_1(x), 0.2)",
        "the slope below 0 that is usual in discriminators: what is negative leaks through",
        {
            "feed_forward": (
                "feed_forward.formula",
                "feed_forward.hidden_mean",
                "feed_forward.hidden_halves",
                "feed_forward.slope_is_zero_or_one",
                "feed_forward.dead_unit_stays",
            )
        },
    ),
    Fault(
        "softplus_for_relu",
        _FILE,
        _RELU,
        "hidden = nn.functional.softplus(self.W_1(x))",
        "the smooth stand-in for ReLU: it never quite closes",
        {
            "feed_forward": (
                "feed_forward.hidden_mean",
                "feed_forward.homogeneous",
                "feed_forward.scale_over_depth",
                "feed_forward.dead_unit_stays",
            )
        },
    ),
    Fault(
        "relu_clamped_at_six",
        _FILE,
        _RELU,
        "hidden = nn.functional.relu6(self.W_1(x))",
        "ReLU6, made for eight-bit arithmetic: it is flat above 6",
        {"feed_forward": ("feed_forward.homogeneous", "feed_forward.slope_is_zero_or_one")},
    ),
    Fault(
        "activation_forgotten",
        _FILE,
        _RELU,
        "hidden = self.W_1(x)",
        "two linear layers in a row are one",
        {"feed_forward": ("feed_forward.homogeneous", "feed_forward.hidden_mean", "feed_forward.hidden_halves")},
    ),
    Fault(
        "straight_through_gradient",
        _FILE,
        _RELU,
        "pre = self.W_1(x); hidden = pre + (torch.relu(pre) - pre).detach()",
        "a straight-through estimator from quantised training, left in: ReLU forwards, the identity backwards",
        {"feed_forward": ("feed_forward.slope_is_zero_or_one", "feed_forward.dead_unit_stays")},
    ),
)

BIASES = (
    Fault(
        "bias_after_relu",
        _FILE,
        _RELU,
        "hidden = torch.relu(x @ self.W_1.weight.mT) + self.W_1.bias",
        "a fused kernel that adds its bias last",
        {"feed_forward": ("feed_forward.formula",)},
    ),
)

TOKENS_MIXED = (
    Fault(
        "hidden_layer_centred_over_length",
        _FILE,
        _RELU,
        "hidden = torch.relu(self.W_1(x)); hidden = hidden - hidden.mean(dim=-2, keepdim=True)",
        "activations centred with statistics of the sequence",
        {"feed_forward": ("feed_forward.token_alone", "feed_forward.hidden_mean")},
    ),
    Fault(
        "gate_from_pooled_tokens",
        _FILE,
        _OUTPUT,
        "return self.W_2(hidden * torch.sigmoid(hidden.mean(dim=-2, keepdim=True)))",
        "squeeze and excitation over the length, as in networks for images",
        {"feed_forward": ("feed_forward.token_alone",)},
    ),
)

RESCALED = (
    Fault(
        "hidden_layer_normalised",
        _FILE,
        _RELU,
        "hidden = nn.functional.rms_norm(torch.relu(self.W_1(x)), (self.W_1.out_features,))",
        "a norm between the two layers, as some recent models have",
        {"feed_forward": ("feed_forward.homogeneous", "feed_forward.scale_over_depth")},
    ),
    Fault(
        "hidden_layer_over_root_of_width",
        _FILE,
        _OUTPUT,
        "return self.W_2(hidden / self.W_1.out_features**0.5)",
        "the scale of attention, carried over to where it does not belong",
        {"feed_forward": ("feed_forward.scale_over_depth", "feed_forward.hidden_halves")},
    ),
    Fault(
        "weights_decay_in_the_forward_pass",
        _FILE,
        _RELU,
        "self.W_1.weight.data.mul_(0.99); hidden = torch.relu(self.W_1(x))",
        "weight decay applied wherever the layer is called, so that units without a gradient move as well",
        {"feed_forward": ("feed_forward.dead_unit_stays",)},
    ),
)
