"""Questions 29 and 31: tokenisers, and variants of the Transformer."""

from __future__ import annotations

from ..claim import Claim
from ..evidence import Holds

_ANY = (
    Holds("tokenizer.training_counts_words"),
    Holds("tokenizer.ids_are_the_vocabulary"),
    Holds("tokenizer.words_are_apart"),
)

TOKENISERS_AND_VARIANTS: tuple[Claim, ...] = (
    Claim(
        "Q29.1",
        "byte-pair encoding joins the most frequent pair again and again, and encodes by its merges in order",
        "P",
        (
            Holds("tokenizer.merges_are_most_frequent"),
            Holds("tokenizer.encoding_replays_merges"),
            Holds("tokenizer.alphabet_and_merges"),
            Holds("tokenizer.bytes_lose_nothing"),
            *_ANY,
            Holds("tokenizer.names_of_characters"),
        ),
        "Training joins a pair that is most frequent at its turn, and a word is encoded by doing the same merges "
        "again, the oldest first: not by the longest match, nor from the left. Where the alphabet is the 256 bytes any "
        "text comes back as it was and nothing is unknown. A better answer adds that merges stay inside the words of a "
        "pre-tokeniser, that the vocabulary is the alphabet and one token a merge, and that training hangs on nothing "
        "but the counts only if ties are broken by the pair itself. See reference/byte_pair.py.",
    ),
    Claim(
        "Q29.2",
        "WordPiece spells a word by the longest piece that fits, from the left",
        "P",
        (
            Holds("tokenizer.longest_match_first"),
            Holds("tokenizer.joins_by_ratio"),
            Holds("tokenizer.words_come_back"),
            *_ANY,
            Holds("tokenizer.names_of_characters"),
        ),
        "At each place stands the longest piece of the vocabulary, marked ## inside a word, and a word that cannot be "
        "finished is one [UNK] as a whole, whatever of it could be spelled. So encoding needs the vocabulary alone, "
        "where BPE needs the order of its merges. A better answer tells the two apart by training as well: WordPiece "
        "joins the pair that is frequent for how frequent its parts are, count(ab)/(count(a)·count(b)), not the most "
        "frequent one. The paper gives no formula; this is the usual reading. White space is not kept. See "
        "reference/wordpiece.py.",
    ),
    Claim(
        "Q29.3",
        "a unigram model picks the most likely of all segmentations, and is fitted by EM",
        "P",
        (
            Holds("tokenizer.most_likely_segmentation"),
            Holds("tokenizer.em_step"),
            Holds("tokenizer.probabilities_sum_to_one"),
            Holds("tokenizer.words_come_back"),
            *_ANY,
        ),
        "The segmentation that is chosen has the largest product of probabilities among all that there are, counted "
        "out on short words; a step of EM is the exact expectation over them and never lowers the likelihood. A better "
        "answer adds that it works from the other end, dropping pieces from a large vocabulary, and that only its "
        "probabilities let it sample other segmentations. Where two tie, any of them is right, and the last bit of a "
        "sum may decide. See reference/unigram.py.",
    ),
    Claim("Q31.1", "notable variants of the Transformer", "P"),
)
