"""Questions 8, 23.1 and 24: LayerNorm and BatchNorm."""

from __future__ import annotations

from ..claim import Claim
from ..evidence import Holds, Measured, Proved

_BATCH_NORMS = ("reference", "torch.nn.BatchNorm1d", "torch.nn.BatchNorm2d")


def _on_batch_norms(*laws: str) -> tuple[Holds, ...]:
    return tuple(Holds(law, on=name) for law in laws for name in _BATCH_NORMS)


_LAYER_NORM = (
    Proved("layer_norm"),
    *(
        Holds(law, on=name)
        for law in ("normalization.token_alone", "normalization.formula", "normalization.scale_and_shift")
        for name in ("reference", "torch.nn.LayerNorm")
    ),
    *_on_batch_norms("batchnorm.neighbours"),
)

NORMS: tuple[Claim, ...] = (
    Claim(
        "Q08.1",
        "LayerNorm is used rather than BatchNorm",
        "P",
        _LAYER_NORM,
        "LayerNorm takes its mean and variance from one token, so a token's output is the same in any batch, at any "
        "length, in any order and beside any padding, in training as at test time; and no gradient goes to another "
        "token. BatchNorm in training has a slope of −γ(1 + z_i z_j)/(mσ) from each sample to each other one, exactly: "
        "padding and neighbours enter, and in a decoder the future would. A better answer says this, and that "
        "LayerNorm forgets a shift of a token exactly but its scale only up to ε: to multiply a token by a is to "
        "divide ε by a².",
    ),
    Claim(
        "Q23.1",
        "LayerNorm and not BatchNorm, again",
        "P",
        _LAYER_NORM,
        "As in question 8: LayerNorm sees one token and has no other behaviour at test time; BatchNorm sees the batch "
        "in training and running statistics later. A better answer adds that this says what LayerNorm spares one, not "
        "that a Transformer cannot be trained with BatchNorm.",
    ),
    Claim(
        "Q24.1",
        "BatchNorm normalises one feature over the batch (over N, H and W for images)",
        "P",
        (Proved("batch_norm"), *_on_batch_norms("batchnorm.standardises", "batchnorm.running_update")),
        "Each feature comes out with mean β and variance γ²B/(B + ε) over the batch and all places of it, along a line "
        "or in an image: PyTorch's BatchNorm1d and BatchNorm2d do what the formula says, the variance being that over "
        "m, not m − 1. Beside that, a running mean and the *unbiased* variance are kept for test time, to which each "
        "batch adds its share. A better answer names both variances, and says whose share the momentum is: in PyTorch "
        "the new batch's, in TensorFlow that of what was there before.",
    ),
    Claim(
        "Q24.2",
        "BatchNorm keeps activations off the flat part of a sigmoid",
        "P",
        (Proved("activation_slopes"), *_on_batch_norms("batchnorm.sigmoid_keeps_slope")),
        "At γ = 1 and β = 0 a sigmoid behind BatchNorm has, on average over the batch, at least three quarters of its "
        "largest slope, 3/16 where 1/4 is the most, whatever was added to its inputs or multiplied into them. Without, "
        "inputs beyond 30 leave less than e^−30. A better answer adds that this is an average, so single samples may "
        "be far out; that γ and β can learn to go back; and that it is no reason where the activation is a ReLU.",
    ),
    Claim(
        "Q24.3",
        "BatchNorm is poor for small batches",
        "DX",
        (Proved("batch_norm"), *_on_batch_norms("batchnorm.few_samples"), Measured("batch_size")),
        "A batch of m knows the mean to σ/√m and its variance to √(2/(m − 1)) of itself: 141 % at two samples, 25 % at "
        "32; of one nothing is left. Small nets that learned eight classes in batches of two get 72 % wrong with "
        "BatchNorm and 36 % with LayerNorm; from batches of 8 on the two are alike. A better answer adds where it goes "
        "wrong: given good statistics in place of the running ones they are hardly better, 70 %. It is the training "
        "that suffers: of two samples a channel hands on which was larger, and no more.",
    ),
    Claim(
        "Q24.4",
        "with unequal lengths BatchNorm has few samples for late positions",
        "P",
        (Proved("batch_norm"), *_on_batch_norms("batchnorm.few_samples")),
        "With statistics for each place, a place that k of the sequences reach has k samples, and no output there is "
        "farther than |γ|√(k − 1) from β. Where one sequence is left the variance is 0: β comes out whatever stood "
        "there, without a gradient, and PyTorch refuses the batch. Two are told apart as +γ and −γ, no more. A better "
        "answer adds the other way, one set of statistics for all places: then padding has to be kept out of them by "
        "hand, and places with means of their own are mixed.",
    ),
    Claim(
        "Q24.5",
        "BatchNorm uses running statistics at test time, so a shift in the data harms",
        "P",
        (Proved("batch_norm"), *_on_batch_norms("batchnorm.fixed_at_test", "batchnorm.moved_data")),
        "At test time BatchNorm is a fixed linear map of each sample alone: no other sample enters, and no call moves "
        "the statistics. So data that have moved by Δ come out moved by γΔ/σ_r, and data that have spread by τ come "
        "out spread by τ; in training the same change would have been absorbed. A better answer states both sides: "
        "what makes the output independent of the batch is what lets the shift through.",
    ),
)
