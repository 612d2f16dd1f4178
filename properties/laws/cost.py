"""Cost: what a layer of self-attention computes, counted while it runs and compared with the derived polynomials.

These are laws of plain multi-head attention, which a subject declares by giving its ``projections``. A cleverer layer
may do with fewer operations, and a kernel may hide them; then it is not held to these laws, and the reason is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from ..comparison import Comparison, counts
from ..contracts import Unsupported
from ..counting import exponentials_of, flops_of
from ..formulas import attention_flops, attention_weights, softmax_exponentials
from ..law import law
from ..trial import Trial
from .heads import has_projections, layer_by_heads

PLAIN = {
    "contracts": ("self_attention",),
    "paths": {"over": ("x",), "padding": ("absent",), "causal": ("off",)},
    "sizes": {"groups": (1,)},
    "applies": has_projections,
}
"""The mask is left out: what it hides may be skipped, and then the count depends on the mask."""


@law(
    "cost.matrix_products",
    formula="M = 8nd² + 4n²d",
    claims=("Q16.1", "Q16.2", "Q04.1"),
    **PLAIN,
)
def matrix_products(trial: Trial) -> Iterator[Comparison]:
    """The four projections take 8nd² operations, scores and weighted average 4n²d, as in a loop over the heads."""
    x, case = trial.inputs, trial.case
    due = case.batch * attention_flops(case.length, trial.config.d_model)
    for what, call in (("the layer", lambda: trial(x)), ("a loop over its heads", lambda: layer_by_heads(trial, x))):
        got = flops_of(call)
        yield counts(
            got,
            due,
            what=f"operations in the matrix products of {what}",
            cause=lambda got=got: _extra_products(trial, got - due),
        )


def _extra_products(trial: Trial, extra: int) -> str:
    """Which product, done once more or once less than needed, explains the difference."""
    n, d, batch = trial.case.length, trial.config.d_model, trial.case.batch
    products = {
        "a projection": 2 * n * d**2,
        "the scores or the weighted average": 2 * n**2 * d,
        "both the scores and the weighted average": 4 * n**2 * d,
    }
    for name, size in products.items():
        if abs(extra) == batch * size:
            return f"{name}: computed {'twice' if extra > 0 else 'not at all, or out of the counter’s sight'}"
    return (
        "heads of more than d_model/h, sizes that are padded, or something computed for each head that one call gives"
    )


@law(
    "cost.softmax_entries",
    formula="X = h n²",
    claims=("Q04.1", "Q16.1", "Q16.2"),
    **PLAIN,
)
def softmax_entries(trial: Trial) -> Iterator[Comparison]:
    """Softmax works on n² scores in each head, so on h·n² in all: this part of the cost does grow with the heads."""
    case = trial.case
    got = exponentials_of(lambda: trial(trial.inputs))
    due = case.batch * softmax_exponentials(case.length, case.n_heads)
    yield counts(got, due, what="exponentials in softmax", cause=lambda: _other_softmax(trial, got))


def _other_softmax(trial: Trial, got: int) -> str:
    case = trial.case
    if got == case.batch * case.length**2:
        return "the heads share one softmax"
    if got == 2 * case.batch * case.n_heads * case.length**2:
        return "softmax is computed twice"
    return "scores are padded, or their softmax is computed in several passes"


def parameters_of(trial: Trial, *, matrices_only: bool = False) -> int:
    """How many numbers the layer trains. Raises :class:`Unsupported` where it does not tell."""
    if not isinstance(trial.built, torch.nn.Module):
        raise Unsupported("it is no torch.nn.Module, so that its parameters cannot be counted")
    return sum(p.numel() for p in trial.built.parameters() if p.dim() > 1 or not matrices_only)


@law(
    "cost.weights",
    formula="4 d_model · h · d_k = 4 d_model²",
    claims=("Q04.1",),
    **PLAIN,
)
def weights(trial: Trial) -> Iterator[Comparison]:
    """The layer has four matrices of d_model times h·d_k, so that, biases apart, its size does not depend on h."""
    config = trial.config
    yield counts(
        parameters_of(trial, matrices_only=True),
        attention_weights(config.d_model, config.n_heads, config.d_k),
        what="weights",
        cause=lambda: "heads are not d_model/h wide, or two of the projections share a matrix",
    )


@law(
    "cost.independent_of_heads",
    formula="cost(h heads of width d_k) = cost(one head of width h·d_k)",
    claims=("Q04.1",),
    at_least={"n_heads": 2},
    **PLAIN,
)
def independent_of_heads(trial: Trial) -> Iterator[Comparison]:
    """Of one width, a layer with many narrow heads and a layer with one wide head cost the same, softmax apart."""
    case, sizes = trial.case, trial.subject.sizes
    width = case.n_heads * case.d_k
    if sizes is not None and not (1 in sizes.n_heads and width in sizes.d_k):
        raise Unsupported(f"it allows no single head of width {width}")
    one = trial.like(case=replace(case, n_heads=1, d_k=width))
    yield counts(
        parameters_of(trial),
        parameters_of(one),
        what=f"parameters with {case.n_heads} heads, against those with one",
        cause=lambda: "heads are not d_model/h wide, or something is trained for each head",
    )
    yield counts(
        flops_of(lambda: trial(trial.inputs)),
        flops_of(lambda: one(one.inputs)),
        what=f"operations in matrix products with {case.n_heads} heads, against those with one",
        cause=lambda: "heads are not d_model/h wide, or what one call gives for all heads is computed for each",
    )
