"""Normalization: LayerNorm takes its statistics from one token, and forgets that token's shift and scale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..case import one_of, position, row
from ..comparison import Comparison, nonzero, same, zero
from ..contracts import Path, Unsupported
from ..formulas import normalised
from ..law import law
from ..subjects import GainAndBias, Subject
from ..trial import Trial

CLAIMS = ("Q08.1", "Q23.1")


def shows_its_parts(subject: Subject, path: Path) -> str | None:
    """Why a law on gain, bias and ε says nothing of a subject; None if it does."""
    return None if subject.norm_parts is not None else "it does not show its gain, bias and ε: declare norm_parts="


@dataclass(frozen=True)
class Parts:
    """Gain and bias, (d_model,) float64, 1 and 0 where there are none; ε; and all as the subject declares it."""

    gain: Tensor
    bias: Tensor
    eps: float
    declared: GainAndBias

    def applied(self, z: Tensor) -> Tensor:
        """γ z + β of what is normalised, (…, d_model) float64."""
        return self.gain * z + self.bias


def declared(trial: Trial) -> GainAndBias:
    """What the subject says that it is made of. Raises :class:`Unsupported` where it says nothing."""
    if trial.subject.norm_parts is None:
        raise Unsupported("it does not show its gain, bias and ε")
    return trial.subject.norm_parts(trial.built)


def parts(trial: Trial) -> Parts:
    """What is built, taken apart."""
    own = declared(trial)
    ones = torch.ones(trial.config.d_model, dtype=torch.float64, device=trial.device)
    gain = ones if own.gain is None else own.gain.detach().double()
    bias = 0 * ones if own.bias is None else own.bias.detach().double()
    return Parts(gain, bias, own.eps, own)


def token_at(trial: Trial, row: int, t: int) -> Tensor:
    """Boolean (batch, length), True at one token alone."""
    own = torch.zeros(trial.inputs.x.shape[:2], dtype=torch.bool, device=trial.device)
    own[row, t] = True
    return own


@law(
    "normalization.token_alone",
    formula="f(x)_rt = f(x_rt), ∂f(x)_rt/∂x_su = 0 unless (s, u) = (r, t)",
    claims=CLAIMS,
    contracts=("normalization",),
    at_least={"length": 2},
    draws={"row": row(), "position": position()},
)
def token_alone(trial: Trial) -> Iterator[Comparison]:
    """The output at a token is made from that token alone, in value and gradient.

    Batch, length and order do not matter, nor does padding: it is other tokens.
    """
    x, r, t = trial.inputs, trial.case.draws["row"], trial.case.draws["position"]
    alone = x.rows(slice(r, r + 1)).along("x", [t])
    yield same(
        lambda: trial(x)[r : r + 1, t : t + 1],
        lambda: trial(alone),
        what=f"output of token {t} of row {r}, against the same token alone",
        cause=lambda gap: "statistics are taken over the length or the batch as well, or one figure is shared by all",
    )
    own = token_at(trial, r, t)
    gradient = trial.gradients(x, outputs=own)
    yield zero(
        lambda: gradient,
        what=f"gradient of the output at token {t} of row {r} to other tokens",
        only=~own,
        cause=lambda gap: "another token enters the statistics",
    )
    yield nonzero(
        lambda: gradient.abs().amax(-1),
        what="gradient to the token itself",
        only=own,
        axes=("row", "position"),
        cause="the output does not depend on the token, or the statistics are detached",
    )


@law(
    "normalization.formula",
    formula="f(x)_i = γ_i (x_i − μ) / √(v + ε) + β_i, v = Σ_i (x_i − μ)² / d",
    claims=CLAIMS,
    contracts=("normalization",),
    applies=shows_its_parts,
)
def formula(trial: Trial) -> Iterator[Comparison]:
    """LayerNorm is its formula: the variance is that over d entries, not d − 1, and ε stands inside the root."""
    x, own = trial.inputs, parts(trial)

    def due() -> Tensor:
        wide = x.x.double()
        mean, variance = wide.mean(-1, keepdim=True), wide.var(-1, keepdim=True, correction=0)
        return own.applied(normalised(wide, mean, variance, eps=own.eps)).to(trial.torch_dtype)

    yield same(
        due,
        lambda: trial(x),
        what="the formula, against the output",
        cause=lambda gap: "the variance is over d − 1, ε stands outside the root, or gain and bias are not as declared",
    )


@law(
    "normalization.scale_and_shift",
    formula="f(a x + s) = β + (f(x) − β) √((v + ε) / (v + ε/a²)), a > 0",
    claims=CLAIMS,
    contracts=("normalization",),
    draws={"scale": one_of(1.0, 4.0, 0.25, 2.0**-6, 2.0**-9), "shift": one_of("none", "small", "large")},
    applies=shows_its_parts,
)
def scale_and_shift(trial: Trial) -> Iterator[Comparison]:
    """What is added to all entries of a token is forgotten; to multiply the token by a is to divide ε by a².

    A large shift takes a third of the digits of the dtype.
    """
    x, own, a = trial.inputs, parts(trial), trial.case.draws["scale"]
    digits = round(1 - math.log2(torch.finfo(trial.torch_dtype).eps))
    shift = {"none": 0.0, "small": 3.0, "large": 2.0 ** (digits // 3)}[trial.case.draws["shift"]]
    moved = trial.with_content(x, a * (x.x + shift))

    def due() -> Tensor:
        wide = x.x.double()
        one, variance = torch.ones_like(wide), wide.var(-1, keepdim=True, correction=0)
        plain, scaled = (normalised(one, 0 * one, variance, eps=own.eps, scale=by) for by in (1.0, a))
        return (own.bias + (trial(x).double() - own.bias) * scaled / plain).to(trial.torch_dtype)

    yield same(
        due,
        lambda: trial(moved),
        what=f"output for {a:g} times the token, shifted by {shift:g}, as due from that for the token",
        cause=lambda gap: _forgets(trial, shift),
    )


def _forgets(trial: Trial, shift: float) -> str:
    if trial.case.draws["scale"] == 1.0:
        return (
            "the mean is not subtracted, or the variance is a difference of large squares, E[x²] − E[x]², "
            f"which loses its digits at a shift of {shift:g}"
        )
    return "ε stands outside the root, is missing, or follows the scale; or the variance is over d − 1 entries"
