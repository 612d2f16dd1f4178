"""The formulas that the derivations prove, as functions of tensors: what is proved is what is evaluated."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import sympy as sp
import torch
from torch import Tensor

from veriformer.derivations import derivation


@cache
def _proved(page: str, result: str, *arguments: str) -> Callable[..., Any]:
    """The result of a derivation as a function of ``arguments``, its symbols by name."""
    formula = sp.sympify(derivation(page).results[result])
    symbols = {str(symbol): symbol for symbol in formula.free_symbols}
    return sp.lambdify([symbols[name] for name in arguments], formula)


def score_variance(d_k: int, *, scale: float) -> float:
    """Variance of scale · q·k over independent standard normal q and k in ℝ^{d_k} (dimensionless; claim Q06.2)."""
    of_moments = _proved("score_variance", "scaled_variance", "d_k", "s", "mu_q", "mu_k", "sigma_q", "sigma_k")
    return float(of_moments(d_k, scale, 0, 0, 1, 1))


def conditional_score_variance(query: Tensor, *, scale: float) -> Tensor:
    """Variance of scale · q·k over standard normal k, given q: query (…, d_k) → (…)."""
    given_q = _proved("score_variance", "conditional_variance", "s", "sigma_k", "q", "d_k")
    return given_q(scale, 1, query.movedim(-1, 0), query.shape[-1])


def softmax_jacobian(p: Tensor) -> Tensor:
    """∂p_i/∂z_j of p = softmax(z): p (…, n) → (…, n, n), row i and column j (claim Q06.1)."""
    entry = _proved("softmax_jacobian", "jacobian", "p_i", "p_j", "delta_ij")
    identity = torch.eye(p.shape[-1], dtype=p.dtype, device=p.device)
    return entry(p[..., :, None], p[..., None, :], identity)


def softmax_norm_bound() -> float:
    """Largest spectral norm that a softmax Jacobian can have (dimensionless)."""
    return float(derivation("softmax_jacobian").results["norm_bound"])
