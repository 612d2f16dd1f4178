"""Questions 18, 22 and 23.2: the encoder, its residuals, and where its norms stand."""

from __future__ import annotations

from ..claim import Claim
from ..evidence import Holds, Measured, Proved

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
        "PDX",
        (Proved("residual_path"), Holds("residual.no_direction_is_lost"), Measured("depth")),
        "With a residual the slope of a block is I + D: the shortcut brings a gradient whole, and the branch adds to "
        "it. So a branch that stretches by κ < 1 leaves 1 − κ of it or more, in every direction, and a stack Π(1 − κ); "
        "without shortcuts no more than Πκ is left. Below 32 fresh blocks it was a billionth. The residual alone "
        "made a gradient billions of times larger, LayerNorm alone left a third, and both, as pre-LN, four fifths. "
        "A better answer says both: the shortcut, where nothing is done to it, keeps gradients from vanishing, and "
        "LayerNorm inside the branches keeps them from exploding.",
    ),
    Claim(
        "Q23.2",
        "where LayerNorm stands: after each sub-layer, or before it",
        "PDX",
        (
            Proved("norm_placement"),
            Holds("blocks.formula"),
            Holds("blocks.formula", on="torch.nn.TransformerEncoder"),
            Holds("blocks.equal_torch"),
            Measured("depth"),
        ),
        "Post-LN is LN(x + F(x)); pre-LN is x + F(LN(x)), and one more LayerNorm at the end. Computed by these "
        "formulas from their weights, the reference and torch.nn.TransformerEncoder come out the same. The choice "
        "shows at initialisation. With pre-LN the stream grows from branch to branch, so that the gradient of the last "
        "weights falls with the depth, in the end like 1/√L: from 2 to 64 feed-forward branches it fell to under a "
        "third, within a few percent of what is derived. With post-LN it is as large at any depth, but less arrives at "
        "the bottom once there is attention, which makes tokens alike. A better answer says this in place of “more "
        "stable”. It speaks of fresh weights, and is the usual reason why post-LN wants a warm-up; whether a trained "
        "model is any better for it is not measured here.",
    ),
)
