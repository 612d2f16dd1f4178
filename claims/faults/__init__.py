"""The planted faults: one mistake at a time, made in a copy of the reference, or of an adapter.

Each entry of ``FAULTS`` is a patch of one or two lines, named after the real mistake that it imitates, with the laws
that must catch it and the contracts on which they do. :func:`planted` is what plants it.
"""

from __future__ import annotations

from . import (
    attention,
    bahdanau,
    batch_norm,
    bert,
    blocks,
    embeddings,
    feed_forward,
    initial,
    masks,
    nested,
    positions,
    recurrent,
    state,
    tokenizers,
    training,
    variants,
)
from .fault import Fault, planted, subjects_with, write_copy

FAULTS: tuple[Fault, ...] = (
    *masks.CAUSAL_MASK,
    *masks.PADDING_MASK,
    *masks.PACKING_MASK,
    *attention.HEADS,
    *attention.COST,
    *attention.SOFTMAX_AND_SCALE,
    *positions.POSITIONS,
    *positions.ABSOLUTE,
    *positions.RELATIVE,
    *blocks.COMPOSITION,
    *embeddings.TABLE,
    *embeddings.OUTPUT,
    *embeddings.ADDING,
    *blocks.NORMALISATION,
    *batch_norm.BATCH_NORM,
    *blocks.RANDOMNESS,
    *blocks.DEAD_PARAMETERS,
    *initial.INITIAL,
    *feed_forward.ACTIVATIONS,
    *feed_forward.BIASES,
    *feed_forward.TOKENS_MIXED,
    *feed_forward.RESCALED,
    *state.STATE,
    *state.IN_PLACE_AND_STRIDES,
    *state.FAST_PATHS,
    *state.CACHE,
    *recurrent.PACKING,
    *bert.BERT,
    *nested.NESTED,
    *bahdanau.BAHDANAU,
    *training.SCHEDULE,
    *training.STEPS,
    *training.UNITS,
    *training.PLACES,
    *tokenizers.BYTE_PAIR,
    *tokenizers.WORDPIECE,
    *tokenizers.UNIGRAM,
    *variants.SPARSE,
    *variants.BY_FEATURES,
    *variants.LOW_RANK,
    *variants.SHARED,
    *variants.OTHERS,
    *variants.MEMORY,
)

__all__ = ["FAULTS", "Fault", "planted", "subjects_with", "write_copy"]
