"""The real systems that the sheet leans on, each a row of its own."""

from __future__ import annotations

from veriformer.properties.subjects import DTYPES

from ..claim import Claim
from ..evidence import Holds
from ..variants.evidence import OnVariant
from .masks_and_decoding import MASKED

_OF_BERT = (
    "heads.loop_equivalence",
    "heads.removal_is_deletion",
    "padding.content",
    "consistency.paths_agree",
    "decoding.cached_equals_full",
)

SYSTEMS: tuple[Claim, ...] = (
    Claim(
        "S.linear",
        "PyTorch's nn.Linear and nn.Embedding, exercised for question 12",
        "P",
        (
            Holds("embedding.rows_of_tokens", dtypes=tuple(DTYPES), on="torch.nn.Embedding"),
            Holds("embedding.stored_like_the_table", dtypes=tuple(DTYPES), on="torch.nn.Embedding"),
            Holds("embedding.absent_rows_rest", dtypes=tuple(DTYPES), on="torch.nn.Embedding"),
            Holds("embedding.tied_rows_all_move", on="torch.nn.Embedding"),
        ),
        "nn.Embedding gives each token its row of the table; nn.Linear multiplies with weights that it stores as that "
        "table is stored, one row an output, within the bound that is derived for rounding. With weights of their "
        "own, rows of absent tokens have a gradient of exactly 0; with one Parameter for both, every row has the "
        "gradient that the derivation gives. So question 12 may be answered by PyTorch's two layers as they are. A "
        "better answer remembers `bias=False`: nn.Linear has a bias by default, and the table has none.",
    ),
    Claim(
        "S.keras",
        "Keras' Embedding, exercised for question 19",
        "P",
        (
            Holds("initial.distribution", on="keras.layers.Embedding"),
            Holds("initial.scaled_variance", on="keras.layers.Embedding"),
            Holds("initial.rows_differ", on="keras.layers.Embedding"),
            Holds("initial.follows_the_seed", on="keras.layers.Embedding"),
        ),
        "Keras' own layer draws its table uniformly from [−0.05, 0.05] at every size, no two rows alike, the same from "
        "the same seed; times √d its variance is d/1200. As it should, it reads rows, and gives a row whose token does "
        "not occur no gradient. A better answer knows two things more about it. `mask_zero` marks token 0 for the "
        "layers behind, and leaves its row in use and in training. And Dense keeps its kernel as (in, out), so that it "
        "shares the table by a transpose only, where PyTorch's Linear takes it as it is (Q12.5). See "
        "properties/adapters/keras_embedding.py and tests/test_keras.py.",
    ),
    Claim(
        "S.bert",
        "BERT's own reshape path, on a real BERT with random weights, for question 16",
        "P",
        tuple(Holds(law, on="transformers.BertModel") for law in _OF_BERT),
        "The BERT of the transformers library splits d_model by a view and a transpose, and gives what a loop over its "
        "heads gives, in its own attention and through PyTorch's kernel alike, with padding and without; and to take a "
        "head out is to delete its slices of the four matrices. As an encoder, as a decoder and with its cache it "
        "keeps every other law of its contracts too: `veriformer check transformers.BertModel`. "
        "A better answer knows what its callers get wrong: a number of heads that is lost on the way changes no shape, "
        "and a boolean mask, which PyTorch's kernel reads as may-attend, is added to the scores by the library's own "
        "attention. See properties/adapters/huggingface_bert.py and claims/faults/bert.py.",
    ),
    Claim(
        "S.shared",
        "Reformer's shared query and key, for question 3",
        "P",
        (Holds("scores.one_matrix_shows_in_weights"), OnVariant("shared_query_key")),
        "A layer with one matrix for queries and keys has symmetric scores, which its weights show; a layer with two "
        "has not. Reformer's own layer is the first only in part: it divides each key by its length, so that the score "
        "qᵢ·qⱼ/|qⱼ| has a direction again. A better answer to question 3 is that sharing the matrix makes scores "
        "symmetric, and that Reformer shares it without keeping the symmetry.",
    ),
    Claim(
        "S.bpe",
        "BPE, WordPiece and unigram of the tokenizers library, for question 29",
        "P",
        (
            Holds("tokenizer.merges_are_most_frequent", on="tokenizers"),
            Holds("tokenizer.encoding_replays_merges", on="tokenizers"),
            Holds("tokenizer.alphabet_and_merges", on="tokenizers"),
            Holds("tokenizer.bytes_lose_nothing", on="tokenizers"),
            Holds("tokenizer.longest_match_first", on="tokenizers"),
            Holds("tokenizer.most_likely_segmentation", on="tokenizers"),
            Holds("tokenizer.words_come_back", on="tokenizers"),
            Holds("tokenizer.ids_are_the_vocabulary", on="tokenizers"),
            Holds("tokenizer.words_are_apart", on="tokenizers"),
        ),
        "All three encode as their papers say, and its byte-level BPE learns the merges of our reference, in order, on "
        "the documentation of Python. A better answer knows where its trainers leave the papers. Its WordPiece trainer "
        "is BPE in disguise: it joins the most frequent pair. Its unigram trainer smooths EM by a digamma function, as "
        "SentencePiece does, so that probabilities do not sum to one. And neither of these two is deterministic: the "
        "order of a hash table numbers WordPiece's characters and numbers break ties, so that two runs on one text may "
        "even spell it differently; unigram's pieces of one score change places. These are pinned, with their "
        "cases, in properties/expected_violations.toml.",
    ),
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
