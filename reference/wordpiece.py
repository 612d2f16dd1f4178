"""WordPiece: spell a word by the longest piece that fits at each place, from the left.

Source: Schuster & Nakajima 2012 and Wu et al. 2016, §4.1, for training; Devlin et al. 2019 and the published rule,
`WordpieceTokenizer` in google-research/bert/tokenization.py, for spelling, marks and [UNK].
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

Pair = tuple[str, str]

UNKNOWN = "[UNK]"
CONTINUATION = "##"
WORDS = re.compile(r"\w+|[^\w\s]")  # BERT's cut at white space and around punctuation, without its lower-casing


class WordPiece:
    """Spells words with the pieces of a vocabulary; a piece that goes on inside a word is marked ``##``.

    ``vocabulary`` maps pieces (str) to ids, [UNK] to 0; ``joins`` are the pairs that training joined, in order.
    """

    unknown = UNKNOWN
    continuation = CONTINUATION

    def __init__(self, alphabet: Iterable[str], joins: Iterable[Pair]) -> None:
        """Take the single characters, marked where they stand inside words, and the joins in order."""
        self.joins = tuple(joins)
        pieces = dict.fromkeys([UNKNOWN, *alphabet, *(join(pair) for pair in self.joins)])
        self.vocabulary = {piece: i for i, piece in enumerate(pieces)}
        self._pieces = list(pieces)

    def encode(self, text: str) -> list[int]:
        """Text to ids. White space is not kept; a word that cannot be spelled to its end is one [UNK] as a whole."""
        return [self.vocabulary[piece] for word in WORDS.findall(text) for piece in self._pieces_of(word)]

    def _pieces_of(self, word: str) -> list[str]:
        pieces: list[str] = []
        start = 0
        while start < len(word):
            mark = CONTINUATION if start else ""
            fitting = (end for end in range(len(word), start, -1) if mark + word[start:end] in self.vocabulary)
            end = next(fitting, None)
            if end is None:
                return [UNKNOWN]
            pieces.append(mark + word[start:end])
            start = end
        return pieces

    def decode(self, ids: Sequence[int]) -> str:
        """Ids to words with a space between them."""
        return " ".join(self._pieces[i] for i in ids).replace(f" {CONTINUATION}", "")


def train_wordpiece(texts: Iterable[str], vocab_size: int) -> WordPiece:
    """Join the pair ab of largest count(ab) / (count(a) · count(b)) until there are ``vocab_size`` pieces.

    To join a and b where they stand side by side by chance alone gains no likelihood; this ratio says how far they are
    from that. It is the usual reading of the paper, which asks for the unit that raises likelihood most and gives no
    formula. A tie goes to the pair whose pieces came first.

    Raises:
        ValueError: fewer pieces than [UNK] and the characters take.
    """
    counts = Counter(word for text in texts for word in WORDS.findall(text))
    spelled = {word: [word[0], *(CONTINUATION + c for c in word[1:])] for word in counts}
    alphabet = sorted({piece for pieces in spelled.values() for piece in pieces})
    ids = {piece: i for i, piece in enumerate([UNKNOWN, *alphabet])}
    if vocab_size < len(ids):
        raise ValueError(f"vocab_size: expected at least {len(ids)}, for [UNK] and each character; got {vocab_size}")
    joins: list[Pair] = []
    while len(ids) < vocab_size:
        pieces: Counter[str] = Counter()
        pairs: Counter[Pair] = Counter()
        for word, count in counts.items():
            for piece in spelled[word]:
                pieces[piece] += count
            for pair in pairwise(spelled[word]):
                pairs[pair] += count
        if not pairs:
            break
        ratio = {(a, b): count / (pieces[a] * pieces[b]) for (a, b), count in pairs.items()}
        best = min(ratio, key=lambda pair: (-ratio[pair], ids[pair[0]], ids[pair[1]]))
        joins.append(best)
        ids.setdefault(join(best), len(ids))
        spelled = {word: _joined(pieces_of_word, best) for word, pieces_of_word in spelled.items()}
    return WordPiece(alphabet, joins)


def join(pair: Pair) -> str:
    """The piece that two pieces side by side make: the second one loses its mark."""
    return pair[0] + pair[1].removeprefix(CONTINUATION)


def _joined(pieces: Sequence[str], pair: Pair) -> list[str]:
    """``pieces`` with every occurrence of ``pair`` made one, from the left."""
    result: list[str] = []
    for piece in pieces:
        if result and (result[-1], piece) == pair:
            result[-1] = join(pair)
        else:
            result.append(piece)
    return result
