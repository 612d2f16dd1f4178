"""The experiment on positional encodings measures what it says, and its table says what was measured."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from veriformer.claims.experiments.position_costs import SCHEMES, costs
from veriformer.claims.experiments.position_encodings import POSITION_ENCODINGS
from veriformer.claims.experiments.position_encodings_page import PAGE, page
from veriformer.claims.experiments.position_models import losses_by_length, shift, size
from veriformer.claims.experiments.record import Record, stored
from veriformer.reference import CausalLM, Config
from veriformer.reference.alibi import alibi_slopes

SMALL = Config(d_model=16, n_heads=2, n_layers=1, vocab_size=10, max_length=16)
TOKENS = torch.arange(16)[None] % 10


def model_with(scheme) -> CausalLM:
    torch.manual_seed(1)
    return CausalLM(replace(SMALL, positions=scheme)).double().requires_grad_(False)


class CountsUp(nn.Module):
    """Is sure that the next token is one more than this one, and refuses texts of more than 16."""

    def forward(self, tokens: Tensor) -> Tensor:
        if tokens.shape[1] > 16:
            raise ValueError("too long")
        return 50.0 * nn.functional.one_hot((tokens + 1) % 10, 10).float()


def test_losses_are_of_the_last_tokens_at_every_length() -> None:
    tokens = torch.zeros(3, 25, dtype=torch.long)
    tokens[:, -5:] = torch.arange(5)  # it counts up at the end alone
    losses = losses_by_length(CountsUp(), tokens, [4, 8, 16, 24], last=4)  # pyright: ignore[reportArgumentType]
    assert list(losses) == [4, 8, 16]
    assert max(losses.values()) < 1e-6
    assert losses_by_length(CountsUp(), tokens, [8], last=5)[8] == pytest.approx(10)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_shift_is_seen_where_positions_enter_by_themselves(scheme) -> None:
    moved = shift(model_with(scheme), TOKENS[:, :8], by=8)
    assert moved > 1e-4 if scheme in ("sinusoidal", "learned") else moved < 1e-12


def test_size_of_a_bias_is_its_spread_over_the_keys_in_sight() -> None:
    def spread(n: int) -> float:
        return math.sqrt((n**2 - 1) / 12)  # of 0, 1, …, n − 1

    mean_slope = sum(alibi_slopes(2)) / 2
    expected = mean_slope * sum(map(spread, range(2, 17))) / 15
    assert size(model_with("alibi"), TOKENS) == pytest.approx(expected, rel=1e-9)


def test_size_of_added_positions_and_of_a_rotation() -> None:
    learned = model_with("learned")
    learned.stack.positions.get_parameter("table")[:] = learned.embedding(TOKENS)[0]
    assert size(learned, TOKENS) == pytest.approx(2)
    assert size(model_with("rotary"), TOKENS) == pytest.approx(1, rel=1e-12)


def test_costs_are_those_of_the_formulas() -> None:
    budget = {**POSITION_ENCODINGS.small, "cost_lengths": [32], "rounds": 1, "least": 1e-4}
    found = costs(budget, lambda text: None)
    d, h = budget["cost_d_model"], budget["cost_n_heads"]
    weights = {scheme: cost.weights for scheme, cost in found.items()}
    assert weights == {
        **dict.fromkeys(SCHEMES, 0),
        "learned": 32 * d,
        "shaw": 2 * 33 * d // h,
        "t5": 32 * h,
    }
    attention = 2 * (2 * 32 * 32 * d)  # QKᵀ and AV, in operations; Shaw's terms are as many again
    projections = 4 * (2 * 32 * d * d) + 2 * (2 * 32 * d * 4 * d)
    output = 2 * 32 * d * 32  # the vocabulary
    layers = budget["n_layers"]
    plain = layers * (projections + attention) + output
    assert found["shaw"].flops[32] == pytest.approx((plain + layers * attention) / plain, rel=1e-12)


def record() -> Record:
    kept = stored(POSITION_ENCODINGS.name)
    assert kept is not None
    return kept


def test_page_is_in_step() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(record()), (
        "run `python -m veriformer.claims.experiments.position_encodings_page`"
    )


def test_page_tells_what_is_refused_and_what_is_not_borne_out() -> None:
    kept = record()
    (learned,) = (line for line in page(kept).splitlines() if line.startswith("| learned |") and "refused" in line)
    assert learned.count("refused") == 2
    assert "- ✗" not in page(kept)
    figures = [replace(f, value=5, low=5, high=5) if f.name == "rotary_size" else f for f in kept.outcome.figures]
    changed = page(replace(kept, outcome=replace(kept.outcome, figures=tuple(figures))))
    assert "- ✗ a rotation keeps lengths" in changed
    assert "| rotary | ‖R q‖/‖q‖ | 5.00 [5.00, 5.00] |" in changed
