"""Cost: what a layer or a block computes, counted while it runs and compared with the derived polynomials.

These are laws of plain multi-head attention, which a layer declares by giving its ``projections`` and an encoder by
``plain_blocks``. A cleverer one may do with fewer operations, and a kernel may hide them; then it is not held to these
laws, and the reason is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ..comparison import Comparison, counts
from ..contracts import Path, Unsupported
from ..counting import exponentials_of, flops_of
from ..formulas import (
    attention_flops,
    attention_weights,
    feed_forward_flops,
    feed_forward_lead,
    feed_forward_share,
    feed_forward_weights,
    softmax_exponentials,
)
from ..law import law
from ..subjects import Subject
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


@dataclass(frozen=True)
class Parts:
    """What the two parts of one block have each: operations in products of matrices, or weights."""

    attention: int
    feed_forward: int


def operations(trial: Trial) -> int:
    """Operations in the matrix products of one call."""
    return flops_of(lambda: trial(trial.inputs))


def matrix_weights(trial: Trial) -> int:
    """Entries of all matrices that are trained."""
    return parameters_of(trial, matrices_only=True)


def parts_of(trial: Trial, count: Callable[[Trial], int], *, d_ff: int) -> Parts:
    """What ``count`` gives for the parts of one block, whose feed-forward layer is ``d_ff`` wide.

    Nothing is looked into. A second block adds what one block has; and a feed-forward layer of twice the width adds
    what one of the single width has. Raises :class:`Unsupported` where the subject is never two layers deep.
    """
    sizes = trial.subject.sizes
    if sizes is not None and 2 not in sizes.n_layers:
        raise Unsupported("it is never two layers deep, so that nothing tells what one layer adds")
    one, two = (replace(trial.case, n_layers=n) for n in (1, 2))
    single = count(trial.like(case=one, d_ff=d_ff))
    block = count(trial.like(case=two, d_ff=d_ff)) - single
    feed_forward = count(trial.like(case=one, d_ff=2 * d_ff)) - single
    return Parts(block - feed_forward, feed_forward)


def has_plain_blocks(subject: Subject, path: Path) -> str | None:
    """Why its blocks are not multi-head attention and a feed-forward layer alone; None if they are."""
    if not subject.plain_blocks:
        return "it does not declare its blocks to be plain (plain_blocks=)"
    if subject.positions_on(path) in ("shaw", "t5"):
        return "its relative positions have tables, and take products, of their own"
    return None


BLOCK = {
    "contracts": ("encoder",),
    "claims": ("Q13.1",),
    "paths": {"over": ("x",), "padding": ("absent",), "causal": ("off",)},
    "sizes": {"groups": (1,), "n_layers": (1,)},
    "applies": has_plain_blocks,
}


def near_the_crossover(sizes: Mapping[str, Any]) -> SearchStrategy[int]:
    """Draws a d_ff at which the parts cost the same, or nearly so; or the usual one, 4·d_model."""
    d = sizes["n_heads"] * sizes["d_k"]
    even = 2 * d + sizes["length"]
    return st.sampled_from((even, even + 1, even - 1, 4 * d))


@law(
    "cost.parts_of_a_block",
    formula="M = 8nd² + 4n²d, G = 4nd d_ff, G − M = 4nd (d_ff − 2d − n)",
    draws={"d_ff": near_the_crossover},
    **BLOCK,
)
def parts_of_a_block(trial: Trial) -> Iterator[Comparison]:
    """The feed-forward layer of a block takes more operations than its attention exactly while n < d_ff − 2·d_model."""
    case, d, d_ff = trial.case, trial.config.d_model, trial.case.draws["d_ff"]
    n, batch = case.length, case.batch
    found = parts_of(trial, operations, d_ff=d_ff)
    products = "operations in the matrix products of the"
    yield counts(
        found.feed_forward,
        batch * feed_forward_flops(n, d, d_ff),
        what=f"{products} feed-forward layer",
        cause=lambda: "it has more than two matrices, is not d_ff wide, or is computed more than once",
    )
    yield counts(
        found.attention,
        batch * attention_flops(n, d),
        what=f"{products} attention",
        cause=lambda: _extra_products(trial, found.attention - batch * attention_flops(n, d)),
    )
    yield counts(
        found.feed_forward - found.attention,
        batch * feed_forward_lead(n, d, d_ff),
        what=f"{products} feed-forward layer, less those of the attention",
        cause=lambda: "the parts of the block are not what they should be",
    )


@law(
    "cost.share_of_the_weights",
    formula="u/(w + u) = 2/3 at d_ff = 4d",
    **BLOCK,
)
def share_of_the_weights(trial: Trial) -> Iterator[Comparison]:
    """At d_ff = 4·d_model the feed-forward layer has two thirds of a block's weights, and the attention one third."""
    config, d_ff = trial.config, 4 * trial.config.d_model
    found, share = parts_of(trial, matrix_weights, d_ff=d_ff), feed_forward_share()
    yield counts(
        found.feed_forward,
        feed_forward_weights(config.d_model, d_ff),
        what="weights of the feed-forward layer",
        cause=lambda: "it has more than two matrices, is not d_ff wide, or layers share it",
    )
    yield counts(
        found.attention,
        attention_weights(config.d_model, config.n_heads, config.d_k),
        what="weights of the attention",
        cause=lambda: "heads are not d_model/h wide, two projections share a matrix, or layers share theirs",
    )
    yield counts(
        share.denominator * found.feed_forward,
        share.numerator * (found.feed_forward + found.attention),
        what=f"{share.denominator} × the weights of the feed-forward layer, against {share.numerator} × all",
        cause=lambda: "the parts of the block are not what they should be",
    )
