"""Attention of a token to itself: what a kernel does when queries and keys are the tokens, with no projections between.

The scores are read off the weights, as in :mod:`.scores`, and held to what the tokens say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..comparison import Comparison, decided, likely, within
from ..contracts import Inputs, merge_heads, split_heads
from ..formulas import conditional_score_variance, distance_to_own_value, lead_among_equals, weight_of_others
from ..law import law
from ..statistics import chi_square_tails, normal_tails, two_sided
from ..tolerance import FLOOR, unit_roundoff
from ..trial import Trial
from .scaling import FALSE_ALARM, attention_weights
from .scores import scores_of
from .softmax import is_dot_product

BARE = {
    "contracts": ("attention",),
    "paths": {"over": ("memory",), "padding": ("absent",), "weights": ("no",)},
    "sizes": {"groups": (1,), "memory_length": (1,)},
    "contents": ("normal",),
    "dtypes": ("float64", "float32"),
    "applies": is_dot_product,
}


def tokens(trial: Trial, *, equal_lengths: bool) -> Tensor:
    """Tokens (batch, length, heads · d_k) of unequal lengths; or each brought to a length of √d_k in every head."""
    case = trial.case
    x = trial.numbers("tokens", case.batch, case.length, case.n_heads, case.d_k)
    if equal_lengths:
        x = x / x.norm(dim=-1, keepdim=True) * case.d_k**0.5
    return x.flatten(2)


def _slack(trial: Trial, scores: Tensor) -> float:
    """What rounding may do to a score that is read off two weights: their logarithms are off as the exponents are."""
    return (
        FLOOR
        * (trial.case.length + trial.case.d_k)
        * unit_roundoff(trial.torch_dtype)
        * (1 + float(scores.abs().max()))
    )


@law(
    "itself.largest_score",
    formula="sᵢⱼ ≤ (sᵢᵢ + sⱼⱼ)/2, so maxᵢⱼ sᵢⱼ = maxᵢ sᵢᵢ",
    claims=("Q15.1",),
    at_least={"length": 2},
    **BARE,
)
def largest_score(trial: Trial) -> Iterator[Comparison]:
    """Without projections no score is above the mean of two on the diagonal, its tokens' own: the largest is there."""
    x = tokens(trial, equal_lengths=False)
    scores = scores_of(trial, x, x).double()
    own = scores.diagonal(dim1=-2, dim2=-1)
    excess = float((scores - (own[..., :, None] + own[..., None, :]) / 2).max())
    slack = _slack(trial, scores)
    yield decided(
        excess <= slack,
        measured=max(excess, 0.0),
        allowed=slack,
        what="how far a score is above the mean of the two on the diagonal",
        cause="the diagonal is lowered or hidden, the sign is turned round, or a place has a bias of its own",
    )


@law(
    "itself.equals_attend_to_themselves",
    formula="‖xᵢ‖ = ‖xⱼ‖ ⇒ sᵢᵢ − sᵢⱼ = ‖xᵢ − xⱼ‖²/(2√d) ≥ 0",
    claims=("Q15.1",),
    at_least={"length": 2, "d_k": 2},
    **BARE,
)
def equals_attend_to_themselves(trial: Trial) -> Iterator[Comparison]:
    """Of tokens of one length each scores highest with itself, and leads by half their squared distance over √d."""
    x = tokens(trial, equal_lengths=True)
    scores = scores_of(trial, x, x).double()
    slack = _slack(trial, scores)
    yield within(
        lambda: scores.diagonal(dim1=-2, dim2=-1)[..., None] - scores,
        lambda: lead_among_equals(split_heads(x.double(), trial.config.n_heads)),
        lambda: torch.full_like(scores, slack),
        what="lead of a token's score with itself",
        cause=lambda gap: "the scale is not one over the root of the width, or a score sees more than its two tokens",
    )


@law(
    "itself.lead_decides",
    formula="1 − aᵢᵢ ≤ (n − 1)e^{−g}, ‖yᵢ − vᵢ‖² ≤ (1 − aᵢᵢ) Σⱼ aᵢⱼ‖vⱼ − vᵢ‖²",
    claims=("Q03.4",),
    at_least={"length": 2},
    **BARE,
)
def lead_decides(trial: Trial) -> Iterator[Comparison]:
    """What a token gives others falls like e^−g in the lead g of its own score; that bounds what it lacks of its value.

    The lead is that of the tokens' exact scores. It may be negative: the bound holds all the same.
    """
    x, heads = tokens(trial, equal_lengths=False), trial.config.n_heads
    exact = split_heads(x.double(), heads)
    scores = exact @ exact.mT / trial.config.d_k**0.5
    others = ~torch.eye(trial.case.length, dtype=torch.bool, device=x.device)
    leads = (scores.diagonal(dim1=-2, dim2=-1)[..., None] - scores).masked_fill(~others, math.inf).amin(-1)
    with torch.no_grad():
        weights = attention_weights(trial, x, x).double().transpose(1, 2)
    given_away = (weights * others).sum(-1)
    rounding = 1 + _slack(trial, scores)  # of the exponents, hence of the weights, relatively
    yield within(
        lambda: given_away,
        lambda: torch.zeros_like(given_away),
        lambda: weight_of_others(trial.case.length, leads) * rounding,
        what="what a token gives to all others",
        cause=lambda gap: (
            "the scores lead by less than they should (scale, base, cap), or the weights do not add up to 1"
        ),
    )
    value = trial.numbers("value", *x.shape)
    output = split_heads(trial(Inputs(x, torch.cat([x, value], dim=-1))).double(), heads)
    own = split_heads(value.double(), heads)
    missed = (output - own).square().sum(-1)
    due = distance_to_own_value(weights, own)
    slack = _slack(trial, scores) * float(own.abs().max()) * trial.config.d_k**0.5
    yield within(
        lambda: missed.sqrt(),
        lambda: torch.zeros_like(missed),
        lambda: due.sqrt() * rounding + slack,
        what="distance of the output from the token's own value",
        cause=lambda gap: "the values are averaged by other weights than those which the identity shows",
    )


@law(
    "itself.projections_level_the_diagonal",
    formula="E[sᵢᵢ] = E[sᵢⱼ] = 0, E[sᵢⱼ²] = σ⁴‖xᵢ‖²‖xⱼ‖² over independent W_Q, W_K",
    claims=("Q15.2",),
    contracts=("attention",),
    paths={"over": ("memory",), "padding": ("absent",), "weights": ("no",)},
    sizes={
        "batch": (128,),
        "length": (2,),
        "memory_length": (1,),
        "n_heads": (2,),
        "groups": (1,),
        "d_k": (4, 8, 16),
    },
    contents=("normal",),
    dtypes=("float64", "float32"),
    applies=is_dot_product,
)
def projections_level_the_diagonal(trial: Trial) -> Iterator[Comparison]:
    """Over independent projections a token's score with itself has mean 0, as with any other, and the same spread law.

    Exact tests: every row and head of the batch draws W_Q and W_K anew for two fixed tokens. Given the query, the key
    x W_K is normal with variance ‖x‖²/d an entry, hence the score too. Standardised, 256 scores on the diagonal have a
    mean that is N(0, 1/256) and a sum of squares that is χ², and so have those off it. False alarm 1e-12 a test; a
    mean off by 0.85 standard deviations of a score is missed with probability below 1e-9.
    """
    case, d_k, d = trial.case, trial.config.d_k, trial.config.d_k
    x = trial.numbers("tokens", 1, case.length, 1, d)
    draws = case.batch, case.n_heads
    w_q, w_k = (trial.numbers(name, *draws, d, d_k) / d**0.5 for name in ("W_Q", "W_K"))
    query, key = (merge_heads(x.transpose(1, 2) @ w) for w in (w_q, w_k))
    # As many queries as keys: a query that is taken for the key shows only where their shapes agree.
    scores = scores_of(trial, torch.cat([query, torch.zeros_like(query[:, :1])], dim=1), key).double()[..., :-1, :]
    given_query = conditional_score_variance(split_heads(query.double(), case.n_heads), scale=d_k**-0.5)
    of_key = x.double().square().sum(-1)[0, :, 0] / d
    standard = scores / (given_query[..., :, None] * of_key).sqrt()
    for what, here in (("itself", standard[..., 0, 0]), ("another token", standard[..., 0, 1])):
        n = here.numel()
        total, squares = float(here.sum()), float(here.square().sum())
        yield likely(
            two_sided(normal_tails(total / n**0.5)),
            false_alarm=FALSE_ALARM,
            what=f"mean score of a token with {what}: {total / n:.3g} standard deviations where 0 is due",
            cause="a token is compared with itself past the projections, or its own place is favoured",
        )
        yield likely(
            two_sided(chi_square_tails(squares, n)),
            false_alarm=FALSE_ALARM,
            what=f"mean square of a token's score with {what}: {squares / n:.3g} where 1 is due, standardised",
            cause="the scale is not one over the root of the width, or query and key are not independent",
        )
