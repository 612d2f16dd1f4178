"""Small language models that differ in their positional encoding alone, and what is measured on them once trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from veriformer.reference.causal_lm import CausalLM
from veriformer.reference.config import Config, PositionScheme
from veriformer.reference.multi_head import split_heads
from veriformer.reference.positions import Positions

from .english import Text, windows
from .experiment import Budget


@dataclass(frozen=True)
class Run:
    """One scheme, one seed.

    ``losses``, in nats a character, are by the length of the text that was read, and lack the lengths that the model
    refuses; ``shift`` is :func:`shift`, ``size`` :func:`size`, both dimensionless.
    """

    losses: dict[int, float]
    shift: float
    size: float


def one_run(scheme: PositionScheme, text: Text, budget: Budget, *, seed: int) -> Run:
    """Train a model with the positions ``scheme`` at ``budget["length"]`` characters, then measure it in float64."""
    model = trained(scheme, text, budget, seed=seed).eval().requires_grad_(False)
    length = budget["length"]
    judging = windows(text.judging, length=max(budget["lengths"]), count=budget["held_out"])
    losses = losses_by_length(model, judging, budget["lengths"], last=length // 4)
    model, some = model.double(), judging[: budget["looked_at"]]
    return Run(losses, shift(model, some[:, : length // 2], by=length // 2), size(model, some[:, :length]))


def trained(scheme: PositionScheme, text: Text, budget: Budget, *, seed: int) -> CausalLM:
    """A model trained on stretches of ``budget["length"]`` characters: the same ones for every scheme."""
    torch.manual_seed(seed)
    model = CausalLM(
        Config(
            d_model=budget["d_model"],
            n_heads=budget["n_heads"],
            n_layers=budget["n_layers"],
            vocab_size=text.vocab_size,
            max_length=budget["length"],
            positions=scheme,
        )
    )
    draw = torch.Generator().manual_seed(seed)
    rate, steps = budget["learning_rate"], budget["steps"]
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        batch = windows(text.training, length=budget["length"], count=budget["batch"], generator=draw)
        loss = nn.functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return model


def losses_by_length(model: CausalLM, tokens: Tensor, lengths: Sequence[int], *, last: int) -> dict[int, float]:
    """Loss in nats on the ``last`` tokens of each row, when the model reads the ``length`` tokens before the end.

    So the tokens that are judged are the same at every length; what differs is how much stands before them, at which
    positions. ``tokens`` is (batch, length + 1), for the longest of ``lengths``. A length that the model refuses, with
    a ValueError as the reference's table of learned positions does, is left out.
    """
    found = {}
    for length in lengths:
        read, due = tokens[:, -length - 1 : -1], tokens[:, -last:]
        try:
            logits = torch.cat([model(part)[:, -last:] for part in read.split(32)])
        except ValueError:
            continue
        found[length] = float(nn.functional.cross_entropy(logits.flatten(0, 1), due.flatten()))
    return found


def shift(model: CausalLM, tokens: Tensor, *, by: int) -> float:
    """The largest change of a probability that the model predicts when all positions grow ``by`` the same number.

    At most 1, dimensionless. ``tokens`` is (batch, length).
    """
    positions = torch.arange(tokens.shape[1]).expand_as(tokens)
    here, there = (model(tokens, position_ids=positions + shift).softmax(-1) for shift in (0, by))
    return float((here - there).abs().max())


def size(model: CausalLM, tokens: Tensor) -> float:
    """How much of a difference the positions make where they enter, mean over all tokens (and heads, and layers).

    ‖x + p‖/‖x‖ where they are added to the embedding; the spread that they give to the scores of a row, which is the
    standard deviation of the bias over the keys in sight, where they are added to scores; ‖R q‖/‖q‖ otherwise, so 1
    for a rotation and for no positions at all. Dimensionless. ``tokens`` is (batch, length).
    """
    positions = torch.arange(tokens.shape[1]).expand_as(tokens)
    scheme, x = model.stack.positions, model.embedding(tokens)
    if not torch.equal(with_positions := scheme.embed(x, positions), x):
        return float((with_positions.norm(dim=-1) / x.norm(dim=-1)).mean())
    return sum(_size_in_layer(scheme, query, positions) for query in queries(model, tokens)) / len(model.stack.layers)


def _size_in_layer(scheme: Positions, query: Tensor, positions: Tensor) -> float:
    bias = scheme.bias(query, positions, positions)
    if bias is None:
        return float((scheme.rotate(query, positions).norm(dim=-1) / query.norm(dim=-1)).mean())
    spreads = [bias[:, :, i, : i + 1].std(dim=-1, correction=0) for i in range(1, bias.shape[2])]
    return float(torch.stack(spreads).mean())


def queries(model: CausalLM, tokens: Tensor) -> list[Tensor]:
    """The queries of each layer, before any rotation: (batch, heads, length, d_k)."""
    seen: list[Tensor] = []
    n_heads = model.config.n_heads
    hooks = [
        layer.get_submodule("self_attention.W_Q").register_forward_hook(
            lambda module, given, found: seen.append(split_heads(found, n_heads))
        )
        for layer in model.stack.layers
    ]
    model(tokens)
    for hook in hooks:
        hook.remove()
    return seen
