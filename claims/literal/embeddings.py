"""Sentences on the table of embeddings, and on the output layer that may share it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from veriformer.properties.case import one_of
from veriformer.properties.comparison import Comparison, within
from veriformer.properties.law import Law
from veriformer.properties.laws import LAWS
from veriformer.properties.laws.embedding import tied_is, undone
from veriformer.properties.subjects import VOCABULARY
from veriformer.properties.trial import Trial

ONLY_PRESENT_ROWS = replace(
    LAWS["embedding.absent_rows_rest"],
    name="literal.only_present_rows_are_active",
    statement="Where source and target share one table, only the rows of tokens that occur get a gradient.",
    claims=("Q12.1",),
    applies=lambda subject, path: None,
)

LIKEST_ROW_WINS = replace(
    LAWS["embedding.likest_row_wins"],
    name="literal.likest_row_wins",
    statement="Of a tied output layer, the row that is most like x gets the largest logit.",
    formula="argmax x·E_v = argmax cos(x, E_v)",
    draws={**LAWS["embedding.likest_row_wins"].draws, "rows": one_of("drawn")},
)


def _output_undoes_embedding(trial: Trial) -> Iterator[Comparison]:
    """The logits of an embedded token are a multiple of its one-hot vector."""
    read_back, rounding = undone(trial)
    yield within(
        lambda: read_back,
        lambda: torch.eye(VOCABULARY, dtype=torch.float64, device=trial.device),
        lambda: rounding,
        what="logits of an embedded token over the factor: 1 for itself and 0 for the others",
    )


OUTPUT_UNDOES_EMBEDDING = Law(
    name="literal.output_undoes_embedding",
    statement="A tied output layer is the inverse of the embedding.",
    formula="E Eᵀ = I",
    function=_output_undoes_embedding,
    contracts=("embedding",),
    claims=("Q12.4",),
    paths={"grad": ("off",), "mode": ("eval",)},
    applies=tied_is("yes"),
)
