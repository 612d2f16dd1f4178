"""Keras' own layers, called as Keras has it: what is said of them beside the laws."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
import torch

from veriformer.properties.adapters import keras_embedding

pytestmark = pytest.mark.skipif(find_spec("keras") is None, reason="it needs the extra keras")

V, D = 11, 8
TOKENS = torch.tensor([[3, 0, 4, 4]])


@pytest.fixture
def keras() -> Any:
    library = keras_embedding._keras()
    with library.device("cpu"):
        yield library


@pytest.mark.parametrize("mask_zero", [False, True])
def test_rows_of_tokens_are_read_and_they_alone_get_a_gradient(keras: Any, mask_zero: bool) -> None:
    """Also row 0 of a layer that takes token 0 for padding: the mask is for the layers behind it."""
    layer = keras.layers.Embedding(V, D, mask_zero=mask_zero)
    output = layer(TOKENS)
    table = layer.embeddings.value
    assert tuple(table.shape) == (V, D)
    assert torch.equal(output, table[TOKENS])
    output.sum().backward()
    assert table.grad.abs().sum(1).nonzero().flatten().tolist() == [0, 3, 4]


def test_mask_zero_marks_real_tokens(keras: Any) -> None:
    layer = keras.layers.Embedding(V, D, mask_zero=True)
    assert layer.compute_mask(TOKENS).tolist() == [[True, False, True, True]]
    assert keras.layers.Embedding(V, D).compute_mask(TOKENS) is None


def test_dense_shares_a_table_by_a_transpose_only(keras: Any) -> None:
    """Its kernel is (in, out), where PyTorch's Linear has (out, in): the numbers are shared, and the tensor is not."""
    embedding, dense = keras.layers.Embedding(V, D), keras.layers.Dense(V, use_bias=False)
    embedding.build()
    dense.build((None, D))
    assert tuple(dense.kernel.shape) == (D, V)
    assert tuple(torch.nn.Linear(D, V).weight.shape) == (V, D)
    table, x = embedding.embeddings.value, torch.randn(1, 3, D)
    with pytest.raises(ValueError, match="shape"):
        dense.kernel.assign(table)
    logits, _ = dense.stateless_call([table.mT], [], x)
    assert torch.allclose(logits, x @ table.mT, atol=1e-5)
    logits.sum().backward()
    assert (table.grad.abs().sum(1) > 0).all()
