"""Allowances: how far two computations of one number may lie apart, and where that figure comes from.

No allowance here is typed in. There are two sources.

*Measured conditioning* (:func:`sensitivity`). A backward-stable computation returns the exact result for inputs and
parameters that are off by a few units of roundoff. So the same computation is run again with every input and parameter
moved at random by that much, and what moves in the result is what rounding may move. It is done only where the two
sides differ by more than a few roundings of the largest number involved, so most cases cost nothing extra.

*A derived bound* (:func:`attention_error_bound`): for the attention kernel the forward error is bounded from the case's
own magnitudes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

JITTERS = 3
"""Perturbed runs per calibration: enough that all three missing the sensitive direction is rare."""

HEADROOM = 32.0
"""Ratio allowed between a rounding error and the largest response to JITTERS random perturbations of 2u.

A worst case over reductions of n ≤ 64 terms is √n ≤ 8 times their random response, and three layers compound."""

FLOOR = 64.0
"""Roundings of the largest magnitude that are always allowed: what HEADROOM gives a computation of condition 1."""

DECIDABLE = {torch.float64: 1e-7, torch.float32: 1e-2, torch.bfloat16: 0.5, torch.float16: 0.5}
"""Largest allowance, as a share of the result, under which a verdict still says something: else inconclusive."""


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


def attention_error_bound(
    query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None, scale: float, dtype: torch.dtype
) -> Tensor:
    """Largest forward error of softmax(scale · QKᵀ)V computed in ``dtype``, entry by entry.

    With u the unit roundoff and γ_m = m·u/(1 − m·u) (Higham 2002, lemma 3.1), for n keys:

        score     |Δs_ij| ≤ γ_{d+2} · scale · Σ_c |q_ic||k_jc|          (d products, the sum, the scale)
        weight    p̂_ij = p_ij (1 + ε),  |ε| ≤ e^{2 max_j |Δs_ij|} (1 + γ_{n+4}) − 1   (exp, the sum, the quotient)
        output    |Δo_i| ≤ Σ_j p_ij |v_j| · (ε + γ_{n+1} (1 + ε))

    Query (batch, heads, n_q, d_k), key and value with as many heads, all in float64; mask as in the contract. Returns
    float64 of the output's shape. Raises ValueError where d or n is so large that γ is undefined in ``dtype``.
    """
    u, d, n = unit_roundoff(dtype), query.shape[-1], key.shape[-2]

    def gamma(m: int) -> float:
        if m * u >= 1:
            raise ValueError(f"{m} roundings in {dtype} bound nothing; use shorter sums or a wider dtype")
        return m * u / (1 - m * u)

    scores = query @ key.mT * scale
    slack = gamma(d + 2) * abs(scale) * (query.abs() @ key.abs().mT)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
        slack = slack.masked_fill(~mask, 0.0)
    weights = scores.softmax(-1).nan_to_num(0.0)
    epsilon = torch.expm1(2 * slack.amax(-1, keepdim=True)) * (1 + gamma(n + 4)) + gamma(n + 4)
    return (epsilon + gamma(n + 1) * (1 + epsilon)) * (weights @ value.abs()) + torch.finfo(dtype).tiny * n
