"""Fillers: what goes to padding whose scores are 0 or another finite number, and that −∞ lets nothing through.

A filler is a score like any other, so that any attention kernel can be asked about it without a mask: a query whose
last entry is 1, and a key that is 0 but for f·√d_k there, have the score f. With values of 1 at the padding and 0
elsewhere, the output *is* the share of the padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..case import one_of
from ..comparison import Comparison, nonzero, within, zero
from ..contracts import Inputs, kernel_arguments, merge_heads
from ..formulas import replaced_share, replaced_share_bound, zero_share
from ..law import law
from ..tolerance import attention_allowance
from ..trial import Trial
from .padding import PADDED
from .softmax import is_dot_product

UNMASKED = {
    "contracts": ("attention",),
    "paths": {"over": ("memory",), "padding": ("absent",)},
    "sizes": {"groups": (1,)},
    "at_least": {"d_k": 2},
    "applies": is_dot_product,
}
PADDING = one_of(1, 2, 3, 7)


def padded(trial: Trial, filler: float, *, n_real: int) -> Inputs:
    """Queries, and ``n_real`` real keys followed by the padding, whose scores are ``filler``; its values are 1."""
    case, heads, d_k = trial.case, trial.config.n_heads, trial.config.d_k
    query = trial.numbers("query", case.batch, case.length, heads, d_k)
    real = trial.numbers("key", case.batch, n_real, heads, d_k)
    padding = real.new_zeros(case.batch, case.draws["padding"], heads, d_k)
    query[..., -1], real[..., -1], padding[..., -1] = 1.0, 0.0, filler * d_k**0.5
    key = torch.cat([real, padding], dim=1)
    value = torch.cat([torch.zeros_like(real), torch.ones_like(padding)], dim=1)
    return Inputs(query.flatten(2), torch.cat([key.flatten(2), value.flatten(2)], dim=-1))


def share_of_padding(trial: Trial, x: Inputs, share: Tensor, *, what: str, cause: str) -> Comparison:
    """The output of ``x`` is ``share`` (batch, heads, query), within the rounding derived for the kernel's dtype."""
    query, key, value = (part.double() for part in kernel_arguments(x, trial.config))
    out_of_range = key.isinf()  # a filler that the dtype does not hold: it is −∞, and that is a mask
    seen = ~out_of_range.any(-1)[:, :, None, :].expand(-1, -1, query.shape[2], -1)

    def allowed() -> Tensor:
        key_in_range, scale = key.masked_fill(out_of_range, 0.0), trial.config.d_k**-0.5
        return attention_allowance(query, key_in_range, value, mask=seen, scale=scale, dtype=trial.torch_dtype)

    return within(
        lambda: trial(x).double(),
        lambda: merge_heads(share[..., None].expand_as(query)),
        lambda: merge_heads(allowed()),
        what=what,
        cause=lambda gap: cause,
    )


def real_logits(trial: Trial, x: Inputs, n_real: int) -> Tensor:
    """The scores of the real keys in float64: (batch, heads, query, n_real)."""
    query, key, _ = (part.double() for part in kernel_arguments(x, trial.config))
    return query @ key[:, :, :n_real].mT / trial.config.d_k**0.5


@law(
    "filler.zero_takes_a_share",
    formula="F = N / (Σ_real e^{s_j} + N) > 0 for N keys with a score of 0",
    claims=("Q07.1",),
    draws={"padding": PADDING},
    twin="filler.masked_is_exactly_zero",
    **UNMASKED,
)
def zero_takes_a_share(trial: Trial) -> Iterator[Comparison]:
    """Padding that is not masked, with scores of 0, takes 1 for each of its keys of a sum that is e^s for the others.

    Within the error bound that is derived for attention in the kernel's dtype.
    """
    x = padded(trial, 0.0, n_real=trial.case.memory_length)
    n_padding, z = trial.case.draws["padding"], real_logits(trial, x, trial.case.memory_length).exp().sum(-1)
    cause = "e⁰ is not counted as 1: zero scores are hidden, the base is not e, or the denominator holds something else"
    yield share_of_padding(trial, x, zero_share(n_padding, z), what="share of the padding", cause=cause)
    yield nonzero(
        lambda: trial(x), only=torch.ones_like(x.x, dtype=torch.bool), what="share of the padding", cause=cause
    )


@law(
    "filler.finite_lets_through",
    formula="F = N e^f / (Σ_real e^{s_j} + N e^f) ≤ N e^{f − max s}",
    claims=("Q07.2",),
    draws={"padding": PADDING, "filler": one_of(-1.0, -5.0, -20.0, -100.0, -1e4, -1e9)},
    twin="filler.masked_is_exactly_zero",
    **UNMASKED,
)
def finite_lets_through(trial: Trial) -> Iterator[Comparison]:
    """A finite number f in place of the padding's scores lets a share through that falls like e^f, and no more.

    f is what the dtype makes of it: −1e9 is −∞ in float16. Within the error bound derived for the kernel's dtype.
    """
    n_real, n_padding = trial.case.memory_length, trial.case.draws["padding"]
    x = padded(trial, trial.case.draws["filler"], n_real=n_real)
    logits = real_logits(trial, x, n_real)
    _, key, _ = kernel_arguments(x, trial.config)
    filler = key[0, 0, -1, -1].double() / trial.config.d_k**0.5
    cause = "a low score is held up (clamped or capped), or another base or scale stands in the exponent"
    share = replaced_share(n_padding, filler, logits.exp().sum(-1))
    bound = replaced_share_bound(n_padding, filler, logits.amax(-1))
    due = torch.minimum(share, bound)
    yield share_of_padding(trial, x, due, what=f"share let through by a filler of {filler:g}", cause=cause)


@law(
    "filler.masked_is_exactly_zero",
    formula="aᵢⱼ = 0 for hidden j, to the last bit",
    claims=("Q07.2",),
    contracts=("attention",),
    paths={"padding": PADDED},
    draws={"large": one_of(False, True)},
    twin="filler.zero_takes_a_share",
)
def masked_is_exactly_zero(trial: Trial) -> Iterator[Comparison]:
    """A key that is masked gets a weight of exactly 0, in every dtype, wherever the scores of the others lie."""
    x, kv = trial.inputs, trial.config.n_kv_heads * trial.config.d_k
    content, real = trial.content(x), trial.real(x)[..., None]
    if trial.case.draws["large"]:
        content = trial.other_content("large", content)
        x = replace(x, x=trial.other_content("query", x.x))
    indicator = (~real).to(content).expand(-1, -1, kv)
    x = trial.with_content(x, torch.cat([content[..., :-kv], indicator], dim=-1))
    yield zero(
        lambda: trial(x),
        what="weight on hidden keys",
        only=trial.comparable(x),
        cause=lambda gap: "a finite filler stands for −∞: e^f is not 0, or every real score lies lower than f",
    )
