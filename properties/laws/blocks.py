"""Blocks: an encoder is attention and a feed-forward network, over and over, each with its residual and its LayerNorm.

An encoder that gives the weights of its blocks can be computed again, by the papers' formulas and by PyTorch's own
module. Both are evaluated in float64, so that what differs is the subject's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..adapters.torch_copy import torch_encoder
from ..comparison import Comparison, agree, same
from ..contracts import Inputs, Path, explicit_mask
from ..formulas import normalised
from ..law import law
from ..subjects import Block, Blocks, GainAndBias, Projections, Subject
from ..trial import Trial, guarded
from .feed_forward import by_formula
from .heads import sum_of_heads

Branch = Callable[[Tensor], Tensor]


def gives_blocks(subject: Subject, path: Path) -> str | None:
    """Why this is no plain encoder that can be computed from its weights; None if it is."""
    if subject.blocks is None:
        return "it does not give the weights of its blocks (blocks=)"
    if subject.positions_on(path) != "none":
        return "its blocks depend on positions"
    return None


def blocks_of(trial: Trial) -> Blocks:
    """The weights of the subject's blocks, in float64 and without gradients."""
    return _in_float64(guarded(trial.subject.blocks, trial.built))  # type: ignore[arg-type]


def _in_float64(weights: Any) -> Any:
    if isinstance(weights, Tensor):
        return weights.detach().double()
    if isinstance(weights, (list, tuple)):
        return tuple(map(_in_float64, weights))
    if is_dataclass(weights):
        return replace(weights, **{f.name: _in_float64(getattr(weights, f.name)) for f in fields(weights)})  # type: ignore[type-var]
    return weights


def layer_norm(x: Tensor, norm: GainAndBias) -> Tensor:
    """γ (x − μ)/√(v + ε) + β of each token (…, d_model) (Ba et al. 2016, eq. 3)."""
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, correction=0, keepdim=True)
    z = normalised(x, mean, variance, eps=norm.eps)
    scaled = z if norm.gain is None else norm.gain * z
    return scaled if norm.bias is None else scaled + norm.bias


def attention(x: Tensor, weights: Projections, *, mask: Tensor | None, trial: Trial) -> Tensor:
    """Self-attention by a loop over heads; no query is without a key."""
    heads, groups = trial.config.n_heads, trial.config.n_heads // trial.config.n_kv_heads
    return sum_of_heads(x, x, weights, mask, heads=range(heads), groups=groups, d_k=trial.config.d_k)


def branches(block: Block, *, mask: Tensor | None, trial: Trial) -> tuple[tuple[Branch, GainAndBias], ...]:
    """The two sub-layers of a block, F of the formulas, each with its LayerNorm."""
    return (
        (partial(attention, weights=block.attention, mask=mask, trial=trial), block.attention_norm),
        (partial(by_formula, layers=block.feed_forward), block.feed_forward_norm),
    )


def encoded(trial: Trial, inputs: Inputs) -> Tensor:
    """The encoder's output by the formula for where its LayerNorm stands, in float64."""
    blocks, x = blocks_of(trial), inputs.x.detach().double()
    post, mask = trial.subject.norm_on(trial.path) == "post", explicit_mask(inputs, trial.path)
    for block in blocks.layers:
        for branch, norm in branches(block, mask=mask, trial=trial):
            x = layer_norm(x + branch(x), norm) if post else x + branch(layer_norm(x, norm))
    return x if blocks.final_norm is None else layer_norm(x, blocks.final_norm)


@law(
    "blocks.formula",
    formula="post-LN: x ← LN(x + F(x)); pre-LN: x ← x + F(LN(x)), and LN(x) at the end",
    claims=("Q18.1", "Q23.2"),
    contracts=("encoder",),
    applies=gives_blocks,
)
def formula(trial: Trial) -> Iterator[Comparison]:
    """An encoder is, for each layer, attention and then a feed-forward network, each with a residual and a LayerNorm.

    With post-LN it normalises the sum, with pre-LN what goes into the branch, and the whole stack at its end.
    """
    x, norm = trial.inputs, trial.subject.norm_on(trial.path)
    yield agree(
        blocks_of(trial).final_norm is not None,
        norm == "pre",
        what=f"whether a LayerNorm stands behind the last block, with {norm}-LN",
        cause="a pre-LN stack ends in a bare sum without one, and a post-LN block ends in a LayerNorm already",
    )
    yield same(
        lambda: encoded(trial, x).to(trial.torch_dtype),
        lambda: trial(x),
        only=trial.comparable(x),
        cause=lambda gap: (
            "a LayerNorm or a residual is not where it belongs or is another's, or a branch is not attention, "
            "or ReLU between two layers"
        ),
    )


@law(
    "blocks.equal_torch",
    formula="f(x) = torch.nn.TransformerEncoder(x), its weights copied from f",
    claims=("Q18.1", "Q23.2"),
    contracts=("encoder",),
    applies=gives_blocks,
)
def equal_torch(trial: Trial) -> Iterator[Comparison]:
    """An encoder equals torch.nn.TransformerEncoder with the same weights: any shape, either place of the norm, masks.

    Shared key/value heads are copied once for each head that reads them: PyTorch's encoder shares none.
    """
    x = trial.inputs
    yield same(
        lambda: _by_torch(trial, x).to(trial.torch_dtype),
        lambda: trial(x),
        only=trial.comparable(x),
        cause=lambda gap: (
            "a mask is read otherwise, the parts of a block come in another order, or a part of it is not the usual one"
        ),
    )


def _by_torch(trial: Trial, inputs: Inputs) -> Tensor:
    x, length = inputs.x.detach().double(), inputs.x.shape[1]
    hidden = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
    with torch.no_grad():
        copy = torch_encoder(
            blocks_of(trial),
            n_heads=trial.config.n_heads,
            norm_first=trial.subject.norm_on(trial.path) == "pre",
        )
        return copy(
            x,
            mask=None if trial.path["causal"] == "off" else hidden,
            src_key_padding_mask=None if inputs.x_real is None else ~inputs.x_real,
        )
