"""The two ends of a model: a table that turns tokens into vectors, and an output layer that turns vectors into logits.

The two may be one tensor, and then the layer is *tied*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ..case import one_of
from ..comparison import GENTLE, Comparison, agree, counts, decided, nonzero, same, within, zero
from ..contracts import Inputs, Path
from ..counting import flops_of
from ..formulas import logit_error, logit_flops, logit_lead, tied_gradient, weights_saved
from ..law import law
from ..subjects import VOCABULARY, Subject
from ..tolerance import FLOOR, dot_product_error_bound, unit_roundoff
from ..trial import Trial, gradient_of
from .cost import parameters_of


def tied_is(wanted: str) -> Callable[[Subject, Path], str | None]:
    """Why a law of tables that are tied ("yes") or not ("no") says nothing of a subject; None if it does."""

    def applies(subject: Subject, path: Path) -> str | None:
        if "tied" not in path:
            return "it does not say whether its table is tied: declare options={'tied': ('yes', 'no')}, or one of them"
        if path["tied"] == wanted:
            return None
        return "its output layer " + ("shares the table" if wanted == "no" else "has weights of its own")

    return applies


def table_of(trial: Trial) -> Tensor:
    """The table as numbers, (V, d_model) float64."""
    return trial.built.table.detach().double()


def set_table(trial: Trial, rows: Tensor) -> Tensor:
    """Write ``rows`` (V, d_model) into the table; returns them as the table's dtype has them, in float64."""
    with torch.no_grad():
        trial.built.table.copy_(rows)
    return table_of(trial)


@torch.no_grad()
def embedded(trial: Trial, tokens: Tensor) -> Tensor:
    """What the table makes of tokens: (batch, length) → (batch, length, d_model)."""
    return trial.built.embed(tokens)


@torch.no_grad()
def logits_of(trial: Trial, x: Tensor) -> Tensor:
    """What the output layer makes of vectors: (batch, length, d_model) → (batch, length, V)."""
    return trial.built.logits(x)


def factor(trial: Trial) -> float:
    """By what a row is multiplied on its way into the model, by least squares (dimensionless)."""
    every = torch.arange(VOCABULARY, device=trial.device)[None]
    x, rows = embedded(trial, every)[0].double(), table_of(trial)
    return float((x * rows).sum() / (rows * rows).sum())


@law(
    "embedding.rows_of_tokens",
    formula="x_i = c E_{t_i}, c ≠ 0",
    claims=("S.linear", "Q12.1"),
    contracts=("embedding",),
)
def rows_of_tokens(trial: Trial) -> Iterator[Comparison]:
    """A token becomes its row of the table, times one factor for all tokens and all places."""
    tokens, c = trial.inputs.x, factor(trial)
    due = c * table_of(trial)[tokens]
    yield decided(c != 0, measured=0.0, allowed=0.0, what="the factor", cause="the table is not read at all")
    yield within(
        lambda: embedded(trial, tokens).double(),
        lambda: due,
        lambda: FLOOR * unit_roundoff(trial.torch_dtype) * due.abs().amax(-1, keepdim=True).expand_as(due),
        what="embedding",
        cause=lambda gap: "ids are off by some, a token or a place has a factor of its own, or rows are mixed",
    )


def _without(trial: Trial, stream: str) -> Tensor:
    """Tokens among which the one that is drawn as absent is not: (batch, length)."""
    tokens = trial.tokens(stream, trial.case.batch, trial.case.length)
    absent = trial.case.draws["absent"]
    return torch.where(tokens == absent, (absent + 1) % VOCABULARY, tokens)


def table_gradient(trial: Trial, *sequences: Tensor) -> Tensor:
    """Gradient to the table, (V, d_model), of the cross-entropy of all ``sequences`` together, in nats.

    Each token is to be told its right neighbour, the last one the first.
    """
    table, parameters = trial.built.table, trial.parameters()
    name = next(n for n, p in trial.built.named_parameters() if p is table or p.data_ptr() == table.data_ptr())
    with torch.enable_grad():
        losses = []
        for tokens in sequences:
            logits = trial.run(Inputs(tokens), parameters).double()
            losses.append(-logits.log_softmax(-1).gather(-1, tokens.roll(-1, 1)[..., None]).sum())
        return gradient_of(torch.stack(losses).sum(), [parameters[name]])[0]


GRADIENTS: dict[str, Any] = {
    "contracts": ("embedding",),
    "paths": {"grad": ("on",)},
    "gains": GENTLE,
    "draws": {"absent": one_of(*range(VOCABULARY))},
}


@law(
    "embedding.absent_rows_rest",
    formula="t ∉ source ∪ target ⇒ ∂L/∂E_t = 0",
    claims=("Q12.1", "S.linear"),
    **GRADIENTS,
    applies=tied_is("no"),
    twin="embedding.tied_rows_all_move",
)
def absent_rows_rest(trial: Trial) -> Iterator[Comparison]:
    """Of a table that source and target share, the rows of tokens that occur on neither side get no gradient at all.

    Those of tokens that occur on either side do. The output layer has weights of its own.
    """
    source, target = _without(trial, "source"), _without(trial, "target")
    present = torch.zeros(VOCABULARY, dtype=torch.bool, device=trial.device)
    present[torch.cat([source, target]).flatten()] = True
    gradient = table_gradient(trial, source, target)
    yield zero(
        lambda: gradient,
        what="gradient of the row of a token that does not occur",
        only=~present,
        axes=("token", "feature"),
        cause=lambda gap: "rows are mixed before they are read, or the output layer shares the table after all",
    )
    yield nonzero(
        lambda: gradient.abs().amax(-1),
        what="gradient of the row of a token that occurs",
        only=present,
        axes=("token",),
        cause="the table is frozen, or the gradient of one side is lost",
    )


@law(
    "embedding.tied_rows_all_move",
    formula="∂L/∂E_w = Σᵢ T_iw gᵢ + Σᵢ (p_w − δ_wy) xᵢ ≠ 0 for every w",
    claims=("Q12.1",),
    **GRADIENTS,
    applies=tied_is("yes"),
    dtypes=("float64", "float32"),
    twin="embedding.absent_rows_rest",
)
def tied_rows_all_move(trial: Trial) -> Iterator[Comparison]:
    """Where the output layer shares the table every row gets a gradient, whether its token occurs or not.

    It is the proved one: what arrives at the places of the token, and what softmax pulls and pushes.
    """
    source, target = _without(trial, "source"), _without(trial, "target")
    yield nonzero(
        lambda: table_gradient(trial, source, target).abs().amax(-1),
        what="gradient of a row",
        only=torch.ones(VOCABULARY, dtype=torch.bool, device=trial.device),
        axes=("token",),
        cause="the output layer has a copy of the table, or does not train it",
    )
    yield same(
        lambda: _proved_gradient(trial, source, target).to(trial.torch_dtype),
        lambda: table_gradient(trial, source, target),
        what="gradient of the table",
        axes=("token", "feature"),
        cause=lambda gap: "one of the two ways to the table is cut, or counted twice",
    )


def _proved_gradient(trial: Trial, *sequences: Tensor) -> Tensor:
    """The gradient that :func:`table_gradient` is due to give, by the formula, in float64."""
    table, c = table_of(trial), factor(trial)
    one_hot, total = torch.eye(VOCABULARY, dtype=torch.float64, device=trial.device), torch.zeros_like(table)
    for tokens in sequences:
        for token, right in zip(tokens.flatten(), tokens.roll(-1, 1).flatten(), strict=True):
            x = c * table[token]
            p = (table @ x).softmax(-1)
            arriving = c * (p - one_hot[right]) @ table
            total += tied_gradient(one_hot[token][None], arriving[None], x, p, one_hot[right])
    return total


@law(
    "embedding.stored_like_the_table",
    formula="W ∈ ℝ^(V×d), z = x Wᵀ",
    claims=("Q12.5", "S.linear"),
    contracts=("embedding",),
)
def stored_like_the_table(trial: Trial) -> Iterator[Comparison]:
    """The output layer stores its weights in the shape of the table, one row a token, and a logit is x times a row."""
    m, x = trial.built, trial.numbers("x", trial.case.batch, trial.case.length, trial.config.d_model)
    yield agree(
        tuple(m.output.shape),
        tuple(m.table.shape),
        what="shape of the output layer's weights, (V, d_model) as that of the table",
        cause="it is stored as (in, out): it shares the table by a transpose, or not at all",
    )
    weights = m.output.detach().double()
    yield within(
        lambda: logits_of(trial, x).double(),
        lambda: x.double() @ weights.mT,
        lambda: dot_product_error_bound(x.double()[..., None, :], weights, dtype=trial.torch_dtype),
        what="logits",
        cause=lambda gap: "a bias, a factor, a cap, or weights of another layer",
    )


@law(
    "embedding.one_tensor",
    formula="W is E, and V·d numbers are saved",
    claims=("Q12.5",),
    contracts=("embedding",),
    applies=tied_is("yes"),
)
def one_tensor(trial: Trial) -> Iterator[Comparison]:
    """A tied output layer is the table itself: the same numbers in memory, laid out alike, and V·d parameters fewer.

    What is written into the table is read by the output layer.
    """
    m = trial.built
    where = [(t.data_ptr(), tuple(t.shape), t.stride()) for t in (m.output, m.table)]
    yield decided(
        where[0] == where[1],
        measured=0.0,
        allowed=0.0,
        what="output layer and table in the same memory, laid out alike",
        cause="a copy, which training moves away from the table, or a transpose",
    )
    if "no" in trial.subject.options["tied"]:
        apart = trial.like(path={**trial.path, "tied": "no"})
        yield counts(
            parameters_of(apart) - parameters_of(trial),
            weights_saved(VOCABULARY, trial.config.d_model),
            what="parameters that tying saves",
            cause=lambda: "two parameters share the memory, or more than the table is shared",
        )


def with_rows(trial: Trial, rows: str) -> Tensor:
    """Give the table the ``rows`` named: "drawn", of "one length", or "orthonormal". Returns it, (V, d_model) float64.

    Orthonormal rows take d_model ≥ V.
    """
    drawn = table_of(trial)
    if rows == "drawn":
        return drawn
    if rows == "one length":
        return set_table(trial, drawn / drawn.norm(dim=-1, keepdim=True))
    return set_table(trial, torch.linalg.qr(drawn.mT).Q.mT)


def likest_row_wins(trial: Trial) -> Iterator[Comparison]:
    """Where all rows of a tied layer have one length, the one at the smallest angle to x gets the largest logit.

    Whatever the lengths, one logit leads another by half the difference of squared distances, and of squared lengths.
    """
    table, token = with_rows(trial, trial.case.draws["rows"]), trial.case.draws["token"]
    x = trial.numbers("x", trial.config.d_model) if token is None else trial.built.table.detach()[token]
    logits, exact = logits_of(trial, x[None, None])[0, 0].double(), x.double()
    error = dot_product_error_bound(exact, table, dtype=trial.torch_dtype)
    likest = int(((table @ exact) / table.norm(dim=-1)).argmax())
    lengths, distances = table.square().sum(-1), (exact - table).square().sum(-1)
    yield within(
        lambda: logits[likest] - logits,
        lambda: logit_lead(lengths[likest], lengths, distances[likest], distances),
        lambda: error + error[likest] + FLOOR * unit_roundoff(torch.float64) * (lengths + distances).max(),
        what=f"lead of token {likest}, whose row is most like x",
        cause=lambda gap: "another layer than the table, a bias, a factor, a cap",
    )
    slack = error + error[likest] + FLOOR * unit_roundoff(trial.torch_dtype) * exact.norm() * table.norm(dim=-1).max()
    behind = logits - logits[likest]
    winner = int((behind - slack).argmax())
    yield decided(
        float(behind[winner]) <= float(slack[winner]),
        measured=max(float(behind[winner]), 0.0),
        allowed=float(slack[winner]),
        what=f"logit of token {winner} less that of token {likest}, whose row is most like x",
        cause="a longer row gets a larger logit at a wider angle",
    )


TOKEN_OR_ANYTHING = one_of(None, *range(VOCABULARY))
"""The x of :func:`likest_row_wins`: the row of a token, or any vector."""

law(
    "embedding.likest_row_wins",
    formula="z_t − z_v = ½(|x − E_v|² − |x − E_t|²) + ½(|E_t|² − |E_v|²) ≥ 0 for |E_v| = ℓ and t = argmax cos(x, E_v)",
    claims=("Q12.3",),
    contracts=("embedding",),
    draws={"rows": one_of("one length"), "token": TOKEN_OR_ANYTHING},
    applies=tied_is("yes"),
)(likest_row_wins)


@law(
    "embedding.inverse",
    formula="|x·E_v/c − δ_tv| ≤ ρ_t for x = c E_t, ρ_t = max_v |E_t·E_v − δ_tv|; 0 for orthonormal rows",
    claims=("Q12.4",),
    contracts=("embedding",),
    sizes={"n_heads": (3, 4), "d_k": (4, 8)},  # as wide as the vocabulary, for rows that are orthonormal
    draws={"rows": one_of("orthonormal", "one length")},
    applies=tied_is("yes"),
)
def inverse(trial: Trial) -> Iterator[Comparison]:
    """A tied output layer undoes the embedding: exactly if the rows are orthonormal, else up to their coherence.

    It finds the token wherever that coherence is below a half.
    """
    table = with_rows(trial, trial.case.draws["rows"])
    read_back, rounding = undone(trial)
    identity = torch.eye(VOCABULARY, dtype=torch.float64, device=trial.device)
    coherence = (table @ table.mT - identity).abs().amax(-1, keepdim=True)
    yield within(
        lambda: read_back,
        lambda: identity,
        lambda: logit_error(coherence) + rounding,
        what="logits of an embedded token over the factor: 1 for itself and 0 for the others",
        cause=lambda gap: "the output layer is not the table, or has a bias or a factor of its own",
    )
    sure = (coherence + rounding).amax(-1) < 0.5
    found = read_back.argmax(-1) == torch.arange(VOCABULARY, device=trial.device)
    yield counts(
        int((sure & ~found).sum()),
        0,
        what="tokens not found again, of those whose row has less than a half in common with any other",
        cause=lambda: "the output layer is not the table",
    )


def undone(trial: Trial) -> tuple[Tensor, Tensor]:
    """Each token embedded and read at once, over the factor, (V, V); and how far rounding may put it off."""
    table, c = table_of(trial), factor(trial)
    x = embedded(trial, torch.arange(VOCABULARY, device=trial.device)[None])
    error = dot_product_error_bound(x[0].double()[:, None], table, dtype=trial.torch_dtype)
    stored = FLOOR * unit_roundoff(trial.torch_dtype) * (table.abs() @ table.abs().mT)
    return logits_of(trial, x)[0].double() / c, error / abs(c) + stored


@law(
    "embedding.logit_operations",
    formula="O = 2 n d V",
    claims=("Q12.2",),
    contracts=("embedding",),
)
def logit_operations(trial: Trial) -> Iterator[Comparison]:
    """From tokens to logits 2·n·d·V operations are spent, all in the output layer, tied or not: the table is looked up.

    So a vocabulary that two languages share, and that is as large as both, costs as much as their two output layers.
    """
    case = trial.case
    one = logit_flops(case.length, trial.config.d_model, VOCABULARY)
    got = flops_of(lambda: trial(trial.inputs))
    yield counts(
        got,
        case.batch * one,
        what="operations from tokens to logits",
        cause=lambda: (
            "rows are picked by a product with one-hot vectors, or logits are computed twice"
            if got == 2 * case.batch * one
            else "the vocabulary is padded, or there is a product more"
        ),
    )
