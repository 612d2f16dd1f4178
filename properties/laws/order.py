"""Order: what a Transformer knows of the order of its tokens, which is nothing unless positions are given to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..case import order
from ..comparison import GENTLE, Comparison, differs, same
from ..contracts import Path
from ..law import law
from ..subjects import VOCABULARY, Subject
from ..trial import Trial

LAYERS = ("attention", "self_attention", "encoder")
POINTWISE = ("feed_forward", "normalization")


def _without_positions(subject: Subject, path: Path) -> str | None:
    kind = subject.positions_on(path)
    return None if kind == "none" else f"it has {kind} positions"


def _row_permuted(gap: Tensor) -> str | None:
    if gap.shape[1] > 1 and bool((gap.amax(dim=(0, 2)) > 0).all()):
        return "every position moves: something is added by index (positions, a bias), or batch and length are swapped"
    return None


@law(
    "order.permutation_equivariance",
    formula="f(πx) = πf(x)",
    claims=("Q11.1",),
    contracts=(*LAYERS, "cross_attention", *POINTWISE),
    paths={"causal": ("off",), "over": ("x",), "padding": ("absent", "all-true", "right", "scattered")},
    at_least={"length": 2},
    draws={"order": order()},
    applies=_without_positions,
    twin="order.order_is_seen",
)
def permutation_equivariance(trial: Trial) -> Iterator[Comparison]:
    """Without positions and without a causal mask, permuting the tokens permutes the outputs in the same way."""
    x, new = trial.inputs, list(trial.case.draws["order"])
    yield same(
        lambda: trial(x.along("x", new)),
        lambda: trial(x)[:, new],
        only=trial.comparable(x)[:, new],
        cause=_row_permuted,
    )


@law(
    "order.memory_permutation_invariance",
    formula="f(x, πm) = f(x, m)",
    claims=("Q26.1",),
    contracts=("attention", "cross_attention", "seq2seq"),
    paths={"over": ("memory",), "padding": ("absent", "all-true", "right", "scattered")},
    at_least={"memory_length": 2},
    draws={"order": order()},
    applies=_without_positions,
    twin="padding.real_tokens_matter",
)
def memory_permutation_invariance(trial: Trial) -> Iterator[Comparison]:
    """Without positions, the order of the keys (with their values) does not matter to any query."""
    x, new = trial.inputs, list(trial.case.draws["order"])
    yield same(
        lambda: trial(x.along("memory", new)),
        lambda: trial(x),
        only=trial.comparable(x),
        cause=lambda gap: "keys are told apart by their index: positions or a bias, or values out of step with keys",
    )


def _sees_order(subject: Subject, path: Path) -> str | None:
    if subject.positions_on(path) == "none" and path["causal"] == "off":
        return "it has no positions and no causal mask"
    if subject.positions_on(path) == "none" and path["over"] == "memory":
        return "its memory has no positions"
    return None


@law(
    "order.order_is_seen",
    formula="f(πx) ≠ πf(x)",
    claims=("Q11.1",),
    contracts=("attention", "self_attention", "encoder", "causal_lm", "seq2seq"),
    paths={"over": ("x",), "padding": ("absent", "all-true")},
    at_least={"length": 3, "d_k": 4},
    contents=("normal",),
    gains=GENTLE,
    dtypes=("float64", "float32"),
    applies=_sees_order,
    twin="order.permutation_equivariance",
)
def order_is_seen(trial: Trial) -> Iterator[Comparison]:
    """With positions, or under a causal mask, moving every token one place on is more than moving the outputs."""
    x = trial.inputs
    length = x.x.shape[1]
    if not x.x.is_floating_point():
        tokens = torch.arange(length, device=x.x.device) % VOCABULARY  # no two neighbours alike
        x = replace(x, x=tokens.expand_as(x.x))
    # a rotation: reversal would keep every |i − j|, so symmetric biases such as ALiBi's rightly do not see it
    new = [*range(1, length), 0]
    moved = replace(x, x=x.x[:, new])
    yield differs(
        lambda: trial(moved),
        lambda: trial(x)[:, new],
        what="output after a rotation of the tokens",
        cause="positions are not added, or are the same for every token, or the causal mask is missing on this path",
    )


def _takes_positions(subject: Subject, path: Path) -> str | None:
    if subject.positions_on(path) == "none":
        return "it has no positions"
    return None


@law(
    "order.tokens_move_with_their_positions",
    formula="f(πx, πp) = πf(x, p)",
    claims=("Q11.1",),
    contracts=("self_attention", "encoder"),
    needs=("position_ids",),
    paths={"causal": ("off",)},
    at_least={"length": 2},
    draws={"order": order()},
    applies=_takes_positions,
    twin="order.order_is_seen",
)
def tokens_move_with_their_positions(trial: Trial) -> Iterator[Comparison]:
    """Permuting the tokens together with their position ids permutes the outputs in the same way."""
    new = list(trial.case.draws["order"])
    batch, length = trial.inputs.x.shape[:2]
    positions = torch.arange(length, device=trial.device).expand(batch, -1)
    x = replace(trial.inputs, x_positions=positions)
    yield same(
        lambda: trial(x.along("x", new)),
        lambda: trial(x)[:, new],
        only=trial.comparable(x)[:, new],
        cause=lambda gap: "the position ids are ignored on the way, or a token's index is used beside its position",
    )
