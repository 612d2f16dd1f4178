"""The library ``tokenizers``: its byte-level BPE, its WordPiece and its unigram model, each with its own trainer.

The library is an extra, ``pip install 'veriformer[tokenizers]'``. Without it nothing here is applicable.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from ..extras import Extra
from ..subjects import Subject


def _library() -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # with threads of its own it is not safe to fork
    return import_module("tokenizers")


class _Wrapped:
    """A trained ``tokenizers.Tokenizer``, called as the contracts say."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.model: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
        self.vocabulary: dict[Any, int] = tokenizer.get_vocab()

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text).ids

    def decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids)


class _BytePair(_Wrapped):
    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer)
        self.vocabulary = {_as_bytes(token): i for token, i in self.vocabulary.items()}
        self.merges = [(_as_bytes(a), _as_bytes(b)) for a, b in self.model["merges"]]


class _WordPiece(_Wrapped):
    unknown, continuation = "[UNK]", "##"


class _Unigram(_Wrapped):
    unknown = "<unk>"

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer)
        self.scores = {piece: score for piece, score in self.model["vocab"] if piece != self.unknown}


_PRINTING = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = [b for b in range(256) if b not in _PRINTING]
_BYTE = {chr(b): b for b in _PRINTING} | {chr(256 + n): b for n, b in enumerate(_OTHERS)}


def _as_bytes(token: str) -> bytes:
    """A token as bytes: GPT-2 writes each byte as a character that prints, those that do not as 256 and up."""
    return bytes(_BYTE[c] for c in token)


def train_byte_pair(texts: Sequence[str], vocab_size: int) -> _BytePair:
    """Byte-level BPE with GPT-2's pattern and the 256 bytes as alphabet."""
    library = _library()
    byte_level = library.pre_tokenizers.ByteLevel
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = byte_level(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    asked = {"vocab_size": vocab_size, "initial_alphabet": byte_level.alphabet(), "show_progress": False}
    tokenizer.train_from_iterator(texts, library.trainers.BpeTrainer(**asked))
    return _BytePair(tokenizer)


def train_wordpiece(texts: Sequence[str], vocab_size: int) -> _WordPiece:
    """WordPiece with BERT's cut into words and its marks, without lower-casing."""
    library = _library()
    unknown, mark = _WordPiece.unknown, _WordPiece.continuation
    tokenizer = library.Tokenizer(library.models.WordPiece(unk_token=unknown))
    tokenizer.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = library.decoders.WordPiece(prefix=mark, cleanup=False)
    asked = {"vocab_size": vocab_size, "special_tokens": [unknown], "show_progress": False}
    tokenizer.train_from_iterator(texts, library.trainers.WordPieceTrainer(continuing_subword_prefix=mark, **asked))
    return _WordPiece(tokenizer)


def train_unigram(texts: Sequence[str], vocab_size: int) -> _Unigram:
    """The unigram model with SentencePiece's mark for spaces."""
    library = _library()
    tokenizer = library.Tokenizer(library.models.Unigram())
    tokenizer.pre_tokenizer = library.pre_tokenizers.Metaspace()
    tokenizer.decoder = library.decoders.Metaspace()
    asked = {"vocab_size": vocab_size, "special_tokens": [_Unigram.unknown], "show_progress": False}
    tokenizer.train_from_iterator(texts, library.trainers.UnigramTrainer(unk_token=_Unigram.unknown, **asked))
    return _Unigram(tokenizer)


_EXTRA = Extra("tokenizers", library="tokenizers")

TOKENIZERS = [
    Subject(name="tokenizers", contract="bpe_tokenizer", call=train_byte_pair, extra=_EXTRA),
    Subject(name="tokenizers", contract="wordpiece_tokenizer", call=train_wordpiece, extra=_EXTRA),
    Subject(name="tokenizers", contract="unigram_tokenizer", call=train_unigram, extra=_EXTRA),
]
