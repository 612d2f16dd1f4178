"""Consistency: what any function owes its caller, whatever it computes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatch
from itertools import permutations

import torch
from torch import Tensor

from ..comparison import GENTLE, Comparison, equal, nonzero, same, within
from ..contracts import CONTRACTS, Inputs, Path, explicit_mask, kernel_arguments, merge_heads
from ..law import law
from ..oracle import attention as oracle_attention
from ..subjects import Subject
from ..tolerance import FLOOR, attention_allowance, unit_roundoff
from ..trial import Trial
from .softmax import is_dot_product

EVERY = tuple(name for name, contract in CONTRACTS.items() if contract.takes_inputs)
REPEATS = 6
MODULES = tuple(name for name, contract in CONTRACTS.items() if not contract.is_function)


def _sees_the_batch(subject: Subject, path: Path) -> str | None:
    in_training = subject.kind.mode_matters and path["mode"] == "train"
    return "in training its statistics are those of the batch: batchnorm.neighbours says how" if in_training else None


@law(
    "consistency.batch_invariance",
    formula="f(x)_r = f(x_r) for every row r",
    claims=("Q10.1", "Q08.1", "Q23.1"),
    contracts=EVERY,
    at_least={"batch": 2},
    applies=_sees_the_batch,
)
def batch_invariance(trial: Trial) -> Iterator[Comparison]:
    """A row of a batch does not depend on its neighbours: it gives what it gives alone."""
    x = trial.inputs
    for row in range(trial.case.batch):
        alone = x.rows(slice(row, row + 1))
        yield same(
            lambda row=row: trial(x)[row : row + 1],
            lambda alone=alone: trial(alone),
            what=f"output of row {row}",
            only=trial.comparable(alone),
            cause=lambda gap: (
                "rows are mixed: statistics over the batch, a view that folds batch into heads, a shared mask"
            ),
        )


@law("consistency.determinism", formula="f(x) = f(x)", contracts=EVERY)
def determinism(trial: Trial) -> Iterator[Comparison]:
    """The same call, time after time, gives the same output to the last bit (with dropout 0 in training mode)."""
    x = trial.inputs
    first = trial(x)
    for _ in range(REPEATS):
        yield equal(
            lambda: trial(x),
            lambda: first,
            only=trial.comparable(x),
            cause=lambda gap: "something is drawn at random in the forward pass, or a call changes what the next reads",
        )


def _longer(trial: Trial) -> Inputs:
    """Inputs two tokens longer, of one row where there are more."""
    x = trial.inputs
    more = trial.other_content("longer", x.x[:, :1].repeat_interleave(2, dim=1))
    grown = replace(x.along("x", [*range(x.x.shape[1]), 0, 0]), x=torch.cat([x.x, more], dim=1))
    return grown.rows(slice(0, 1)) if trial.case.batch > 1 else grown


def _shifted(trial: Trial) -> Inputs | None:
    """The same tokens at positions that begin at 2, where the subject takes position ids."""
    keyword = trial.subject.kind.position_feature("x")
    if keyword not in trial.subject.accepted:
        return None
    batch, length = trial.inputs.x.shape[:2]
    return replace(trial.inputs, x_positions=torch.arange(2, 2 + length, device=trial.device).expand(batch, -1))


@law(
    "consistency.statelessness",
    formula="f(y); f(x) = f(x)",
    contracts=EVERY,
)
def statelessness(trial: Trial) -> Iterator[Comparison]:
    """A call, at another length, batch or offset, does not change what the next call gives."""
    calls = {"plain": trial.inputs, "longer": _longer(trial), "shifted": _shifted(trial)}
    given = {name: x for name, x in calls.items() if x is not None}
    fresh = {name: trial.like()(x) for name, x in given.items()}
    for first, then in permutations(given, 2):
        if "plain" not in (first, then):
            continue
        used = trial.like()
        used(given[first])
        yield equal(
            lambda used=used, then=then: used(given[then]),
            lambda then=then: fresh[then],
            what=f"output of the {then} call after a {first} one",
            only=trial.comparable(given[then]),
            cause=lambda gap: "a table, mask or bias is cached under too small a key: its length or offset is missing",
        )


@law("consistency.inputs_unmodified", formula="x after f(x) = x", contracts=EVERY)
def inputs_unmodified(trial: Trial) -> Iterator[Comparison]:
    """A call leaves every tensor that it is given as it was."""
    x = trial.inputs
    before = x.map(torch.clone)
    with torch.set_grad_enabled(trial.path["grad"] == "on"):
        trial.run(x)
    for name, tensor in vars(x).items():
        if tensor is not None:
            yield equal(
                lambda tensor=tensor: tensor,
                lambda name=name: getattr(before, name),
                what=f"the argument {name}",
                cause=lambda gap: "an in-place operation (+=, masked_fill_, mul_) works on the caller's tensor",
            )


@law("consistency.noncontiguous_inputs", formula="f(strided(x)) = f(x)", contracts=EVERY)
def noncontiguous_inputs(trial: Trial) -> Iterator[Comparison]:
    """How a tensor lies in memory does not matter."""
    x = trial.inputs
    yield same(
        lambda: trial(x.map(_strided)),
        lambda: trial(x),
        only=trial.comparable(x),
        cause=lambda gap: (
            "memory is read as if it were contiguous: view, as_strided, data_ptr or a reshape of the wrong axes"
        ),
    )


def _strided(t: Tensor) -> Tensor:
    """Equal values on a stride of two along the last axis and with the first two axes swapped in memory."""
    spaced = torch.stack([t, torch.zeros_like(t)], dim=-1).flatten(-2)
    return spaced.transpose(0, 1).contiguous().transpose(0, 1)[..., ::2]


def _has_parameters(subject: Subject, path: Path) -> str | None:
    return None if subject.has_parameters else "it has no trainable parameters"


@law(
    "consistency.parameters_matter",
    formula="∇_θ f(x) ≠ 0 for every trainable θ",
    contracts=MODULES,
    paths={"grad": ("on",), "padding": ("absent", "all-true")},
    at_least={"batch": 2, "length": 4, "memory_length": 4},
    contents=("normal",),
    gains=GENTLE,
    applies=_has_parameters,
    dtypes=("float64", "float32"),
    twin="padding.parameter_gradients",
)
def parameters_matter(trial: Trial) -> Iterator[Comparison]:
    """Every trainable parameter influences the output."""
    x = trial.inputs
    everywhere = trial.comparable(x)
    gradients = {n: float(g.abs().max()) for n, g in trial.parameter_gradients(x, outputs=everywhere).items()}
    noise = unit_roundoff(trial.torch_dtype) * FLOOR * max(gradients.values(), default=0.0)
    for name, size in gradients.items():
        if any(fnmatch(name, pattern) for pattern in trial.subject.inert):
            continue
        yield nonzero(
            lambda size=size: torch.tensor(size if size > noise else 0.0),
            only=torch.tensor(True),
            what=f"gradient of parameter {name}",
            cause="it is never used, or where it cannot matter, as a bias on the keys (softmax ignores a constant): "
            f"say so with inert={{{name!r}: reason}}",
        )


def _is_plain(subject: Subject, path: Path) -> str | None:
    return "it has one path only" if plainest(subject, path) == dict(path) else None


@law(
    "consistency.paths_agree",
    formula="f on this path = f on the plain path",
    contracts=EVERY,
    paths={"padding": ("absent", "all-true", "right", "left", "scattered")},
    applies=_is_plain,
)
def paths_agree(trial: Trial) -> Iterator[Comparison]:
    """Every way through the code computes the same function as the plainest one."""
    plain = plainest(trial.subject, trial.path)
    x, other = trial.inputs, trial.like(path=plain)
    yield same(
        lambda: trial(x),
        lambda: other(other.inputs),
        what="output on this path",
        only=trial.comparable(x),
        cause=lambda gap: "this path (" + _told(trial.path, plain) + ") computes something else than the plain one",
    )


def plainest(subject: Subject, path: Path) -> dict[str, str]:
    """The plainest path of the same function: gradients on, eval, no weights, the explicit mask, the first backend."""
    plain = {"weights": "no", "mode": "eval", "grad": "on"}
    if subject.kind.mode_matters:
        plain["mode"] = path["mode"]
    if path["padding"] == "all-true":
        plain["padding"] = "absent"
    if path["causal"] == "flag" and "mask" in subject.accepted:
        plain["causal"] = "mask"
    return {**path, **plain, **{name: values[0] for name, values in subject.paths.items()}}


def _told(path: Path, plain: Path) -> str:
    return ", ".join(f"{axis}={value}" for axis, value in path.items() if plain.get(axis) != value)


@law(
    "consistency.agreement_with_oracle",
    formula="f(Q, K, V) = softmax(QKᵀ/√d_k)V",
    claims=("Q06.2", "Q17.1"),
    contracts=("attention",),
    applies=is_dot_product,
)
def agreement_with_oracle(trial: Trial) -> Iterator[Comparison]:
    """The kernel agrees with the paper's formula in float64, within the rounding bound derived for its dtype."""
    x = trial.inputs
    query, key, value = (t.double() for t in kernel_arguments(x, trial.config))
    key, value = (t.repeat_interleave(trial.case.groups, dim=1) for t in (key, value))
    mask = explicit_mask(x, trial.path)
    scale = trial.config.d_k**-0.5
    keyed = torch.ones(1, dtype=torch.bool, device=trial.device) if mask is None else mask.any(-1).any(1)

    def allowed() -> Tensor:
        return attention_allowance(query, key, value, mask=mask, scale=scale, dtype=trial.torch_dtype)

    yield within(
        lambda: trial(x).double(),
        lambda: merge_heads(oracle_attention(query, key, value, mask=mask, scale=scale)),
        lambda: merge_heads(allowed()),
        only=trial.comparable(x) & keyed,
        cause=lambda gap: "the scale is not 1/√d_k, the softmax runs over another axis, or the mask is not applied",
    )
