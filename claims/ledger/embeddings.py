"""Questions 12, 14 and 19: the table of embeddings, what is added to it, and how it is drawn at first."""

from __future__ import annotations

from ..claim import Claim

EMBEDDINGS: tuple[Claim, ...] = (
    Claim("Q12.1", "source and target may share one table: only the rows of tokens present are active", "P"),
    Claim("Q12.2", "sharing costs a larger softmax", "D"),
    Claim("Q12.3", "tied to the output, the row most like x gets the largest logit, if rows have one norm", "PD"),
    Claim("Q12.4", "embedding and output layer are like inverses", "P"),
    Claim("Q12.5", "torch's Linear stores (out, in) = (V, d), so sharing takes no transpose and saves V·d", "P"),
    Claim("Q14.1", "adding positions does (not) damage the features of the embedding", "PD"),
    Claim("Q19.1", "Keras' Embedding has Xavier's variance 1/d, so that ×√d brings it to 1", "PD"),
)
