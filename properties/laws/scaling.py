"""Scaling: dividing the scores by √d_k keeps their variance at 1, and so the weights the same at every width."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..comparison import Comparison, Undecidable, finite, likely, same
from ..contracts import Inputs, Unsupported
from ..formulas import conditional_score_variance, score_variance
from ..law import law
from ..statistics import chi_square_tails, two_sided
from ..trial import Trial
from .softmax import is_dot_product

FALSE_ALARM = 1e-12
"""Probability that one example raises a false alarm: at most 1e-9 for a run of a thousand."""


def attention_weights(trial: Trial, query: Tensor, key: Tensor) -> Tensor:
    """The weights of any kernel, read off its output: with the identity for values, the output *is* the weights.

    Query (batch, n, heads · d_k), key (batch, m, heads · d_k) → (batch, n, heads, m). A kernel gives d_k columns of
    values a call, so m > d_k keys take several calls.
    """
    heads, d_k, m = trial.config.n_heads, trial.config.d_k, key.shape[1]
    identity = torch.eye(m, device=key.device, dtype=key.dtype)
    columns = []
    for first in range(0, m, d_k):
        value = torch.zeros(m, d_k, device=key.device, dtype=key.dtype)
        part = identity[:, first : first + d_k]
        value[:, : part.shape[1]] = part
        memory = torch.cat([key, value.repeat(1, heads).expand(key.shape[0], -1, -1)], dim=-1)
        columns.append(trial.run(Inputs(query, memory)).unflatten(-1, (heads, d_k))[..., : part.shape[1]])
    return torch.cat(columns, dim=-1)


@law(
    "scaling.logit_variance",
    formula="Var(s q·k) = s² d_k, which is 1 for s = 1/√d_k",
    claims=("Q05.2", "Q06.2", "Q17.1"),
    contracts=("attention",),
    paths={"over": ("memory",), "padding": ("absent",), "weights": ("no",), "scale": ("default", "one")},
    sizes={
        "batch": (128,),
        "length": (1,),
        "memory_length": (9, 17),
        "n_heads": (2,),
        "groups": (1,),
        "d_k": (4, 8, 16),
    },
    contents=("normal",),
    applies=is_dot_product,
)
def logit_variance(trial: Trial) -> Iterator[Comparison]:
    """For independent standard normal queries and keys the logits have variance 1; without scaling, d_k.

    Exact test: given q, the logits of m independent keys are normal with variance s²‖q‖², so the sum of their squared
    deviations from their mean, over that variance, is χ² with m − 1 degrees of freedom, and the sums over rows and
    heads add up. Softmax hides a constant per row only, which the mean takes away. False alarm 1e-12 an example, so
    1e-9 for a thousand; a variance off by a factor of 2/3 or 3/2 is missed with probability below 1e-8 at every size.
    """
    batch, m, heads, d_k = trial.case.batch, trial.case.memory_length, trial.config.n_heads, trial.config.d_k
    query, key = trial.numbers("query", batch, 1, heads * d_k), trial.numbers("key", batch, m, heads * d_k)
    with torch.no_grad():
        weights = attention_weights(trial, query, key).double()[:, 0]
    yield finite(lambda: weights, what="weights")
    if bool((weights <= 0).any()):
        raise Undecidable("a weight underflows to 0 in this dtype, so its logit cannot be read off")
    logits = weights.log()
    scale = 1.0 if trial.path["scale"] == "one" else d_k**-0.5
    given_q = conditional_score_variance(query.double().unflatten(-1, (heads, d_k))[:, 0], scale=scale)
    squares = (logits - logits.mean(-1, keepdim=True)).square().sum(-1)
    statistic, freedom = float((squares / given_q).sum()), batch * heads * (m - 1)
    p_value = two_sided(chi_square_tails(statistic, freedom))
    due = score_variance(d_k, scale=scale)
    yield likely(
        p_value,
        false_alarm=FALSE_ALARM,
        what=f"variance of the logits: {statistic / freedom * due:.4g} where {due:.4g} is due",
        cause=_wrong_scale(trial, statistic / freedom * scale**2),
    )


def _wrong_scale(trial: Trial, squared: float) -> str:
    """Which mistake gives scores of variance ``squared`` · d_k."""
    d_k, d_model = trial.config.d_k, trial.config.d_model
    mistakes = {
        "the scores are not scaled": 1.0,
        "the scores are divided by d_k, not by its square root": d_k**-2,
        "the scores are divided by √d_model, not by √d_k": 1 / d_model,
        "the scores are multiplied by √d_k instead of divided": float(d_k),
        "the weights are powers of 2, not of e": math.log(2) ** 2 / d_k,
    }
    if trial.path["scale"] == "one":
        mistakes = {"the scale that is given is ignored": 1 / d_k}
    if squared == 0:
        return "all weights are equal: the scores do not reach the softmax"
    cause = min(mistakes, key=lambda name: abs(math.log(squared / mistakes[name])))
    return cause if 0.8 < squared / mistakes[cause] < 1.25 else "the scale is none of the usual ones"


WIDENED = 4
"""How much wider the second of two heads is that are compared: √4 = 2 is exact in every dtype."""


def widened(trial: Trial) -> Trial:
    """The same trial with heads ``WIDENED`` times as wide. Raises :class:`Unsupported` where there are none."""
    width, sizes = WIDENED * trial.case.d_k, trial.subject.sizes
    if sizes is not None and width not in sizes.d_k:
        raise Unsupported(f"it allows no head of width {width}")
    return trial.like(case=replace(trial.case, d_k=width))


def along_the_query(trial: Trial, components: Tensor) -> tuple[Tensor, Tensor]:
    """A query of length √d_k in each head, and keys with these ``components`` along it: (batch, heads, m).

    Both are laid out for :func:`attention_weights`. Entries of the queries are ±1, as large as those of a standard
    query are on average; what the keys have across the query is random. All is exact where √d_k is a power of 2.
    """
    batch, heads, m = components.shape
    d_k = trial.config.d_k
    noise = trial.numbers("query", batch, heads, 1, d_k)
    query = torch.where(noise > 0, 1.0, -1.0).to(noise)
    across = trial.numbers("key", batch, heads, m, d_k)
    across = across - (across * query).sum(-1, keepdim=True) / d_k * query
    key = components[..., None] / d_k**0.5 * query + across
    return query.transpose(1, 2).flatten(2), key.transpose(1, 2).flatten(2)


@law(
    "scaling.independent_of_width",
    formula="‖q‖ = √d_k, k·q/‖q‖ = z ⇒ p = softmax(z) at every d_k; softmax(√d_k z) without the scale",
    claims=("Q05.2", "Q06.2"),
    contracts=("attention",),
    paths={"over": ("memory",), "padding": ("absent",), "weights": ("no",), "scale": ("default", "one")},
    sizes={"length": (1,), "d_k": (1, 4), "groups": (1,)},
    at_least={"memory_length": 2},
    contents=("integers",),
    applies=is_dot_product,
)
def independent_of_width(trial: Trial) -> Iterator[Comparison]:
    """Heads of two widths give the same weights to keys that lie alike along a query of length √d_k.

    Without the scale the wider head multiplies the logits of the narrower one by the root of the ratio of their widths.
    """
    wide, case = widened(trial), trial.case
    z = trial.numbers("components", case.batch, case.n_heads, case.memory_length)
    narrow_pair, wide_pair = along_the_query(trial, z), along_the_query(wide, z)
    factor = _spread(wide) / _spread(trial)

    def from_the_narrow_head() -> Tensor:
        return (factor * attention_weights(trial, *narrow_pair).detach().log()).softmax(-1)

    yield same(
        lambda: attention_weights(wide, *wide_pair).detach(),
        from_the_narrow_head,
        what=f"weights in a head of width {wide.config.d_k}, against those in one of {trial.config.d_k}",
        axes=("row", "query", "head", "key"),
        cause=lambda gap: _other_power(trial),
    )


def _spread(trial: Trial) -> float:
    """Standard deviation of the logits of a query of length √d_k over standard normal keys, by the derived formula."""
    d_k = trial.config.d_k
    scale = 1.0 if trial.path["scale"] == "one" else d_k**-0.5
    return float(conditional_score_variance(torch.ones(d_k, dtype=torch.float64), scale=scale)) ** 0.5


def _other_power(trial: Trial) -> str:
    """Which power of the width the spread of the logits goes with, where two keys tell it."""
    pair = torch.zeros(1, trial.case.n_heads, 2, dtype=trial.torch_dtype, device=trial.device)
    pair[..., 0] = 1.0
    odds = [attention_weights(t, *along_the_query(t, pair))[0, 0, 0].double().log() for t in (trial, widened(trial))]
    narrow, wide = (float(odd[0] - odd[1]) for odd in odds)
    if narrow == 0 or not 0 < wide / narrow < math.inf:
        return "the spread of the logits does not go with a power of the width"
    power = math.log(wide / narrow) / math.log(WIDENED)
    due = 0.5 if trial.path["scale"] == "one" else 0.0
    told = {
        -0.5: "the scores are divided by d_k, not by its square root",
        0.0: "the scale that is given is ignored",
        0.5: "the scores are not divided by √d_k: not scaled at all, or by a number that does not know the width",
        1.0: "the scores are multiplied by √d_k instead of divided",
    }
    near = round(2 * power) / 2
    known = near != due and abs(power - near) < 0.05
    return told.get(near, "") if known and near in told else "scores are capped, or something else than q·k enters them"
