"""Questions 11, 20 and 21: positions."""

from __future__ import annotations

from veriformer.properties.laws import LAWS

from ..claim import Claim
from ..evidence import Falsified, Holds, Measured, Proved
from ..literal.positions import (
    NEARER_IS_MORE_ALIKE,
    ORDER_INVISIBLE,
    SCORES_KNOW_THE_DISTANCE,
    SCORES_KNOW_THE_DISTANCE_UNDER_TURNING_WEIGHTS,
)

POSITIONS: tuple[Claim, ...] = (
    Claim(
        "Q11.1",
        "positional encoding is needed: without it order is invisible",
        "PD",
        (
            Proved("permutation_equivariance"),
            Holds("order.permutation_equivariance"),
            Holds("order.order_is_seen"),
            Holds("order.tokens_move_with_their_positions"),
            Falsified(
                ORDER_INVISIBLE,
                token="vf1.eNo1kNFuwzAIRf-FZ6tKp2oP_pWpiqhNHGuOiYyTtqr674Nse4KL4XDxCwL4F9ywhxn82UHg2ql2AQ9Zs0RNwEEcv8FfNDa8iw1wi9TAf53dcH07SJirjp8GTRtvqxysQjV1xX44WGjh9hz_K_pYx5kwyl9e8GmbTDTCouSrAyGK4Afla4CwbupEfQDVwLZeN6gquVPDcjosjVnGXPcs-VZIG1YzG3ATY8JUMIFZRAPyNKlYFGXMXTvUCbdF1dpsmHe7ER7GwRhzTarwJvo_VmLJPXO1r6pcbUACFoNFmnAr1nSnnOb-2wJ6SD9cMPbPC7x_AIjYeGQ",
                condition="attention is bidirectional",
                under=LAWS["order.permutation_equivariance"],
            ),
        ),
        "Without positions a bidirectional encoder only permutes its outputs when its tokens are permuted, so no "
        "pooled output can tell two orders apart; with any of the positional encodings it can. A causal mask breaks "
        "the symmetry by itself: a decoder without positions does see order. Two tokens show both: swap them, and "
        "without a mask the outputs are swapped; under the causal mask the first sees itself alone, whichever it is, "
        "and the second sees both, so new outputs come out.",
    ),
    Claim(
        "Q20.1",
        "sinusoidal positions: a shift by k is one rotation, PE(p + k) = R(k)·PE(p), at every p",
        "PD",
        (Proved("sinusoidal_positions"), Holds("positions.sinusoidal_shift")),
        "Each pair of entries is a clock hand with a speed of its own. k places further on it has turned by k times "
        "that speed, from wherever it stood, and so there is one linear map for a shift by k, the same at every "
        "position. The formula has no last position: it is tried far beyond any training length. A better answer "
        "does not take this for extrapolation: the vectors exist, whether a trained model can read them is another "
        "matter.",
    ),
    Claim(
        "Q20.2",
        "sinusoidal positions are bounded, and no two of them are the same",
        "PD",
        (Proved("sinusoidal_positions"), Holds("positions.told_apart")),
        "No entry is above 1 in size, and all encodings have the same length. Among the first 300 positions no two "
        "agree, and the proof says why none ever do: the fastest hand turns by one radian a place, and no whole "
        "number of radians is a full turn. A better answer adds that this needs the angles in enough digits: "
        "positions kept in bfloat16 do run together, from 257 on.",
    ),
    Claim(
        "Q20.3",
        "the inner product of two sinusoidal positions depends on |k| alone: it has no direction",
        "PD",
        (Proved("sinusoidal_positions"), Holds("positions.sinusoidal_product")),
        "PE(p)·PE(p + k) is the sum of cos(kω) over the frequencies ω. It is the same wherever p is, and the same "
        "for k places ahead as for k behind. So by itself it tells how far, not which way. A better answer adds that "
        "W_Q and W_K can bring the direction back: a sine of the distance is as easy for them as a cosine.",
    ),
    Claim(
        "Q20.4",
        "the inner product of sinusoidal positions falls with their distance",
        "PD",
        (
            Proved("sinusoidal_positions"),
            Falsified(
                NEARER_IS_MORE_ALIKE,
                token="vf1.eNpNUNtqwzAM_ZfzHErHyh78K2MY1VYSUccOltMLpf8-uR1lTzoSOhfpjgB3x5FamOE-BoSSG-emcBBDE1fFgOhPcAerlS7aCVG0UQ4M9_kYMJFkY-_2BmvZVn1KJc5Te6kuvJR68_8m2c9MUf9wols36k1lSnDfPwOUOcLtTd8KwrpZEIsBOmpJW2O_FpUmJfeExkGSxpXSLjNVrl7Umyt7SnJiW1l78ECbdgOUcUSPS_HdLCXaQeCzLQwoZ67WXTuTYpQ8vbztO3309nZQyZsWiU-aBkpdJfJIW-qrF5Zpfn40F9g1zdCYCrWvAx6_Js18NQ",
            ),
            Holds("positions.sinusoidal_product"),
        ),
        "It does not fall steadily. With four entries the frequencies are 1 and 0.01, and the product is 0.01 at "
        "distance 3 and 0.35 at distance 4, because the fast hand has passed the far side and is coming round. It is "
        "largest at distance 0, and that is all that is true at every width. A better answer says that many "
        "frequencies together fall roughly, with ripples.",
    ),
    Claim(
        "Q20.5",
        "so the scores of attention depend on relative position",
        "PD",
        (
            Proved("sinusoidal_positions"),
            Falsified(
                SCORES_KNOW_THE_DISTANCE,
                token="vf1.eNpNUNtuwjAM_Rc_V2hIaA_9lWmKTOKmEWmM4oSCEP8-u2ywp9jR8bndwcN4hyM2P8O4H8BzaVSawAhJp0hVYIDgTjAe9K24ih2EJA2LJxg_BjizpJa4bIvMaWob1UopzhtTpEIVMzwGiJgUt98pMlbuZ9mgmUpsTwMLLVxv7t9PcTNhkN8548082VJJOcevbxUlCqqu_PqAP3f1rI4Bj8K5N3J_Fi2M3kBOzRztxHMlcafCq2szuVcuTWU5PXYxEeBpArOM4bUsHDQ_0EUBA_CFqm5Xu8QQUolPfS0T3hVZG5JKF05hOxOP2VgCTdizQd-1FbbGtEyYMmP7PMDjB-qJjAk",
                condition="W_Q W_Kᵀ turns pairs and mixes none",
                under=SCORES_KNOW_THE_DISTANCE_UNDER_TURNING_WEIGHTS,
            ),
        ),
        "Only under special weights. A score is not the inner product of two positions but that of W_Q and W_K "
        "applied to them, and general weights keep parts that know where the two stand: the score of a position with "
        "itself is then another at 0 than at 1. Weights that turn each pair and mix no two keep the distance and "
        "nothing else. A better answer says that the model may learn such weights and nothing makes it; rotary "
        "positions build them in.",
    ),
    Claim(
        "Q21.1",
        "learned positions: one vector for each position, and none beyond the table",
        "P",
        (Holds("positions.learned_table"),),
        "A position has one vector, wherever in the tensor its token stands; a position beyond the table, or a "
        "negative one, is refused with an error that names it. Versions that clamp it, wrap it round or read from "
        "the end of the table are caught: they give an output that looks like any other. A better answer adds that "
        "rows that training never reached are there, and are noise.",
    ),
    Claim(
        "Q21.2",
        "relative encodings (Shaw, T5, ALiBi, rotary) do not see where a text begins",
        "PD",
        (
            Proved("relative_positions"),
            Proved("rotary_positions"),
            Holds("positions.shift_invariance"),
        ),
        "Let all positions grow by the same number, and the scores within each row differ as they did, and a whole "
        "encoder gives the same output. It is proved for any function of the offset, and for rotary positions by "
        "their rotation. It breaks as soon as a position enters by itself: values turned along with keys, or a base "
        "that follows the length. A better answer does not take this for extrapolation: a longer text brings offsets "
        "that are new.",
    ),
    Claim(
        "Q21.3",
        "Shaw et al. clip: beyond a limit all offsets share one vector",
        "PD",
        (Proved("relative_positions"), Holds("positions.shaw_clips")),
        "Offsets of 16 and more have one vector, those of −16 and less another, and each of the 31 between has its "
        "own. So any length can be read, and how far a far token is cannot. A better answer adds what it costs: a "
        "term of width d_k for each query and key, where T5 and ALiBi add one number.",
    ),
    Claim(
        "Q21.4",
        "T5 gives one number to each bucket of offsets: exact when near, wider and wider ranges further off",
        "PD",
        (Proved("relative_positions"), Holds("positions.bucket_ranges")),
        "The buckets are those of T5's own rule, computed again in whole numbers: with 32 of them a bidirectional "
        "model has 8 single distances and 8 ranges on each side, a causal one 16 and 16 for the past alone, and from "
        "128 on everything is in the last. A better answer adds that the two kinds are not interchangeable, nor is "
        "the sign of the offset: a causal model that has it turned round puts its whole past into one bucket, "
        "without an error.",
    ),
    Claim(
        "Q21.5",
        "ALiBi lowers a score in proportion to the distance, with a slope for each head, whatever their number",
        "PD",
        (Proved("relative_positions"), Holds("positions.alibi_slopes")),
        "The slopes of n heads are 2^(−8/n), its square, its cube and so on, if n is a power of two. If not, the "
        "authors take those of the next lower power, and then every other slope of twice that power: so 12 heads "
        "have the slopes of 8 and four that lie between. Nothing is learned. A better answer names this second rule, "
        "which the series of the paper does not give and which checkpoints depend on.",
    ),
    Claim(
        "Q21.6",
        "rotary positions turn queries and keys: lengths are kept, scores depend on the offset alone",
        "PD",
        (Proved("rotary_positions"), Holds("positions.rotary_score"), Holds("positions.shift_invariance")),
        "The score is the proved formula, a sum of cosines and sines of the offset. At offset 0 it is the plain q·k, "
        "since a turn keeps lengths. Pairs may be neighbours or stand half a width apart: the two layouts agree once "
        "the columns are permuted. Mixed, they pass every test of lengths and shifts, and all scores are wrong: the "
        "formula tells them apart. A better answer names the layout beside the base.",
    ),
    Claim(
        "Q21.7",
        "the encodings trade length, cost and parameters against each other",
        "X",
        (Measured("position_encodings"),),
        "None wins everywhere. Small language models, alike but for their positions, were trained briefly on texts of "
        "64 characters. There Shaw's encoding loses least (1.84 nats a character), then come rotary (1.91), T5 (2.04) "
        "and ALiBi (2.08); sinusoidal, learned and no positions at all lag behind (2.2 to 2.3). On texts four times as "
        "long ALiBi and Shaw lose next to nothing more, sinusoidal and T5 (whose far buckets were never trained) a "
        "quarter of a nat, rotary more than a whole one, and the learned table refuses them. Shaw's, which holds a "
        "vector for each pair of tokens, pays with six times the time and 3.3 times the memory of a model without "
        "positions at 512 tokens, T5 with a quarter more time, a learned table with weights for every position; the "
        "others cost next to nothing. A better answer says that not to move under a shift, which is true of all "
        "relative ones to rounding, is no promise for longer texts, and names the length and the training that it "
        "speaks of.",
    ),
)
