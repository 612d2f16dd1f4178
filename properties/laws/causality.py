"""Causality: nothing comes back from the future, and everything comes through from the past."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..case import position
from ..comparison import GENTLE, Comparison, differs, nonzero, same, zero
from ..contracts import Inputs, Unsupported
from ..law import law
from ..paths import impossible
from ..trial import Trial
from .padding import differentiable, embedded, influence

DECODERS = ("attention", "self_attention", "encoder", "causal_lm", "seq2seq")
CAUSAL = {"causal": ("flag", "mask", "always"), "over": ("x",)}


def _until(x: Inputs, t: int) -> Tensor:
    """Boolean (batch, length): positions before ``t``."""
    batch, length = x.x.shape[:2]
    return (torch.arange(length, device=x.x.device) < t).expand(batch, -1)


def _which_future(trial: Trial) -> str:
    """Which later tokens an earlier output sees, on a case that is long enough to tell."""
    sizes = [n for n in trial.subject.drawn_sizes.length if n <= 6]
    length = max(sizes, default=2)
    real = ("1" * length,) * trial.case.batch if trial.case.real else ()
    probe = trial.like(case=replace(trial.case, length=length, real=real))
    x, offsets = probe.inputs, set()
    for j in range(1, length):
        one = x.x.clone()
        one[:, j] = probe.other_content("probe", one[:, j])
        moved = (probe(probe.with_content(x, one)) - probe(x)).abs().amax(dim=(0, 2))[:j]
        offsets |= {j - int(i) for i in moved.nonzero().flatten()}
    if offsets == {1} and length > 2:
        return "only the next token is seen: the causal diagonal is off by one (tril(1) for tril(0), < for ≤)"
    return "later tokens are seen: the causal mask is missing, transposed or overwritten on this path"


@law(
    "causality.no_future_influence",
    formula="f(x)ᵢ = f(x′)ᵢ if xⱼ = x′ⱼ for all j ≤ i",
    claims=("Q27.1",),
    contracts=DECODERS,
    paths=CAUSAL,
    at_least={"length": 2},
    draws={"cut": position(first=1)},
    twin="causality.past_influences",
)
def no_future_influence(trial: Trial) -> Iterator[Comparison]:
    """Whatever replaces the tokens from some position on, however large, no output before it moves."""
    x, t = trial.inputs, trial.case.draws["cut"]
    later = trial.other_content("future", x.x)
    other = trial.with_content(x, torch.cat([x.x[:, :t], later[:, t:]], dim=1))
    yield same(
        lambda: trial(other),
        lambda: trial(x),
        only=_until(x, t) & trial.comparable(x),
        cause=lambda gap: _which_future(trial),
    )


@law(
    "causality.no_future_gradient",
    formula="∂f(x)ᵢ/∂xⱼ = 0 for j > i",
    claims=("Q27.1",),
    contracts=DECODERS,
    paths={**CAUSAL, "grad": ("on",)},
    at_least={"length": 2},
    draws={"cut": position(first=1)},
    applies=differentiable,
    twin="causality.past_influences",
)
def no_future_gradient(trial: Trial) -> Iterator[Comparison]:
    """The gradient of an output to every later token is exactly zero."""
    x, t = embedded(trial), trial.case.draws["cut"]
    before = _until(x, t)
    yield zero(
        lambda: trial.gradients(x, outputs=before & trial.comparable(x)),
        what=f"gradient of the outputs before position {t} to the later tokens",
        only=~before,
        cause=lambda gap: "a later key keeps some weight, or a later token enters by another road (pooling, a norm)",
    )


@law(
    "causality.past_influences",
    formula="∂f(x)ᵢ/∂xⱼ ≠ 0 for j ≤ i",
    claims=("Q27.1",),
    contracts=DECODERS,
    paths=CAUSAL,
    at_least={"length": 2},
    contents=("normal",),
    gains=GENTLE,
    draws={"at": position()},
    twin="causality.no_future_influence",
)
def past_influences(trial: Trial) -> Iterator[Comparison]:
    """Every real token up to and including its own position influences an output."""
    x, i = trial.inputs, trial.case.draws["at"]
    cause = "earlier tokens are masked too (a strict or transposed causal mask), or attention adds nothing"
    here = torch.zeros_like(trial.comparable(x))
    here[:, i] = trial.comparable(x)[:, i]
    seen = _until(x, i + 1) & trial.real(x) & here.any(1, keepdim=True)
    yield nonzero(
        lambda: influence(trial, x, here),
        what=f"influence on the output at position {i}",
        only=seen,
        axes=("row", "of the token at position"),
        cause=cause,
    )


@law(
    "causality.prefix_consistency",
    formula="f(x₁…x_t) = f(x)₁…f(x)_t",
    claims=("Q09.1", "Q27.1"),
    contracts=DECODERS,
    paths=CAUSAL,
    at_least={"length": 2},
    draws={"cut": position(first=1)},
    twin="causality.past_influences",
)
def prefix_consistency(trial: Trial) -> Iterator[Comparison]:
    """The outputs of a prefix do not depend on whether anything follows it."""
    x, t = trial.inputs, trial.case.draws["cut"]
    prefix = x.along("x", slice(0, t))
    yield same(
        lambda: trial(x)[:, :t],
        lambda: trial(prefix),
        only=trial.comparable(prefix),
        cause=lambda gap: "an earlier output depends on the length: no causal mask, or one aligned to the wrong corner",
    )


SWITCHED = {"causal": ("flag", "mask"), "over": ("x",), "padding": ("absent", "all-true")}


def unmasked(trial: Trial) -> Trial:
    """The same module with the same parameters, without its causal mask. Raises Unsupported where it is not offered."""
    path = {**trial.path, "causal": "off"}
    if why := impossible(trial.subject, path) or trial.subject.refuses(path, str(trial.device)):
        raise Unsupported(f"without a causal mask, {why}")
    return trial.like(path=path)


@law(
    "causality.one_layer_spares_the_last",
    formula="one layer: f_causal(x)_n = f(x)_n",
    claims=("Q09.1",),
    contracts=("attention", "self_attention", "encoder"),
    paths=SWITCHED,
    sizes={"n_layers": (1,)},
    twin="causality.deeper_layers_do_not",
)
def one_layer_spares_the_last(trial: Trial) -> Iterator[Comparison]:
    """In one layer the last position gets the same output with a causal mask and without: nothing comes after it."""
    x = trial.inputs
    yield same(
        lambda: trial(x)[:, -1:],
        lambda: unmasked(trial)(x)[:, -1:],
        what="output of the last position, masked against unmasked",
        cause=lambda gap: (
            "the mask hides the token itself or tokens before it: strict, transposed, or a window as well"
        ),
    )


@law(
    "causality.deeper_layers_do_not",
    formula="two layers or more: f_causal(x)_n ≠ f(x)_n",
    claims=("Q09.1",),
    contracts=("encoder",),
    paths=SWITCHED,
    sizes={"n_layers": (2, 3)},
    at_least={"length": 2},
    contents=("normal",),
    gains=GENTLE,
    dtypes=("float64", "float32"),
    twin="causality.one_layer_spares_the_last",
)
def deeper_layers_do_not(trial: Trial) -> Iterator[Comparison]:
    """From two layers on the last position too depends on the mask: what it attends to has seen the future without."""
    x = trial.inputs
    yield differs(
        lambda: trial(x)[:, -1],
        lambda: unmasked(trial)(x)[:, -1],
        what="output of the last position with a causal mask and without",
        cause="the mask is not there, is always there, or reaches the last layer alone",
    )
