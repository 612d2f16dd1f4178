"""BatchNorm: a feature is normalised over the batch, so a batch is seen in training, and running statistics at test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..case import lengths, one_of, position, row
from ..comparison import Comparison, decided, differs, equal, same, within, zero
from ..contracts import Inputs, Unsupported
from ..formulas import (
    at_test,
    biased_share,
    crosstalk,
    farthest_from_bias,
    mean_square,
    normalised,
    scale_at_test,
    steepest_sigmoid,
)
from ..law import law
from ..subjects import BatchNormParts
from ..tolerance import FLOOR, unit_roundoff
from ..trial import Trial, gradient_of
from .normalization import Parts, declared, parts, shows_its_parts, token_at

IN_TRAINING: dict[str, Any] = {
    "contracts": ("batch_norm",),
    "paths": {"mode": ("train",)},
    "applies": shows_its_parts,
}
AT_TEST: dict[str, Any] = {**IN_TRAINING, "paths": {"mode": ("eval",)}}


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance, over m and not m − 1, of each feature over batch and length: float64, (d_model,) each."""
    samples = x.double().flatten(0, 1)
    return samples.mean(0), samples.var(0, correction=0)


def running(own: Parts) -> tuple[Tensor, Tensor]:
    """The running mean and variance, the buffers themselves. Raises :class:`Unsupported` where there are none."""
    kept = own.declared
    if not isinstance(kept, BatchNormParts) or kept.running_mean is None or kept.running_var is None:
        raise Unsupported("it shows no running statistics: norm_parts= is to give BatchNormParts")
    return kept.running_mean, kept.running_var


def settle(own: Parts, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Write these running statistics; what they are once they are stored, in float64."""
    kept_mean, kept_variance = running(own)
    kept_mean.copy_(mean)
    kept_variance.copy_(variance)
    return kept_mean.clone().double(), kept_variance.clone().double()


def some_statistics(trial: Trial) -> tuple[Tensor, Tensor]:
    """A running mean and variance that are those of no batch: (d_model,) each."""
    mean, spread = trial.numbers("running", 2, trial.config.d_model)
    return 3 + mean, 0.5 + spread.square()


@law(
    "batchnorm.standardises",
    formula="f(x)_ic = γ_c (x_ic − M_c) / √(B_c + ε) + β_c, over all samples i of feature c",
    claims=("Q24.1",),
    **IN_TRAINING,
)
def standardises(trial: Trial) -> Iterator[Comparison]:
    """In training each feature is normalised over the batch and all places of it: mean β, variance γ² B/(B + ε).

    M and B are the mean and the variance, over m and not m − 1, of one feature over batch and length.
    """
    x, own = trial.inputs, parts(trial)
    mean, variance = moments(x.x)
    yield same(
        lambda: own.applied(normalised(x.x.double(), mean, variance, eps=own.eps)).to(trial.torch_dtype),
        lambda: trial(x),
        what="the formula, against the output",
        cause=lambda gap: (
            "statistics are over other axes (one token, one place, one sample), or over m − 1, or are the running ones"
        ),
    )
    samples = x.x.shape[0] * x.x.shape[1]
    spread = own.gain.square() * mean_square(samples, variance, eps=own.eps)

    def found() -> Tensor:
        output_mean, output_variance = moments(trial(x))
        return torch.stack([output_mean, output_variance]).to(trial.torch_dtype)

    yield same(
        lambda: torch.stack([own.bias, spread]).to(trial.torch_dtype),
        found,
        what="mean and variance that are due of each feature, against those of the output",
        axes=("moment", "feature"),
    )


@law(
    "batchnorm.neighbours",
    formula="∂f(x)_ic/∂x_jc = −γ_c (1 + z_ic z_jc) / (m √(B_c + ε)) for i ≠ j",
    claims=("Q08.1", "Q23.1"),
    at_least={"batch": 2, "length": 2},
    draws={"row": row(), "position": position()},
    **IN_TRAINING,
)
def neighbours(trial: Trial) -> Iterator[Comparison]:
    """In training the output of a sample depends on all others, with a slope that is known; LayerNorm's does not.

    And it is seen in values: other contents in the other rows change the output of this one.
    """
    x, own = trial.inputs, parts(trial)
    r, t = trial.case.draws["row"], trial.case.draws["position"]
    others = ~token_at(trial, r, t)
    mean, variance = moments(x.x)
    root = (variance + own.eps).sqrt()

    def due() -> Tensor:
        z = normalised(x.x.double(), mean, variance, eps=own.eps)
        return (own.gain * crosstalk(z[r, t], z, others.numel(), root)).to(trial.torch_dtype)

    yield same(
        due,
        lambda: slopes(trial, r, t),
        what=f"slope that is due of token {t} of row {r} in the others, against that of the output",
        only=others,
        cause=lambda gap: "statistics are over other axes, or detached from the gradient, or are the running ones",
    )
    changed = x.x.clone()
    elsewhere = torch.arange(x.x.shape[0], device=trial.device) != r
    changed[elsewhere] = trial.other_content("neighbours", x.x[elsewhere])
    yield differs(
        lambda: trial(trial.with_content(x, changed))[r],
        lambda: trial(x)[r],
        what="a row's output with other neighbours in the batch",
        cause="the batch does not enter: this is no BatchNorm, or it uses its running statistics in training",
    )


def slopes(trial: Trial, row: int, t: int) -> Tensor:
    """∂/∂x of the sum over features of the output of one token: (batch, length, d_model).

    A feature goes into its own output alone, so each entry is one slope.
    """
    x = trial.inputs.x.detach().clone().requires_grad_()
    with torch.enable_grad():
        return gradient_of(trial.run(Inputs(x))[row, t].sum(), [x])[0]


@law(
    "batchnorm.running_update",
    formula="r ← (1 − α) r + α M, s ← (1 − α) s + α Σ(x − M)² / (m − 1)",
    claims=("Q24.1", "Q24.5"),
    at_least={"length": 2},
    **IN_TRAINING,
)
def running_update(trial: Trial) -> Iterator[Comparison]:
    """Each training batch adds its share, the momentum, to the running statistics: its mean, and its unbiased variance.

    What normalises the batch is the variance over m; what is kept for test time is that over m − 1.
    """
    x, own = trial.inputs, parts(trial)
    start = some_statistics(trial)
    mean, variance = moments(x.x)
    of_batch = mean, variance / biased_share(x.x.shape[0] * x.x.shape[1])
    share = own.declared.momentum if isinstance(own.declared, BatchNormParts) else None
    if share is None:
        raise Unsupported("it has no momentum: all batches have the same share")

    def due() -> Tensor:
        before = settle(own, *start)
        return torch.stack([(1 - share) * old + share * new for old, new in zip(before, of_batch, strict=True)])

    def found() -> Tensor:
        settle(own, *start)
        trial(x)
        return torch.stack(running(own))

    yield same(
        lambda: due().to(trial.torch_dtype),
        found,
        what="running mean and variance that are due, against those kept",
        axes=("statistic", "feature"),
        cause=lambda gap: "momentum is the share of the old, the variance is that over m, or nothing is kept",
    )


@law(
    "batchnorm.fixed_at_test",
    formula="f(x)_ic = γ_c (x_ic − r_c) / √(s_c + ε) + β_c",
    claims=("Q24.5", "Q08.1", "Q23.1"),
    draws={"row": row(), "position": position()},
    **AT_TEST,
)
def fixed_at_test(trial: Trial) -> Iterator[Comparison]:
    """At test time the running statistics r and s are used, each sample alone is seen, and no call moves them."""
    x, own = trial.inputs, parts(trial)
    mean, variance = settle(own, *some_statistics(trial))
    root = (variance + own.eps).sqrt()
    due = at_test(x.x.double(), shift=0.0, mean=mean, root=root, gain=own.gain, bias=own.bias)
    yield same(
        lambda: due.to(trial.torch_dtype),
        lambda: trial(x),
        what="the formula with the running statistics, against the output",
        cause=lambda gap: "statistics of the batch are used in evaluation, or the running ones in another way",
    )
    yield equal(
        lambda: torch.stack(running(own)).double(),
        lambda: torch.stack([mean, variance]),
        what="running statistics after a call in evaluation",
        axes=("statistic", "feature"),
        cause=lambda gap: "they are updated in evaluation as well",
    )
    r, t = trial.case.draws["row"], trial.case.draws["position"]
    others = ~token_at(trial, r, t)
    yield zero(
        lambda: slopes(trial, r, t),
        what=f"slope of the output of token {t} of row {r} in the others",
        only=others,
        cause=lambda gap: "another sample enters in evaluation",
    )


@law(
    "batchnorm.moved_data",
    formula="test: E[f] = β + γ Δ/√(s + ε), Var(f) = γ² τ² B/(s + ε); training: as for τ = 1, Δ = 0, with ε/τ² for ε",
    claims=("Q24.5",),
    contracts=("batch_norm",),
    paths={"mode": ("eval", "train")},
    at_least={"length": 2},
    draws={"added": one_of(0.0, 1.0, -4.0), "factor": one_of(1.0, 2.0, 0.25)},
    applies=shows_its_parts,
)
def moved_data(trial: Trial) -> Iterator[Comparison]:
    """Data moved by Δ and stretched by τ go through at test time, off by γΔ/√(s + ε); in training they are absorbed.

    The running statistics r and s are those that the data had before.
    """
    x, own = trial.inputs, parts(trial)
    added, factor = trial.case.draws["added"], trial.case.draws["factor"]
    mean, variance = moments(x.x)
    moved = trial.with_content(x, factor * x.x + added)
    shift = added + (factor - 1) * mean
    if trial.path["mode"] == "train":
        yield same(
            lambda: own.applied(normalised(x.x.double(), mean, variance, eps=own.eps, scale=factor)).to(
                trial.torch_dtype
            ),
            lambda: trial(moved),
            what=f"output of a training batch made {factor:g} x + {added:g}, as due from that for x",
            cause=lambda gap: "statistics in training are not those of this batch",
        )
        return
    kept_mean, kept_variance = settle(own, mean, variance)
    root = (kept_variance + own.eps).sqrt()
    due_mean = at_test(mean, shift=shift, mean=kept_mean, root=root, gain=own.gain, bias=own.bias)
    due_variance = scale_at_test(variance, factor=factor, root=root, gain=own.gain)
    yield same(
        lambda: torch.stack([due_mean, due_variance]).to(trial.torch_dtype),
        lambda: torch.stack(moments(trial(moved))).to(trial.torch_dtype),
        what=f"mean and variance due at test time for data made {factor:g} x + {added:g}",
        axes=("moment", "feature"),
        cause=lambda gap: "statistics of the batch are used in evaluation, or the running ones in another way",
    )


@law(
    "batchnorm.few_samples",
    formula="|f(x)_i − β| ≤ |γ| √(k − 1), and ∂f/∂x = 0 for k = 1",
    claims=("Q24.3", "Q24.4"),
    draws={"lengths": lengths()},
    **IN_TRAINING,
)
def few_samples(trial: Trial) -> Iterator[Comparison]:
    """With statistics for each place, k sequences that reach it are k samples: outputs within |γ|√(k − 1) of β.

    So of the place that one sequence reaches β is left, whatever stood there, and no gradient; or the batch is refused.
    """
    own, reach = parts(trial), torch.tensor(trial.case.draws["lengths"], device=trial.device)
    rounding = FLOOR * unit_roundoff(trial.torch_dtype)
    for t in range(int(reach.max())):
        here = trial.inputs.rows(reach > t).along("x", [t])
        k = here.x.shape[0]
        try:
            trial(here)
        except Unsupported:
            if k == 1:  # a batch of one value a feature may be refused, and no other
                continue
            raise
        bound = farthest_from_bias(k, own.gain)

        def beyond(here: Inputs = here, bound: Tensor = bound) -> Tensor:
            return ((trial(here).double() - own.bias).abs() - bound).clamp(min=0)

        yield within(
            beyond,
            lambda here=here: torch.zeros_like(here.x, dtype=torch.float64),
            lambda here=here, bound=bound: (rounding * (own.bias.abs() + bound)).expand_as(here.x),
            what=f"how far beyond its bound the output is at place {t}, which {k} of the sequences reach",
            cause=lambda gap: "the statistics are not those of these samples, or the mean is not taken off",
        )
        if k == 1:
            only = torch.ones(1, 1, dtype=torch.bool, device=trial.device)
            gradient = trial.gradients(here, outputs=only)
            yield zero(lambda g=gradient: g, what=f"gradient to the only sample at place {t}")


@law(
    "batchnorm.sigmoid_keeps_slope",
    formula="(1/m) Σ_i σ′(f(x)_i) ≥ 1/4 − (1/4)² B/(B + ε) ≥ 3/16, for γ = 1 and β = 0",
    claims=("Q24.2",),
    at_least={"length": 2},
    draws={"shift": one_of(0.0, 8.0, -32.0), "scale": one_of(1.0, 16.0)},
    **IN_TRAINING,
)
def sigmoid_keeps_slope(trial: Trial) -> Iterator[Comparison]:
    """Behind BatchNorm a sigmoid keeps three quarters of its slope on average, however inputs are shifted or scaled.

    By the page on slopes, σ′ = 1/4 − (1/2 − σ)², and σ is nowhere steeper than 1/4. So |1/2 − σ(y)| ≤ |y|/4, and
    σ′(y) ≥ 1/4 − (y/4)²: of y only the mean square enters, and BatchNorm holds that at B/(B + ε), at γ = 1 and β = 0.
    Without BatchNorm the slope at inputs beyond 30 is below e^{−30}.
    """
    own = declared(trial)
    with torch.no_grad():
        for parameter, value in ((own.gain, 1.0), (own.bias, 0.0)):
            if parameter is not None:
                parameter.fill_(value)
    shift, scale = trial.case.draws["shift"], trial.case.draws["scale"]
    x = trial.with_content(trial.inputs, scale * trial.inputs.x + shift)
    _, variance = moments(x.x)
    samples, steepest = x.x.shape[0] * x.x.shape[1], steepest_sigmoid()
    bound = steepest - steepest**2 * mean_square(samples, variance, eps=own.eps)
    lost = FLOOR * unit_roundoff(trial.torch_dtype)
    slope, before = (_slope(t) for t in (trial(x), x.x))
    short = (bound - lost - slope).clamp(min=0).nan_to_num(nan=torch.inf)
    worst = int(short.argmax())
    yield decided(
        bool((short == 0).all()),
        measured=float(short[worst]),
        allowed=0.0,
        what=f"mean slope of the sigmoid behind feature {worst}: {float(slope[worst]):.3g}, where "
        f"{float(bound[worst]):.3g} is due at least (without BatchNorm {float(before[worst]):.1g})",
        cause="the batch's own mean and variance do not come out as 0 and 1",
    )


def _slope(x: Tensor) -> Tensor:
    """Mean slope of the sigmoid over all samples of each feature: (batch, length, d_model) → (d_model,) float64."""
    y = x.double().sigmoid()
    return (y * (1 - y)).flatten(0, 1).mean(0)
