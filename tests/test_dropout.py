"""Dropout: the tails that decide on it, the masks that are seen, and a model that drops in ways of its own."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
import torch
from torch import Tensor, nn

from veriformer.properties import Config, Status, Subject, SubjectError, Unsupported, check_subject
from veriformer.properties.dropping import Masks
from veriformer.properties.engine import Result
from veriformer.properties.laws.scaling import FALSE_ALARM
from veriformer.properties.statistics import binomial_tails, two_sided


@pytest.mark.parametrize("p", [Fraction(1, 2), Fraction(1, 8), Fraction(7, 8)])
def test_binomial_tails_are_the_sums_of_their_terms(p: Fraction) -> None:
    n = 40
    terms = [comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    for k in range(n + 1):
        below, above = binomial_tails(k, n, float(p))
        assert below == pytest.approx(float(sum(terms[: k + 1])), rel=1e-12)
        assert above == pytest.approx(float(sum(terms[k:])), rel=1e-12)


def test_binomial_tails_of_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="expected 0 ≤ successes ≤ trials and 0 < p < 1, got 3, 2 and"):
        binomial_tails(3, 2, 0.5)


@pytest.mark.parametrize("p", [0.5, 0.75, 0.25, 0.1, 0.9])
def test_power_that_the_law_of_the_rate_states(p: float) -> None:
    n, off = 8192, 0.08
    near = range(round(n * (1 - p - off)), round(n * (1 - p + off)))
    passes = [kept for kept in near if two_sided(binomial_tails(kept, n, 1 - p)) > FALSE_ALARM]
    assert binomial_tails(passes[-1], n, 1 - p + off)[0] < 1e-12
    assert binomial_tails(passes[0], n, 1 - p - off)[1] < 1e-12


def test_masks_are_seen_however_they_are_drawn() -> None:
    x = torch.ones(2, 3, 4)
    query, key = torch.empty(2, 2, 3, 4, device="meta"), torch.empty(2, 2, 5, 4, device="meta")
    fused = torch.ops.aten._scaled_dot_product_efficient_attention
    with Masks() as masks:
        nn.functional.dropout(x, 0.5)
        nn.functional.dropout(x, 0.25)
        nn.functional.dropout(x, 0.25, training=False)
        nn.functional.dropout1d(x, 0.25)
        torch.native_dropout(x, 0.125, True)
        torch.native_dropout(x, 0.125, False)
        fused(query, key, key, None, False, 0.375)
        fused(query, key, key, None, False)
        torch.rand_like(x)
    assert [(mask.shape, mask.rate) for mask in masks.drawn] == [
        ((2, 3, 4), 0.5),
        ((2, 3, 4), 0.25),
        ((2, 3, 1), 0.25),
        ((2, 3, 4), 0.125),
        ((2, 2, 3, 5), 0.375),
        ((2, 3, 4), None),
    ]


@pytest.mark.parametrize("drop", [nn.functional.dropout, lambda x, p: torch.native_dropout(x, p, True)[0]])
def test_masks_are_as_chosen(drop) -> None:
    x = torch.randn(2, 3, 4)
    with Masks(lambda mask: mask.rate == 0.25):
        assert torch.equal(drop(x, 0.5), torch.zeros_like(x))
        torch.testing.assert_close(drop(x, 0.25), x / 0.75)


def test_mask_that_cannot_be_chosen() -> None:
    with Masks(lambda mask: True), pytest.raises(Unsupported, match="it draws a mask by rand, whose outcome cannot be"):
        torch.rand(3)


class ByHand(nn.Module):
    """One linear sub-layer behind a residual, with masks of its own making, drawn over ``shape_of(x)``."""

    def __init__(self, config: Config, shape_of) -> None:
        super().__init__()
        self.p, self.shape_of = config.dropout, shape_of
        self.layers = nn.ModuleList(nn.Linear(config.d_model, config.d_model) for _ in range(2 * config.n_layers))

    def dropped(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        return x * (torch.rand(self.shape_of(x)) > self.p) / (1 - self.p)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + self.dropped(layer(x))
        return x


def results(law: str, shape_of=lambda x: x.shape, **declared) -> list[Result]:
    subject = Subject(name="by_hand", contract="encoder", build=lambda c: ByHand(c, shape_of), **declared)
    return check_subject(subject, properties=law)


SUBLAYERS = {"drops": {"sublayer": "dropout"}}


def test_dropout_by_hand_is_counted() -> None:
    found = results("dropout.places", **SUBLAYERS)
    assert {r.status for r in found} == {Status.HELD}
    assert found[0].notes == ("the rates of its masks cannot be told, only how many there are",)


def test_mask_that_is_shared_is_told() -> None:
    (first, *_) = results("dropout.places", lambda x: x.shape[1:], **SUBLAYERS)
    assert first.status is Status.VIOLATED
    assert "its mask does not have an entry a unit, or is of another rate: there is rand of shape" in first.message


def test_place_that_is_declared_and_not_dropped_is_told() -> None:
    (first, *_) = results("dropout.places", drops={"embedding": "dropout", "sublayer": "dropout"})
    assert first.status is Status.VIOLATED
    assert "2, and exactly 3 are due: masks of shape (1, 1, 4)" in first.message
    assert "a place is left out: the sum of embedding and position, or a sub-layer of each layer" in first.message


def test_nothing_declared() -> None:
    found = results("dropout.places")
    assert {(r.status, r.message) for r in found} == {
        (Status.NOT_APPLICABLE, "it does not declare where it drops units (drops=)")
    }


def test_place_that_there_is_not() -> None:
    with pytest.raises(SubjectError, match="by_hand: drops: expected some of embedding, sublayer, attention"):
        results("dropout.places", drops={"everywhere": "dropout"})
