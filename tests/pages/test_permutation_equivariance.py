"""What the page says of permutations, of the reference: what commutes, what is left in a mean, and what sees order."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from veriformer.reference.config import Config, Norm, PositionScheme
from veriformer.reference.encoder import Encoder
from veriformer.reference.multi_head import MultiHeadAttention

N, D_MODEL = 6, 8
ORDER = torch.tensor([4, 1, 5, 0, 3, 2])
BACKWARDS = torch.arange(N).flip(0)


def stack(n_layers: int = 2, norm: Norm = "pre", positions: PositionScheme = "none") -> Encoder:
    torch.manual_seed(0)
    return Encoder(Config(D_MODEL, 2, n_layers, norm=norm, positions=positions)).double().eval()


def before_and_after(model: Encoder, order: Tensor, *, is_causal: bool = False) -> tuple[Tensor, Tensor]:
    """The outputs of random tokens in the new order, and their old outputs, rearranged."""
    x = torch.randn(1, N, D_MODEL, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model(x[:, order], is_causal=is_causal)[0], model(x, is_causal=is_causal)[0, order]


def test_attention_commutes():
    torch.manual_seed(0)
    attention, x = MultiHeadAttention(D_MODEL, 2).double(), torch.randn(1, N, D_MODEL, dtype=torch.float64)
    (after, weights), (before, old_weights) = attention(x[:, ORDER]), attention(x)
    torch.testing.assert_close(after, before[:, ORDER], rtol=0, atol=1e-12)
    torch.testing.assert_close(weights, old_weights[:, :, ORDER][:, :, :, ORDER], rtol=0, atol=1e-12)  # step 6


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_a_stack_commutes_and_its_mean_does_not_see_order(n_layers: int, norm: Norm):
    after, before = before_and_after(stack(n_layers, norm), ORDER)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-12)
    torch.testing.assert_close(after.mean(dim=0), before.mean(dim=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_layers", [1, 3])
def test_a_class_token_that_stays_has_the_output_that_it_had(n_layers: int):
    order = torch.tensor([0, 4, 3, 5, 1, 2])
    after, before = before_and_after(stack(n_layers), order)
    torch.testing.assert_close(after[0], before[0], rtol=0, atol=1e-12)


def test_positions_and_a_causal_mask_see_order_even_in_the_mean():
    for after, before in (
        before_and_after(stack(positions="sinusoidal"), ORDER),  # case A
        before_and_after(stack(), ORDER, is_causal=True),  # case B
    ):
        assert (after.mean(dim=0) - before.mean(dim=0)).abs().max() > 1e-3


def test_last_token_of_one_causal_layer_does_not_see_in_what_order_the_others_came():
    order = torch.tensor([3, 1, 0, 4, 2, 5])
    for n_layers, sees in ((1, False), (2, True)):
        after, before = before_and_after(stack(n_layers), order, is_causal=True)
        assert bool((after[-1] - before[-1]).abs().max() > 1e-3) == sees
        assert (after[:-1] - before[:-1]).abs().max() > 1e-3


def test_distances_alone_do_not_tell_a_text_from_itself_backwards():
    model = stack(positions="alibi")
    for order, sees in ((BACKWARDS, False), (ORDER, True)):
        after, before = before_and_after(model, order)
        assert bool((after - before).abs().max() > 1e-3) == sees
    after, before = before_and_after(model, BACKWARDS, is_causal=True)
    assert (after - before).abs().max() > 1e-3
