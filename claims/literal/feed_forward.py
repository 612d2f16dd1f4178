"""Sentences on the feed-forward network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from veriformer.properties.case import one_of
from veriformer.properties.comparison import Comparison, decided
from veriformer.properties.contracts import Inputs
from veriformer.properties.law import Law
from veriformer.properties.laws.feed_forward import (
    DEPTH,
    NORMAL,
    STACK,
    has_two_layers,
    stacked,
    two_layers,
    write,
)
from veriformer.properties.trial import Trial


def _amplitude_grows(trial: Trial) -> Iterator[Comparison]:
    """A network of ReLU layers is deeper by one and by one, and its last output is longer than its input."""
    layers = list(stacked(trial, share_of_he=trial.case.draws["share_of_he"]))
    first, last = float(layers[0][0].norm()), float(layers[-1][1].norm())
    yield decided(
        last > first,
        measured=last,
        allowed=first,
        what=f"length after {DEPTH} layers, which is due to be above that of the input",
    )


AMPLITUDE_GROWS = Law(
    name="literal.amplitude_grows",
    statement="ReLU does not compress amplitudes, so they grow from layer to layer.",
    formula="‖x_T‖ > ‖x₀‖",
    function=_amplitude_grows,
    contracts=("feed_forward",),
    claims=("Q25.5",),
    draws={"share_of_he": one_of(0.5, 1.0, 2.0)},
    applies=has_two_layers,
    **STACK,
    **NORMAL,
)

# By chance one case in 1e20 would not, at most: Markov's inequality for a power of the squared length, 128 units wide.
AMPLITUDE_GROWS_ABOVE_HE = replace(
    AMPLITUDE_GROWS,
    name="literal.amplitude_grows_above_he",
    statement="Where weights start with twice He's variance 2/n or more, and no norm stands between, amplitudes grow.",
    draws={"share_of_he": one_of(2.0, 4.0)},
)

UNIT = 0
"""The hidden unit that dies, and may wake; all others have weights of 0, and stay out of it unless they are told."""

STEPS = 12

Training = tuple[Tensor, torch.optim.Optimizer]
"""Tokens, the same at every step unless the optimiser moves them; and the optimiser."""


def _with_decay(trial: Trial, *, plain: bool) -> Training:
    """The unit is dead, with a positive bias. Weights decay and biases do not, as is usual."""
    layers = two_layers(trial)
    _set_unit(trial, UNIT, weight=-1.0, bias=0.5)
    others = [p for p in trial.built.parameters() if p is not layers.w_1]
    groups = [{"params": [layers.w_1], "weight_decay": 0.0 if plain else 1.0}, {"params": others}]
    return 1 + trial.inputs.x.abs(), torch.optim.SGD(groups, lr=0.5)


def _with_momentum(trial: Trial, *, plain: bool) -> Training:
    """The unit is alive on one of two tokens, 1 and −1.5 in the first feature. It dies there, and is carried on."""
    _set_unit(trial, UNIT, weight=0.05, bias=0.0)
    x = torch.zeros_like(trial.inputs.x)
    x[:, 0::2, 0], x[:, 1::2, 0] = 1.0, -1.5
    alive = x.shape[0] * len(x[0, 0::2])
    return x, torch.optim.SGD(trial.built.parameters(), lr=0.1 / alive, momentum=0.0 if plain else 0.9)


def _with_moving_inputs(trial: Trial, *, plain: bool) -> Training:
    """The unit is dead; another one is alive, and the tokens are parameters too, as those of an embedding are."""
    _set_unit(trial, UNIT, weight=-1.0, bias=0.0)
    _set_unit(trial, UNIT + 1, weight=16.0, bias=0.0)
    x = (1 + trial.inputs.x.abs()).requires_grad_(not plain)
    return x, torch.optim.SGD([*trial.built.parameters(), *([] if plain else [x])], lr=0.5)


def _set_unit(trial: Trial, unit: int, *, weight: float, bias: float) -> None:
    layers = two_layers(trial)
    w_1, b_1 = layers.w_1.detach().clone(), torch.zeros_like(layers.w_1[:, 0]).detach()
    if unit == UNIT:
        w_1.zero_()
        write(trial, w_2=torch.ones_like(layers.w_2), b_2=torch.zeros_like(layers.w_2[:, 0]))
    w_1[unit], b_1[unit] = weight, bias
    write(trial, w_1=w_1, b_1=b_1)


_WAYS = {"weight decay": _with_decay, "momentum": _with_momentum, "moving inputs": _with_moving_inputs}


def _dead_for_ever(trial: Trial) -> Iterator[Comparison]:
    """Once a hidden unit is negative on all of the data, it is never positive again. The loss is an output's sum."""
    x, optimiser = _WAYS[trial.case.draws["way"]](trial, plain=trial.case.draws["plain"])
    dead, woken = False, 0.0
    for _ in range(STEPS):
        layers = two_layers(trial)
        bias = 0.0 if layers.b_1 is None else layers.b_1[UNIT].detach()
        largest = float((x.detach() @ layers.w_1[UNIT].detach() + bias).max())
        woken = max(woken, largest) if dead else 0.0
        dead = dead or largest < 0
        optimiser.zero_grad()
        with torch.enable_grad():
            trial.run(Inputs(x))[..., 0].sum().backward()
        optimiser.step()
    yield decided(
        dead and woken <= 0,
        measured=woken,
        allowed=0.0,
        what="input of a unit that had been negative on all of the data",
    )


def _dead_for_ever_under(name: str, statement: str, ways: tuple[str, ...], *, plain: bool) -> Law:
    return Law(
        name=f"literal.{name}",
        statement=statement,
        formula="w·xᵢ + b < 0 for all i at one step ⇒ the same at every later step",
        function=_dead_for_ever,
        contracts=("feed_forward",),
        claims=("Q25.4",),
        paths={"mode": ("eval",), "grad": ("on",)},
        at_least={"length": 2},
        draws={"way": one_of(*ways), "plain": one_of(plain)},
        dtypes=("float64",),
        applies=has_two_layers,
    )


DEAD_DESPITE_DECAY, DEAD_DESPITE_MOMENTUM, DEAD_DESPITE_MOVING_INPUTS = (
    _dead_for_ever_under(
        f"dead_for_ever_despite_{way.replace(' ', '_')}",
        f"A ReLU that is negative on all of the data never recovers, with {way} as without.",
        (way,),
        plain=False,
    )
    for way in _WAYS
)

DEAD_UNDER_PLAIN_SGD = _dead_for_ever_under(
    "dead_for_ever_under_plain_sgd",
    "A ReLU that is negative on all of the data never recovers under plain SGD on inputs that stay as they are.",
    tuple(_WAYS),
    plain=True,
)
