"""Heads: splitting d_model by reshape and transpose is a loop over heads, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..comparison import Comparison, same
from ..contracts import Inputs, Path, explicit_mask
from ..law import law
from ..subjects import Projections, Subject
from ..trial import Trial, guarded


def has_projections(subject: Subject, path: Path) -> str | None:
    """Why this is not plain multi-head attention that can be recomputed from its weights; None if it is."""
    if subject.contract != "attention" and subject.projections is None:
        return "it does not give its projections (projections=)"
    if subject.positions_on(path) != "none":
        return "its scores depend on positions"
    return None


@law(
    "heads.loop_equivalence",
    formula="f(x, m) = Σ_h softmax((xW_Q^h)(mW_K^h)ᵀ/√d_k) m W_V^h W_O^h",
    claims=("Q16.2",),
    contracts=("attention", "self_attention", "cross_attention"),
    at_least={"n_heads": 2, "length": 2},
    applies=has_projections,
)
def loop_equivalence(trial: Trial) -> Iterator[Comparison]:
    """Heads by transpose and reshape equal a loop over heads, each computed alone from its own slice of the weights."""
    x = trial.inputs
    loop = _kernel_by_heads if trial.subject.contract == "attention" else layer_by_heads
    yield same(
        lambda: loop(trial, x),
        lambda: trial(x),
        only=trial.comparable(x),
        cause=lambda gap: _mixing(trial),
    )


def _mixing(trial: Trial) -> str:
    grouped = ", grouped heads repeated in the wrong order" if trial.case.groups > 1 else ""
    masked = " or the mask" if trial.path["causal"] != "off" or trial.case.real else ""
    return f"heads are mixed (a view without its transpose, a misplaced slice{grouped}), or the scale{masked} is wrong"


def _kernel_by_heads(trial: Trial, x: Inputs) -> Tensor:
    """The kernel called once a head, with that head's query, key and value only."""
    case, kv = trial.case, trial.config.n_kv_heads
    single = trial.like(case=replace(case, n_heads=1, groups=1))
    outputs = []
    for h in range(case.n_heads):
        g = h // case.groups
        q, rest = (
            (x.x, x.memory) if x.memory is not None else x.x.split([case.n_heads * case.d_k, 2 * kv * case.d_k], -1)
        )
        query = q.unflatten(-1, (case.n_heads, -1))[:, :, h]
        key, value = (part.unflatten(-1, (kv, -1))[:, :, g] for part in rest.chunk(2, -1))
        pair = torch.cat([key, value], dim=-1)
        alone = replace(x, x=query, memory=pair) if x.memory is not None else replace(x, x=torch.cat([query, pair], -1))
        outputs.append(single(alone))
    return torch.cat(outputs, dim=-1)


def layer_by_heads(trial: Trial, x: Inputs) -> Tensor:
    """The layer recomputed from its weights, one head at a time."""
    weights, config = guarded(trial.subject.projections, trial.built), trial.config  # type: ignore[arg-type]
    memory = x.x if x.memory is None else x.memory
    mask, groups = explicit_mask(x, trial.path), config.n_heads // config.n_kv_heads
    with torch.no_grad():
        output = sum(
            _one_head(x.x, memory, weights, mask, h=h, g=h // groups, d_k=config.d_k) for h in range(config.n_heads)
        )
        return output + (0 if weights.b_o is None else weights.b_o)  # type: ignore[operator, return-value]


def _one_head(
    x: Tensor, memory: Tensor, weights: Projections, mask: Tensor | None, *, h: int, g: int, d_k: int
) -> Tensor:
    own, shared = slice(h * d_k, (h + 1) * d_k), slice(g * d_k, (g + 1) * d_k)
    query = _project(x, weights.w_q, weights.b_q, own)
    key = _project(memory, weights.w_k, weights.b_k, shared)
    value = _project(memory, weights.w_v, weights.b_v, shared)
    scores = query @ key.mT / d_k**0.5
    if mask is not None:
        scores = scores.masked_fill(~mask[:, 0], -torch.inf)
    return scores.softmax(-1) @ value @ weights.w_o[:, own].mT


def _project(x: Tensor, weight: Tensor, bias: Tensor | None, rows: slice) -> Tensor:
    projected = x @ weight[rows].mT
    return projected if bias is None else projected + bias[rows]
