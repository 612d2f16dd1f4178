"""Positional encodings: what each promises, on the vectors that it adds or on the scores that it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..case import one_of
from ..comparison import Comparison, counts, decided, equal, same, within
from ..contracts import Inputs, Path, SubjectError, Unsupported
from ..formulas import alibi_slopes, frequencies, rotary_score, sinusoidal_distance, sinusoidal_product, turned
from ..law import law
from ..subjects import MAX_LENGTH, Subject
from ..tolerance import FLOOR, unit_roundoff
from ..trial import SubjectCrash, Trial

RELATIVE = ("alibi", "rotary", "rotary_half", "shaw", "t5", "t5_causal")
SHAW_LIMIT = 16
T5_END = 128


def only_for(*schemes: str) -> Callable[[Subject, Path], str | None]:
    """Why a law on ``schemes`` says nothing of a subject; None if it does."""

    def applies(subject: Subject, path: Path) -> str | None:
        kind = subject.positions_on(path)
        return None if kind in schemes else f"its positions are called {kind!r}, the law is about {', '.join(schemes)}"

    return applies


def position_ids(trial: Trial, positions: Sequence[int]) -> Tensor:
    """``positions`` for every row: integer (batch, length)."""
    return torch.tensor(positions, device=trial.device).expand(trial.case.batch, -1)


def added(trial: Trial, positions: Sequence[int]) -> Tensor:
    """PE(p) of each of ``positions``: what is added to a token of zeros, (batch, length, d_model)."""
    zeros = torch.zeros(trial.case.batch, len(positions), trial.config.d_model, dtype=trial.torch_dtype)
    return trial(Inputs(zeros.to(trial.device), x_positions=position_ids(trial, positions)))


def scores_at_offsets(trial: Trial, query: Tensor, offsets: Sequence[int]) -> Tensor:
    """Scores (batch, heads, offset) of one query (batch, 1, d_model) with keys of zeros, less that of the first.

    What is added to a whole row is taken off: softmax does not see it.
    """
    zeros = torch.zeros(trial.case.batch, len(offsets), trial.config.d_model, dtype=trial.torch_dtype)
    query_position = max(map(abs, offsets))
    key_positions = [query_position + offset for offset in offsets]
    inputs = Inputs(
        query,
        zeros.to(trial.device),
        x_positions=position_ids(trial, [query_position]),
        memory_positions=position_ids(trial, key_positions),
    )
    scores = trial(inputs)[:, 0].unflatten(-1, (trial.config.n_heads, -1))
    return scores - scores[..., :1]


def angle_error(trial: Trial, position: int) -> float:
    """Largest error of a sine or cosine whose angle, in float32 at least, grows to ``position`` radians.

    An angle is off by a few roundings of itself, and no sine has a slope above 1.
    """
    angles = unit_roundoff(torch.promote_types(trial.torch_dtype, torch.float32))
    return FLOOR * (unit_roundoff(trial.torch_dtype) + angles * position)


SINUSOIDAL = {
    "contracts": ("absolute_positions",),
    "draws": {"position": one_of(0, 1, 7, 100, 1000), "shift": one_of(1, 2, 5, 17, 64)},
    "applies": only_for("sinusoidal"),
}


@law(
    "positions.sinusoidal_shift",
    formula="PE(p + k) = R(k) PE(p), PE(0) = (0, 1, 0, 1, …)",
    claims=("Q20.1",),
    **SINUSOIDAL,
)
def sinusoidal_shift(trial: Trial) -> Iterator[Comparison]:
    """To move by k turns each pair of the encoding by k times its frequency, wherever it stands, with no last position.

    The frequencies are the paper's, 10000^(−2i/d_model), and position 0 is (0, 1, 0, 1, …).
    """
    p, k = trial.case.draws["position"], trial.case.draws["shift"]
    omega = frequencies(trial.config.d_model).to(trial.device)

    def by_turning() -> Tensor:
        sine, cosine = added(trial, [p]).double().unflatten(-1, (-1, 2)).unbind(-1)
        return torch.stack(turned(sine, cosine, omega, shift=k), dim=-1).flatten(-2)

    yield within(
        lambda: added(trial, [p + k]),
        by_turning,
        lambda: torch.full((trial.case.batch, 1, trial.config.d_model), angle_error(trial, 2 * (p + k))),
        what=f"PE({p} + {k}) against PE({p}), turned",
        cause=lambda gap: "other frequencies, sine and cosine in another order, or positions read twice or in steps",
    )
    start = torch.tensor([0.0, 1.0], device=trial.device).repeat(trial.config.d_model // 2)
    yield equal(
        lambda: added(trial, [0])[:, 0],
        lambda: start.to(trial.torch_dtype).expand(trial.case.batch, -1),
        what="PE(0)",
        axes=("row", "entry"),
        cause=lambda gap: "counting begins at 1, or cosines stand where sines are due",
    )


@law(
    "positions.sinusoidal_product",
    formula="PE(p)·PE(p + k) = Σᵢ cos(kωᵢ) = PE(p)·PE(p − k)",
    claims=("Q20.3",),
    **{**SINUSOIDAL, "draws": {**SINUSOIDAL["draws"], "position": one_of(64, 100, 1000)}},
)
def sinusoidal_inner_product(trial: Trial) -> Iterator[Comparison]:
    """The inner product of two encodings depends on how far apart they are: not on where, nor on which comes first."""
    p, k, d = trial.case.draws["position"], trial.case.draws["shift"], trial.config.d_model
    due = sinusoidal_product(d, offset=k)
    for sign, word in ((1, "ahead"), (-1, "behind")):

        def product(sign: int = sign) -> Tensor:
            here, there = added(trial, [p, p + sign * k]).double().unbind(1)
            return (here * there).sum(-1)

        yield within(
            product,
            lambda: torch.full((trial.case.batch,), due, dtype=torch.float64, device=trial.device),
            lambda: torch.full((trial.case.batch,), 2 * d * angle_error(trial, p + k), device=trial.device),
            what=f"PE({p})·PE of what stands {k} {word}",
            cause=lambda gap: "other frequencies, or pairs that are not the sine and the cosine of one angle",
        )


@law(
    "positions.told_apart",
    formula="PE(p) ≠ PE(s) for p ≠ s; sinusoidal: |PE(p)ᵢ| ≤ 1, ‖PE(p + k) − PE(p)‖² = 4 Σᵢ sin²(kωᵢ/2)",
    claims=("Q20.2",),
    contracts=("absolute_positions",),
    dtypes=("float64", "float32"),
)
def told_apart(trial: Trial) -> Iterator[Comparison]:
    """No two positions have one encoding; no entry of a sinusoidal one is above 1 in size."""
    sinusoidal = trial.subject.positions_on(trial.path) == "sinusoidal"
    n = 300 if sinusoidal else MAX_LENGTH
    table = added(trial, range(n))[0].double()
    apart = torch.cdist(table, table, compute_mode="donot_use_mm_for_euclid_dist")
    noise = FLOOR * unit_roundoff(trial.torch_dtype) * float(table.abs().max())
    yield counts(
        int((apart <= noise).sum()) - n,
        0,
        what=f"pairs out of {n} positions that have one encoding",
        cause=lambda: "positions repeat: a period, a table read modulo its length, or one row for all",
    )
    if sinusoidal:
        excess = max(float(table.abs().max()) - 1, 0.0)
        limit = unit_roundoff(trial.torch_dtype)
        cause = "the encoding is scaled, or is not made of sines and cosines"
        yield decided(excess <= limit, measured=excess, allowed=limit, what="excess of an entry over 1", cause=cause)
        squared = (table[1:] - table[:-1]).square().sum(-1)
        due = sinusoidal_distance(trial.config.d_model, offset=1)
        yield within(
            lambda: squared,
            lambda: torch.full_like(squared, due),
            lambda: torch.full_like(squared, 4 * trial.config.d_model * angle_error(trial, n)),
            what="squared distance of neighbours",
            cause=lambda gap: cause,
        )


@law(
    "positions.learned_table",
    formula="PE(p) = T[p] for 0 ≤ p < max_length, and an error for any other p",
    claims=("Q21.1",),
    contracts=("absolute_positions",),
    draws={"beyond": one_of(0, 1, 100), "position": lambda sizes: one_of(*range(MAX_LENGTH))(sizes)},
    applies=only_for("learned"),
)
def learned_table(trial: Trial) -> Iterator[Comparison]:
    """A learned position has one vector wherever its token stands; beyond the table there is an error that names it."""
    p = trial.case.draws["position"]
    yield equal(
        lambda: added(trial, [p]),
        lambda: added(trial, [*range(MAX_LENGTH)][::-1])[:, MAX_LENGTH - 1 - p].unsqueeze(1),
        what=f"PE({p}) alone, and at place {MAX_LENGTH - 1 - p} of a row",
        cause=lambda gap: "the table is read by the place in the tensor, not by the position",
    )
    for outside in (MAX_LENGTH + trial.case.draws["beyond"], -1 - trial.case.draws["beyond"]):
        told = _refusal(trial, outside)
        yield counts(
            int(told is not None and str(outside) in told),
            1,
            what=f"errors that name position {outside}, of a table of {MAX_LENGTH}",
            cause=lambda told=told: (
                "it is taken, as if it had a vector: clamped, wrapped round, counted from the end"
                if told is None
                else f"the error does not say which position is outside: {told}"
            ),
        )


def _refusal(trial: Trial, position: int) -> str | None:
    """What the subject says against ``position``; None if it takes it."""
    try:
        added(trial, [position])
    except (SubjectCrash, SubjectError, Unsupported) as error:
        return str(error)
    return None


def _is_relative(subject: Subject, path: Path) -> str | None:
    if subject.contract == "encoder" and "position_ids" not in subject.accepted:
        return "it takes no position_ids"
    return only_for(*RELATIVE)(subject, path)


@law(
    "positions.shift_invariance",
    formula="f(x, p + τ) = f(x, p)",
    claims=("Q21.2",),
    contracts=("relative_positions", "encoder"),
    at_least={"memory_length": 2},
    draws={"shift": one_of(1, 4, 16)},
    applies=_is_relative,
    twin="order.order_is_seen",
)
def shift_invariance(trial: Trial) -> Iterator[Comparison]:
    """A relative encoding does not see where a text begins: the same is computed when all positions grow by one number.

    Scores are compared within a row: what is added to all of it, softmax does not see.
    """
    shift, inputs = trial.case.draws["shift"], trial.inputs
    if inputs.x_positions is None:
        inputs = replace(inputs, x_positions=position_ids(trial, range(inputs.x.shape[1])))
    if inputs.memory is not None:
        inputs = replace(inputs, memory_positions=position_ids(trial, range(inputs.memory.shape[1])))

    def moved(by: int) -> Tensor:
        changes = {
            name: t + by for name in ("x_positions", "memory_positions") if (t := getattr(inputs, name)) is not None
        }
        output = trial(replace(inputs, **changes))
        if trial.subject.contract == "encoder":
            return output
        scores = output.unflatten(-1, (trial.config.n_heads, -1))
        return (scores - scores[..., :1]).flatten(-2)

    yield same(
        lambda: moved(shift),
        lambda: moved(0),
        only=trial.comparable(inputs),
        what=f"output when all positions grow by {shift}",
        cause=lambda gap: (
            "a position enters by itself: only one of q and k is turned, values are turned as well, "
            "or the base or an index follows the largest position"
        ),
    )


@law(
    "positions.rotary_score",
    formula="s = Σᵢ ((qᵢkᵢ + rᵢlᵢ) cos((s − p)θᵢ) + (rᵢkᵢ − qᵢlᵢ) sin((s − p)θᵢ)) / √d_k",
    claims=("Q21.6",),
    contracts=("relative_positions",),
    draws={"first": one_of(0, 1, 9)},
    applies=only_for("rotary", "rotary_half"),
)
def rotary_scores(trial: Trial) -> Iterator[Comparison]:
    """A rotary score is that of the proved formula, at the paper's frequencies: at offset 0 it is the plain q·k/√d_k.

    (q, r) is a pair of entries of the query at position p, (k, l) the same of the key at position s: neighbours in the
    "rotary" layout, i and i + d_k/2 in "rotary_half".
    """
    first, heads = trial.case.draws["first"], trial.config.n_heads
    n, m = trial.case.length, trial.case.memory_length
    p, s = [first + i for i in range(n)], [*range(m)]
    inputs = replace(trial.inputs, x_positions=position_ids(trial, p), memory_positions=position_ids(trial, s))
    offsets = (torch.tensor(s)[None, :] - torch.tensor(p)[:, None]).to(trial.device)

    def pairs(t: Tensor, layout: str) -> tuple[Tensor, Tensor]:
        t = t.double().unflatten(-1, (heads, -1)).movedim(-2, 1)  # (batch, heads, length, d_k)
        return (t[..., 0::2], t[..., 1::2]) if layout == "rotary" else tuple(t.chunk(2, dim=-1))  # type: ignore[return-value]

    def due(layout: str) -> Tensor:
        query, key = pairs(inputs.x, layout), pairs(trial.content(inputs), layout)
        scores = rotary_score(*query, *key, offsets=offsets) / trial.config.d_k**0.5
        return scores.transpose(1, 2).flatten(2).to(trial.torch_dtype)

    layout = trial.subject.positions_on(trial.path)
    other = "rotary_half" if layout == "rotary" else "rotary"

    def cause(gap: Tensor) -> str:
        if torch.allclose(trial(inputs), due(other), rtol=1e-3, atol=1e-3):
            return f"the pairs stand as in {other!r}: permute the columns of the weights, or turn the other pairs"
        return "other frequencies, turned the wrong way, or a pair whose two entries turn by different angles"

    yield same(
        lambda: due(layout), lambda: trial(inputs), what="scores", axes=("row", "query", "head·key"), cause=cause
    )


@law(
    "positions.alibi_slopes",
    formula="bias = −m_h (i − j) for j ≤ i, m_h = 2^(−8h/n), for n no power of two those of the authors",
    claims=("Q21.5",),
    contracts=("relative_positions",),
    sizes={"n_heads": (1, 2, 3, 4, 5, 6, 8, 12)},
    applies=only_for("alibi"),
)
def alibi_bias(trial: Trial) -> Iterator[Comparison]:
    """ALiBi lowers a score by its head's slope for each place into the past, and the slopes are the authors'.

    Heads that are no power of two have those of the next lower power, then slopes that lie between them.
    """
    distances = [*range(MAX_LENGTH)]
    slopes = torch.tensor(alibi_slopes(trial.config.n_heads), dtype=torch.float64, device=trial.device)
    zeros = torch.zeros(trial.case.batch, 1, trial.config.d_model, dtype=trial.torch_dtype, device=trial.device)
    due = -slopes[:, None] * torch.tensor(distances, device=trial.device)
    yield same(
        lambda: due.expand(trial.case.batch, -1, -1).to(trial.torch_dtype),
        lambda: scores_at_offsets(trial, zeros, [-x for x in distances]),
        what="bias at each distance into the past, less that at distance 0",
        axes=("row", "head", "distance"),
        cause=lambda gap: "slopes of another series: for a head count that is no power of two, or begun at 1",
    )


@law(
    "positions.shaw_clips",
    formula="bias(x) = bias(clip(x, −16, 16)), 33 different ones",
    claims=("Q21.3",),
    contracts=("relative_positions",),
    contents=("normal",),
    dtypes=("float64",),
    sizes={"length": (1,)},
    applies=only_for("shaw"),
)
def shaw_clips(trial: Trial) -> Iterator[Comparison]:
    """Offsets beyond ±16, the limit in Shaw et al.'s experiments, share a vector; all nearer ones have their own."""
    offsets = [*range(-2 * SHAW_LIMIT - 8, 2 * SHAW_LIMIT + 9)]
    groups = [max(-SHAW_LIMIT, min(SHAW_LIMIT, x)) for x in offsets]
    yield from _grouped(trial, trial.inputs.x, offsets, groups, "the limit is another, or holds on one side only")


def t5_bucket(offset: int, *, bidirectional: bool) -> int:
    """T5's bucket of ``offset``, by whole numbers alone: no logarithm is rounded.

    A distance x has a bucket of its own below E, and from there the largest E + g with (x/E)^G ≥ (128/E)^g, g < G.
    Bidirectional: E = G = 8, and the future has 16 buckets of its own. Causal: E = G = 16, and it has bucket 0.

    Source: Raffel et al. 2020, §2.1, with 32 buckets; the rule itself is in the code that was published with it.
    """
    half = 8 if bidirectional else 16
    distance = abs(offset) if bidirectional else max(-offset, 0)
    side = 2 * half if bidirectional and offset > 0 else 0
    if distance < half:
        return side + distance
    # (x/E)^G ≥ (D/E)^g, multiplied by E^(G + g)
    reached = [g for g in range(half) if distance**half * half**g >= T5_END**g * half**half]
    return side + half + max(reached)


@law(
    "positions.bucket_ranges",
    formula="bias(x) = bias(y) ⟺ bucket(x) = bucket(y)",
    claims=("Q21.4",),
    contracts=("relative_positions",),
    dtypes=("float64",),
    sizes={"length": (1,)},
    applies=only_for("t5", "t5_causal"),
)
def t5_buckets(trial: Trial) -> Iterator[Comparison]:
    """T5 gives one number to all offsets of a bucket, and the buckets are T5's own: exact at first, then ranges."""
    bidirectional = trial.subject.positions_on(trial.path) == "t5"
    offsets = [*range(-T5_END - 32, T5_END + 33)]
    groups = [t5_bucket(x, bidirectional=bidirectional) for x in offsets]
    zeros = torch.zeros_like(trial.inputs.x)
    told = "other ranges, future taken for past, or the buckets of the other direction"
    yield from _grouped(trial, zeros, offsets, groups, told)


def _grouped(
    trial: Trial, query: Tensor, offsets: Sequence[int], groups: Sequence[int], cause: str
) -> Iterator[Comparison]:
    """Offsets of one group have one score, to the last bit, and those of two groups have two."""
    firsts = {group: groups.index(group) for group in groups}
    representative = [firsts[group] for group in groups]

    def gap_at(gap: Tensor) -> str:
        return f"{cause}: seen first at offset {offsets[int((gap.amax(dim=(0, 1)) > 0).nonzero()[0])]}"

    def scores() -> Tensor:
        return scores_at_offsets(trial, query, offsets)

    yield same(
        scores,
        lambda: scores()[..., representative],
        what="score at an offset against the first of its group",
        axes=("row", "head", "offset"),
        cause=gap_at,
    )
    one_each = scores()[..., sorted(firsts.values())].sort(-1).values
    # Random numbers this near have a chance below 1e-10 a head: 33² / 2 pairs, and a noise of some 1e-14.
    noise = FLOOR * unit_roundoff(trial.torch_dtype) * float(one_each.abs().max())
    alike = int((one_each.diff(dim=-1) <= noise).sum())
    yield counts(alike, 0, what="groups that have the score of another group", cause=lambda: cause)
