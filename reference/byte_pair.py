"""Byte-pair encoding on bytes: start from single bytes, and join the pair that is most frequent, again and again.

Source: Sennrich et al. 2016, §3.2 and algorithm 1; on bytes, and with these words, Radford et al. 2019, §2.2.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

Pair = tuple[bytes, bytes]

# Words carry the space before them. GPT-2's pattern, but that Python's \w counts ² and Ⅳ among the letters.
WORDS = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")

# GPT-2's order: the bytes that print in Latin-1, then the others.
_PRINTING = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
ALPHABET = tuple(bytes([b]) for b in sorted(range(256), key=lambda b: (b not in _PRINTING, b)))


class BytePair:
    """Joins bytes by a list of merges; the id of a token is its place among the 256 bytes and what merges made.

    ``vocabulary`` maps tokens (bytes) to ids; ``merges`` are pairs of tokens, the first learned first.
    """

    def __init__(self, merges: Iterable[Pair]) -> None:
        """Take the merges in the order in which they were learned."""
        self.merges = tuple(merges)
        tokens = dict.fromkeys([*ALPHABET, *(first + second for first, second in self.merges)])
        self.vocabulary = {token: i for i, token in enumerate(tokens)}
        self._ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self._tokens = list(tokens)

    def encode(self, text: str) -> list[int]:
        """Text, in Unicode without surrogates (which UTF-8 has no bytes for), to ids; never an unknown.

        Raises:
            ValueError: a surrogate.
        """
        return [self.vocabulary[token] for word in words_of(text) for token in self._tokens_of(word)]

    def _tokens_of(self, word: bytes) -> list[bytes]:
        """Join the pair that was learned first, until no pair was learned."""
        tokens = [bytes([b]) for b in word]
        while learned := [(self._ranks[p], at) for at, p in enumerate(pairwise(tokens)) if p in self._ranks]:
            _, at = min(learned)
            tokens[at : at + 2] = [tokens[at] + tokens[at + 1]]
        return tokens

    def decode(self, ids: Sequence[int]) -> str:
        """Ids to text; bytes that are no UTF-8, as a cut between tokens may leave them, become U+FFFD."""
        return b"".join(self._tokens[i] for i in ids).decode("utf-8", errors="replace")


def words_of(text: str) -> list[bytes]:
    """The words that no token reaches across, in UTF-8. Put together again they are the text."""
    try:
        return [word.encode("utf-8") for word in WORDS.findall(text)]
    except UnicodeEncodeError as error:
        surrogate = ord(error.object[error.start])
        raise ValueError(
            f"expected text that UTF-8 can encode, got the surrogate U+{surrogate:X}; read its source with "
            "errors='replace'"
        ) from error


def train_byte_pair(texts: Iterable[str], vocab_size: int) -> BytePair:
    """Learn merges until there are ``vocab_size`` tokens, the 256 bytes included, or no pair is left.

    Pairs are counted over all occurrences of all words. A tie goes to the pair whose tokens came first.

    Raises:
        ValueError: fewer tokens than there are bytes.
    """
    if vocab_size < len(ALPHABET):
        raise ValueError(f"vocab_size: expected at least 256, one token for each byte; got {vocab_size}")
    counts = Counter(word for text in texts for word in words_of(text))
    spelled = {word: [bytes([b]) for b in word] for word in counts}
    ids = {token: i for i, token in enumerate(ALPHABET)}
    merges: list[Pair] = []
    while len(ids) < vocab_size:
        pairs: Counter[Pair] = Counter()
        for word, count in counts.items():
            for pair in pairwise(spelled[word]):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], ids[pair[0]], ids[pair[1]]))
        merges.append(best)
        ids.setdefault(best[0] + best[1], len(ids))
        spelled = {word: joined(tokens, best) for word, tokens in spelled.items()}
    return BytePair(merges)


def joined(tokens: Sequence[bytes], pair: Pair) -> list[bytes]:
    """``tokens`` with every occurrence of ``pair`` made one, from the left."""
    result: list[bytes] = []
    for token in tokens:
        if result and (result[-1], token) == pair:
            result[-1] += token
        else:
            result.append(token)
    return result
