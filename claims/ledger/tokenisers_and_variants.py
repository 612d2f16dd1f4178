"""Questions 29 and 31: tokenisers, and variants of the Transformer."""

from __future__ import annotations

from ..claim import Claim
from ..evidence import Holds, Proved
from ..variants.evidence import OnVariant

_ANY = (
    Holds("tokenizer.training_counts_words"),
    Holds("tokenizer.ids_are_the_vocabulary"),
    Holds("tokenizer.words_are_apart"),
)

_CHEAPER = ("sliding_window", "block_sparse", "linear_attention", "nystromformer")
_SHORTCUTS = (
    *_CHEAPER,
    "dilated_window",
    "performer",
    "linformer",
    "lsh_attention",
    "synthesizer",
    "fnet",
    "universal",
    "transformer_xl",
    "grouped_queries",
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
    Claim(
        "Q31.1",
        "notable variants: each is a shortcut, and keeps what its paper promises of it",
        "PD",
        (
            Proved("linear_attention"),
            Proved("low_rank_attention"),
            *(Holds("variants.equals_its_plain_form", on=f"reference.variants.{name}") for name in _SHORTCUTS),
            *(Holds("variants.cost_grows_as_declared", on=f"reference.variants.{name}") for name in _CHEAPER),
        ),
        "A variant saves something, and gives something up. Each of those below is held to all the laws that the plain "
        "Transformer keeps, so that its row says what: what it saves is counted, and what it breaks is shown on the "
        "smallest case. Each shortcut also equals, to rounding, the plain computation that it stands for: full "
        "attention under a band, say. A better answer to “which variants do you know?” names for each which law of "
        "attention it trades for the saving. All are in reference/variants, one idea a file.",
    ),
    Claim(
        "Q31.2",
        "multi-query and grouped-query attention: query heads share keys and values",
        "P",
        (OnVariant("grouped_queries"),),
        "It keeps every law of attention. It is multi-head attention whose key and value matrices are alike within a "
        "group, to rounding. What it saves is the cache: n_kv_heads/n_heads of the keys and values, and none of the n² "
        "scores.",
    ),
    Claim(
        "Q31.3",
        "Reformer's shared query and key: one matrix for both",
        "P",
        (OnVariant("shared_query_key"), Holds("scores.one_matrix_shows_in_weights")),
        "One matrix makes the scores symmetric, and the weights show it: round any three tokens their product is the "
        "same in either direction. But Reformer also divides each key by its length, and then the scores are not "
        "symmetric any more. It hides a token from itself, too: in a causal sequence the second token sees the first "
        "alone, so its own contents reach its output through the residual connection only.",
    ),
    Claim(
        "Q31.4",
        "Reformer's LSH attention: tokens look at those in their bucket",
        "P",
        (OnVariant("lsh_attention"),),
        "With all tokens in one bucket and one chunk it is shared-QK attention over all pairs; with several it is that "
        "under a mask, at a cost that is linear but for the sorting. The surprise is causality. Masks hide later keys, "
        "and no gradient comes back from the future; but where chunks begin depends on all tokens, so that a later "
        "token can change which neighbours an earlier one has.",
    ),
    Claim(
        "Q31.5",
        "linear attention: features in place of softmax",
        "P",
        (OnVariant("linear_attention"),),
        "It keeps every law that does not speak of softmax: order, padding, causality. Its cost is linear, its causal "
        "form equals the recurrent one, whose state does not grow, and both equal the table of all pairs that is never "
        "made. What it gives up is in the derivation linear_attention: weights of a rank of at most the number of "
        "features.",
    ),
    Claim(
        "Q31.6",
        "Performer: random features estimate softmax's kernel without bias",
        "P",
        (OnVariant("performer"), Holds("variants.features_estimate_softmax", on="reference.variants.performer")),
        "The products of its features have the mean e^{q·k} and the variance that the derivation proves, by an exact "
        "test: their logarithms are normal. So the kernel is estimated without bias. The weights, which are quotients "
        "of estimates, are not, and with a finite number of features the output is not softmax attention. All laws of "
        "order, padding and causality hold exactly, whatever the estimate's error is.",
    ),
    Claim(
        "Q31.7",
        "Linformer: n keys are mixed into k",
        "P",
        (OnVariant("linformer"),),
        "With E = F = I it is full attention, and its cost is linear with k fixed. Each place has a column of E, so it "
        "sees order without positions, and padding on the left is not the same as none. A better answer adds that it "
        "has no causal form, as a mixed key is made of later tokens too, and a catch: a k above the length does not "
        "make it exact. What mixes nothing is a key of zeros, which takes e⁰ = 1 of each sum.",
    ),
    Claim(
        "Q31.8",
        "Nyströmformer: the weights are rebuilt from landmarks",
        "P",
        (OnVariant("nystromformer"),),
        "With every token a landmark it is attention, up to rounding that the pseudo-inverse multiplies; with fewer it "
        "is not. Landmarks are means of stretches of places, so it sees order, and has no causal form. The cost is "
        "linear as long as it is multiplied from the right.",
    ),
    Claim(
        "Q31.9",
        "sliding and dilated windows (Longformer): attention to neighbours",
        "P",
        (OnVariant("sliding_window"), OnVariant("dilated_window")),
        "It equals full attention under a band, at linear cost. What it gives up is reach, L windows for L layers, and "
        "the symmetry under permutations: it sees order before any position is added. Padding on either end is "
        "harmless; padding between real tokens moves them out of each other's window.",
    ),
    Claim(
        "Q31.10",
        "block-sparse attention (Sparse Transformer, BigBird): blocks look at some blocks",
        "P",
        (OnVariant("block_sparse"),),
        "It equals full attention under the mask of its blocks, at linear cost. Beside reach and symmetry it gives up "
        "something that is easy to overlook: random blocks are drawn out of all blocks, so the output of a prefix "
        "changes with the length, causal mask or not. It belongs in an encoder.",
    ),
    Claim(
        "Q31.11",
        "Transformer-XL: a memory of the segments before",
        "P",
        (
            OnVariant("transformer_xl"),
            Holds("variants.memory_takes_no_gradient", on="reference.variants.transformer_xl"),
        ),
        "Reading in segments, with a memory of all of the past, gives the outputs of one pass over the whole sequence, "
        "and decoding with the memory as a cache gives them too. With a memory of one segment it gives those of a mask "
        "that reaches one segment back for each layer. No gradient runs into an earlier segment, though its values do: "
        "what is trained is a segment, what is read is longer.",
    ),
    Claim(
        "Q31.12",
        "Universal Transformer: one layer, applied over and over",
        "P",
        (OnVariant("universal"),),
        "It keeps every law of an encoder, and equals a stack of copies of its one layer, each with the signal of its "
        "step. It saves parameters and no time.",
    ),
    Claim(
        "Q31.13",
        "Synthesizer: weights without a product of tokens",
        "P",
        (OnVariant("synthesizer"),),
        "Each row of weights is made of its own token alone, or of none, as a loop over single tokens shows. It keeps "
        "causality and padding on the right. An entry of a row belongs to a place, so it sees order, needs a longest "
        "length, and its cost stays quadratic.",
    ),
    Claim(
        "Q31.14",
        "FNet: a Fourier transform in place of attention",
        "P",
        (OnVariant("fnet"),),
        "The mixing equals the product with two matrices of the discrete Fourier transform. It has no parameters, sees "
        "order by itself, and takes neither a padding mask nor a causal one: every output depends on every place.",
    ),
    Claim(
        "Q31.15",
        "ALiBi's decoder: a penalty on distance in place of positions",
        "P",
        (OnVariant("alibi"),),
        "It keeps every law of a causal language model, cached decoding among them.",
    ),
    Claim(
        "Q31.16",
        "the rotary decoder: queries and keys are turned by their positions",
        "P",
        (OnVariant("rotary"),),
        "It keeps every law of a causal language model, cached decoding among them: keys can be cached turned.",
    ),
)
