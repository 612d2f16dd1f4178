"""Keras' ``Embedding``, and its table as it is drawn at first: by default, and after Glorot.

The library is an extra, ``pip install 'veriformer[keras]'``, and is used with its torch backend. It takes seconds to
import, so that is done where a layer is first built.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

from torch import Tensor

from ..contracts import SubjectError
from ..distributions import Uniform
from ..extras import Extra
from ..formulas import glorot_variance
from ..subjects import Subject


def _keras() -> Any:
    """The library on its torch backend. Raises :class:`SubjectError` where it is on another, or was told to be."""
    keras = sys.modules.get("keras") or _imported()
    _must_be_torch(keras.config.backend())
    return keras


def _imported() -> Any:
    """Keras reads its backend from the environment as it is imported: it is set there for that long, and no longer."""
    if "KERAS_BACKEND" in os.environ:
        _must_be_torch(os.environ["KERAS_BACKEND"])
        return import_module("keras")
    os.environ["KERAS_BACKEND"] = "torch"
    try:
        return import_module("keras")
    finally:
        del os.environ["KERAS_BACKEND"]


def _must_be_torch(backend: str) -> None:
    if backend != "torch":
        remedy = "set KERAS_BACKEND=torch, or leave it unset, before anything imports Keras"
        raise SubjectError(f"Keras: expected its torch backend, got {backend!r}; {remedy}")


def _table(keras: Any, vocab_size: int, d_model: int, initializer: Any, seed: int) -> Tensor:
    """The table (vocab_size, d_model), float32, of a layer whose ``initializer`` is given a ``seed``."""
    seeded = type(initializer).from_config({**initializer.get_config(), "seed": seed})
    layer = keras.layers.Embedding(vocab_size, d_model, embeddings_initializer=seeded)
    layer.build()
    return layer.embeddings.value


def _default_table(vocab_size: int, d_model: int, seed: int) -> Tensor:
    keras = _keras()
    default = keras.layers.Embedding(vocab_size, d_model).embeddings_initializer
    return _table(keras, vocab_size, d_model, default, seed)


def _glorot_table(vocab_size: int, d_model: int, seed: int) -> Tensor:
    keras = _keras()
    return _table(keras, vocab_size, d_model, keras.initializers.GlorotUniform(), seed)


_EXTRA = Extra("keras", library="keras")

EMBEDDING = [
    Subject(
        name="keras.layers.Embedding",
        contract="initializer",
        call=_default_table,
        entries=lambda vocab_size, d_model: Uniform(0.05),
        extra=_EXTRA,
    ),
]

GLOROT = Subject(
    name="keras.initializers.GlorotUniform",
    contract="initializer",
    call=_glorot_table,
    entries=lambda vocab_size, d_model: Uniform(1.0).of_variance(glorot_variance(vocab_size, d_model)),
    extra=_EXTRA,
)
