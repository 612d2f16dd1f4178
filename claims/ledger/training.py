"""Question 30: the learning rate and dropout."""

from __future__ import annotations

from ..claim import Claim
from ..evidence import Holds, Proved

TRAINING: tuple[Claim, ...] = (
    Claim(
        "Q30.1",
        "the learning rate warms up and then falls with the inverse square root",
        "PD",
        (
            Proved("learning_rate"),
            Holds("schedule.formula"),
            Holds("schedule.no_jump"),
            Holds("schedule.one_peak"),
            Holds("schedule.powers"),
            Holds("schedule.formula", on="torch.optim.lr_scheduler.LambdaLR"),
            Holds("schedule.one_peak", on="torch.optim.lr_scheduler.LambdaLR"),
        ),
        "The rate rises along a straight line for the w steps of the warm-up, then falls like one over the root of "
        "the step. The two meet at step w, in the one peak, 1/√(d_model · w): 0.0007 for a width of 512 and the "
        "paper's 4000 steps. Once past it the rate has forgotten w. A better answer says who counts the steps. They "
        "count from 1, and the counter of PyTorch's LambdaLR from 0: a function that is handed it as it is stops at "
        "the first step, or comes one step late for ever. So the rates are also read off what an optimiser does to a "
        "parameter.",
    ),
    Claim(
        "Q30.2",
        "where dropout is applied, and what it is at test time",
        "P",
        (
            Proved("dropout"),
            Holds("dropout.places"),
            Holds("dropout.takes_embedding_and_position"),
            Holds("dropout.leaves_the_residual_path"),
            Holds("dropout.identity_in_evaluation"),
            Holds("dropout.kept_are_rescaled"),
            Holds("dropout.rate"),
            Holds("dropout.independent"),
            Holds("dropout.places", on="torch.nn.TransformerEncoder"),
            Holds("dropout.identity_in_evaluation", on="torch.nn.TransformerEncoder"),
        ),
        "In the paper it stands in two places: on the sum of embedding and position, once a stack, and on the output "
        "of each sub-layer, before that is added. So the path around a sub-layer is never dropped. The masks that are "
        "drawn are counted there, and nowhere else but on the attention weights, where they have a rate. Each unit is "
        "dropped by itself with probability p, and divided by 1 − p if it is kept: its mean stays x, and it gets a "
        "variance of x²p/(1 − p). At test time nothing is dropped or multiplied: switch to evaluation, and the output "
        "is that of the same weights without dropout, to the last bit. A better answer adds that libraries differ: "
        "PyTorch's TransformerEncoderLayer uses its one rate on attention weights and inside the feed-forward network "
        "as well, and leaves the embedding to you.",
    ),
)
