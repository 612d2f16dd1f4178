"""Allowances: how far two computations of one number may lie apart, and where that figure comes from.

No allowance is typed in for a test: each comes from the case itself, in one of two ways. The figures below enter into
these, each for the reason that is given.

*Measured conditioning* (:func:`sensitivity`). A backward-stable computation returns the exact result for inputs and
parameters that are off by a few units of roundoff. So the same computation is run again with every input and parameter
moved at random by that much, and what moves in the result is what rounding may move. It is done only where the two
sides differ by more than a few roundings of the largest number involved, so most cases cost nothing extra.

*A derived bound* (:func:`attention_error_bound`): for the attention kernel the forward error is bounded from the case's
own magnitudes, by formulas that the derivations prove.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from . import formulas

JITTERS = 3
"""Perturbed runs per calibration: enough that all three missing the sensitive direction is rare."""

HEADROOM = 32.0
"""Ratio allowed between a rounding error and the largest response to JITTERS random perturbations of 2u.

A worst case over reductions of n ≤ 64 terms is √n ≤ 8 times their random response, and three layers compound."""

FLOOR = 64.0
"""Roundings of the largest magnitude that are always allowed: what HEADROOM gives a computation of condition 1."""

DECIDABLE = {torch.float64: 1e-7, torch.float32: 1e-2, torch.bfloat16: 0.5, torch.float16: 0.5}
"""Largest allowance, as a share of the result, under which a verdict still says something: else inconclusive."""

EXPONENTIAL = {torch.float64: 4.0, torch.float32: 40.0, torch.bfloat16: 4.0, torch.float16: 4.0}
"""Error of the library's exponential, in roundings of the dtype that is stored: the one figure that no standard gives.

PyTorch's CPU kernels use `exp_u20` in float32, accurate to 20 units in the last place, or 40 roundings; and `fexp_u20`
where the result is stored in a half type, accurate to a unit of float16. Elsewhere two units are allowed."""

FAR = 1e300
"""Stands for an error without a bound, of logits that are off by hundreds: infinity times a value of 0 would be NaN."""


def unit_roundoff(dtype: torch.dtype) -> float:
    """u: the largest relative error of rounding to ``dtype`` (dimensionless)."""
    return torch.finfo(dtype).eps / 2


def rounding(left: Tensor, right: Tensor) -> float:
    """One rounding of the largest finite magnitude on either side; never zero."""
    largest = max(_largest(left), _largest(right))
    return unit_roundoff(left.dtype) * largest + torch.finfo(left.dtype).tiny


def sensitivity(moved: Callable[[], Tensor], jitter: Callable[[int], AbstractContextManager[None]]) -> float:
    """HEADROOM times the largest of ``moved()``, how far a result moves, while ``jitter(k)`` perturbs what it uses."""
    moves = []
    for k in range(JITTERS):
        with jitter(k):
            moves.append(_largest(moved()))
    return HEADROOM * max(moves)


def _largest(x: Tensor) -> float:
    finite = x[x.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0


def underflow(dtype: torch.dtype) -> float:
    """The largest error of an operation whose result is too small for ``dtype`` (absolute).

    Half the spacing of the subnormal numbers in float16. The other types reach below 1e-37, where libraries may flush
    to zero what is not normal, and where it does not matter.
    """
    tiny = torch.finfo(dtype).tiny
    return tiny * unit_roundoff(dtype) if dtype == torch.float16 else tiny


def dot_product_error_bound(
    x: Tensor, y: Tensor, *, dtype: torch.dtype, accumulate: torch.dtype | None = None
) -> Tensor:
    """Largest error of x·y over the last axis, stored in ``dtype``; x and y are float64 and exact in ``dtype``.

    Products are formed and added up in ``accumulate``, in any order; in ``dtype`` itself if None.
    """
    wide = accumulate or dtype
    u_a = unit_roundoff(wide)
    return formulas.dot_product_error(
        (x * y).sum(-1),
        (x * y).abs().sum(-1),
        x.shape[-1],
        products=u_a,
        sums=u_a,
        stored=unit_roundoff(dtype),
        underflow=underflow(wide),
        stored_underflow=underflow(dtype),
    )


def softmax_error_bound(logits: Tensor, *, dtype: torch.dtype, accumulate: torch.dtype | None = None) -> Tensor:
    """Largest error of each weight of softmax over the last axis, stored in ``dtype``.

    The logits are float64, and exact in ``dtype``; all operations are in ``accumulate``, or in ``dtype`` if None.
    """
    return _per_key(logits, torch.zeros_like(logits), dtype, accumulate or dtype, average=0.0)


def attention_error_bound(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mask: Tensor | None,
    scale: float,
    dtype: torch.dtype,
    accumulate: torch.dtype | None = None,
) -> Tensor:
    """Largest forward error of softmax(scale · QKᵀ)V computed in ``dtype``, entry by entry.

    The formulas are those that `derivations/rounding.md` and `derivations/rounding_attention.md` prove; what is said
    here is only how many roundings there are on the way. The scale may be applied to the scores, to query or key, or
    its root to both; sums may be formed in any order, and the weights divided before the average or after.

    Query (batch, heads, n_q, d_k), key and value with as many heads, all in float64 and exact in ``dtype``; mask as in
    the contract. ``accumulate`` is the precision of everything that is not stored: products, sums, and the inside of
    softmax. If None it is ``dtype`` itself, which allows the most. Returns float64 of the output's shape.
    """
    wide, keys = accumulate or dtype, key.shape[-2]
    u, u_a = unit_roundoff(dtype), unit_roundoff(wide)
    root = abs(scale) ** 0.5
    entries = query.abs().mean(-1, keepdim=True) + key.abs().mean(-1, keepdim=True).mT
    scores = query @ key.mT * scale
    off = formulas.dot_product_error(
        scores,
        query.abs() @ key.abs().mT * abs(scale),
        query.shape[-1],
        products=(1 + u_a) * (1 + u) ** 4 - 1,  # its own; and the root of the scale, rounded, times either factor
        sums=u_a,
        stored=(1 + u) ** 3 - 1,  # its own; and the scale, rounded, times the score
        underflow=underflow(wide) + 2 * max(1.0, root) * entries * underflow(dtype),
        stored_underflow=(1 + abs(scale)) * underflow(dtype),
    )
    magnitude = value.abs()
    largest = magnitude.amax(-2, keepdim=True)
    if mask is not None:
        scores, off = scores.masked_fill(~mask, -torch.inf), off.masked_fill(~mask, 0.0)
    average = formulas.dot_product_factor(keys, products=u_a, sums=u_a, stored=u)
    lost = formulas.dot_product_underflow(keys, sums=u_a, stored=u, underflow=underflow(wide) + underflow(dtype))
    ceiling = formulas.attention_ceiling(
        largest,
        keys,
        weights=_weight_roundings(u, u_a),
        sums=formulas.positive_sum_factor(keys, sums=u_a),
        average=average,
        weight_underflow=underflow(dtype),
        average_underflow=lost,
    )
    return torch.minimum(_per_key(scores, off, dtype, wide, average=average) @ magnitude + lost, ceiling)


def attention_allowance(
    query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None, scale: float, dtype: torch.dtype
) -> Tensor:
    """How far attention in ``dtype`` and its formula in float64, which rounds as well, may lie apart, entry by entry.

    Arguments and shapes as in :func:`attention_error_bound`.
    """
    own, formula = (
        attention_error_bound(query, key, value, mask=mask, scale=scale, dtype=each) for each in (dtype, torch.float64)
    )
    return own + formula


def _weight_roundings(u: float, u_a: float) -> float:
    """The relative error of a weight by division and storing: a reciprocal, a product with it, and the storing."""
    return (1 + u_a) ** 2 * (1 + u) - 1


def _per_key(scores: Tensor, off: Tensor, dtype: torch.dtype, wide: torch.dtype, *, average: float) -> Tensor:
    """What each key contributes, where the scores are off by at most ``off``; a score of −∞ is a key that is masked."""
    u, u_a = unit_roundoff(dtype), unit_roundoff(wide)
    hidden = scores.isinf()
    weights = scores.softmax(-1).masked_fill(hidden, 0.0)
    below = (scores.amax(-1, keepdim=True) - scores).masked_fill(hidden, 0.0)
    difference = below + off + off.amax(-1, keepdim=True)
    h = formulas.log_error(off, difference, shift=u_a, exponential=EXPONENTIAL[dtype] * u)
    found = formulas.contribution(
        weights,
        formulas.weight_factor(weights, h),
        weights=_weight_roundings(u, u_a),
        sums=formulas.positive_sum_factor(scores.shape[-1], sums=u_a),
        average=average,
        exponential_underflow=underflow(wide) + underflow(dtype),
        weight_underflow=underflow(dtype),
    )
    return found.nan_to_num(nan=FAR, posinf=FAR).masked_fill(hidden, 0.0)
