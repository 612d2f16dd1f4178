"""Residuals: a shortcut that is left open keeps a gradient alive, however many branches it passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from ..comparison import Comparison, decided
from ..contracts import Path, explicit_mask
from ..formulas import residual_growth, residual_share
from ..law import law
from ..subjects import GainAndBias, Subject
from ..tolerance import FLOOR, unit_roundoff
from ..trial import Trial
from .blocks import Branch, blocks_of, branches, gives_blocks, layer_norm

WEAK = 1e-2
"""Directions that the last LayerNorm shrinks to less than this share of its largest are left out: it hides them."""


def has_open_shortcuts(subject: Subject, path: Path) -> str | None:
    """Why no shortcut goes by its blocks unchanged; None if one does."""
    if (why := gives_blocks(subject, path)) is not None:
        return why
    return None if subject.norm_on(path) == "pre" else "with post-LN a LayerNorm stands on the shortcut itself"


@law(
    "residual.no_direction_is_lost",
    formula="Π(1 − κ_k) ≤ σ(∂x_L/∂x_0) ≤ Π(1 + κ_k), κ_k = ‖∂F_k(LN(x_k))/∂x_k‖",
    claims=("Q22.1",),
    contracts=("encoder",),
    paths={"padding": ("absent",), "grad": ("on",)},
    sizes={"batch": (1,), "length": (1, 2, 3), "n_heads": (1, 2), "d_k": (4,)},
    contents=("normal",),
    gains=(0.125, 0.0625, 0.25),
    dtypes=("float64", "float32"),
    applies=has_open_shortcuts,
)
def no_direction_is_lost(trial: Trial) -> Iterator[Comparison]:
    """A stack of small residual branches stretches no gradient by less than Π(1 − κ), nor by more than Π(1 + κ).

    κ is the norm of a branch's own slope. Every direction at the top of the stream is tried that reaches the output.
    """
    slopes, final = _slopes_by_formula(trial)
    norms = [float(torch.linalg.matrix_norm(slope, 2)) for slope in slopes]
    whole = _slope(lambda x: trial.run(trial.with_content(trial.inputs, x)), trial.inputs.x)
    stretched = _stretched(whole, final)
    least, most = residual_share([min(norm, 1.0) for norm in norms]), residual_growth(norms)
    rounding = FLOOR * unit_roundoff(trial.torch_dtype) * most / WEAK
    smallest, largest = float(stretched.min()), float(stretched.max())
    told = f"{len(norms)} branches with slopes of norm {', '.join(f'{norm:.2g}' for norm in norms)}"
    yield decided(
        smallest >= least - rounding,
        measured=max(0.0, least - smallest),
        allowed=rounding,
        what=f"a gradient keeps {smallest:.6g} of its length, and {least:.6g} or more is due, by {told}",
        cause="the shortcut is cut, scaled or normalised: what comes down to the input came through the branches",
    )
    yield decided(
        largest <= most + rounding,
        measured=max(0.0, largest - most),
        allowed=rounding,
        what=f"a gradient grows to {largest:.6g} of its length, and {most:.6g} or less is due, by {told}",
        cause="the shortcut is scaled up, or the stream is added more than once",
    )


def _slopes_by_formula(trial: Trial) -> tuple[list[Tensor], Tensor]:
    """The slope of each branch where it stands in the stream, and that of the last LayerNorm; (n·d, n·d) each."""
    blocks, stream = blocks_of(trial), trial.inputs.x.double()
    slopes, mask = [], explicit_mask(trial.inputs, trial.path)
    for block in blocks.layers:
        for branch, norm in branches(block, mask=mask, trial=trial):
            slopes.append(_slope(partial(_normalised, branch=branch, norm=norm), stream))
            stream = stream + _normalised(stream, branch=branch, norm=norm)
    last = blocks.final_norm
    return slopes, _slope(lambda x: x if last is None else layer_norm(x, last), stream)


def _normalised(x: Tensor, *, branch: Branch, norm: GainAndBias) -> Tensor:
    return branch(layer_norm(x, norm))


def _slope(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The Jacobian of ``function`` at x, both of n·d numbers: (n·d, n·d), float64."""
    found = torch.autograd.functional.jacobian(function, x)
    return found.reshape(x.numel(), x.numel()).double()  # type: ignore[union-attr]


def _stretched(whole: Tensor, final: Tensor) -> Tensor:
    """By how much the stack below ``final`` stretches gradients, where ``whole`` is its slope with that of ``final``.

    The singular values of VᵀJ, as whole = UΣVᵀJ, on the directions V that the last LayerNorm lets through.
    """
    u, sigma, _ = torch.linalg.svd(final)
    kept = sigma > WEAK * sigma.max()
    return torch.linalg.svdvals(u[:, kept].mT @ whole / sigma[kept, None])
