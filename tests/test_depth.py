"""The stacks of the experiment on depth are what they are called, and its expectations are those of the page."""

from __future__ import annotations

import pytest
import torch

from veriformer.claims.experiments.depth import DEPTH, PLACES, Plain, Stack, expected_last, expected_share
from veriformer.reference import Config, Encoder


@pytest.mark.parametrize("join", PLACES)
def test_stack_is_the_encoder_of_the_reference(join: str) -> None:
    torch.manual_seed(0)
    encoder = Encoder(Config(d_model=8, n_heads=2, n_layers=2, norm=join, positions="none")).double()  # type: ignore[arg-type]
    stack = Stack(join, ["attention", "feed_forward"] * 2, d_model=8, n_heads=2)
    parts = [part for layer in encoder.layers for part in list(layer.children())[:2]]
    for part, branch in zip(parts, stack.branches, strict=True):
        part.load_state_dict(branch.state_dict())
    x = torch.randn(1, 5, 8, dtype=torch.float64)
    assert torch.allclose(stack(x)[-1], encoder(x), rtol=1e-12, atol=1e-12)


def test_parts_that_are_taken_away() -> None:
    x = torch.tensor([[[1.0, 3.0]]])
    given = {
        join: Plain(2, join)(x, lambda x: 10 * x).flatten().tolist() for join in ("bare", "normalised", "residual")
    }
    assert given["bare"] == [10, 30]
    assert given["normalised"] == pytest.approx([-10, 10], rel=1e-4)
    assert given["residual"] == [11, 33]


def test_expectations_are_those_of_the_page() -> None:
    told = {2: (179, 199), 8: (121, 199), 32: (68, 199)}  # the first table of derivations/norm_placement.md
    for branches, lengths in told.items():
        assert [round(expected_last(join, branches, DEPTH.full)) for join in ("pre", "post")] == list(lengths)
    for join in PLACES:
        assert expected_share(join, 32, 32, DEPTH.full) == pytest.approx(1)
