"""Scores: what a query and a key make of each other, before softmax.

A kernel shows its weights and hides its scores. But a key of zeros has the score 0 with every query, so the logarithm
of another key's weight over its weight *is* that other key's score.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ..comparison import GENTLE, Comparison, Undecidable, decided, differs, same
from ..law import law
from ..tolerance import FLOOR, unit_roundoff
from ..trial import Trial, guarded
from .heads import has_projections
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


@law(
    "scores.two_matrices_act_as_one",
    formula="(xW_Q)(xW_K)ᵀ = x(W_Q W_Kᵀ)xᵀ, of rank ≤ d_k",
    claims=("Q03.2",),
    contracts=("attention",),
    paths={"over": ("memory",), "padding": ("absent",), "weights": ("no",)},
    sizes={"groups": (1,), "memory_length": (1,), "length": (6, 7), "d_k": (1, 2, 3)},
    contents=("normal",),
    dtypes=("float64", "float32"),
    applies=is_dot_product,
)
def two_matrices_act_as_one(trial: Trial) -> Iterator[Comparison]:
    """To project both sides and compare is to compare by one matrix, W_Q W_Kᵀ; the scores have a rank of d_k at most.

    Tokens are twice as wide as a head. The kernel is called at the width of a head, and once more at that of a token.
    """
    case, d_k, d = trial.case, trial.case.d_k, 2 * trial.case.d_k
    x = trial.numbers("x", case.batch, case.length, case.n_heads, d)
    w_q, w_k = (trial.numbers(name, case.n_heads, d, d_k) / d**0.5 for name in ("W_Q", "W_K"))
    query, key = (torch.einsum("bnhd,hdk->bnhk", x, w).flatten(2) for w in (w_q, w_k))
    folded = torch.einsum("bnhd,hdc->bnhc", x, w_q @ w_k.mT).flatten(2) * (d / d_k) ** 0.5  # the kernel divides by √d
    wide = trial.like(case=replace(case, d_k=d))
    yield same(
        lambda: scores_of(trial, query, key),
        lambda: scores_of(wide, folded, x.flatten(2)),
        what="scores by two matrices against scores by their product",
        axes=("row", "head", "query", "key"),
        cause=lambda gap: "the scale is not one over the root of the width, or scores are not linear in query and key",
    )
    values = torch.linalg.svdvals(scores_of(trial, query, key).double())
    slack = FLOOR * case.length * unit_roundoff(trial.torch_dtype) * (1 + float(values.max()))
    beyond = float(values[..., d_k:].max())
    yield decided(
        beyond <= slack,
        measured=beyond,
        allowed=slack,
        what=f"singular value of the scores beyond the first {d_k}",
        cause="the scores are no products of queries and keys: they are capped, clamped or biased",
    )


@law(
    "scores.one_matrix_shows_in_weights",
    formula="W_Q = W_K ⇒ aᵢⱼ aⱼₖ aₖᵢ = aᵢₖ aₖⱼ aⱼᵢ",
    claims=("Q03.1", "S.shared"),
    contracts=("self_attention",),
    needs=("need_weights",),
    paths={"padding": ("absent",), "causal": ("off",), "weights": ("yes",), "mode": ("eval",)},
    sizes={"n_heads": (1,), "groups": (1,), "length": (3, 4, 5)},
    contents=("normal",),
    gains=GENTLE,
    dtypes=("float64", "float32"),
    applies=has_projections,
)
def one_matrix_shows_in_weights(trial: Trial) -> Iterator[Comparison]:
    """With one matrix for queries and keys the weights round any three tokens have one product in either direction.

    Each row of weights has a normaliser of its own, which hides that scores are symmetric; on the way round three
    tokens every normaliser enters once in either direction, and drops out. With two matrices the products differ.
    """
    projections = guarded(trial.subject.projections, trial.built)  # type: ignore[arg-type]
    one_matrix = torch.equal(projections.w_q, projections.w_k)
    n = trial.case.length
    with torch.no_grad():
        _, weights = guarded(partial(trial.built, need_weights=True), trial.inputs.x)
    logs = weights.detach().double().reshape(-1, n, n).log()
    around = logs[:, :, :, None] + logs[:, None, :, :] + logs.mT[:, :, None, :]  # log aᵢⱼ aⱼₖ aₖᵢ
    gap = around - around.transpose(1, 3)  # k, j, i: the other way round
    distinct = torch.tensor([len({i, j, k}) == 3 for i in range(n) for j in range(n) for k in range(n)])
    seen = gap.flatten(1)[:, distinct.to(gap.device)]
    if not bool(seen.isfinite().all()):
        raise Undecidable("a weight underflows to 0, so its score cannot be read off")
    largest, magnitude = float(seen.abs().max()), float(logs[logs.isfinite()].abs().max())
    slack = FLOOR * trial.config.d_k * unit_roundoff(trial.torch_dtype) * (1 + magnitude)
    what = "logarithm of the products round three tokens, one way against the other"
    if one_matrix:
        yield decided(
            largest <= slack,
            measured=largest,
            allowed=slack,
            what=what,
            cause="keys are not the queries: they are normalised, rotated or biased on their own",
        )
    else:
        yield decided(
            largest > slack,
            measured=largest,
            allowed=slack,
            what=f"{what}: with two matrices they must differ",
            cause="only one of the two matrices is used",
        )
