"""What each positional encoding costs a language model: weights, operations, memory and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import torch
from torch.utils.flop_counter import FlopCounterMode

from veriformer.reference.causal_lm import CausalLM
from veriformer.reference.config import Config, PositionScheme

from .experiment import Budget
from .memory import peak_bytes
from .timing import take_turns

SCHEMES: tuple[PositionScheme, ...] = get_args(PositionScheme)
"""The encodings of the reference: "none", which all are compared with, and six more."""


@dataclass(frozen=True)
class Cost:
    """Of one scheme: its own weights; then, by the length of the text, ratios to the model without positions.

    ``flops`` and ``memory`` are counted, and ``times`` has one ratio a round.
    """

    weights: int
    flops: dict[int, float]
    memory: dict[int, float]
    times: dict[int, list[float]]


def costs(budget: Budget, say: Callable[[str], None]) -> dict[PositionScheme, Cost]:
    """The costs of every scheme, by name, of a forward pass over one text without gradients."""
    models = {scheme: _model(scheme, budget) for scheme in SCHEMES}
    weights = {scheme: sum(p.numel() for p in model.parameters()) for scheme, model in models.items()}
    found: dict[PositionScheme, Cost] = {s: Cost(weights[s] - weights["none"], {}, {}, {}) for s in SCHEMES}
    for length in budget["cost_lengths"]:
        tokens = torch.arange(length)[None] % models["none"].config.vocab_size
        calls: dict[str, Callable[[], Any]] = {scheme: partial(model, tokens) for scheme, model in models.items()}
        flops = {scheme: _flops(call) for scheme, call in calls.items()}
        held = {scheme: peak_bytes(call, tokens) for scheme, call in calls.items()}
        rounds = take_turns(calls, rounds=budget["rounds"], least=budget["least"])
        for scheme, cost in found.items():
            cost.flops[length] = flops[scheme] / flops["none"]
            cost.memory[length] = held[scheme] / held["none"]
            cost.times[length] = [seconds[scheme] / seconds["none"] for seconds in rounds]
        say(f"costs counted and timed for {length} tokens")
    return found


def _model(scheme: PositionScheme, budget: Budget) -> CausalLM:
    torch.manual_seed(budget["seeds"][0])
    config = Config(
        d_model=budget["cost_d_model"],
        n_heads=budget["cost_n_heads"],
        n_layers=budget["n_layers"],
        max_length=max(budget["cost_lengths"]),
        positions=scheme,
    )
    return CausalLM(config).eval().requires_grad_(False)


def _flops(call: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()
