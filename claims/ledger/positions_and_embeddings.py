"""Questions 11, 12, 14 and 19 to 21: positions and embeddings."""

from __future__ import annotations

from veriformer.properties.laws import LAWS

from ..claim import Claim
from ..evidence import Falsified, Holds, Proved
from ..literal.positions import ORDER_INVISIBLE

POSITIONS_AND_EMBEDDINGS: tuple[Claim, ...] = (
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
        "pooled output can tell two orders apart; with any of the positional encodings it can. A causal mask "
        "breaks the symmetry by itself: a decoder without positions does see order.",
    ),
    Claim("Q12.1", "source and target may share one table: only the rows of tokens present are active", "P"),
    Claim("Q12.2", "sharing costs a larger softmax", "D"),
    Claim("Q12.3", "tied to the output, the row most like x gets the largest logit, if rows have one norm", "PD"),
    Claim("Q12.4", "embedding and output layer are like inverses", "P"),
    Claim("Q12.5", "torch's Linear stores (out, in) = (V, d), so sharing takes no transpose and saves V·d", "P"),
    Claim("Q14.1", "adding positions does (not) damage the features of the embedding", "PD"),
    Claim("Q19.1", "Keras' Embedding has Xavier's variance 1/d, so that ×√d brings it to 1", "PD"),
    Claim("Q20.1", "sinusoidal positions: what they mean, where they are strong and weak", "PD"),
    Claim("Q21.1", "other encodings and what they trade: learned, Shaw, T5, ALiBi, rotary", "P"),
)
