"""Variants: what the paper of a variant promises, beside the laws that it shares with all others.

A subject declares the promise, and is held to it: the plain computation that its shortcut stands for (``plain``), how
its cost grows (``growth``), that no gradient runs into its memory (``segment``), or that its random features estimate
e^{q·k} (``random_features``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from ..comparison import GENTLE, Comparison, counts, decided, differs, likely, nonzero, same, zero
from ..contracts import Path, Unsupported
from ..counting import flops_of
from ..formulas import feature_product_mean, feature_product_variance
from ..law import law
from ..statistics import chi_square_tails, two_sided
from ..subjects import Subject
from ..trial import Trial, guarded
from .padding import another, differentiable, embedded
from .scaling import FALSE_ALARM


def _has_plain_form(subject: Subject, path: Path) -> str | None:
    return None if subject.plain else "it declares no plain computation that it stands for (plain=)"


@law(
    "variants.equals_its_plain_form",
    formula="f(x) = g(x), g the plain computation",
    claims=("Q31.1",),
    contracts=("attention", "self_attention", "encoder", "causal_lm"),
    applies=_has_plain_form,
)
def equals_its_plain_form(trial: Trial) -> Iterator[Comparison]:
    """A shortcut gives what the plain computation that it stands for gives, with the same weights."""
    x = trial.inputs
    yield same(
        lambda: trial.plainly(x),
        lambda: trial(x),
        what="output by the plain computation against the subject's own",
        only=trial.comparable(x),
        cause=lambda gap: "the shortcut leaves out, repeats or misplaces a part of what it stands for",
    )


LENGTHS = (6, 12, 18, 24)
"""Lengths at one distance: the last degree + 2 of them tell a polynomial of that degree."""


def _says_how_it_grows(subject: Subject, path: Path) -> str | None:
    return None if subject.growth(path) else "it does not say how its cost grows with the length (growth=)"


@law(
    "variants.cost_grows_as_declared",
    formula="Δᵖ⁺¹M(n) = 0 and ΔᵖM(n) > 0 for a degree p",
    claims=("Q31.1",),
    contracts=("attention", "self_attention", "encoder", "causal_lm"),
    paths={"over": ("x",), "padding": ("absent",), "causal": ("off", "always"), "grad": ("off",), "mode": ("eval",)},
    sizes={"length": (1,), "memory_length": (1,), "groups": (1,)},
    contents=("normal",),
    applies=_says_how_it_grows,
)
def cost_grows_as_declared(trial: Trial) -> Iterator[Comparison]:
    """The operations in the matrix products are a polynomial in the length, of just the degree that is declared.

    They are counted at lengths a fixed distance apart, where the differences of order p + 1 of a polynomial of degree p
    are 0 exactly, and those of order p are not.
    """
    degree = trial.subject.growth(trial.path)
    assert degree is not None
    found = [_cost(trial, n) for n in LENGTHS[-degree - 2 :]]
    leading = _differences(found, degree)
    beyond = _differences(leading, 1)
    yield counts(
        beyond[0],
        0,
        what=f"difference of order {degree + 1} of the operations at lengths {LENGTHS[-degree - 2 :]}",
        cause=lambda: "all pairs are computed after all, or a table of fixed size grows with the length",
    )
    yield decided(
        leading[0] > 0,
        measured=leading[0],
        allowed=1,
        what=f"difference of order {degree} of the operations, which must be positive",
        cause="the cost grows more slowly than declared, or is out of the counter's sight",
    )


def _cost(trial: Trial, length: int) -> int:
    at = trial.like(case=replace(trial.case, length=length))
    return flops_of(lambda: at(at.inputs))


def _differences(numbers: list[int], order: int) -> list[int]:
    for _ in range(order):
        numbers = [later - earlier for earlier, later in pairwise(numbers)]
    return numbers


def _has_a_memory(subject: Subject, path: Path) -> str | None:
    return differentiable(subject, path) if subject.segment else "it reads all tokens at once (segment=)"


@law(
    "variants.memory_takes_no_gradient",
    formula="∂f(x)ᵢ/∂xⱼ = 0 for j in an earlier segment than i, while f(x)ᵢ moves with xⱼ",
    claims=("Q31.1", "Q31.11"),
    contracts=("causal_lm",),
    paths={"over": ("x",), "padding": ("absent",), "grad": ("on",)},
    at_least={"length": 4},
    contents=("normal",),
    gains=GENTLE,
    dtypes=("float64", "float32"),
    applies=_has_a_memory,
)
def memory_takes_no_gradient(trial: Trial) -> Iterator[Comparison]:
    """Earlier segments are remembered, so that outputs move with them, and no gradient runs back into them.

    Within a segment the gradient does run, to every token up to the output's own.
    """
    x, segment = embedded(trial), trial.subject.segment
    assert segment is not None
    if trial.case.length <= segment:
        raise Unsupported("a sequence of one segment has no memory")
    start = (trial.case.length - 1) // segment * segment
    last = torch.zeros(x.x.shape[:2], dtype=torch.bool, device=trial.device)
    last[:, -1] = True
    own = torch.zeros_like(last)
    own[:, start:] = True
    gradient = trial.gradients(x, outputs=last)
    yield zero(
        lambda: gradient,
        what=f"gradient of the last output to the segments before position {start}",
        only=~own,
        cause=lambda gap: "the memory keeps its graph: states are stored without being detached",
    )
    yield nonzero(
        lambda: gradient.abs().amax(-1),
        what="gradient of the last output within its own segment",
        only=own,
        axes=("row", "of the token at position"),
        cause="the segment that is read is cut off from the graph as well, not just what is remembered of it",
    )
    nearest = x.x.clone()
    nearest[:, start - 1] = another(trial, nearest[:, start - 1])
    yield differs(
        lambda: trial(trial.with_content(x, nearest))[:, -1],
        lambda: trial(x)[:, -1],
        what=f"last output, with another token at position {start - 1}, in the segment before",
        cause="the memory is not read",
    )


DRAWS = 16
"""Modules built for one example, each with random features of its own."""


def _has_random_features(subject: Subject, path: Path) -> str | None:
    return None if subject.random_features else "it has no random features (random_features=)"


@law(
    "variants.features_estimate_softmax",
    formula="E φₐ(q)φₐ(k) = e^{q·k}, Var = e^{2q·k}(e^{|q + k|²} − 1)",
    claims=("Q31.1", "Q31.6"),
    contracts=("attention",),
    paths={"over": ("x",), "padding": ("absent",), "causal": ("off",), "grad": ("off",)},
    sizes={"batch": (1,), "length": (1,), "n_heads": (1,), "groups": (1,)},
    contents=("normal",),
    dtypes=("float64", "float32"),
    applies=_has_random_features,
)
def features_estimate_softmax(trial: Trial) -> Iterator[Comparison]:
    """The products of positive random features of a query and a key have the mean e^{q·k}, and the proved variance.

    Exact test: such a product is e to the power of a normal number, whose own mean and variance follow from the two
    that are proved. Standardised, the logarithms of independent products are N(0, 1): their squares add up to χ² with
    a degree of freedom each, and the square of their sum, over their number, to χ² with one. Features that are
    orthogonal to one another come in blocks of d_k; one of each block is taken, and blocks are independent. False
    alarm 1e-12 each. With 1024 products, logarithms whose variance is off by a factor of 2 or of 1/2, or whose mean is
    off by 3/8 of a standard deviation, are missed with a probability below 1e-6.
    """
    d_k = trial.config.d_k
    query, key = (trial.numbers(name, 1, d_k).double() for name in ("query", "key"))
    log_products = torch.cat([_log_products(trial, query, key, draw) for draw in range(DRAWS)])
    mean, variance = feature_product_mean(query, key), feature_product_variance(query, key)
    # The mean and variance of e^{N(μ, σ²)} are e^{μ + σ²/2} and mean²(e^{σ²} − 1).
    spread = torch.log1p(variance / mean**2)
    centre = mean.log() - spread / 2
    standard = (log_products - centre) / spread.sqrt()
    n = standard.numel()
    of_squares, of_sum = float(standard.square().sum()), float(standard.sum() ** 2 / n)
    yield _chi_square(
        of_squares,
        n,
        what=f"variance of the logarithms of {n} products",
        cause="features are not e^{w·x − |x|²/2}, or the directions w are not standard normal",
    )
    yield _chi_square(
        of_sum,
        1,
        what=f"mean of the logarithms of {n} products",
        cause="directions are not drawn uniformly, or |x|²/2 is not what is taken off",
    )


def _chi_square(statistic: float, freedom: int, *, what: str, cause: str) -> Comparison:
    p_value = two_sided(chi_square_tails(statistic, freedom))
    told = f"{what}: χ² is {statistic:.4g} with {freedom} degree{'s' * (freedom > 1)} of freedom"
    return likely(p_value, false_alarm=FALSE_ALARM, what=told, cause=cause)


def _log_products(trial: Trial, query: Tensor, key: Tensor, draw: int) -> Tensor:
    """log φₐ(q)φₐ(k) of one feature of each block of d_k, from a subject that is built anew: (blocks,)."""
    built = trial.like(case=replace(trial.case, seed=trial.case.seed * DRAWS + draw)).built
    features = guarded(trial.subject.random_features, built)  # type: ignore[arg-type]
    both = (guarded(features, x.to(trial.torch_dtype)).double() for x in (query, key))
    return sum(both)[0, :: trial.config.d_k]  # type: ignore[index]
