"""The real systems that the sheet leans on, each a row of its own."""

from __future__ import annotations

from ..claim import Claim
from ..evidence import Holds
from .masks_and_decoding import MASKED

SYSTEMS: tuple[Claim, ...] = (
    Claim("S.linear", "PyTorch's nn.Linear and nn.Embedding, exercised for question 12", "P"),
    Claim("S.keras", "Keras' Embedding, exercised for question 19", "P"),
    Claim("S.bert", "BERT's own reshape path, on a real BERT with random weights, for question 16", "P"),
    Claim("S.shared", "Reformer's shared query and key, for question 3", "P"),
    Claim("S.bpe", "BPE, WordPiece and unigram of the tokenizers library, for question 29", "P"),
    Claim(
        "S.rnn",
        "a packed RNN, for question 2",
        "P",
        tuple(Holds(law, on="torch.nn.GRU") for law in MASKED),
        "PyTorch's own GRU on packed sequences, of one to three layers, in one direction and in both, keeps the five "
        "properties that a masked Transformer keeps. Five classic mistakes do not go unnoticed: no packing, a length "
        "one too long or too short, sequences sorted and not put back, lengths sorted alone. "
        "`veriformer check torch.nn.LSTM` and `torch.nn.RNN` say the same of the other two.",
    ),
)
