"""Scaling: dividing the scores by √d_k keeps their variance at 1."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..comparison import Comparison, Undecidable, finite, likely
from ..contracts import Inputs
from ..formulas import conditional_score_variance, score_variance
from ..law import law
from ..statistics import chi_square_tails
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
    claims=("Q06.2", "Q17.1"),
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
    below, above = chi_square_tails(statistic, freedom)
    p_value = min(1.0, 2 * min(below, above))
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
