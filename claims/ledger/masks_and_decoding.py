"""Questions 2, 9, 10 and 26 to 28: masks, lengths and decoding."""

from __future__ import annotations

from ..claim import Claim
from ..evidence import Holds, Proved

MASKED = (
    "padding.content",
    "padding.amount_and_side",
    "padding.gradients",
    "padding.parameter_gradients",
    "padding.real_tokens_matter",
)
"""What it means that padding takes no part."""

MEETING = (
    "cross.every_source_is_reached",
    "cross.queries_do_not_meet",
    "order.memory_permutation_invariance",
    "padding.content",
    "padding.amount_and_side",
    "padding.gradients",
)
"""What it means that one sequence attends to another."""

MASKS_AND_DECODING: tuple[Claim, ...] = (
    Claim(
        "Q02.1",
        "sequences of unequal length are padded and masked, and the padding takes no part",
        "P",
        tuple(map(Holds, MASKED)),
        "With the mask, real outputs do not move with what stands in the padding, with how much of it there is, or "
        "with its side, as long as position ids count real tokens only. No gradient reaches it, and the parameters "
        "get the gradient of the unpadded rows. A better answer adds the two catches: padding on the left moves "
        "positions unless position ids say otherwise, and the loss has to leave out padded positions as well.",
    ),
    Claim(
        "Q02.2",
        "that is the same idea as an RNN's mask",
        "P",
        (*map(Holds, MASKED), *(Holds(law, on="torch.nn.GRU") for law in MASKED)),
        "The five properties of question 2 (no influence of what stands in the padding or of how much there is, no "
        "gradient to it, the parameter gradients of the rows alone, every real token counts) hold for a masked "
        "Transformer and for a packed GRU, in one direction and in both, and both fail them when the mask or the "
        "lengths are mishandled. A better answer adds how the two get there. Attention computes every pair and hides "
        "the padding, so it may stand on any side. Packing takes no step in the padding, and PyTorch's knows lengths "
        "only, so padding stands on the right; read forward alone, real outputs come before it and cannot see it.",
    ),
    Claim(
        "Q09.1",
        "at inference the decoder still needs its sequence mask",
        "P",
        (
            Proved("causality"),
            Holds("causality.prefix_consistency"),
            Holds("causality.one_layer_spares_the_last"),
            Holds("causality.deeper_layers_do_not"),
        ),
        "In training each output was computed as if nothing followed it. At inference only the last output is read, "
        "and in a model of one layer it is the same with the mask and without. From two layers on it is not: without "
        "the mask the earlier positions look ahead in the first layer, and the last attends to what they have become. "
        "So the mask is what keeps the states of inference, cached or computed again, those of training. A better "
        "answer names the exception of one layer, and that a KV cache fed one token at a time brings the mask with it.",
    ),
    Claim(
        "Q10.1",
        "batches may differ in length; within one, lengths are equal for the tensor's sake alone",
        "P",
        (
            Holds("consistency.batch_invariance"),
            Holds("padding.amount_and_side"),
            Holds("lengths.packing_agrees"),
            Holds("lengths.documents_do_not_meet"),
            Holds("padding.amount_and_side", on="torch.nested"),
            Holds("padding.content", on="torch.nested"),
        ),
        "No weight knows a length: one model takes any, and a row gives the same in a batch as alone. Padding with a "
        "mask is one way to make a rectangle of unequal rows. Two others give the same outputs: several documents laid "
        "end to end in one row, with a mask that lets each see itself alone and position ids that start again, and "
        "PyTorch's nested tensors, which have no padding at all. A better answer names what packing must not forget: "
        "under a causal mask alone each document reads those before it.",
    ),
    Claim(
        "Q26.1",
        "encoder and decoder meet in cross-attention: Q from the decoder, K and V from the encoder",
        "P",
        (*map(Holds, MEETING), *(Holds(law, on="reference.bahdanau") for law in MEETING)),
        "Each output depends on its own query and on the memory, and on no other query. Every real position of the "
        "source reaches every query, in value and in gradient, and its padding reaches none; without positions the "
        "order of the source does not matter. Bahdanau's attention, a network in place of the dot product, keeps the "
        "same laws, tried beside the Transformer's: the meeting is the same block with another score. A better answer "
        "adds that the encoder's output is computed once, and its keys and values too, however many tokens are "
        "generated.",
    ),
    Claim(
        "Q27.1",
        "the decoder's self-attention differs by its causal mask",
        "P",
        (
            Holds("causality.no_future_influence"),
            Holds("causality.no_future_gradient"),
            Holds("causality.prefix_consistency"),
            Holds("causality.past_influences"),
        ),
        "At every depth tried, an output does not move however far later tokens are moved, its gradient to them is "
        "exactly zero, and every earlier token does reach it. That is what lets one pass over a whole target "
        "sequence train every position at once: no output sees the token that it has to predict.",
    ),
    Claim(
        "Q28.1",
        "the encoder is parallel over positions, the decoder in training too, at inference not",
        "P",
        (
            Proved("kv_cache"),
            Holds("decoding.cached_equals_full"),
            Holds("decoding.beams_open_and_end"),
            Holds("decoding.padded_prompts"),
            Holds("causality.prefix_consistency"),
        ),
        "One teacher-forced pass gives the logits that as many sequential passes give, with a KV cache or without, "
        "in chunks, after a crop, for beams that open from one prompt, part, change places and end, and for prompts of "
        "different lengths that are padded into one batch. So training takes one pass for n tokens, and generation n "
        "passes that wait for each other: each needs the token before it. A cache saves work in a pass, not passes.",
    ),
)
