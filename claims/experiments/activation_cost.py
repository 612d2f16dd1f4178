"""What an activation costs beside ReLU: by itself, with its gradient, and in a feed-forward layer (claim Q25.2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from veriformer.reference.feed_forward import FeedForward

from .experiment import Budget, Experiment, Figure, Outcome
from .timing import Timed, geometric_mean, take_turns

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "gelu": torch.nn.functional.gelu,
}
"""ReLU, which the others are compared with; three that take exponentials, or an error function."""


def _forwards(activation: Callable[[Tensor], Tensor], x: Tensor) -> None:
    with torch.no_grad():
        activation(x)


def _with_gradient(activation: Callable[[Tensor], Tensor], x: Tensor, upstream: Tensor) -> None:
    x.grad = None
    activation(x).backward(upstream)


def _in_a_layer(layer: FeedForward, activation: Callable[[Tensor], Tensor], x: Tensor) -> None:
    with torch.no_grad():
        layer.W_2(activation(layer.W_1(x)))


def measure(budget: Budget, say: Callable[[str], None]) -> Outcome:
    """Ratios to ReLU of the time that each takes, on the hidden layer of one feed-forward network."""
    torch.manual_seed(budget["seed"])
    d_model, tokens = budget["d_model"], budget["tokens"]
    layer = FeedForward(d_model)
    x = torch.randn(tokens, d_model)
    hidden, upstream = torch.randn(tokens, 4 * d_model).requires_grad_(), torch.randn(tokens, 4 * d_model)
    kinds = {
        "forward": ("by itself", lambda f: partial(_forwards, f, hidden)),
        "gradient": ("with its gradient", lambda f: partial(_with_gradient, f, hidden, upstream)),
        "layer": ("in a feed-forward layer, the layer as a whole", lambda f: partial(_in_a_layer, layer, f, x)),
    }
    figures = []
    for kind, (what, call) in kinds.items():
        calls = {name: call(activation) for name, activation in ACTIVATIONS.items()}
        rounds = take_turns(calls, rounds=budget["rounds"], least=budget["least"])
        for name in list(ACTIVATIONS)[1:]:
            value, low, high = geometric_mean([seconds[name] / seconds["relu"] for seconds in rounds])
            say(f"{name} over ReLU, {what}: {value:.3g} times")
            told = f"time of {name} over ReLU, {what}"
            figures.append(Figure(f"{kind}_{name}", told, value, low, high, "times", len(rounds)))
    return Outcome(tuple(figures))


ACTIVATION_COST = Experiment(
    name="activation_cost",
    claims=("Q25.2",),
    question="What do sigmoid, tanh and GELU cost beside ReLU?",
    method="All four run in turns in one process, on one thread, in float32, on the hidden layer of one feed-forward "
    "network; figures are ratios of CPU time. Intervals are Student's, 95 %, over rounds, for the mean of the "
    "logarithms.",
    measure=measure,
    full={"seed": 1, "d_model": 256, "tokens": 128, "rounds": 12, "least": 0.02},
    small={"seed": 1, "d_model": 64, "tokens": 64, "rounds": 3, "least": 0.005},
    expectations=(
        *(
            Timed(
                f"{name} by itself takes longer than ReLU",
                lambda found, name=name: found[f"forward_{name}"].low > 1,
            )
            for name in list(ACTIVATIONS)[1:]
        ),
        *(
            Timed(
                f"… but a layer with {name} takes less than twice as long as one with ReLU",
                lambda found, name=name: found[f"layer_{name}"].value < 2,
            )
            for name in list(ACTIVATIONS)[1:]
        ),
    ),
)
