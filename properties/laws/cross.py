"""Cross-attention: queries from one sequence, keys and values from another, whatever scores them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..case import position
from ..comparison import GENTLE, Comparison, nonzero, same, zero
from ..contracts import Inputs
from ..law import law
from ..trial import Trial
from .padding import another, in_values, influence

ACROSS = {"over": ("memory",), "padding": ("absent", "all-true", "right", "left", "scattered")}


def _query(sizes) -> object:
    """Draws a position of the queries."""
    return position()({**sizes, "over": "x"})


@law(
    "cross.every_source_is_reached",
    formula="∂f(x, m)ᵢ/∂mⱼ ≠ 0 for real j, = 0 for padded j",
    claims=("Q26.1",),
    contracts=("attention", "cross_attention", "seq2seq"),
    paths=ACROSS,
    at_least={"memory_length": 2},
    contents=("normal",),
    gains=GENTLE,
    draws={"query": _query},
    twin="padding.content",
)
def every_source_is_reached(trial: Trial) -> Iterator[Comparison]:
    """Each query reaches every real position of the memory, in value and in gradient, and none of its padding."""
    x, i = trial.inputs, trial.case.draws["query"]
    at_the_query = torch.zeros_like(trial.comparable(x))
    at_the_query[:, i] = True
    found = influence(trial, x, at_the_query)
    yield nonzero(
        lambda: found,
        what=f"influence on the output at position {i}",
        only=trial.real(x),
        axes=("row", "of the source at position"),
        cause="the source is masked where it should be seen, cut off from the gradient, or not read at all",
    )
    if not in_values(trial, x):
        yield zero(
            lambda: found,
            what=f"gradient of the output at position {i} to the padding of the source",
            only=~trial.real(x),
            axes=("row", "position"),
            cause=lambda gap: "padding of the source keeps some weight",
        )


@law(
    "cross.queries_do_not_meet",
    formula="f(x, m)ᵢ = f(xᵢ, m), and ∂f(x, m)ᵢ/∂xᵢ ≠ 0",
    claims=("Q26.1",),
    contracts=("attention", "cross_attention"),
    paths=ACROSS,
    at_least={"memory_length": 2},
    contents=("normal",),
    gains=GENTLE,
    draws={"query": _query},
    twin="cross.every_source_is_reached",
)
def queries_do_not_meet(trial: Trial) -> Iterator[Comparison]:
    """An output is that of its own query on the memory: it depends on this query, and on no other."""
    x, i = trial.inputs, trial.case.draws["query"]
    yield same(
        lambda: trial(x)[:, i : i + 1],
        lambda: trial(x.along("x", slice(i, i + 1))),
        what=f"output of query {i} among the others against alone",
        cause=lambda gap: "keys or values are made from the queries' sequence, or softmax runs over the queries",
    )
    other = another(trial, x.x[:, i : i + 1])
    two = trial.real(x).sum(1) > 1  # of a single key the weight is 1, whatever the query

    def moved() -> Tensor:
        changed = torch.cat([x.x[:, :i], other, x.x[:, i + 1 :]], dim=1)
        return (trial(Inputs(**{**vars(x), "x": changed})) - trial(x)).abs()[:, i].amax(-1)

    yield nonzero(
        moved,
        what=f"influence of the query at position {i} on its own output",
        only=two,
        axes=("row",),
        cause="the queries are not read: each output is the same average of the values",
    )
