"""Tokenisers: what is true of any, and what makes one byte-pair encoding, WordPiece or a unigram model.

Texts are drawn from few letters, so that pairs recur and ties are common. Where a law is about encoding, it goes
through every short word of these letters; where a definition speaks of the best of many, through all of the many.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise, product
from typing import Any

from hypothesis import strategies as st

from ..case import one_of
from ..comparison import Comparison, agree, counts, decided
from ..contracts import SubjectError
from ..law import Draw, law
from ..trial import Trial, guarded

BPE, WORDPIECE, UNIGRAM = "bpe_tokenizer", "wordpiece_tokenizer", "unigram_tokenizer"
TOKENIZERS = (BPE, WORDPIECE, UNIGRAM)
CLAIMS = ("Q29.1", "Q29.2", "Q29.3")

LETTERS = "abc"


def _always(strategy: st.SearchStrategy[Any]) -> Draw:
    return lambda sizes: strategy


def _repeated(texts: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    """Several texts, each a few times."""
    times = st.lists(st.tuples(texts, st.integers(1, 4)), min_size=1, max_size=8)
    return times.map(lambda drawn: tuple(text for text, n in drawn for _ in range(n)))


_word = st.one_of(st.text(LETTERS[:2], min_size=1, max_size=7), st.text(LETTERS, min_size=1, max_size=7))
_texts = _repeated(st.lists(_word, min_size=1, max_size=3).map(" ".join))
_anything = st.lists(
    st.one_of(st.text(max_size=8), st.text("abe \n\t'1_.é½\u0301", max_size=8)), min_size=1, max_size=6
)

TEXTS = {"texts": _always(_texts), "learned": one_of(*range(1, 13))}
WORDS = {"texts": _always(_repeated(_word)), "learned": one_of(*range(1, 13))}
ANY_TEXT = {**TEXTS, "tried": _always(_anything.map(tuple))}


class Trained:
    """A tokenizer that the subject trained, its calls guarded; ``tokens`` in place of ids, which mean nothing alone."""

    def __init__(self, trial: Trial, texts: Sequence[str]) -> None:
        """Train on ``texts``: a vocabulary of what the characters take, and of as many tokens more as the case says."""
        spare = 256 if trial.subject.contract == BPE else 2 + 2 * len(set("".join(texts)))
        self.vocab_size = spare + trial.case.draws["learned"]
        self.tokenizer = guarded(trial.built, list(texts), self.vocab_size)

    @cached_property
    def vocabulary(self) -> dict[Any, int]:
        """Tokens to ids."""
        return dict(self.tokenizer.vocabulary)

    def ids(self, text: str) -> list[int]:
        """What ``text`` is encoded to."""
        return list(guarded(self.tokenizer.encode, text))

    def text(self, ids: Sequence[int]) -> str:
        """What ``ids`` are decoded to."""
        return guarded(self.tokenizer.decode, list(ids))

    @cached_property
    def _named(self) -> dict[int, Any]:
        return {i: token for token, i in self.vocabulary.items()}

    def tokens(self, text: str) -> list[Any]:
        """What ``text`` is split into. Raises :class:`SubjectError` for an id that is no token's."""
        ids = self.ids(text)
        if strange := [i for i in ids if i not in self._named]:
            raise SubjectError(f"encode({text!r}): expected ids out of vocabulary, got {strange[0]}")
        return [self._named[i] for i in ids]


def short_words(letters: str, longest: int = 4) -> Iterator[str]:
    """Every word of ``letters`` up to a length, the shortest first."""
    for n in range(1, longest + 1):
        yield from map("".join, product(letters, repeat=n))


def trained(trial: Trial) -> Trained:
    """The subject's tokenizer, trained on the case's texts."""
    return Trained(trial, trial.case.draws["texts"])


@law(
    "tokenizer.training_counts_words",
    formula="train(π(texts)) = train(texts) for every order π of the texts",
    contracts=TOKENIZERS,
    claims=CLAIMS,
    draws=TEXTS,
)
def training_counts_words(trial: Trial) -> Iterator[Comparison]:
    """Training is deterministic and counts words: the same texts, in whatever order, give the same vocabulary."""
    texts = trial.case.draws["texts"]
    first = Trained(trial, texts)
    for others, how, cause in (
        (texts, "trained again", "something random takes part, such as the order of a hash table"),
        (texts[::-1], "trained on the texts in reverse", "ties are broken by what came first in the texts"),
    ):
        yield agree(Trained(trial, others).vocabulary, first.vocabulary, what=f"vocabulary, {how}", cause=cause)


_alphabet = st.sets(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), min_size=len(LETTERS), max_size=len(LETTERS))
_renamed = _alphabet.map(lambda chosen: "".join(sorted(chosen)))


@law(
    "tokenizer.names_of_characters",
    formula="split(ρ(text); train(ρ(texts))) = ρ(split(text; train(texts))) for every ρ that keeps the order",
    contracts=(BPE, WORDPIECE),
    claims=("Q29.1", "Q29.2"),
    draws={**TEXTS, "renamed": _always(st.lists(_renamed, min_size=8, max_size=8).map(tuple))},
)
def names_of_characters(trial: Trial) -> Iterator[Comparison]:
    """Other letters in the same order give the same tokens in other letters: nothing hangs on what a letter is.

    A unigram model is not held to it: where two segmentations tie, the last bit of a sum may decide.
    """
    texts, plain = trial.case.draws["texts"], trained(trial)
    for letters in trial.case.draws["renamed"]:
        other = Trained(trial, [_renamed_in(text, letters) for text in texts])
        for text in dict.fromkeys(texts):
            yield agree(
                other.tokens(_renamed_in(text, letters)),
                [_renamed_in(token, letters) for token in plain.tokens(text)],
                what=f"tokens of {_renamed_in(text, letters)!r}, against those of {text!r} in other letters",
                cause="ties are broken by hashes, or some letters are treated apart",
            )


def _renamed_in(token: Any, letters: str) -> Any:
    """A text or token (str, or bytes in UTF-8) with ``letters`` in place of ``LETTERS``."""
    if isinstance(token, bytes):
        return _renamed_in(token.decode(), letters).encode()
    return token.translate(str.maketrans(LETTERS, letters))


@law(
    "tokenizer.ids_are_the_vocabulary",
    formula="ids = {0, …, |V| − 1}, |V| ≤ vocab_size, encode(text) ⊂ ids for every text",
    contracts=TOKENIZERS,
    claims=CLAIMS,
    draws=ANY_TEXT,
)
def ids_are_the_vocabulary(trial: Trial) -> Iterator[Comparison]:
    """Ids count the vocabulary without gap, which is no larger than asked for; any text at all is encoded in them."""
    tokenizer = trained(trial)
    size = len(tokenizer.vocabulary)
    yield agree(
        sorted(tokenizer.vocabulary.values()),
        list(range(size)),
        what="ids of the vocabulary",
        cause="an id is left out, or given twice",
    )
    yield agree(
        max(size, tokenizer.vocab_size),
        tokenizer.vocab_size,
        what="size of the vocabulary",
        cause="special tokens or the alphabet are not counted",
    )
    strange = [i for text in trial.case.draws["tried"] for i in tokenizer.ids(text) if i not in range(size)]
    yield agree(strange, [], what="ids that are no token's", cause="a token that training has not kept is used")


@law(
    "tokenizer.words_are_apart",
    formula="split(a + “ b”) = split(a) + split(“ b”)",
    contracts=TOKENIZERS,
    claims=CLAIMS,
    draws=TEXTS,
)
def words_are_apart(trial: Trial) -> Iterator[Comparison]:
    """No token reaches from one word into the next: where a text is cut before a space, its tokens are cut as well."""
    tokenizer = trained(trial)
    texts = list(dict.fromkeys(trial.case.draws["texts"]))
    for text in (*texts, *map(" ".join, pairwise(texts))):
        for at in (at for at, character in enumerate(text) if character == " "):
            yield agree(
                tokenizer.tokens(text),
                tokenizer.tokens(text[:at]) + tokenizer.tokens(text[at:]),
                what=f"tokens of {text!r}, against those of {text[:at]!r} and of {text[at:]!r}",
                cause="text is not cut into words before it is encoded, or what a word gives depends on its neighbours",
            )
    yield agree(tokenizer.tokens(""), [], what="tokens of the empty text")


@law(
    "tokenizer.bytes_lose_nothing",
    formula="decode(encode(text)) = text",
    contracts=(BPE,),
    claims=("Q29.1",),
    draws=ANY_TEXT,
)
def bytes_lose_nothing(trial: Trial) -> Iterator[Comparison]:
    """On bytes any Unicode text comes back as it was, whatever the training saw; surrogates are no text in UTF-8."""
    tokenizer = trained(trial)
    for text in trial.case.draws["tried"]:
        yield agree(
            tokenizer.text(tokenizer.ids(text)),
            text,
            what="text after encoding and decoding",
            cause="bytes are decoded token by token, or white space, accents or rare characters are normalised away",
        )


@law(
    "tokenizer.words_come_back",
    formula="decode(encode(text)) = text for words of known characters with a space between them",
    contracts=(WORDPIECE, UNIGRAM),
    claims=("Q29.2", "Q29.3"),
    draws=TEXTS,
)
def words_come_back(trial: Trial) -> Iterator[Comparison]:
    """Words that training saw come back, with one space between them."""
    tokenizer = trained(trial)
    for text in trial.case.draws["texts"]:
        yield agree(
            tokenizer.text(tokenizer.ids(text)),
            text,
            what="text after encoding and decoding",
            cause="the marks of word starts or continuations are left in, or taken out in the wrong place",
        )


@law(
    "tokenizer.alphabet_and_merges",
    formula="V = {256 bytes} ∪ {ab : (a, b) merged}, each a and b older than ab",
    contracts=(BPE,),
    claims=("Q29.1",),
    draws=TEXTS,
)
def alphabet_and_merges(trial: Trial) -> Iterator[Comparison]:
    """The vocabulary is the bytes and what the merges make, and each merge joins two tokens that were there before."""
    tokenizer = trained(trial)
    merges = [tuple(pair) for pair in tokenizer.tokenizer.merges]
    known = {bytes([b]) for b in range(256)}
    for a, b in merges:
        yield agree([token for token in (a, b) if token not in known], [], what=f"tokens that {(a, b)} has before time")
        known.add(a + b)
    extra, lacking = set(tokenizer.vocabulary) - known, known - set(tokenizer.vocabulary)
    yield agree(
        (sorted(extra), sorted(lacking)),
        ([], []),
        what="tokens that are neither bytes nor merges, and bytes and merges that are no tokens",
        cause="the alphabet is only what training saw, or a merge does not become a token",
    )
    ids = [tokenizer.vocabulary[a + b] for a, b in merges]
    made = list(dict.fromkeys(ids))  # two merges may make the same token
    yield agree(made, sorted(made), what="ids of what the merges make, in their order", cause="ids are not ranks")


@law(
    "tokenizer.merges_are_most_frequent",
    formula="count(mₖ) = max over pairs of count(pair), after merges m₁ … mₖ₋₁",
    contracts=(BPE,),
    claims=("Q29.1",),
    draws=WORDS,
)
def merges_are_most_frequent(trial: Trial) -> Iterator[Comparison]:
    """Each merge is a pair that is most frequent at its turn, counted over all occurrences of all words."""
    tokenizer = trained(trial)
    spelled = [[bytes([b]) for b in word.encode()] for word in trial.case.draws["texts"]]
    pairs = Counter(pair for tokens in spelled for pair in pairwise(tokens))
    yield agree(
        not tokenizer.tokenizer.merges and max(pairs.values(), default=0) > 1,
        False,
        what="whether there is no merge, and yet a pair that occurs more than once",
    )
    for a, b in tokenizer.tokenizer.merges:
        pairs = Counter(pair for tokens in spelled for pair in pairwise(tokens))
        yield counts(
            pairs[a, b],
            max(pairs.values(), default=0),
            what=f"occurrences of the pair {(a, b)} at its turn, against those of the most frequent",
            cause=lambda: "words are counted once for all their occurrences, counts go stale, or the score is another",
        )
        spelled = [_merged(tokens, (a, b), a + b) for tokens in spelled]


def _merged(tokens: Sequence[Any], pair: tuple[Any, Any], made: Any) -> list[Any]:
    """``tokens`` with every occurrence of ``pair`` replaced by ``made``, from the left."""
    result, at = [], 0
    while at < len(tokens):
        found = tuple(tokens[at : at + 2]) == pair
        result.append(made if found else tokens[at])
        at += 2 if found else 1
    return result


@law(
    "tokenizer.encoding_replays_merges",
    formula="split(w) = mₙ(… m₂(m₁(bytes of w)))",
    contracts=(BPE,),
    claims=("Q29.1",),
    draws=WORDS,
)
def encoding_replays_merges(trial: Trial) -> Iterator[Comparison]:
    """A word is encoded as training would have it: every merge in the order of training, wherever it applies."""
    tokenizer = trained(trial)
    merges = [tuple(pair) for pair in tokenizer.tokenizer.merges]
    for word in (*short_words(LETTERS), *trial.case.draws["texts"]):
        tokens = [bytes([b]) for b in word.encode()]
        for a, b in merges:
            tokens = _merged(tokens, (a, b), a + b)
        yield agree(
            tokenizer.tokens(word),
            tokens,
            what=f"tokens of {word!r}, against its bytes after all merges",
            cause="the longest match or the newest merge is taken where the oldest is due, or an occurrence is missed",
        )


@law(
    "tokenizer.longest_match_first",
    formula="piece at i = longest v ∈ V with word[i:] = v…; [UNK] for the word if there is none",
    contracts=(WORDPIECE,),
    claims=("Q29.2",),
    draws=WORDS,
)
def longest_match_first(trial: Trial) -> Iterator[Comparison]:
    """At each place of a word stands the longest piece that fits; a word that cannot be finished is one [UNK]."""
    tokenizer = trained(trial)
    mark, unknown = tokenizer.tokenizer.continuation, tokenizer.tokenizer.unknown
    for word in (*short_words(LETTERS), *trial.case.draws["texts"], "z", "az", "za"):
        yield agree(
            tokenizer.tokens(word),
            _longest_first(word, tokenizer.vocabulary, mark) or [unknown],
            what=f"pieces of {word!r}",
            cause="matches are shortest or replay merges, marks are missing, or part of an unknown word is kept",
        )


def _longest_first(word: str, vocabulary: Mapping[str, int], mark: str) -> list[str]:
    """The longest pieces from the left; none where the word cannot be finished."""
    pieces: list[str] = []
    while word:
        before = mark if pieces else ""
        fitting = [n for n in range(1, len(word) + 1) if before + word[:n] in vocabulary]
        if not fitting:
            return []
        pieces.append(before + word[: max(fitting)])
        word = word[max(fitting) :]
    return pieces


@law(
    "tokenizer.joins_by_ratio",
    formula="count(ab)/(count(a)·count(b)) = max over pairs, at each join",
    contracts=(WORDPIECE,),
    claims=("Q29.2",),
    needs=("joins",),
    draws=WORDS,
)
def joins_by_ratio(trial: Trial) -> Iterator[Comparison]:
    """Each join is a pair that occurs most often for how often its parts do: not the most frequent one, as in BPE."""
    tokenizer = trained(trial)
    mark = tokenizer.tokenizer.continuation
    spelled = [[word[0], *(mark + c for c in word[1:])] for word in trial.case.draws["texts"]]
    for a, b in tokenizer.tokenizer.joins:
        pieces = Counter(piece for word in spelled for piece in word)
        pairs = Counter(pair for word in spelled for pair in pairwise(word))
        ratio = {pair: n / (pieces[pair[0]] * pieces[pair[1]]) for pair, n in pairs.items()}
        best = max(ratio.values(), default=0.0)
        found = ratio.get((a, b), 0.0)
        yield decided(
            found == best,  # quotients of small integers: equal ones round to the same number, others do not
            measured=best - found,
            allowed=0.0,
            what=f"what the ratio of the pair {(a, b)} lacks to the largest at its turn",
            cause="the most frequent pair is joined, as in BPE, or counts are those of words and not of occurrences",
        )
        spelled = [_merged(word, (a, b), a + b.removeprefix(mark)) for word in spelled]


@law(
    "tokenizer.most_likely_segmentation",
    formula="Σ log p(xᵢ) = max over segmentations of the word",
    contracts=(UNIGRAM,),
    claims=("Q29.3",),
    draws=WORDS,
)
def most_likely_segmentation(trial: Trial) -> Iterator[Comparison]:
    """Of all segmentations of a word into pieces, the one of largest probability is chosen; any of them, if they tie.

    The words are of characters that training saw: what another one costs is each library's own choice.
    """
    tokenizer = trained(trial)
    scores = dict(tokenizer.tokenizer.scores)
    seen = "".join(sorted(set("".join(trial.case.draws["texts"]))))
    for word in (*short_words(seen, 3), *dict.fromkeys(trial.case.draws["texts"])):
        pieces = tokenizer.tokens(word)
        whole = "".join(pieces)
        yield agree(whole.endswith(word), True, what=f"whether the pieces {pieces} spell {word!r}")
        best = max((sum(scores[p] for p in s) for s in segmentations(whole, scores)), default=-math.inf)
        chosen = sum(scores.get(piece, -math.inf) for piece in pieces)
        yield decided(
            best - chosen <= _rounding(best, len(whole)),
            measured=best - chosen,
            allowed=_rounding(best, len(whole)),
            what=f"log p that {pieces} lack to the best segmentation, in nats",
            cause="pieces are taken greedily, or probabilities are not those that training gave",
        )


def segmentations(word: str, pieces: Mapping[str, float]) -> Iterator[tuple[str, ...]]:
    """Every way to put ``word`` together from ``pieces``."""
    if not word:
        yield ()
    for end in range(1, len(word) + 1):
        if word[:end] in pieces:
            for rest in segmentations(word[end:], pieces):
                yield (word[:end], *rest)


def _rounding(total: float, terms: int) -> float:
    """What rounding may hide between two sums of ``terms`` numbers of one sign: (terms − 1)·u, u = 2⁻⁵³, in each.

    Twice: the subject adds up two paths to compare them, and so does the law.
    """
    return 4 * terms * 2.0**-53 * abs(total)


@law(
    "tokenizer.probabilities_sum_to_one",
    formula="Σ over the vocabulary of p(x) = 1",
    contracts=(UNIGRAM,),
    claims=("Q29.3",),
    draws=TEXTS,
)
def probabilities_sum_to_one(trial: Trial) -> Iterator[Comparison]:
    """The pieces of the vocabulary, each of which can be spelled with, share a probability of one among them."""
    scores = dict(trained(trial).tokenizer.scores)
    total = math.fsum(math.exp(score) for score in scores.values())
    # log and exp round to 1 ulp each, and the sum by which p was divided to (n − 1)·u; log p of 1e-100 is −230
    allowed = (len(scores) + 512) * 2.0**-52
    yield decided(
        abs(total - 1) <= allowed,
        measured=abs(total - 1),
        allowed=allowed,
        what="Σ p − 1",
        cause="pieces are dropped or added after the last fit, or scores are weights rather than log p",
    )


@law(
    "tokenizer.em_step",
    formula="p′(x) = E[n(x)] / Σ E[n], so Π_w (Σ_s Π p′)^count ≥ Π_w (Σ_s Π p)^count",
    contracts=(UNIGRAM,),
    claims=("Q29.3",),
    needs=("em_step",),
    draws={**WORDS, "weights": _always(st.lists(st.integers(0, 9), min_size=1, max_size=8).map(tuple))},
)
def em_step(trial: Trial) -> Iterator[Comparison]:
    """A step of EM gives a piece its share of what all segmentations lead to expect, and likelihood does not fall."""
    words = Counter(trial.case.draws["texts"])
    weights = trial.case.draws["weights"]
    substrings = sorted({w[i:j] for w in words for i in range(len(w)) for j in range(i + 1, len(w) + 1)})
    drawn = {piece: weights[at % len(weights)] for at, piece in enumerate(substrings)}
    kept = {piece: n + 1 for piece, n in drawn.items() if n or len(piece) == 1}
    scores = {piece: math.log(n / sum(kept.values())) for piece, n in kept.items()}
    after: dict[str, float] = dict(guarded(trained(trial).tokenizer.em_step, scores, dict(words)))
    yield agree(sorted(after), sorted(scores), what="pieces after a step of EM")
    expected = Counter[str]()
    for word, n in words.items():
        shares = [(s, math.exp(sum(scores[p] for p in s))) for s in segmentations(word, scores)]
        total = sum(share for _, share in shares)
        for pieces, share in shares:
            for piece in pieces:
                expected[piece] += n * share / total  # type: ignore[assignment]
    due = {piece: expected[piece] / sum(expected.values()) for piece in scores}
    gap = max(abs(math.exp(after[piece]) - due[piece]) for piece in due)
    yield decided(
        gap <= EM_ROUNDING,
        measured=gap,
        allowed=EM_ROUNDING,
        what="p of a piece, against its share of what is expected",
        cause="counts are those of the best segmentation alone, words count once, or p is not divided by its sum",
    )
    before, later = _log_likelihood(scores, words), _log_likelihood(after, words)
    yield decided(
        later - before >= -EM_ROUNDING * abs(before),
        measured=before - later,
        allowed=EM_ROUNDING * abs(before),
        what="fall of the log-likelihood, in nats",
        cause="the step is not the maximum of what EM maximises: counts are smoothed, or some are left out",
    )


EM_ROUNDING = 1e-12
"""At most 8 words of 7 letters, so 64 segmentations each: about a thousand roundings of 2⁻⁵³, which is 1e-13."""


def _log_likelihood(scores: Mapping[str, float], words: Mapping[str, int]) -> float:
    return sum(
        n * math.log(sum(math.exp(sum(scores[p] for p in s)) for s in segmentations(word, scores)))
        for word, n in words.items()
    )
