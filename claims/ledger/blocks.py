"""Questions 18, 22 and 23.2: the encoder, its residuals, and where its norms stand."""

from __future__ import annotations

from ..claim import Claim
from ..evidence import Holds, Proved

BLOCKS: tuple[Claim, ...] = (
    Claim(
        "Q18.1",
        "what an encoder is made of",
        "P",
        (
            Holds("blocks.formula"),
            Holds("blocks.formula", on="torch.nn.TransformerEncoder"),
            Holds("blocks.equal_torch"),
        ),
        "A stack of blocks of one form: self-attention, then a feed-forward network on each token alone, each with a "
        "residual and a LayerNorm. Computed so from its weights, head by head, the reference gives the same numbers, "
        "and so does torch.nn.TransformerEncoder; with the weights copied over the two are one function, at any shape, "
        "padded or causal, with LayerNorm before each sub-layer or behind it. A better answer adds what is easy to "
        "leave out: where positions come in, and the LayerNorm behind a pre-LN stack, which PyTorch leaves to you.",
    ),
    Claim(
        "Q22.1",
        "residual connections keep gradients from vanishing",
        "PD",
        (Proved("residual_path"), Holds("residual.no_direction_is_lost")),
        "With a residual the slope of a block is I + D: the shortcut brings a gradient whole, and the branch adds to "
        "it. So a branch that stretches by κ < 1 leaves 1 − κ of the gradient or more, in every direction, and a stack "
        "leaves Π(1 − κ), while without shortcuts no more than Πκ is left. A better answer names the two conditions: "
        "branches that are small beside the stream, and a shortcut that nothing is done to. Post-LN puts a LayerNorm "
        "on it, and then this promise is gone.",
    ),
    Claim("Q23.2", "where LayerNorm stands: after each sub-layer, or before it", "PDX"),
)
