"""Lengths: sequences of any length, side by side in one row, each as if it were alone.

Packing lays documents end to end and masks the pairs that cross a border: a block-diagonal mask, with position ids that
start again in each document. So lengths are equal within a batch for the tensor's sake alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..case import lengths
from ..comparison import Comparison, same, zero
from ..contracts import Inputs, Path
from ..law import law
from ..subjects import Subject
from ..trial import Trial


def _can_be_packed(subject: Subject, path: Path) -> str | None:
    """Why borders cannot be masked, or positions run on from one document to the next; None if documents can be packed.

    A subject that refuses the causal mask as a mask takes none that differs from query to query. A kernel's padding is
    a mask too, so one that refuses it beside a flag takes no borders beside it either.
    """
    beside = {**path, "padding": "right"} if subject.contract == "attention" else path
    for tried in (beside, {**path, "causal": "mask"}):
        if why := subject.refuses(tried, "cpu"):
            return why
    if subject.positions_on(path) == "none" or subject.kind.position_feature("x") in subject.accepted:
        return None
    return "it takes no position ids, so positions cannot start again in each document"


PACKED = {
    "contracts": ("attention", "self_attention", "encoder"),
    "claims": ("Q10.1",),
    "needs": ("mask",),
    "sizes": {"batch": (2, 3), "length": (1, 2, 3, 4, 5, 6, 7)},  # laid end to end they must fit into max_length
    "draws": {"lengths": lengths()},
    "applies": _can_be_packed,
}


def documents(trial: Trial) -> list[Inputs]:
    """Each row of the case by itself, cut to its own length."""
    x = trial.inputs
    return [
        x.rows(slice(row, row + 1)).along("x", slice(0, length))
        for row, length in enumerate(trial.case.draws["lengths"])
    ]


def packed(trial: Trial) -> Inputs:
    """The documents end to end in one row, with the border between them in the mask."""
    x = torch.cat([document.x for document in documents(trial)], dim=1)
    lengths = torch.tensor(trial.case.draws["lengths"], device=x.device)
    belongs = torch.arange(len(lengths), device=x.device).repeat_interleave(lengths)[None]
    if trial.subject.kind.position_feature("x") not in trial.subject.accepted:
        return Inputs(x, x_documents=belongs)
    restarting = torch.cat([torch.arange(n, device=x.device) for n in trial.case.draws["lengths"]])[None]
    return Inputs(x, x_documents=belongs, x_positions=restarting)


@law(
    "lengths.packing_agrees",
    formula="f(x₁ ⊕ x₂ | block-diagonal) = f(x₁) ⊕ f(x₂)",
    paths={"over": ("x",), "padding": ("absent",), "causal": ("off", "flag", "mask")},
    twin="padding.real_tokens_matter",
    **PACKED,
)
def packing_agrees(trial: Trial) -> Iterator[Comparison]:
    """Documents laid end to end under a block-diagonal mask give the outputs that each gives alone, at any lengths."""
    x = packed(trial)
    for number, document in enumerate(documents(trial)):
        own = (torch.as_tensor(x.x_documents) == number)[0]
        yield same(
            lambda own=own: trial(x)[:, own],
            lambda document=document: trial(document),
            what=f"output of document {number}",
            cause=lambda gap: "the mask is dropped, read the other way round or off by one; or positions run on",
        )


@law(
    "lengths.documents_do_not_meet",
    formula="∂f(x₁ ⊕ x₂ | block-diagonal)ᵢ/∂xⱼ = 0 for i, j of different documents",
    paths={"over": ("x",), "padding": ("absent",), "causal": ("off", "flag", "mask"), "grad": ("on",)},
    twin="padding.real_tokens_matter",
    **PACKED,
)
def documents_do_not_meet(trial: Trial) -> Iterator[Comparison]:
    """No gradient crosses the border between two packed documents: it is exactly zero."""
    x = packed(trial)
    for number in range(len(trial.case.draws["lengths"])):
        own = torch.as_tensor(x.x_documents) == number
        yield zero(
            lambda own=own: trial.gradients(x, outputs=own),
            what=f"gradient of document {number}'s outputs to the others' tokens",
            only=~own,
            cause=lambda gap: (
                "documents see each other: only the causal mask stands between them, or the mask is off by one"
            ),
        )
