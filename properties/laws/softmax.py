"""Softmax: how it turns logits into weights, and where its gradient is flat.

Any attention kernel is a softmax in disguise: with keys √d_k · I and values I, a query of logits z ∈ ℝ^{d_k} comes out
as softmax(z). So these laws need nothing of a kernel but its three arguments.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..case import one_of
from ..comparison import Comparison, decided, same
from ..contracts import Inputs, Path
from ..formulas import entropy_slope, equal_gaps, softmax_bound, softmax_jacobian, softmax_norm_bound, weight_ratio
from ..law import law
from ..subjects import Subject
from ..tolerance import FLOOR, unit_roundoff
from ..trial import Trial, gradient_of


def softmax_of(trial: Trial, logits: Tensor) -> Tensor:
    """softmax over the last axis of ``logits`` (batch, n, d_k), by way of the kernel, with its graph."""
    d_k = trial.config.d_k
    identity = torch.eye(d_k, device=logits.device, dtype=logits.dtype)
    memory = torch.cat([identity * d_k**0.5, identity], dim=-1).expand(logits.shape[0], -1, -1)
    return trial.run(Inputs(logits, memory))


def is_dot_product(subject: Subject, path: Path) -> str | None:
    """Why the scores are not q·k/√d_k; None if they are."""
    return None if subject.dot_product else "its scores are not q·k/√d_k"


SOFTMAX = {
    "contracts": ("attention",),
    "claims": ("Q06.1",),
    "sizes": {"n_heads": (1,), "length": (1,), "memory_length": (1,)},
    "at_least": {"d_k": 2},
    "contents": ("integers", "normal"),
    "applies": is_dot_product,
}


@law(
    "softmax.jacobian",
    formula="∂pᵢ/∂zⱼ = pᵢ(δᵢⱼ − pⱼ), ‖J‖₂ ≤ 1/2",
    paths={"over": ("memory",), "padding": ("absent",), "weights": ("no",), "grad": ("on",)},
    **SOFTMAX,
)
def jacobian(trial: Trial) -> Iterator[Comparison]:
    """The derivative of the weights to the logits is diag(p) − ppᵀ, and stretches no vector by more than a half."""
    z = trial.numbers("logits", trial.case.batch, 1, trial.config.d_k)

    def by_autograd() -> Tensor:
        with torch.enable_grad():
            logits = z.detach().requires_grad_()
            p = softmax_of(trial, logits)
            rows = [gradient_of(p[..., i].sum(), [logits], keep=True)[0] for i in range(p.shape[-1])]
        return torch.stack(rows, dim=-2)[:, 0].detach()

    yield same(
        by_autograd,
        lambda: softmax_jacobian(softmax_of(trial, z).detach()[:, 0]),
        what="∂p/∂z",
        axes=("row", "weight", "logit"),
        cause=lambda gap: _which_pass(trial, z),
    )
    norm = float(torch.linalg.matrix_norm(by_autograd().double(), ord=2).max())
    bound, slack = softmax_norm_bound(), FLOOR * trial.config.d_k * unit_roundoff(trial.torch_dtype)
    yield decided(
        norm <= bound + slack,
        measured=max(norm - bound, 0.0),
        allowed=slack,
        what="excess of ‖J‖₂ over 1/2",
        cause="the weights do not sum to 1",
    )


def _which_pass(trial: Trial, z: Tensor) -> str:
    with torch.no_grad():
        forward = (softmax_of(trial, z) - z.softmax(-1)).abs().max()
    if float(forward) > 1e3 * unit_roundoff(trial.torch_dtype):
        return "already the forward pass is not softmax(QKᵀ/√d_k)V: scale, sign, or the axis of the softmax"
    return "the forward pass is right and its backward pass is not: a detached or replaced part of the graph"


@law(
    "softmax.saturation",
    formula="Σᵢ pᵢ(cz)² is non-decreasing in c ≥ 0",
    paths={"over": ("memory",), "padding": ("absent",), "weights": ("no",)},
    **SOFTMAX,
)
def saturation(trial: Trial) -> Iterator[Comparison]:
    """The larger the logits are scaled, the more the weights concentrate, from uniform at 0."""
    z = trial.numbers("logits", trial.case.batch, 1, trial.config.d_k)
    scales = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
    slack = FLOOR * trial.config.d_k * unit_roundoff(trial.torch_dtype)
    with torch.no_grad():
        purity = [softmax_of(trial, c * z).double().square().sum(-1) for c in scales]
    uniform = 1 / trial.config.d_k
    gap = float((purity[0] - uniform).abs().max())
    yield decided(
        gap <= slack,
        measured=gap,
        allowed=slack,
        what="Σp² − 1/n at scale 0",
        cause="equal logits do not share equally",
    )
    for smaller, larger, low, high in zip(scales, scales[1:], purity, purity[1:], strict=False):
        drop = float((low - high).max())
        yield decided(
            drop <= slack,
            measured=max(drop, 0.0),
            allowed=slack,
            what=f"fall of Σp² from scale {smaller} to {larger}",
            cause="larger logits should concentrate the weights: they are clamped, capped or normalised away",
        )


@law(
    "softmax.ratios",
    formula="pᵢ/pⱼ = exp(zᵢ − zⱼ)",
    paths={"over": ("memory",), "padding": ("absent",), "weights": ("no",)},
    **{**SOFTMAX, "claims": ("Q03.3",)},
)
def ratios(trial: Trial) -> Iterator[Comparison]:
    """The ratio of two weights is the exponential of the difference of their logits, and nothing else enters it."""
    z = trial.numbers("logits", trial.case.batch, 1, trial.config.d_k)[:, 0]
    ratio = weight_ratio(z[:, :, None].double(), z[:, None, :].double(), scale=1.0)

    def weights() -> Tensor:
        return softmax_of(trial, z[:, None])[:, 0].detach()

    yield same(
        lambda: weights()[:, :, None].expand(ratio.shape),
        lambda: (weights()[:, None, :] * ratio).to(z.dtype),
        what="pᵢ against pⱼ exp(zᵢ − zⱼ)",
        axes=("row", "i", "j"),
        cause=lambda gap: "the scale or the base is another, scores are capped, or their sign is turned round",
    )


@law(
    "softmax.entropy",
    formula="H(p(cz)) is non-increasing in c ≥ 0, dH/dc = −c Var_p(z)",
    paths={"over": ("memory",), "padding": ("absent",), "weights": ("no",), "grad": ("on",)},
    dtypes=("float64", "float32"),
    draws={"scale": one_of(1.0, 0.5, 2.0)},
    **{**SOFTMAX, "claims": ("Q03.3",)},
)
def entropy(trial: Trial) -> Iterator[Comparison]:
    """The larger the logits are scaled, the less the entropy of the weights: its slope is −c times their variance."""
    z, at = trial.numbers("logits", trial.case.batch, 1, trial.config.d_k), trial.case.draws["scale"]

    def by_autograd() -> Tensor:
        with torch.enable_grad():
            c = torch.full_like(z[:, :, :1], at).requires_grad_()
            return gradient_of(_entropy(softmax_of(trial, c * z)).sum(), [c])[0][:, 0, 0]

    def by_formula() -> Tensor:
        p = softmax_of(trial, at * z).detach()[:, 0]
        mean = (p * z[:, 0]).sum(-1, keepdim=True)
        return entropy_slope((p * (z[:, 0] - mean).square()).sum(-1), scale=at)

    # Where logits nearly tie the slope is a small difference of terms of this size, and rounds as they do.
    size = z[:, 0].abs().mean(-1)
    yield same(
        lambda: by_autograd() + size,
        lambda: by_formula() + size,
        what="dH/dc (plus the mean size of the logits)",
        axes=("row",),
        cause=lambda gap: _which_pass(trial, at * z),
    )
    scales = (0.0, 0.5, 1.0, 2.0, 4.0)
    slack = FLOOR * trial.config.d_k * unit_roundoff(trial.torch_dtype)
    with torch.no_grad():
        found = [_entropy(softmax_of(trial, c * z)) for c in scales]
    for smaller, larger, high, low in zip(scales, scales[1:], found, found[1:], strict=False):
        rise = float((low - high).max())
        yield decided(
            rise <= slack,
            measured=max(rise, 0.0),
            allowed=slack,
            what=f"rise of the entropy from scale {smaller} to {larger}",
            cause="larger logits should concentrate the weights",
        )


def _entropy(p: Tensor) -> Tensor:
    """−Σ p log p over the last axis."""
    return -(p * p.log()).sum(-1)


@law(
    "softmax.more_keys_dilute",
    formula="pᵢ ≤ exp(zᵢ − min z)/n; a lead of g leaves (n − 1)e⁻ᵍ/(1 + (n − 1)e⁻ᵍ) to n − 1 others",
    paths={"over": ("memory",), "padding": ("absent",), "weights": ("no",)},
    draws={"lead": one_of(1.0, 0.5, 2.0, 4.0)},
    **{**SOFTMAX, "claims": ("Q06.3",), "sizes": {**SOFTMAX["sizes"], "d_k": (2, 4, 16, 64)}},
)
def more_keys_dilute(trial: Trial) -> Iterator[Comparison]:
    """At a given spread of the logits more keys lower every weight, the largest included, like one over their number.

    A leading key's weight is compared with its formula; and no weight of any logits is above its bound.
    """
    n, lead = trial.config.d_k, trial.case.draws["lead"]
    leading = torch.zeros_like(trial.inputs.x[:, :1, :n])
    leading[..., 0] = lead
    due = torch.full_like(leading[..., 0], 1 - equal_gaps(n, lead))
    yield same(
        lambda: softmax_of(trial, leading)[..., 0].detach(),
        lambda: due,
        what=f"weight of a key that leads {n - 1} others by {lead:g}",
        axes=("row", "query"),
        cause=lambda gap: "the logits are scaled otherwise (by the number of keys, say), capped, or the base is not e",
    )
    z = trial.numbers("logits", trial.case.batch, 1, n)
    excess = (softmax_of(trial, z).detach().double() / softmax_bound(z.double()) - 1).max()
    slack = FLOOR * n * unit_roundoff(trial.torch_dtype)
    yield decided(
        float(excess) <= slack,
        measured=max(float(excess), 0.0),
        allowed=slack,
        what="excess of a weight over exp(z − min z)/n, relative",
        cause="the logits are scaled up before the softmax",
    )
