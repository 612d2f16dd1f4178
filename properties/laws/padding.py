"""Padding: what is masked out takes no part, in values and in gradients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from ..comparison import GENTLE, Comparison, equal, finite, nonzero, same, zero
from ..contracts import Inputs, Path
from ..law import law
from ..subjects import Subject
from ..trial import Trial

SEQUENCES = ("attention", "self_attention", "cross_attention", "encoder", "causal_lm", "seq2seq")
MODULES = ("self_attention", "cross_attention", "encoder", "causal_lm", "seq2seq")
PADDED = ("right", "left", "scattered")


def differentiable(subject: Subject, path: Path) -> str | None:
    """Why no gradient to the inputs can be taken; None if one can."""
    if subject.kind.tokens and "inputs_embeds" not in subject.accepted:
        return "its inputs are tokens, and it takes no inputs_embeds"
    return None


def embedded(trial: Trial) -> Inputs:
    """The trial's inputs with vectors in place of tokens, where the subject takes them."""
    x = trial.inputs
    if x.x.is_floating_point():
        return x
    return replace(x, x=trial.numbers("x", *x.x.shape, trial.config.d_model))


def _inverted(trial: Trial, x: Inputs) -> bool:
    """Whether the mask is read the wrong way round: under the opposite mask each row gives what it gives alone."""
    opposite = replace(x, **{f"{trial.over}_real": ~trial.real(x)})
    rows = range(trial.case.batch)
    gaps = [_kept(trial, x, r, trial(opposite)) - trial(_alone(trial, x, r)) for r in rows]
    return all(bool((gap.abs() < 1e-6).all()) for gap in gaps)


def _repadded(trial: Trial, x: Inputs) -> Inputs:
    """The same real tokens with other, large contents in the padding."""
    before, real = trial.content(x), trial.real(x)
    keep = real.reshape(real.shape + (1,) * (before.dim() - 2))
    return trial.with_content(x, torch.where(keep, before, trial.other_content("padding", before)))


def _leak(trial: Trial, x: Inputs, gap: Tensor) -> str:
    if bool(torch.isinf(gap).any()):
        return "not a number reaches a real output: 0 · NaN or 0 · ∞ from a padded row, or from a row without a key"
    if not bool((~trial.real(x)).any()):
        return "there is no padding here: it is the mask itself that changes the result"
    if _inverted(trial, x):
        return "the mask is read the wrong way round: padding is attended to, real tokens are not (here True = real)"
    moved = (trial(_repadded(trial, x)) - trial(x)).abs()[trial.comparable(x)]
    if bool((moved == 0).all()):
        return "padding's content is hidden, yet its presence counts: in positions, a length or a denominator"
    return "the padding mask is dropped, misplaced or only lowers the scores on this path (weights must be exactly 0)"


@law(
    "padding.content",
    formula="f(x)ᵢ = f(x′)ᵢ for real i if xⱼ = x′ⱼ for all real j",
    claims=("Q02.1", "Q07.2"),
    contracts=SEQUENCES,
    paths={"padding": PADDED},
    twin="padding.real_tokens_matter",
)
def content(trial: Trial) -> Iterator[Comparison]:
    """What stands in the padding, however large, moves no real output."""
    x = trial.inputs
    other = _repadded(trial, x)
    yield same(lambda: trial(other), lambda: trial(x), only=trial.comparable(x), cause=lambda gap: _leak(trial, x, gap))


def _alone(trial: Trial, x: Inputs, row: int) -> Inputs:
    """One row by itself, without its padding and without a mask."""
    real = trial.real(x)[row].nonzero().flatten()
    return replace(x.rows(slice(row, row + 1)).along(trial.over, real), **{f"{trial.over}_real": None})


def _kept(trial: Trial, x: Inputs, row: int, output: Tensor) -> Tensor:
    """The outputs of ``row`` that belong to real tokens, as a batch of one."""
    return output[row : row + 1, trial.comparable(x)[row]]


@law(
    "padding.amount_and_side",
    formula="f(padded x) at its real positions = f(x)",
    claims=("Q02.1", "Q10.1"),
    contracts=SEQUENCES,
    paths={"padding": PADDED},
    twin="padding.real_tokens_matter",
)
def amount_and_side(trial: Trial) -> Iterator[Comparison]:
    """However much padding there is, and wherever it stands, real outputs are those of the unpadded row by itself."""
    x = trial.inputs
    for row in range(trial.case.batch):
        yield same(
            lambda row=row: _kept(trial, x, row, trial(x)),
            lambda row=row: trial(_alone(trial, x, row)),
            what=f"output of row {row}",
            cause=lambda gap: _leak(trial, x, gap),
        )


@law(
    "padding.gradients",
    formula="∂f(x)ᵢ/∂xⱼ = 0 for real i and padded j",
    claims=("Q02.1",),
    contracts=SEQUENCES,
    paths={"padding": PADDED, "grad": ("on",)},
    applies=differentiable,
    twin="padding.real_tokens_matter",
)
def gradients(trial: Trial) -> Iterator[Comparison]:
    """No gradient reaches the padding from a real output: it is exactly zero."""
    x = embedded(trial)
    yield zero(
        lambda: trial.gradients(x, outputs=trial.comparable(x)),
        what="gradient at the padding",
        only=~trial.real(x),
        cause=lambda gap: _leak(trial, x, gap),
    )


@law(
    "padding.parameter_gradients",
    formula="∇_θ L(padded batch) = Σ_r ∇_θ L(row r alone)",
    claims=("Q02.1",),
    contracts=MODULES,
    paths={"padding": PADDED, "grad": ("on",)},
    dtypes=("float64",),  # a rounding that moves a ReLU across 0 makes its gradient jump: too often in less
    applies=lambda subject, path: None if subject.has_parameters else "it has no trainable parameters",
    twin="consistency.parameters_matter",
)
def parameter_gradients(trial: Trial) -> Iterator[Comparison]:
    """A loss over the real tokens of a padded batch has the parameter gradients of its rows taken one by one."""
    x, rows = trial.inputs, range(trial.case.batch)

    def one_by_one() -> Tensor:
        each = []
        for row in rows:
            alone = _alone(trial, x, row)
            each.append(_flat(trial.parameter_gradients(alone, outputs=trial.comparable(alone))))
        return torch.stack(each).sum(0)

    yield same(
        lambda: _flat(trial.parameter_gradients(x, outputs=trial.comparable(x))),
        one_by_one,
        what="parameter gradient",
        axes=("parameter entry",),
        cause=lambda gap: (
            "padded positions take part in the forward pass, or a NaN in a padded row reaches the weights"
        ),
    )


def _flat(gradients: dict[str, Tensor]) -> Tensor:
    return torch.cat([g.flatten() for g in gradients.values()])


def _says_what_an_empty_row_gives(subject: Subject, path: Path) -> str | None:
    if subject.fully_masked == "undefined" and subject.contract == "attention":
        return "it does not say what a fully masked query gives"
    return None


@law(
    "padding.fully_masked_rows",
    formula="no real key ⇒ f(x)ᵢ = 0 or NaN, as declared",
    claims=("Q07.2",),
    contracts=SEQUENCES,
    paths={"padding": PADDED},
    at_least={"batch": 2},
    draws={"empty": lambda sizes: st.integers(0, sizes["batch"] - 1)},
    applies=_says_what_an_empty_row_gives,
    twin="padding.real_tokens_matter",
)
def fully_masked_rows(trial: Trial) -> Iterator[Comparison]:
    """A kernel gives what it declares for a row without a real key; no other row notices that there is such a row."""
    full, row = trial.inputs, trial.case.draws["empty"]
    field = f"{trial.over}_real"
    real = trial.real(full).clone()
    real[row] = False
    x = replace(full, **{field: real})
    others = trial.comparable(x).clone()
    others[row] = False
    yield finite(lambda: trial(x), what="output of the other rows", only=others)
    yield same(lambda: trial(x), lambda: trial(full), what="output of the other rows", only=others)
    if trial.subject.contract == "attention":
        yield from _declared(trial, x, row)
    elif trial.subject.fully_masked == "zero" and trial.path["grad"] == "on":
        yield finite(
            lambda: _flat(trial.parameter_gradients(x, outputs=others)),
            what="parameter gradient of a loss on the other rows",
            cause="0 · NaN: softmax over no key is 0/0, forward or backward, and a cotangent of zero does not save it",
        )


def _declared(trial: Trial, x: Inputs, row: int) -> Iterator[Comparison]:
    cause = "a row whose mask is empty attends uniformly, or to everything: a finite filler where −∞ was meant"
    if trial.subject.fully_masked == "zero":
        yield zero(
            lambda: trial(x)[row], what="output of the empty row", axes=("position", "feature"), cause=lambda _: cause
        )
    else:
        nan = torch.full_like(trial(x)[row], torch.nan)
        yield equal(
            lambda: trial(x)[row],
            lambda: nan,
            what="output of the empty row",
            axes=("position", "feature"),
            cause=lambda _: cause,
        )


@law(
    "padding.real_tokens_matter",
    formula="∂f(x)/∂xⱼ ≠ 0 for every real j",
    claims=("Q02.1",),
    contracts=SEQUENCES,
    paths={"padding": ("absent", "all-true", *PADDED)},
    at_least={"length": 2, "memory_length": 2},
    contents=("normal",),
    gains=GENTLE,
    twin="padding.content",
)
def real_tokens_matter(trial: Trial) -> Iterator[Comparison]:
    """Every real token influences some real output of its row."""
    x = trial.inputs
    cause = "real tokens are masked out (an inverted mask), or the output does not depend on this input at all"
    yield nonzero(
        lambda: influence(trial, x, trial.comparable(x)),
        what="influence of a real token",
        only=trial.real(x),
        axes=("row", "position"),
        cause=cause,
    )


def in_values(trial: Trial, x: Inputs) -> bool:
    """Whether an influence is looked for in values: that of tokens, or of vectors without gradients in float64."""
    return not trial.content(x).is_floating_point() or (trial.path["grad"] == "off" and trial.dtype == "float64")


def another(trial: Trial, content: Tensor) -> Tensor:
    """Other contents of the same kind and size: not so large that softmax saturates."""
    if not content.is_floating_point():
        return trial.other_content("another", content)
    return trial.numbers("another", *content.shape)


def influence(trial: Trial, x: Inputs, outputs: Tensor) -> Tensor:
    """What each token that the law acts on does to ``outputs``, boolean (batch, length), of its row: (batch, tokens).

    The size of a gradient; in values, how far another token in its place moves them.
    """
    if not in_values(trial, x):
        return trial.gradients(x, outputs=outputs).abs().amax(-1)
    content, before = trial.content(x), trial(x)

    def moved(j: int) -> Tensor:
        changed = content.clone()
        changed[:, j] = another(trial, changed[:, j])
        apart = (trial(trial.with_content(x, changed)) - before).abs()
        return torch.where(outputs[..., None], apart, 0.0).amax(dim=(1, 2))

    return torch.stack([moved(j) for j in range(content.shape[1])], dim=1)
