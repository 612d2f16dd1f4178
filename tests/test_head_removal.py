"""The experiment on heads removes what it says it removes."""

from __future__ import annotations

import pytest
import torch

from veriformer.claims.experiments.english import english, windows
from veriformer.claims.experiments.head_removal import HEAD_REMOVAL, trained

HEADS = torch.tensor([[0, 1], [1, 3]])


def test_gate_removes_the_weights_of_a_head() -> None:
    budget, text = {**HEAD_REMOVAL.small, "steps": 5}, english()
    gated = trained(text, budget, seed=1)
    tokens = windows(text.judging, length=16, count=8)
    gated_off, whole = gated.loss_without(HEADS, tokens), gated.loss_without(HEADS[:0], tokens)
    d_k = budget["d_model"] // budget["n_heads"]
    with torch.no_grad():
        for layer, head in HEADS.tolist():
            weights = gated.model.stack.layers[layer].get_submodule("self_attention").get_parameter("W_O.weight")
            weights[:, head * d_k : (head + 1) * d_k] = 0.0
    assert gated_off == pytest.approx(gated.loss_without(HEADS[:0], tokens), rel=1e-6)
    assert abs(gated_off - whole) > 1e-4
