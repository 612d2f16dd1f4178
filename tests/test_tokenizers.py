"""The reference tokenisers: the papers' own examples, what they refuse, that no hash decides anything, and how far the
library ``tokenizers`` agrees on English text: the documentation of Python, which every Python has.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pydoc_data.topics import topics

import pytest

from veriformer.properties import Status, Subject, SubjectError, check_subject
from veriformer.properties.adapters import huggingface_tokenizers as theirs
from veriformer.properties.engine import plan
from veriformer.properties.preflight import preflight
from veriformer.reference import Unigram, WordPiece, train_byte_pair, train_unigram, train_wordpiece

TRAINED_ON, READ = [topics[name] for name in sorted(topics)[:20]], topics["class"]

SENNRICH = ["low"] * 5 + ["lower"] * 2 + ["newest"] * 6 + ["widest"] * 3
"""The dictionary of Sennrich et al. 2016, algorithm 1."""


def test_merges_of_the_paper() -> None:
    """As the paper's program prints them, but for its mark at the end of a word, which has no place among bytes."""
    tokenizer = train_byte_pair(SENNRICH, 256 + 4)
    assert tokenizer.merges == ((b"e", b"s"), (b"es", b"t"), (b"l", b"o"), (b"lo", b"w"))
    lowest = [token for i in tokenizer.encode("lowest") for token, at in tokenizer.vocabulary.items() if at == i]
    assert lowest == [b"low", b"est"]


def test_wordpiece_joins_what_occurs_together() -> None:
    """i-d has 3/(3 · 3) and e-s, three times as frequent, 9/(17 · 9): parts without other company win."""
    tokenizer = train_wordpiece(SENNRICH, 16)
    assert tokenizer.joins[0] == ("##i", "##d")


def test_unigram_prefers_the_likelier_piece() -> None:
    tokenizer = train_unigram(["ab"] * 9 + ["ac"], 6)
    assert math.isclose(sum(map(math.exp, tokenizer.scores.values())), 1)
    pieces = list(tokenizer.vocabulary)
    assert [pieces[i] for i in tokenizer.encode("ab ac ad")] == ["▁ab", "▁", "a", "c", "▁", "a", "<unk>"]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: train_byte_pair(["a"], 255), "vocab_size: expected at least 256"),
        (lambda: train_wordpiece(["ab"], 2), r"vocab_size: expected at least 3, for \[UNK\] and each character; got 2"),
        (lambda: train_unigram(["ab"], 3), "vocab_size: expected at least 4, for <unk> and each character; got 3"),
        (lambda: train_byte_pair(["a"], 256).encode("a\ud800"), r"got the surrogate U\+D800; read its source"),
    ],
    ids=["bpe of 255", "wordpiece of 2", "unigram of 3", "encode a surrogate"],
)
def test_bad_input(call: Callable[[], object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        call()


def test_any_seed_of_hashing_gives_the_same_tokenizers() -> None:
    code = (
        "from veriformer.reference import *; texts = ['the cat sat on the mat', 'that hat is a cat hat']; "
        "print([list(train(texts, 300).vocabulary) for train in (train_byte_pair, train_unigram, train_wordpiece)])"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(printed) == 1


def test_bpe_of_the_library_agrees() -> None:
    """The same merges in the same order, ties included: both take the pair whose tokens came first."""
    pytest.importorskip("tokenizers")
    mine, other = train_byte_pair(TRAINED_ON, 256 + 200), theirs.train_byte_pair(TRAINED_ON, 256 + 200)
    assert tuple(other.merges) == mine.merges
    assert other.vocabulary == mine.vocabulary
    assert other.encode(READ) == mine.encode(READ)


def test_wordpiece_of_the_library_spells_the_same() -> None:
    library = pytest.importorskip("tokenizers")
    mine = train_wordpiece(TRAINED_ON, 300)
    other = library.Tokenizer(library.models.WordPiece(mine.vocabulary, unk_token=WordPiece.unknown))
    other.pre_tokenizer = library.pre_tokenizers.Split(library.Regex(r"\w+|[^\w\s]"), "removed", invert=True)
    assert other.encode(READ).ids == mine.encode(READ)


def test_wordpiece_of_the_library_learns_as_bpe_does() -> None:
    """Its trainer joins the most frequent pair, e-s, and not the pair that WordPiece joins first, i-d."""
    pytest.importorskip("tokenizers")
    vocabulary = theirs.train_wordpiece(SENNRICH, 300).vocabulary
    joined = [piece for piece in sorted(vocabulary, key=lambda p: vocabulary[p]) if len(piece.removeprefix("##")) > 1]
    assert joined[1] in ("##es", "##st")  # [UNK] is the first; both pairs occur nine times


def test_unigram_of_the_library_spells_the_same() -> None:
    """With our probabilities; where two segmentations tie to the last bits, either may be taken."""
    library = pytest.importorskip("tokenizers")
    mine = train_unigram(TRAINED_ON[:3], 200)
    known = " ".join(word for word in READ.split() if set(word) <= set(mine.vocabulary))
    other = library.Tokenizer(library.models.Unigram([("<unk>", 0.0), *mine.scores.items()], unk_id=0))
    other.pre_tokenizer = library.pre_tokenizers.Metaspace()
    words = known.split()
    assert len(words) > 400
    for word in dict.fromkeys(words):
        assert math.isclose(_log_p(mine, other.encode(word).tokens), _log_p(mine, _pieces(mine, word)), rel_tol=1e-12)


def _pieces(tokenizer: Unigram, text: str) -> list[str]:
    return [list(tokenizer.vocabulary)[i] for i in tokenizer.encode(text)]


def _log_p(tokenizer: Unigram, pieces: list[str]) -> float:
    return sum(tokenizer.scores[piece] for piece in pieces)


class Bytes:
    """A tokeniser that learns nothing."""

    vocabulary = {bytes([b]): b for b in range(256)}  # noqa: RUF012
    merges = ()

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode(errors="replace")


def test_tokenizer_of_ones_own() -> None:
    mine = Subject(name="bytes", contract="bpe_tokenizer", call=lambda texts, vocab_size: Bytes())
    preflight(mine, device="cpu", dtype="float64")
    (violated,) = [result for result in check_subject(mine) if result.status is not Status.HELD]
    assert violated.law == "tokenizer.merges_are_most_frequent"
    told = violated.message.splitlines()
    assert "  subject    bytes (bpe_tokenizer)" in told
    assert any(line.startswith("  smallest   texts ('aa") and "length" not in line for line in told)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"merges": None, "encode": None}, "bytes: train(texts, vocab_size): expected a tokenizer with encode, got a"),
        ({"encode": lambda self, text: text.split()}, "bytes: encode(text): expected a list of one or more int, got ["),
        ({"decode": lambda self, ids: bytes(ids)}, "bytes: decode(ids): expected a str, got bytes"),
        ({"vocabulary": {b"a": "0"}}, "bytes: vocabulary: expected a mapping of tokens to int, got {b'a': '0'}"),
        ({"encode": lambda self, text: [1 // 0]}, "bytes: called plainly: raised ZeroDivisionError"),
    ],
    ids=["no encode", "words for ids", "bytes for text", "str for an id", "raises"],
)
def test_tokenizer_that_breaks_its_contract(changed: dict[str, object], told: str) -> None:
    members = {name: member for name, member in {**vars(Bytes), **changed}.items() if member is not None}
    broken = type("Broken", (), members)
    subject = Subject(name="bytes", contract="bpe_tokenizer", call=lambda texts, vocab_size: broken())
    with pytest.raises(SubjectError) as error:
        preflight(subject, device="cpu", dtype="float64")
    assert str(error.value).startswith(told)
    assert len(str(error.value).splitlines()) == 1


def test_tokenizer_is_tried_once_whatever_the_dtype() -> None:
    mine = Subject(name="bytes", contract="bpe_tokenizer", call=lambda texts, vocab_size: Bytes())
    made = plan(mine, devices=["cpu"], dtypes=["float64", "float16"])
    assert {check.dtype for check in made.checks} == {"float64"}
    assert {result.message for result in made.not_applicable} == {
        "it takes no tensors: it is tried once, under cpu and float64"
    }
