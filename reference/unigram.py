"""The unigram language model: a text is its most likely split into pieces, each drawn on its own.

p(x) = Π p(x_i) over the pieces of a segmentation x, Σ p over the vocabulary = 1. Source: Kudo 2018, §3.2; the marks
for spaces and the pieces to begin with as in Kudo & Richardson 2018 (SentencePiece).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

Scores = Mapping[str, float]
"""log p of every piece, in nats."""

UNKNOWN = "<unk>"
SPACE = "▁"
LONGEST = 16  # characters in a piece
UNKNOWN_PENALTY = 10.0  # nats below the least likely piece, SentencePiece's kUnkPenalty
KEPT = 0.8  # of the pieces in each round, the paper's η
EM_STEPS = 2  # a round, as SentencePiece takes
LEAST_COUNT = 1e-100  # of a piece that EM has given up: a character must still be there to spell with


class Unigram:
    """Splits words into the pieces that are likeliest together.

    ``vocabulary`` maps pieces (str) to ids, <unk> to 0, then the likeliest first; ``scores`` maps them to log p.
    """

    def __init__(self, scores: Scores) -> None:
        """Take log p of every piece."""
        self.scores = dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))
        self._pieces = [UNKNOWN, *self.scores]
        self.vocabulary = {piece: i for i, piece in enumerate(self._pieces)}
        self._unknown = min(self.scores.values(), default=0.0) - UNKNOWN_PENALTY

    def encode(self, text: str) -> list[int]:
        """Text to ids. Runs of white space count as one space; a character that no piece has is <unk>."""
        words = [segmented(word, self.scores, unknown=self._unknown) for word in words_of(text)]
        return [self.vocabulary.get(piece, 0) for pieces in words for piece in pieces]

    def decode(self, ids: Sequence[int]) -> str:
        """Ids to words with a space between them."""
        return "".join(self._pieces[i] for i in ids).replace(SPACE, " ").removeprefix(" ")

    @staticmethod
    def em_step(scores: Scores, counts: Mapping[str, int]) -> dict[str, float]:
        """See :func:`em_step`."""
        return em_step(scores, counts)


def words_of(text: str) -> list[str]:
    """The words that no piece reaches across, each behind the mark of its space."""
    return [SPACE + word for word in text.split()]


def segmented(word: str, scores: Scores, *, unknown: float = -math.inf, without: str = "") -> list[str]:
    """argmax over segmentations of Σ log p(x_i), by the Viterbi algorithm; of equals, the one with the longest end.

    ``unknown`` is the score of a character that is no piece; the piece ``without`` is not used.
    """
    best = [0.0]
    start_of_last = [0]
    for end in range(1, len(word) + 1):
        choices = [(best[end - 1] + scores.get(word[end - 1 : end], unknown), 1 - end)]
        for start in range(max(0, end - LONGEST), end - 1):
            if (piece := word[start:end]) in scores and piece != without:
                choices.append((best[start] + scores[piece], -start))
        total, minus_start = max(choices)
        best.append(total)
        start_of_last.append(-minus_start)
    pieces: list[str] = []
    end = len(word)
    while end:
        pieces.append(word[start_of_last[end] : end])
        end = start_of_last[end]
    return pieces[::-1]


def train_unigram(texts: Iterable[str], vocab_size: int) -> Unigram:
    """Begin with all frequent substrings, and in turn fit p by EM and drop the pieces that are missed least.

    Raises:
        ValueError: fewer pieces than <unk> and the characters take.
    """
    counts = dict(sorted(Counter(word for text in texts for word in words_of(text)).items()))
    characters = {c for word in counts for c in word}
    if vocab_size < 1 + len(characters):
        raise ValueError(
            f"vocab_size: expected at least {1 + len(characters)}, for <unk> and each character; got {vocab_size}"
        )
    scores = seed_scores(counts, characters)
    while True:
        for _ in range(EM_STEPS):
            scores = em_step(scores, counts)
        excess = len(scores) - (vocab_size - 1)
        if excess <= 0:
            return Unigram(scores)
        missed = losses(scores, counts)
        droppable = sorted(missed, key=lambda piece: (missed[piece], piece))
        n_dropped = min(excess, max(1, len(scores) - int(KEPT * len(scores))))
        dropped = set(droppable[:n_dropped])
        scores = {piece: score for piece, score in scores.items() if piece not in dropped}


def seed_scores(counts: Mapping[str, int], characters: Iterable[str]) -> dict[str, float]:
    """Every character, and every longer substring that occurs twice; p in proportion to occurrences times length."""
    found: Counter[str] = Counter()
    for word, count in counts.items():
        for start in range(len(word)):
            for end in range(start + 1, min(start + LONGEST, len(word)) + 1):
                found[word[start:end]] += count
    weights = {c: found[c] for c in sorted(characters)}
    weights |= {piece: n * len(piece) for piece, n in sorted(found.items()) if len(piece) > 1 and n > 1}
    total = sum(weights.values())
    return {piece: math.log(weight / total) for piece, weight in weights.items()}


def em_step(scores: Scores, counts: Mapping[str, int]) -> dict[str, float]:
    """One step of EM: p of a piece is its share of the pieces that are expected in the words, over all segmentations.

    The likelihood Π_words (Σ_segmentations Π p)^count does not fall. Every character of the words has to be a piece.
    """
    expected = dict.fromkeys(scores, 0.0)
    for word, count in counts.items():
        for piece, n in expected_pieces(word, scores).items():
            expected[piece] += count * n
    total = sum(expected.values())
    return {piece: math.log(max(n, LEAST_COUNT) / total) for piece, n in expected.items()}


def expected_pieces(word: str, scores: Scores) -> dict[str, float]:
    """How often each piece is expected in a word: forward–backward over its segmentations."""
    spans = [
        (start, end)
        for end in range(1, len(word) + 1)
        for start in range(max(0, end - LONGEST), end)
        if word[start:end] in scores
    ]
    forward = [0.0] + [-math.inf] * len(word)  # forward[i] = log Σ over segmentations of word[:i]
    for start, end in spans:
        forward[end] = log_add(forward[end], forward[start] + scores[word[start:end]])
    backward = [-math.inf] * len(word) + [0.0]  # backward[i] = log Σ over segmentations of word[i:]
    for start, end in sorted(spans, reverse=True):
        backward[start] = log_add(backward[start], scores[word[start:end]] + backward[end])
    expected: dict[str, float] = {}
    for start, end in spans:
        piece = word[start:end]
        share = math.exp(forward[start] + scores[piece] + backward[end] - forward[-1])
        expected[piece] = expected.get(piece, 0.0) + share
    return expected


def log_add(a: float, b: float) -> float:
    """log(eᵃ + eᵇ)."""
    low, high = sorted((a, b))
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def losses(scores: Scores, counts: Mapping[str, int]) -> dict[str, float]:
    """By how much log-likelihood falls, about, where a piece longer than a character is spelled by others: in nats.

    Uses of the piece, times its lead over the best others, by the best segmentations alone. So SentencePiece estimates
    the paper's loss_i.
    """
    used: Counter[str] = Counter()
    for word, count in counts.items():
        for piece in segmented(word, scores):
            used[piece] += count
    result: dict[str, float] = {}
    for piece, score in scores.items():
        if len(piece) > 1:
            others = segmented(piece, scores, without=piece)
            result[piece] = used[piece] * (score - sum(scores[other] for other in others))
    return result
