"""Dropout: what it makes of a unit, where it stands in a model, and that it is gone in evaluation.

What is dropped is chance, and what chance there is belongs to the case: the generator starts from the case's seed.
Where dropout stands is told without chance: by counting the masks that are drawn, or by choosing what is in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..case import one_of
from ..comparison import GENTLE, Comparison, counts, differs, equal, likely, same, within
from ..contracts import Inputs, Path
from ..dropping import Mask, Masks
from ..formulas import dropout_mean, dropout_variance
from ..law import law
from ..statistics import binomial_tails, two_sided
from ..subjects import Subject
from ..tolerance import unit_roundoff
from ..trial import Trial
from .scaling import FALSE_ALARM

MODELS = ("encoder", "causal_lm", "seq2seq")


def drops_at(*places: str) -> Callable[[Subject, Path], str | None]:
    """Why a law on dropout at ``places`` says nothing of a subject; None if it does."""

    def applies(subject: Subject, path: Path) -> str | None:
        if subject.kind.name != "dropout" and not subject.drops:
            return "it does not declare where it drops units (drops=)"
        lacking = [place for place in places if place not in subject.drops]
        return f"it drops nothing at the place called {lacking[0]!r}" if lacking else None

    return applies


@contextmanager
def seeded(trial: Trial) -> Iterator[None]:
    """The generator that dropout draws from, started from the case's seed, and put back afterwards."""
    accelerated = trial.device.type == "cuda"
    seed = int(trial.case.rng("dropout").integers(2**31))
    with torch.random.fork_rng(devices=[trial.device] if accelerated else []):
        torch.default_generator.manual_seed(seed)
        if accelerated:
            torch.cuda.manual_seed(seed)
        yield


def _built(trial: Trial) -> Trial:
    """The trial at the rates that the law drew, built: parameters are drawn at random as well, and are no masks."""
    dropping = trial.like(**_rates(trial))
    _ = dropping.built
    return dropping


def _rates(trial: Trial) -> dict[str, Any]:
    """The rates that the law drew, by the field of the Config that holds them."""
    return {name: trial.case.draws[name] for name in ("dropout", "attention_dropout") if name in trial.case.draws}


@law(
    "dropout.identity_in_evaluation",
    formula="f_p(x) = f_0(x) in evaluation, to the last bit, after training as well",
    claims=("Q30.2",),
    contracts=(*MODELS, "dropout"),
    paths={"mode": ("eval",)},
    draws={"dropout": one_of(0.5, 0.1), "attention_dropout": one_of(0.25, 0.0)},
    applies=drops_at(),
)
def identity_in_evaluation(trial: Trial) -> Iterator[Comparison]:
    """In evaluation dropout does nothing: the output is to the last bit that of the same weights without dropout."""
    x, dropping = trial.inputs, _built(trial)

    def after_training() -> Tensor:
        used = _built(trial)
        used.built.train()
        with seeded(trial):
            used(x)
        used.built.eval()
        return used(x)

    cause = "units are dropped whatever the mode, or are multiplied by 1 − p here and divided by it in training"
    for what, call in (("output", lambda: dropping(x)), ("output after a call in training", after_training)):
        yield equal(
            call, lambda: trial(x), what=f"{what}, in evaluation", only=trial.comparable(x), cause=lambda gap: cause
        )


@dataclass(frozen=True)
class _Place:
    """A place that is declared: the shape and the rate of its masks, and how many there are."""

    name: str
    shape: tuple[int, ...]
    rate: float | None
    many: int


def _due(trial: Trial, rates: dict[str, float]) -> list[_Place]:
    """What masks are due, by what the subject declares: the rates are those of the fields of its Config."""
    case, config, drops = trial.case, trial.config, trial.subject.drops
    both = trial.subject.contract == "seq2seq"
    lengths = {2: case.memory_length, 3: case.length} if both else {2: case.length}  # by sub-layers a layer
    places = []
    for sublayers, length in lengths.items():
        units = (case.batch, length, config.d_model)
        scores = (case.batch, config.n_heads, length)
        places += [("embedding", units, 1), ("sublayer", units, sublayers * config.n_layers)]
        places += [("attention", (*scores, length), config.n_layers)]
        places += [("attention", (*scores, case.memory_length), config.n_layers)] if sublayers == 3 else []
        places += [("hidden", (case.batch, length, config.d_ff), config.n_layers)]
    due = [_Place(name, shape, rates[drops[name]], many) for name, shape, many in places if name in drops]
    return [place for place in due if place.rate != 0]


@law(
    "dropout.places",
    formula="masks drawn = 1 a stack on x + PE, 1 a sub-layer on f(x), 1 an attention on A where configured; no other",
    claims=("Q30.2",),
    contracts=MODELS,
    paths={"mode": ("train",)},
    draws={"dropout": one_of(0.5, 0.25), "attention_dropout": one_of(0.125, 0.0)},
    applies=drops_at(),
)
def places(trial: Trial) -> Iterator[Comparison]:
    """In training a mask is drawn at each declared place, with an entry for every unit there, and nowhere else.

    The paper's places are the sum of embedding and position, once a stack, and the output of each sub-layer. Others
    (attention weights, the inside of the feed-forward network) are held to what the subject declares.
    """
    rates = {"dropout": 0.0, "attention_dropout": 0.0, **_rates(trial)}
    dropping, x = _built(trial), trial.inputs
    with seeded(trial), Masks() as masks:
        dropping(x)
    drawn, due = [mask for mask in masks.drawn if mask.rate != 0], _due(trial, rates)
    if any(mask.rate is None for mask in drawn):
        trial.notes.add("the rates of its masks cannot be told, only how many there are")
        drawn, due = [replace(mask, rate=None) for mask in drawn], [replace(place, rate=None) for place in due]
    for alike in _told_apart(due):
        shape, rate, many = alike[0].shape, alike[0].rate, sum(place.many for place in alike)
        here = [mask for mask in drawn if mask.rate == rate and mask.covers(*shape)]
        drawn = [mask for mask in drawn if mask not in here]
        names = " and ".join(sorted({place.name for place in alike}))
        yield counts(
            len(here),
            many,
            what=f"masks of shape {shape}{'' if rate is None else f' at rate {rate}'}, for {names}",
            cause=partial(_miscounted, trial, len(here) - many, drawn),
        )
    yield counts(
        len(drawn),
        0,
        what="masks at no declared place",
        cause=lambda: f"something else is dropped, the first by {_told(drawn[0])}; declare the place, if it is meant",
    )


def _told_apart(due: list[_Place]) -> list[list[_Place]]:
    """The places, those together whose masks are of one rate and of shapes that cannot be told apart."""
    groups: list[list[_Place]] = []
    for place in due:
        known = (g for g in groups if g[0].rate == place.rate and Mask(g[0].shape, None, "").covers(*place.shape))
        group = next(known, None)
        if group is None:
            groups.append([place])
        else:
            group.append(place)
    return groups


def _told(mask: Mask) -> str:
    return f"{mask.operator} of shape {mask.shape}" + ("" if mask.rate is None else f" at rate {mask.rate:g}")


def _miscounted(trial: Trial, extra: int, others: list[Mask]) -> str:
    """What explains ``extra`` masks; ``others`` were drawn at no place."""
    if others:
        return f"its mask does not have an entry a unit, or is of another rate: there is {_told(others[0])}"
    if extra > 0:
        return "a place is dropped twice, or one that is not declared"
    if -extra < trial.config.n_layers:
        return "a place outside the layers is left out: the sum of embedding and position"
    return "a place is left out: the sum of embedding and position, or a sub-layer of each layer"


def _choosing(trial: Trial, choose: Callable[[int], bool]) -> Callable[[Inputs], Tensor]:
    """The trial in training, where ``choose(k)`` says whether the k-th mask over the tokens' units keeps them.

    Masks over other shapes keep everything. Counting begins at 0 in each call.
    """

    def call(inputs: Inputs) -> Tensor:
        seen = 0

        def choice(mask: Mask) -> bool:
            nonlocal seen
            if not mask.covers(*inputs.x.shape[:2], trial.config.d_model):
                return True
            seen += 1
            return choose(seen - 1)

        with Masks(choice):
            return trial(inputs)

    return call


ONE_STACK = {
    "claims": ("Q30.2",),
    "contracts": ("encoder", "causal_lm"),
    "paths": {"mode": ("train",), "padding": ("absent",)},
    "at_least": {"length": 2},
    "contents": ("normal",),
    "gains": GENTLE,
    "draws": {"dropout": one_of(0.5)},
    "dtypes": ("float64", "float32"),
}
"""In 16 bits two outputs that must differ may agree up to rounding."""


@law(
    "dropout.leaves_the_residual_path",
    formula="m = 0 on every f(x) ⇒ yᵢ = g(xᵢ), g not constant, ∂y/∂W = 0 for the matrices of a layer",
    applies=drops_at("sublayer"),
    **ONE_STACK,
)
def leaves_the_residual_path(trial: Trial) -> Iterator[Comparison]:
    """Dropout acts on what a sub-layer adds: where all of that is dropped, the path around it still carries the token.

    The output then depends on its own token, on no other, and on no matrix of a layer.
    """
    first = 1 if "embedding" in trial.subject.drops else 0
    dropping = _built(trial)
    bypassed = _choosing(dropping, lambda k: k < first)
    x = trial.inputs
    moved = trial.content(x).clone()
    moved[:, 0] = trial.other_content("other", moved[:, 0])
    other = trial.with_content(x, moved)
    yield same(
        lambda: bypassed(other)[:, 1:],
        lambda: bypassed(x)[:, 1:],
        what="output of other tokens than the one that is changed",
        cause=lambda gap: "a sub-layer's output reaches the next layer undropped, or in part",
    )
    yield differs(
        lambda: bypassed(other)[:, :1],
        lambda: bypassed(x)[:, :1],
        what="output of the token that is changed",
        cause="the sum is dropped, and not what the sub-layer adds to it: the path around it is cut",
    )
    used = [_matrices_used(_built(trial.like(case=replace(trial.case, n_layers=n))), first) for n in (1, 2)]
    yield counts(
        used[1],
        used[0],
        what="matrices that two layers use whose output is dropped, against those that one uses",
        cause=lambda: "what enters a sub-layer is dropped, and what leaves it is not: its biases come through",
    )


def _matrices_used(trial: Trial, first: int) -> int:
    """How many matrices reach the output where the outputs of all sub-layers are dropped."""
    seen: list[Mask] = []

    def choice(mask: Mask) -> bool:
        tokenwise = mask.covers(*trial.inputs.x.shape[:2], trial.config.d_model)
        seen.extend([mask] if tokenwise else [])
        return not tokenwise or len(seen) <= first

    with Masks(choice):
        gradients = trial.parameter_gradients(trial.inputs, outputs=trial.comparable(trial.inputs))
    return sum(bool((gradient != 0).any()) for gradient in gradients.values() if gradient.dim() > 1)


def _absolute(subject: Subject, path: Path) -> str | None:
    kind = subject.positions_on(path)
    if kind not in ("none", "sinusoidal", "learned"):
        return f"its positions, called {kind!r}, enter in every layer and not with the embedding alone"
    return drops_at("embedding")(subject, path)


@law(
    "dropout.takes_embedding_and_position",
    formula="m = 0 on x + PE ⇒ yᵢ = c for every i and x",
    applies=_absolute,
    **ONE_STACK,
)
def takes_embedding_and_position(trial: Trial) -> Iterator[Comparison]:
    """Dropout acts on the sum of embedding and position: where all of it is dropped, all outputs are one and the same.

    Where none of it is dropped they differ.
    """
    dropping, x = _built(trial), trial.inputs
    nothing, everything = _choosing(dropping, lambda k: k > 0), _choosing(dropping, lambda k: True)
    other = trial.with_content(x, trial.other_content("other", trial.content(x)))
    yield same(
        lambda: nothing(other),
        lambda: nothing(x),
        what="output for other tokens, with all of the embedding dropped",
        cause=lambda gap: "the embedding is not dropped, or goes round its dropout",
    )
    yield same(
        lambda: nothing(x).roll(1, dims=1),
        lambda: nothing(x),
        what="output of one position and the next, with all of the embedding dropped",
        cause=lambda gap: "positions are added after dropout, or round it",
    )
    yield differs(
        lambda: everything(other),
        lambda: everything(x),
        what="outputs for two sequences, with nothing dropped",
        cause="dropout leaves nothing, whatever it draws",
    )


BARE = {
    "claims": ("Q30.2",),
    "contracts": ("dropout",),
    "paths": {"mode": ("train",)},
    "sizes": {"batch": (64,), "length": (16,), "n_heads": (1,), "d_k": (8,), "n_layers": (1,)},
    "draws": {"dropout": one_of(0.5, 0.75, 0.25, 0.1, 0.9)},
}
"""Units enough for the tests: 8192. Kept ones are multiplied exactly at the first two rates, which powers of 2 undo."""


def _units(trial: Trial) -> Tensor:
    """The case's units, none of them near 0: a unit that is 0 may be dropped or not."""
    x = trial.inputs.x
    return torch.where(x.abs() < 0.1, 1.0, x)


def _outcome(trial: Trial, times: int = 1) -> tuple[Tensor, list[Tensor]]:
    """The units, and what dropout makes of them in ``times`` calls, one after another."""
    x, dropping = _units(trial), _built(trial)
    with seeded(trial):
        return x, [dropping(Inputs(x)) for _ in range(times)]


@law("dropout.kept_are_rescaled", formula="yᵢ ∈ {0, xᵢ/(1 − p)}: (1 − p) v = E[y] = x, p(1 − p) v² = Var(y)", **BARE)
def kept_are_rescaled(trial: Trial) -> Iterator[Comparison]:
    """A unit is dropped, or divided by 1 − p; so its mean is x and its variance x² p/(1 − p), as is proved.

    A number that is v with probability 1 − p and else 0 has the mean (1 − p) v and the variance p(1 − p) v².
    """
    p = trial.case.draws["dropout"]
    x, (y,) = _outcome(trial)
    kept = y != 0
    wide, v = x[kept].double(), y[kept].double()
    rounded = 4 * unit_roundoff(trial.torch_dtype)  # 1 − p, its inverse, and the product
    cause = "kept units are not divided by 1 − p, or by something else, or something is added to them"
    yield within(
        lambda: (1 - p) * v,
        lambda: dropout_mean(wide),
        lambda: rounded * wide.abs(),
        what="mean of a unit, by the value that it has where it is kept",
        cause=lambda gap: cause,
    )
    yield within(
        lambda: p * (1 - p) * v.square(),
        lambda: dropout_variance(wide, p),
        lambda: 2.5 * rounded * dropout_variance(wide, p),
        what="variance of a unit, by the value that it has where it is kept",
        cause=lambda gap: cause,
    )


@law("dropout.rate", formula="#kept ~ Bin(N, 1 − p)", **BARE)
def rate(trial: Trial) -> Iterator[Comparison]:
    """Each unit is dropped with probability p, not 1 − p.

    Exact test: the number of kept ones among N = 8192 is binomial. False alarm 1e-12 an example, so 1e-9 for a
    thousand; a rate that is off by 0.08 is missed with probability below 1e-12.
    """
    p = trial.case.draws["dropout"]
    _, (y,) = _outcome(trial)
    kept, n = int((y != 0).sum()), y.numel()
    share = kept / n
    yield likely(
        two_sided(binomial_tails(kept, n, 1 - p)),
        false_alarm=FALSE_ALARM,
        what=f"share of units that are dropped: {1 - share:.4g} where {p:.4g} is due",
        cause="the rate is taken for the share that is kept"
        if abs(share - p) < 0.03
        else "units are dropped at another rate, or for other reasons than chance",
    )


@law("dropout.independent", formula="#{pairs that agree} ~ Bin(N/2, p² + (1 − p)²)", **BARE)
def independent(trial: Trial) -> Iterator[Comparison]:
    """Each unit has a coin of its own: in each row, at each position, in each feature, and in each call.

    Exact test: pairs of neighbours along an axis, no unit in two of them, agree with probability p² + (1 − p)², each by
    itself. False alarm 1e-12 a pairing, 4e-12 an example. Units that share one coin along an axis agree always, which
    is missed with probability below 1e-300.
    """
    p = trial.case.draws["dropout"]
    _, outcomes = _outcome(trial, times=2)
    first, second = (y != 0 for y in outcomes)
    pairings = {
        "rows of the batch": (first[0::2], first[1::2]),
        "positions": (first[:, 0::2], first[:, 1::2]),
        "features": (first[..., 0::2], first[..., 1::2]),
        "calls": (first, second),
    }
    for axis, (one, other) in pairings.items():
        agreeing, n = int((one == other).sum()), one.numel()
        due = p * p + (1 - p) * (1 - p)
        yield likely(
            two_sided(binomial_tails(agreeing, n, due)),
            false_alarm=FALSE_ALARM,
            what=f"share of neighbouring {axis} that are kept or dropped alike: {agreeing / n:.4g}, {due:.4g} is due",
            cause=f"{axis} share a mask" if agreeing == n else f"{axis} depend on one another, or the rate is another",
        )
