"""Sentences on attention itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from hypothesis import strategies as st

from veriformer.properties.case import one_of
from veriformer.properties.comparison import Comparison, Undecidable, decided, likely, same, zero
from veriformer.properties.law import Law
from veriformer.properties.laws import LAWS
from veriformer.properties.laws.cost import BLOCK, matrix_weights, operations, parts_of
from veriformer.properties.laws.filler import padded
from veriformer.properties.laws.itself import tokens
from veriformer.properties.laws.scaling import FALSE_ALARM, along_the_query, attention_weights, widened
from veriformer.properties.laws.softmax import softmax_of
from veriformer.properties.statistics import chi_square_tails, two_sided
from veriformer.properties.tolerance import FLOOR, unit_roundoff
from veriformer.properties.trial import Trial

BARE = {"over": ("memory",), "padding": ("absent",), "weights": ("no",), "grad": ("off",)}
"""The one path of a kernel on which a sentence about its arithmetic is tried."""


def _unit_variance(trial: Trial) -> Iterator[Comparison]:
    """Dividing by √d_k keeps the variance of the logits at 1.

    Queries have entries mean ± spread, keys a share ρ of the query and the rest standard normal noise. At mean 0 and
    spread 1 every query has ‖q‖² = d_k exactly, so that the claim, if true, gives the sum of squared deviations of the
    logits a χ² law exactly.
    """
    case, heads, d_k = trial.case, trial.config.n_heads, trial.config.d_k
    mean, spread, shared = (case.draws[name] for name in ("query_mean", "query_spread", "shared_with_key"))
    signs = trial.numbers("query", case.batch, 1, heads * d_k).sign()
    query = mean + spread * signs
    noise = trial.numbers("key", case.batch, case.memory_length, heads * d_k)
    key = shared * query + (1 - shared**2) ** 0.5 * noise
    weights = attention_weights(trial, query, key).detach().double()[:, 0]
    if bool((weights <= 0).any()):
        raise Undecidable("a weight underflows to 0, so its logit cannot be read off")
    logits = weights.log()
    statistic = float((logits - logits.mean(-1, keepdim=True)).square().sum())
    freedom = case.batch * heads * (case.memory_length - 1)
    p_value = two_sided(chi_square_tails(statistic, freedom))
    yield likely(
        p_value,
        false_alarm=FALSE_ALARM,
        what=f"variance of the logits: {statistic / freedom:.3g} where 1 is claimed",
    )


UNIT_VARIANCE = Law(
    name="literal.unit_variance",
    statement="Whatever q and k are, dividing by √d_k keeps the variance of the logits at 1.",
    formula="Var(q·k/√d_k) = 1",
    function=_unit_variance,
    contracts=("attention",),
    claims=("Q06.2",),
    paths=BARE,
    sizes=LAWS["scaling.logit_variance"].sizes,
    contents=("normal",),
    draws={
        "query_mean": one_of(0, 1, 2),
        "query_spread": one_of(1, 2),
        "shared_with_key": one_of(0.0, 0.5, 0.9),
    },
)

UNIT_VARIANCE_OF_STANDARD_INDEPENDENT = replace(
    UNIT_VARIANCE,
    name="literal.unit_variance_if_standard",
    statement="For independent q and k with mean 0 and variance 1, dividing by √d_k keeps the variance at 1.",
    draws={
        "query_mean": lambda sizes: st.just(0),
        "query_spread": lambda sizes: st.just(1),
        "shared_with_key": lambda sizes: st.just(0.0),
    },
)


def _low_score_hides(trial: Trial) -> Iterator[Comparison]:
    """A very negative number in place of its score makes padding's share 0."""
    x = padded(trial, trial.case.draws["filler"], n_real=trial.case.draws["n_real"])
    yield zero(lambda: trial(x), what="share of the padding")


LOW_SCORE_HIDES = Law(
    name="literal.low_score_hides",
    statement="Padding whose scores are a very negative number gets a share of 0.",
    formula="s_j = −1e9 for padded j ⇒ a_ij = 0",
    function=_low_score_hides,
    contracts=("attention",),
    claims=("Q07.2",),
    paths=BARE,
    sizes={"groups": (1,), "memory_length": (1,)},
    at_least={"d_k": 2},
    draws={"padding": one_of(1, 2, 7), "n_real": one_of(0, 1, 5), "filler": one_of(-1e9, -1e4, -100.0)},
)

MINUS_INFINITY_HIDES_BESIDE_A_KEY = replace(
    LOW_SCORE_HIDES,
    name="literal.minus_infinity_hides_beside_a_key",
    statement="Padding whose scores are −∞ gets a share of 0 where a query has at least one key besides.",
    draws={
        "padding": one_of(1, 2, 7),
        "n_real": one_of(1, 5),
        "filler": lambda sizes: st.just(-math.inf),
    },
)


def _many_keys_saturate(trial: Trial) -> Iterator[Comparison]:
    """With many keys everything goes to the largest logit: taken mildly, at least half of the weight."""
    z = trial.numbers("logits", trial.case.batch, 1, trial.config.d_k)
    largest = float(softmax_of(trial, z).max(-1).values.min())
    yield decided(
        largest >= 0.5,
        measured=1 - largest,
        allowed=0.5,
        what=f"weight that is not on the largest of {trial.config.d_k} logits",
    )


MANY_KEYS_SATURATE = Law(
    name="literal.many_keys_saturate",
    statement="A large number of inputs makes softmax put everything on the maximum (here: half of it or more).",
    formula="n large ⇒ maxᵢ pᵢ ≥ 1/2",
    function=_many_keys_saturate,
    contracts=("attention",),
    claims=("Q06.3",),
    paths=BARE,
    sizes={"n_heads": (1,), "length": (1,), "memory_length": (1,), "d_k": (64, 128, 256)},
    contents=("normal",),
)


def _wider_heads_flatten_softmax(trial: Trial) -> Iterator[Comparison]:
    """The wider a head, the less slope softmax has left under a dot product, and the more additive attention gains.

    The slope is the trace of the Jacobian of softmax, 1 − Σp², which is 0 where one weight has everything. Additive
    scores keep their spread at every width (the derivation additive_attention), so the gain is what the dot product
    loses. Queries have length √d_k, as standard ones do, and the first key leads along them.
    """
    case, wide = trial.case, widened(trial)
    z = torch.zeros(case.batch, case.n_heads, case.memory_length, dtype=trial.torch_dtype, device=trial.device)
    z[..., 0] = case.draws["lead"]
    narrow, wider = (1 - attention_weights(t, *along_the_query(t, z)).detach().square().sum(-1) for t in (trial, wide))
    limit = narrow - FLOOR * case.memory_length * unit_roundoff(trial.torch_dtype)
    worst = int((wider - limit).argmax())
    yield decided(
        bool((wider < limit).all()),
        measured=float(wider.flatten()[worst]),
        allowed=float(limit.flatten()[worst]),
        what=f"slope of softmax at width {wide.config.d_k}, which is due to be below that at {trial.config.d_k}",
    )


WIDER_HEADS_FLATTEN_SOFTMAX = Law(
    name="literal.wider_heads_flatten_softmax",
    statement="The larger d_k, the more additive attention gains: the dot product leaves softmax ever less slope.",
    formula="1 − Σpᵢ² falls as d_k grows, ‖q‖ = √d_k",
    function=_wider_heads_flatten_softmax,
    contracts=("attention",),
    claims=("Q05.2",),
    paths=BARE,
    sizes=LAWS["scaling.independent_of_width"].sizes,
    at_least={"memory_length": 2},
    contents=("integers",),
    draws={"lead": one_of(1.0, 0.5, 2.0)},
)

WIDER_HEADS_FLATTEN_SOFTMAX_UNSCALED = replace(
    WIDER_HEADS_FLATTEN_SOFTMAX,
    name="literal.wider_heads_flatten_softmax_unscaled",
    statement="Without the factor 1/√d_k the dot product leaves softmax the less slope the larger d_k is.",
    paths={**WIDER_HEADS_FLATTEN_SOFTMAX.paths, "scale": ("one",)},
)


def _weights_have_no_direction(trial: Trial) -> Iterator[Comparison]:
    """With one matrix for queries and keys, i attends to j as much as j to i."""
    x = trial.numbers("query", trial.case.batch, trial.case.length, trial.config.d_model)
    weights = attention_weights(trial, x, x).detach().transpose(1, 2)
    yield same(
        lambda: weights, lambda: weights.mT, what="weight of i on j against j on i", axes=("row", "head", "i", "j")
    )


WEIGHTS_HAVE_NO_DIRECTION = replace(
    LAWS["scores.one_matrix_has_no_direction"],
    name="literal.weights_have_no_direction",
    statement="With one matrix for queries and keys, A attends to B as much as B to A.",
    formula="W_Q = W_K ⇒ aᵢⱼ = aⱼᵢ",
    function=_weights_have_no_direction,
    contents=("integers",),
)


def _alone_is_identity(trial: Trial) -> Iterator[Comparison]:
    """With Q = K attention is nearly the identity: taken mildly, half of each token's weight is on itself."""
    x = trial.numbers("tokens", trial.case.batch, trial.case.length, trial.config.d_model)
    least = float(attention_weights(trial, x, x).detach().transpose(1, 2).diagonal(dim1=-2, dim2=-1).min())
    yield decided(least >= 0.5, measured=1 - least, allowed=0.5, what="weight that a token gives to others")


ALONE_IS_IDENTITY = Law(
    name="literal.alone_is_identity",
    statement="With Q = K attention is nearly the identity (here: half of each row's weight or more is on itself).",
    formula="Q = K ⇒ aᵢᵢ ≥ 1/2",
    function=_alone_is_identity,
    contracts=("attention",),
    claims=("Q03.4",),
    paths=BARE,
    sizes={"groups": (1,), "memory_length": (1,)},
    at_least={"length": 2},
)

WIDE_RANDOM_TOKENS_ARE_ALONE = replace(
    ALONE_IS_IDENTITY,
    name="literal.wide_random_tokens_are_alone",
    statement="Of independent standard normal tokens of width 4096 each gives itself half of its weight or more.",
    sizes={"groups": (1,), "memory_length": (1,), "n_heads": (1,), "d_k": (4096,)},
    contents=("normal",),
)
"""A score with itself is χ² with 4096 degrees over 64: above 51, but for a probability of 1e-22. One with another is
normal, given the first, and below 20, but for one of 1e-71. Leads of 31 leave 20·e⁻³¹ to others at most."""


def _mostly_itself(trial: Trial) -> Iterator[Comparison]:
    """Without projections each token gives no other more weight than itself."""
    x = tokens(trial, equal_lengths=trial.case.draws["equal_lengths"])
    weights = attention_weights(trial, x, x).detach().transpose(1, 2)
    own = weights.diagonal(dim1=-2, dim2=-1)[..., None].expand_as(weights)
    excess = float((weights - own).max())
    slack = FLOOR * trial.config.d_k * unit_roundoff(trial.torch_dtype)
    yield decided(excess <= slack, measured=max(excess, 0.0), allowed=slack, what="weight of another, above its own")


MOSTLY_ITSELF = Law(
    name="literal.mostly_itself",
    statement="Without W_Q, W_K and W_V a token attends mostly to itself (here: to no other token more).",
    formula="q = k = x ⇒ aᵢⱼ ≤ aᵢᵢ",
    function=_mostly_itself,
    contracts=("attention",),
    claims=("Q15.1",),
    paths=BARE,
    sizes={"groups": (1,), "memory_length": (1,)},
    at_least={"length": 2},
    draws={"equal_lengths": lambda sizes: st.just(False)},
)

EQUALS_MOSTLY_THEMSELVES = replace(
    MOSTLY_ITSELF,
    name="literal.equals_mostly_themselves",
    statement="Without projections each of several tokens of one length gives no other token more weight than itself.",
    contents=("normal",),
    draws={"equal_lengths": lambda sizes: st.just(True)},
)


def _most_weights_cost_most(trial: Trial) -> Iterator[Comparison]:
    """The part of a block with the most weights takes the most operations."""
    d_ff = trial.case.draws["d_ff"]
    weights, cost = (parts_of(trial, count, d_ff=d_ff) for count in (matrix_weights, operations))
    large, small = "feed-forward layer", "attention"
    spent, spared = cost.feed_forward, cost.attention
    if weights.attention > weights.feed_forward:
        large, small, spent, spared = small, large, spared, spent
    yield decided(
        spent >= spared,
        measured=spared,
        allowed=spent,
        what=f"operations of the {small}, which has fewer weights than the {large}",
    )


MOST_WEIGHTS_COST_MOST = Law(
    name="literal.most_weights_cost_most",
    statement="Which part of a block costs most can be told by its parameters: the one that has more.",
    formula="w < u ⇒ M ≤ G, and w > u ⇒ M ≥ G",
    function=_most_weights_cost_most,
    **{
        **BLOCK,
        "sizes": {**BLOCK["sizes"], "length": (*range(1, 13), 20)},
        "paths": {**BLOCK["paths"], "positions": ("none",), "grad": ("off",)},
        "draws": {"d_ff": lambda sizes: st.sampled_from([4 * _d_model(sizes), _d_model(sizes)])},
    },
)

MOST_WEIGHTS_COST_MOST_WHEN_SHORT = replace(
    MOST_WEIGHTS_COST_MOST,
    name="literal.most_weights_cost_most_when_short",
    statement="In a sequence of fewer than d_ff − 2·d_model tokens the feed-forward layer, which has more weights, "
    "costs more as well.",
    formula="n < d_ff − 2d ⇒ w < u and M < G",
    draws={
        "d_ff": lambda sizes: st.integers(1, 2 * _d_model(sizes)).map(
            lambda more: 2 * _d_model(sizes) + sizes["length"] + more
        )
    },
)


def _d_model(sizes: Mapping[str, Any]) -> int:
    return sizes["n_heads"] * sizes["d_k"]
