"""Heads: splitting d_model by reshape and transpose is a loop over heads, so that one can be cut out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from ..case import order
from ..comparison import COARSE, Comparison, counts, decided, differs, equal, same
from ..contracts import Inputs, Path, Unsupported, explicit_mask
from ..formulas import distance_of_one_head, least_distance, weights_of_a_head
from ..law import law
from ..subjects import Projections, Subject
from ..tolerance import FLOOR, unit_roundoff
from ..trial import Trial, guarded
from .scaling import attention_weights
from .softmax import is_dot_product


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
    return _sum_of_heads(trial, x, _weights_of(trial), range(trial.config.n_heads))


def _weights_of(trial: Trial) -> Projections:
    return guarded(trial.subject.projections, trial.built)  # type: ignore[arg-type]


def _sum_of_heads(trial: Trial, x: Inputs, weights: Projections, heads: Iterable[int]) -> Tensor:
    memory = x.x if x.memory is None else x.memory
    mask, groups = explicit_mask(x, trial.path), trial.config.n_heads // trial.config.n_kv_heads
    with torch.no_grad():
        return sum_of_heads(x.x, memory, weights, mask, heads=heads, groups=groups, d_k=trial.config.d_k)


def sum_of_heads(
    x: Tensor,
    memory: Tensor,
    weights: Projections,
    mask: Tensor | None,
    *,
    heads: Iterable[int],
    groups: int,
    d_k: int,
) -> Tensor:
    """Multi-head attention of x (batch, n, d_model) to memory (batch, m, d_model), one of ``heads`` after the other.

    ``mask`` is (batch, 1, n, m), True = may attend, or None; ``groups`` heads share a key/value head.
    """
    output = sum(_one_head(x, memory, weights, mask, h=h, g=h // groups, d_k=d_k) for h in heads)
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


@law(
    "heads.removal_is_deletion",
    formula="Σ_{a ≠ p} head_a W_O^a = the layer without W_Q^p, W_K^p, W_V^p, W_O^p",
    claims=("Q01.3",),
    contracts=("self_attention", "cross_attention"),
    at_least={"n_heads": 2, "length": 2},
    sizes={"groups": (1,)},
    contents=("normal",),
    draws={"removed": lambda sizes: st.integers(0, sizes["n_heads"] - 1)},
    applies=has_projections,
)
def removal_is_deletion(trial: Trial) -> Iterator[Comparison]:
    """To mask a head's output is to delete its slices of W_Q, W_K, W_V and W_O, and no other head notices."""
    x, config, removed = trial.inputs, trial.config, trial.case.draws["removed"]
    masked, whole = _masked(trial, removed), _weights_of(trial)
    left = _deleted(whole, removed, config.d_k)
    yield same(
        lambda: _sum_of_heads(trial, x, left, range(config.n_heads - 1)),
        lambda: masked(x),
        what=f"output without head {removed}",
        only=trial.comparable(x),
        cause=lambda gap: "heads are mixed, so that what is cut out is not one of them, or one depends on the others",
    )
    lost = _entries(whole) - _entries(left)
    yield counts(
        lost,
        weights_of_a_head(config.d_model, config.d_k),
        what="weights that go with the head",
        cause=lambda: "the head is not d_model/h wide in all four matrices",
    )
    if trial.torch_dtype not in COARSE:  # where the part of one head may drown in rounding
        yield differs(
            lambda: trial(x),
            lambda: masked(x),
            what=f"output with and without head {removed}",
            cause="the head is dead: its part does not reach the output",
        )


def _masked(trial: Trial, head: int) -> Trial:
    """The layer built anew, with the output of ``head`` multiplied by 0 on its way into W_O."""
    masked, d_k = trial.like(), trial.config.d_k
    own = slice(head * d_k, (head + 1) * d_k)
    with torch.no_grad():
        _weights_of(masked).w_o[:, own] = 0
        if _weights_of(masked).w_o[:, own].any():
            raise Unsupported("its projections are copies of its weights, so that no head can be masked through them")
    return masked


def _deleted(weights: Projections, head: int, d_k: int) -> Projections:
    """The weights that are left without ``head``."""
    width = weights.w_o.shape[1]
    kept = [s for s in range(width) if s // d_k != head]
    rows = {name: None if (t := getattr(weights, name)) is None else t[kept] for name in _OF_HEADS}
    return replace(weights, **rows, w_o=weights.w_o[:, kept])


_OF_HEADS = ("w_q", "w_k", "w_v", "b_q", "b_k", "b_v")


def _entries(weights: Projections) -> int:
    return sum(w.numel() for w in (weights.w_q, weights.w_k, weights.w_v, weights.w_o))


@law(
    "heads.two_copies",
    formula="two heads: ‖(ξ, η) − f‖ = 0; one head: min over M of E‖(ξ, η) − fM‖² ≥ d",
    claims=("Q01.1",),
    contracts=("attention",),
    paths={"over": ("memory",), "padding": ("absent",), "causal": ("off",)},
    sizes={"n_heads": (2,), "groups": (1,), "length": (1,)},
    at_least={"memory_length": 2},
    draws={"order": order()},
    dtypes=("float64",),
    applies=is_dot_product,
)
def two_copies(trial: Trial) -> Iterator[Comparison]:
    """Two heads copy two tokens side by side, exactly; the best map of one head's output misses half or more.

    The tokens for one head are the rows of an orthogonal matrix, so that their second moments are exactly those of
    independent standardised tokens: the bound holds for these few rows, without a statistical allowance.
    """
    first, second = trial.case.draws["order"][:2]
    d, m = trial.config.d_k, trial.case.memory_length
    tokens = trial.numbers("tokens", trial.case.batch, m, d)
    yield equal(
        lambda: trial(_one_place_a_head(tokens, first, second)),
        lambda: torch.cat([tokens[:, [first]], tokens[:, [second]]], dim=-1),
        what="output of two heads",
        cause=lambda gap: "the heads do not attend apart: they share weights, or the largest score does not win",
    )
    missed, due, allowed = _missed_by_one_head(trial, first, second)
    least = least_distance(d)
    yield decided(
        abs(missed - due) <= allowed,
        measured=abs(missed - due),
        allowed=allowed,
        what=f"one head misses {missed:.6g} of {2 * d}, {due:.6g} is due for its weights ({least:g} at least)",
        cause="one head gives something else than one average of the tokens",
    )


def _one_place_a_head(tokens: Tensor, first: int, second: int) -> Inputs:
    """Head 0 sees ``first`` alone and head 1 ``second``: all other weights underflow to exactly 0, in any dtype."""
    batch, m, d = tokens.shape
    key = torch.full((batch, m, 2, d), -32.0, dtype=tokens.dtype, device=tokens.device)
    key[:, first, 0] = key[:, second, 1] = 32.0
    query = torch.full((batch, 1, 2 * d), 32.0, dtype=tokens.dtype, device=tokens.device)
    return Inputs(query, torch.cat([key.flatten(2), tokens.repeat(1, 1, 2)], dim=-1))


def _missed_by_one_head(trial: Trial, first: int, second: int) -> tuple[float, float, float]:
    """Mean squared distance of the two tokens from the best linear map of what one head gives.

    What it is, what it is due to be for an average by the head's weights, and how far rounding may set them apart.
    """
    d, m = trial.config.d_k, trial.case.memory_length
    one = trial.like(case=replace(trial.case, n_heads=1))
    rows = torch.from_numpy(trial.case.rng("design").standard_normal((m * d, m * d)))
    tokens = (torch.linalg.qr(rows).Q * (m * d) ** 0.5).reshape(m * d, m, d).to(trial.device)
    query, key = trial.numbers("query", 1, 1, d), trial.numbers("key", 1, m, d)
    memory = torch.cat([key.expand(m * d, -1, -1), tokens], dim=-1)
    given = one(Inputs(query.expand(m * d, -1, -1), memory))[:, 0]
    wanted = torch.cat([tokens[:, first], tokens[:, second]], dim=-1)
    best = torch.linalg.lstsq(given, wanted).solution
    missed = float((wanted - given @ best).square().sum(-1).mean())
    weights = attention_weights(one, query, key)[0, 0, 0]
    due = distance_of_one_head(best, float(weights[first]), float(weights[second]), float(weights.square().sum()))
    slack = FLOOR * m * d**2 * unit_roundoff(trial.torch_dtype) * (1 + float(best.square().sum()))
    return missed, due, slack
