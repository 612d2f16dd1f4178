"""The sheet's sentences, taken at their word, where a word too few makes them false.

Each is a law like any other, tried by the same engine; but nobody is held to it. Beside it stands the same sentence
under the condition that the sheet leaves out.
"""

from __future__ import annotations

from veriformer.properties.law import Law

from . import attention, embeddings, feed_forward, initialisation, positions

LITERAL: dict[str, Law] = {
    law.name: law
    for law in (
        attention.UNIT_VARIANCE,
        attention.LOW_SCORE_HIDES,
        attention.MANY_KEYS_SATURATE,
        attention.MOST_WEIGHTS_COST_MOST,
        attention.WEIGHTS_HAVE_NO_DIRECTION,
        attention.ALONE_IS_IDENTITY,
        attention.MOSTLY_ITSELF,
        attention.WIDER_HEADS_FLATTEN_SOFTMAX,
        initialisation.KERAS_TIMES_ROOT_D,
        initialisation.XAVIER_TIMES_ROOT_D,
        feed_forward.AMPLITUDE_GROWS,
        feed_forward.DEAD_DESPITE_DECAY,
        feed_forward.DEAD_DESPITE_MOMENTUM,
        feed_forward.DEAD_DESPITE_MOVING_INPUTS,
        embeddings.ONLY_PRESENT_ROWS,
        embeddings.LIKEST_ROW_WINS,
        embeddings.OUTPUT_UNDOES_EMBEDDING,
        positions.ORDER_INVISIBLE,
        positions.NEARER_IS_MORE_ALIKE,
        positions.SCORES_KNOW_THE_DISTANCE,
    )
}
"""The sentences that are false as they stand."""
