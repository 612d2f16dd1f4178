"""The feed-forward network: two layers with a ReLU between, on each token alone, and what ReLU does to a scale.

A network shows its output and hides its hidden layer. But it says where its weights are, so a law may write the
identity in place of W₂, and then the output *is* a part of the hidden layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..case import one_of, position
from ..comparison import Comparison, Undecidable, decided, differs, equal, likely, same, zero
from ..contracts import Inputs, Path, SubjectError
from ..formulas import relu_layer_factor, relu_normal_mean
from ..law import law
from ..statistics import lipschitz_tail, rectified_square_tails, two_sided
from ..subjects import Subject, TwoLayers
from ..trial import Trial, gradient_of, guarded
from .scaling import FALSE_ALARM


def has_two_layers(subject: Subject, path: Path) -> str | None:
    """Why there is no looking at the two layers of a subject; None if there is."""
    return None if subject.two_layers is not None else "it does not say where its two layers are (two_layers)"


def two_layers(trial: Trial) -> TwoLayers:
    """The parameters of the subject as built: what is written on them under no_grad is what it computes with."""
    return guarded(trial.subject.two_layers, trial.built)  # type: ignore[arg-type]


def write(trial: Trial, **values: Tensor) -> None:
    """Write ``values`` on the parameters of the same names; a bias that is absent is left out.

    Raises :class:`SubjectError` where ``two_layers`` gives copies.
    """
    with torch.no_grad():
        for name, value in values.items():
            if (parameter := getattr(two_layers(trial), name)) is not None:
                parameter.copy_(value)
                if not torch.equal(getattr(two_layers(trial), name), parameter):
                    raise SubjectError(f"two_layers: expected the parameter {name} itself, got a copy; return views")


def without_biases(trial: Trial) -> TwoLayers:
    """The two layers, with biases of 0 from here on."""
    none = torch.zeros((), device=trial.device)
    write(trial, b_1=none, b_2=none)
    return two_layers(trial)


def show_units(trial: Trial, first: int) -> int:
    """Make output feature j the hidden unit ``first`` + j from here on; returns how many units are shown."""
    w_2, b_2 = two_layers(trial).w_2, torch.zeros((), device=trial.device)
    write(trial, w_2=torch.eye(*w_2.shape[::-1]).to(w_2).roll(first, 0).mT, b_2=b_2)
    return min(w_2.shape[0], w_2.shape[1] - first)


def hidden_layer(trial: Trial, x: Inputs) -> Tensor:
    """What stands between the two layers, (batch, length, d_ff), read off d_model units at a time. W₂ is gone then."""
    d_model, d_ff = two_layers(trial).w_2.shape
    parts = []
    for first in range(0, d_ff, d_model):
        n_shown = show_units(trial, first)
        parts.append(trial(x)[..., :n_shown])
    return torch.cat(parts, dim=-1)


def by_formula(x: Tensor, layers: TwoLayers) -> Tensor:
    """max(0, xW₁ + b₁)W₂ + b₂ in float64 (Vaswani et al. 2017, eq. 2): (…, d_model) → (…, d_model)."""
    hidden = x.double() @ layers.w_1.double().mT
    if layers.b_1 is not None:
        hidden = hidden + layers.b_1.double()
    output = hidden.clamp(min=0) @ layers.w_2.double().mT
    return output if layers.b_2 is None else output + layers.b_2.double()


@law(
    "feed_forward.formula",
    formula="FFN(x) = max(0, xW₁ + b₁)W₂ + b₂",
    claims=("Q25.1",),
    contracts=("feed_forward",),
    applies=has_two_layers,
)
def formula(trial: Trial) -> Iterator[Comparison]:
    """The network is two affine maps with max(0, ·) between them, made of its own weights."""
    with torch.no_grad():
        due = by_formula(trial.inputs.x, two_layers(trial)).to(trial.torch_dtype)
    cause = "another activation, a bias that is left out or added elsewhere, or something beside the two layers"
    yield same(lambda: due, lambda: trial(trial.inputs), what="formula against output", cause=lambda gap: cause)


@law(
    "feed_forward.token_alone",
    formula="f(x)ᵢ = f(x′)ᵢ if xᵢ = x′ᵢ; ∂f(x)ᵢ/∂xⱼ = 0 for j ≠ i",
    claims=("Q25.1",),
    contracts=("feed_forward",),
    paths={"grad": ("on",)},
    at_least={"length": 2},
    draws={"at": position()},
)
def token_alone(trial: Trial) -> Iterator[Comparison]:
    """An output depends on its own token and on no other: in values to the last bit, in gradients exactly.

    All tokens but one are replaced, by large ones: that one's output stays, and the others' outputs do move.
    """
    x, i = trial.inputs, trial.case.draws["at"]
    here = torch.zeros(x.x.shape[:2], dtype=torch.bool, device=trial.device)
    here[:, i] = True
    other = replace(x, x=torch.where(here[..., None], x.x, trial.other_content("others", x.x)))
    cause = "tokens are mixed: pooled, shifted or flattened together, or statistics are taken over the length"
    yield equal(lambda: trial(other), lambda: trial(x), only=here, cause=lambda gap: cause)
    yield zero(
        lambda: trial.gradients(x, outputs=here),
        what=f"gradient of the output at position {i} to the other tokens",
        only=~here,
        cause=lambda gap: cause,
    )
    yield differs(
        lambda: trial(other)[~here],
        lambda: trial(x)[~here],
        what="outputs of tokens that were replaced",
        cause="the output does not depend on the token",
    )


NORMAL = {"contents": ("normal",), "gains": (1.0,)}


@law(
    "feed_forward.hidden_mean",
    formula="xW₁ ~ N(0, σ²) ⇒ E[max(0, xW₁)] = σ/√(2π)",
    claims=("Q25.3",),
    contracts=("feed_forward",),
    sizes={"batch": (256,), "length": (20,), "n_heads": (2,), "d_k": (8, 16)},
    applies=has_two_layers,
    **NORMAL,
)
def hidden_mean(trial: Trial) -> Iterator[Comparison]:
    """The hidden layer is not centred at zero: for centred normal inputs its mean is σ/√(2π), 0.4 σ.

    Tokens are standard normal and b₁ = 0, so unit r gets N(0, ‖w_r‖²) exactly. The mean over n tokens and m units,
    each over its ‖w_r‖, is a Lipschitz function of the tokens with the constant ‖Ŵ‖₂/√(nm), where Ŵ has the rows
    w_r/‖w_r‖; so it stays near its expectation by the Gaussian concentration inequality (statistics.lipschitz_tail).
    False alarm at most 1e-12 an example, so 1e-9 for a thousand; a mean off by a quarter is missed with probability
    below 1e-9, by the same bound.
    """
    spread = without_biases(trial).w_1.detach().double().norm(dim=-1)
    directions = two_layers(trial).w_1.detach().double() / spread[:, None]
    mean = float((hidden_layer(trial, trial.inputs).double() / spread).mean())
    n, m = trial.case.batch * trial.case.length, len(spread)
    constant = float(torch.linalg.matrix_norm(directions, 2)) / math.sqrt(n * m)
    due = relu_normal_mean(1.0)
    yield likely(
        lipschitz_tail(mean - due, constant),
        false_alarm=FALSE_ALARM,
        what=f"mean of the hidden layer over its σ: {mean:.4g} where {due:.4g} is due",
        cause="the activation is centred, leaks, or is no ReLU",
    )


@law(
    "feed_forward.hidden_halves",
    formula="E[φ(x)] = ½E|x|, E[φ(x)²] = ½E[x²] for any x that is symmetric about 0",
    claims=("Q25.3", "Q25.5"),
    contracts=("feed_forward",),
    applies=has_two_layers,
)
def hidden_halves(trial: Trial) -> Iterator[Comparison]:
    """Of a symmetric input ReLU keeps half of the mean size and half of the mean square, unit by unit.

    A batch together with its negative is symmetric, and b₁ = 0: no statistics, the two halves are exact.
    """
    w_1, x = without_biases(trial).w_1.detach().double(), trial.inputs
    both = replace(x, x=torch.cat([x.x, -x.x]))
    sums = both.x.double() @ w_1.mT
    cause = "what is below 0 is not cut off, or what is above is not passed on whole"
    for power, what in ((2, "mean square"), (1, "mean")):
        due = (sums.abs() ** power).mean(0) / 2
        yield same(
            lambda due=due: due.to(trial.torch_dtype),
            lambda power=power: (hidden_layer(trial, both).double() ** power).mean(0).to(trial.torch_dtype),
            what=f"{what} of the hidden layer against half of that of its input",
            axes=("position", "unit"),
            cause=lambda gap: cause,
        )


@law(
    "feed_forward.homogeneous",
    formula="b₁ = b₂ = 0, c > 0 ⇒ FFN(cx) = c FFN(x), but FFN(−x) ≠ −FFN(x)",
    claims=("Q25.2", "Q25.5"),
    contracts=("feed_forward",),
    # in float16 small products underflow, and a power of two is no longer exact
    dtypes=("float64", "float32", "bfloat16"),
    draws={"factor": one_of(2.0, 0.5, 1024.0)},
    applies=has_two_layers,
)
def homogeneous(trial: Trial) -> Iterator[Comparison]:
    """Without biases a positive factor goes through unchanged, so no amplitude is compressed; a negative one does not.

    Factors are powers of two: these are exact in binary, so the two sides agree to the last bit.
    """
    without_biases(trial)
    x, factor = trial.inputs, trial.case.draws["factor"]
    yield equal(
        lambda: trial(replace(x, x=factor * x.x)),
        lambda: factor * trial(x),
        what=f"output for {factor:g}x against {factor:g} times that for x",
        cause=lambda gap: "the activation saturates, is clamped or is curved, or the network normalises its input",
    )
    large = replace(x, x=1 + x.x.abs())
    yield differs(
        lambda: trial(replace(large, x=-large.x)),
        lambda: -trial(large),
        what="output for −x and minus that for x",
        cause="the network is an odd function: it has no activation",
    )


@law(
    "feed_forward.slope_is_zero_or_one",
    formula="∂φ(w·x)/∂x = w where w·x > 0, and 0 where w·x < 0",
    claims=("Q25.2",),
    contracts=("feed_forward",),
    paths={"grad": ("on",)},
    sizes={"d_k": (4, 8)},
    draws={"size": one_of(1.0, 2.0**10, 2.0**-5), "first": one_of(0, 3)},
    applies=has_two_layers,
    **NORMAL,
)
def slope_is_zero_or_one(trial: Trial) -> Iterator[Comparison]:
    """A hidden unit hands its gradient on whole where its input is positive, however large, and not at all below 0.

    The gradient of one unit to its token is then its row of W₁, or 0: exactly, as nothing is added up.
    """
    w_1, x = without_biases(trial).w_1, trial.inputs
    x = replace(x, x=trial.case.draws["size"] * x.x)
    show_units(trial, first := trial.case.draws["first"])
    unit = torch.arange(x.x.shape[0] * x.x.shape[1], device=trial.device).view(x.x.shape[:2]) % w_1.shape[1]
    rows = w_1.detach()[first + unit]
    sums = (rows.double() * x.x.double()).sum(-1)
    slack = 8 * torch.finfo(x.x.dtype).eps * (rows.double() * x.x.double()).abs().sum(-1)
    due = torch.where((sums > 0)[..., None], rows, 0.0)

    def gradient() -> Tensor:
        content = x.x.clone().requires_grad_()
        with torch.enable_grad():
            shown = trial.run(replace(x, x=content)).gather(-1, unit[..., None])
            return gradient_of(shown.sum(), [content])[0]

    yield equal(
        lambda: due,
        gradient,
        what="gradient of a hidden unit to its token",
        only=sums.abs() > slack,  # nearer to 0, rounding decides on which side the unit is
        cause=lambda gap: "the activation leaks below 0, or flattens above it",
    )


DEPTH = 16
"""Layers in the networks that are stacked out of one feed-forward layer."""


def stacked(trial: Trial, *, share_of_he: float) -> Iterator[tuple[Tensor, Tensor]]:
    """A network ``DEPTH`` deep, of square ReLU layers with fresh weights N(0, ``share_of_he`` · 2/d_model).

    Yields each layer's input and output, (1, 1, d_model) float64. Raises Undecidable where a layer gives nothing but 0.
    """
    width = without_biases(trial).w_1.shape[1]
    spread = math.sqrt(share_of_he * 2 / width)
    show_units(trial, 0)
    x = trial.inputs
    for t in range(DEPTH):
        weights = torch.zeros_like(two_layers(trial).w_1)
        weights[:width] = spread * trial.numbers(f"layer {t}", width, width)
        write(trial, w_1=weights)
        output = trial(x)
        if not bool((output != 0).any()):
            raise Undecidable("a layer has no unit above 0")
        yield x.x.double(), output.double()
        x = replace(x, x=output)


STACK = {
    "sizes": {"batch": (1,), "length": (1,), "n_heads": (1,), "d_k": (128, 160), "n_layers": (1,)},
    "paths": {"mode": ("eval",), "grad": ("off",)},
}


@law(
    "feed_forward.scale_over_depth",
    formula="W ~ N(0, ω²) ⇒ E‖φ(Wx)‖² = (nω²/2)‖x‖², which is ‖x‖² for He's ω² = 2/n",
    claims=("Q25.5",),
    contracts=("feed_forward",),
    draws={"share_of_he": one_of(1.0, 0.5, 2.0)},
    applies=has_two_layers,
    **STACK,
    **NORMAL,
)
def scale_over_depth(trial: Trial) -> Iterator[Comparison]:
    """What happens to an amplitude over depth is set by the first weights: each layer multiplies its square by nω²/2.

    Given its input, a layer's output over ω‖x‖ has n entries max(0, z), z standard normal and independent; over all
    layers their squares add up to one statistic, whose tails are bounded after Chernoff
    (statistics.rectified_square_tails). False alarm at most 1e-12 an example, so 1e-9 for a thousand; a factor that is
    off by 2 in either direction is missed with probability below 1e-8.
    """
    share, width = trial.case.draws["share_of_he"], trial.config.d_model
    factor = relu_layer_factor(width, share * 2 / width)
    grown = [float(after.square().sum() / before.square().sum()) for before, after in stacked(trial, share_of_he=share)]
    n = width * len(grown)
    statistic = sum(ratio / factor for ratio in grown) * width / 2  # mean n/2
    yield likely(
        two_sided(rectified_square_tails(statistic, n)),
        false_alarm=FALSE_ALARM,
        what=f"growth of the squared length, a layer: {statistic / n * 2 * factor:.4g} where {factor:.4g} is due",
        cause="the hidden layer is normalised or scaled, or the activation is no ReLU",
    )


@law(
    "feed_forward.dead_unit_stays",
    formula="w·xᵢ + b < 0 for all i ⇒ ∂L/∂(w, b) = 0 ⇒ w, b, v stay under plain SGD",
    claims=("Q25.4",),
    contracts=("feed_forward",),
    paths={"grad": ("on",)},
    draws={"unit": one_of(0, 7, 15)},
    applies=has_two_layers,
    gains=(1.0, 0.5),
)
def dead_unit_stays(trial: Trial) -> Iterator[Comparison]:
    """A unit that is negative on all of the data is left as it is by plain gradient descent; other units are not.

    It gets three steps of SGD on fixed inputs, towards random losses: its weights and its bias, and those that read
    it, keep every bit, and its output stays 0.
    """
    unit, x = trial.case.draws["unit"], replace(trial.inputs, x=1 + trial.inputs.x.abs())
    put_to_death(trial, unit)
    before = _copy(two_layers(trial))
    descend(trial, x, steps=3)
    after = _copy(two_layers(trial))
    cause = "something gets through below 0: a leak, a curved or stochastic activation, or a gradient of its own"

    def of_unit(layers: TwoLayers) -> Tensor:
        parts = [layers.w_1[unit], layers.w_2[:, unit]]
        return torch.cat(parts if layers.b_1 is None else [*parts, layers.b_1[unit : unit + 1]])

    yield equal(
        lambda: of_unit(after),
        lambda: of_unit(before),
        what="weights of the dead unit after three steps",
        axes=("weight",),
        cause=lambda gap: cause,
    )
    others = [i for i in range(before.w_1.shape[0]) if i != unit]
    yield decided(
        not torch.equal(after.w_2[:, others], before.w_2[:, others]),
        measured=float((after.w_2 - before.w_2)[:, others].abs().max()),
        allowed=0.0,
        what="movement of the weights that read the other units, and some is due",
        cause="nothing is learned at all: the parameters get no gradient",
    )
    yield zero(
        lambda: hidden_layer(trial, x)[..., unit],
        what="output of the dead unit",
        axes=("row", "position"),
        cause=lambda gap: cause,
    )


def put_to_death(trial: Trial, unit: int) -> None:
    """Make every weight of a hidden unit −1 or less, and its bias negative: it is dead on inputs of 1 and more."""
    layers = two_layers(trial)
    w_1 = layers.w_1.detach().clone()
    w_1[unit] = -1 - w_1[unit].abs()
    write(trial, w_1=w_1)
    if layers.b_1 is not None:
        b_1 = layers.b_1.detach().clone()
        b_1[unit] = -b_1[unit].abs()
        write(trial, b_1=b_1)


def descend(trial: Trial, x: Inputs, *, steps: int) -> None:
    """Plain SGD on the subject's own parameters, each step against a new random combination of the outputs."""
    optimiser = torch.optim.SGD([p for p in trial.built.parameters() if p.requires_grad], lr=0.125)
    for t in range(steps):
        with torch.enable_grad():
            output = trial.run(x)
            loss = (output * trial.numbers(f"loss {t}", *output.shape)).sum(-1).mean()
        optimiser.zero_grad()
        guarded(loss.backward)
        optimiser.step()


def _copy(layers: TwoLayers) -> TwoLayers:
    copies = (None if t is None else t.detach().clone() for t in (layers.w_1, layers.w_2, layers.b_1, layers.b_2))
    return TwoLayers(*copies)  # type: ignore[arg-type]
