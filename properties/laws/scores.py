"""Scores: what a query and a key make of each other, before softmax.

A kernel shows its weights and hides its scores. But a key of zeros has the score 0 with every query, so the logarithm
of another key's weight over its weight *is* that other key's score.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..comparison import Comparison, Undecidable, decided, differs, same
from ..law import law
from ..tolerance import FLOOR, unit_roundoff
from ..trial import Trial
from .scaling import attention_weights
from .softmax import is_dot_product


def scores_of(trial: Trial, query: Tensor, key: Tensor) -> Tensor:
    """Query (batch, n, heads · d_k), key (batch, m, heads · d_k) → the kernel's scores, (batch, heads, n, m).

    Raises Undecidable where a weight underflows to 0.
    """
    with torch.no_grad():
        weights = attention_weights(trial, query, torch.cat([key, torch.zeros_like(key[:, :1])], dim=1))
    if bool((weights <= 0).any()):
        raise Undecidable("a weight underflows to 0, so its score cannot be read off")
    logs = weights.log().transpose(1, 2)
    return logs[..., :-1] - logs[..., -1:]


@law(
    "scores.one_matrix_has_no_direction",
    formula="W_Q = W_K ⇒ S = Sᵀ, uᵀSu ≥ 0; else S − Sᵀ ≠ 0",
    claims=("Q03.1",),
    contracts=("attention",),
    paths={"over": ("memory",), "padding": ("absent",), "weights": ("no",)},
    sizes={"groups": (1,), "memory_length": (1,)},
    at_least={"length": 2, "d_k": 2},
    contents=("normal",),
    dtypes=("float64", "float32"),
    applies=is_dot_product,
)
def one_matrix_has_no_direction(trial: Trial) -> Iterator[Comparison]:
    """With one matrix for queries and keys the scores are symmetric and positive semi-definite; with two they are not.

    One matrix makes the key of a token its query, so the kernel is given one sequence twice.
    """
    shape = trial.case.batch, trial.case.length, trial.config.d_model
    query, key = trial.numbers("query", *shape), trial.numbers("key", *shape)

    def shared() -> Tensor:
        return scores_of(trial, query, query)

    axes = ("row", "head", "query", "key")
    cause = "scores see more than query and key: a place, a mask, or a projection of one side only"
    yield same(lambda: shared().mT, shared, what="Sᵀ against S", axes=axes, cause=lambda gap: cause)
    scores = shared().double()
    lowest = float(torch.linalg.eigvalsh((scores + scores.mT) / 2).min())
    slack = FLOOR * trial.case.length * unit_roundoff(trial.torch_dtype) * (1 + float(scores.abs().max()))
    yield decided(
        lowest >= -slack,
        measured=max(-lowest, 0.0),
        allowed=slack,
        what="how far the lowest eigenvalue of S is below 0",
        cause="the sign of the scores is turned round, they are not inner products, or something is taken off them",
    )
    two = scores_of(trial, query, key)
    yield differs(
        lambda: two, lambda: two.mT, what="S and Sᵀ of two matrices", cause="scores do not tell the two apart"
    )
