"""Decoding: a KV cache is an optimisation, so it must not be seen in what is computed.

The rows of a batch are beams: each is fed tokens of its own, and a reorder lets some go on several times and others not
at all. So their histories part and meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from torch import Tensor

from ..case import Case
from ..comparison import Comparison, same
from ..contracts import Inputs, Path, SubjectError, Unsupported
from ..law import law
from ..subjects import MAX_LENGTH, PaddedDecoder, Subject
from ..trial import Trial, guarded
from .padding import PADDED

Step = tuple[Any, ...]


class Session:
    """A cached decoding beside the plain sequence of tokens that it stands for."""

    def __init__(self, trial: Trial) -> None:
        """Nothing has been appended yet."""
        self.trial = trial
        self.decoder = guarded(trial.subject.decoder, trial.built, trial.case.batch)  # type: ignore[arg-type]
        self.tokens = trial.tokens("start", trial.case.batch, 0)

    def take(self, step: Step) -> Iterator[Comparison]:
        """Carry out one step on both sides: ("append", n, seed), ("reorder", row, …) or ("crop", length)."""
        action, *arguments = step
        try:
            yield from getattr(self, f"_{action}")(*arguments)
        except Unsupported as reason:
            self.trial.notes.add(f"{action} is not offered: {reason}")

    def _append(self, n: int, seed: int) -> Iterator[Comparison]:
        new = self.trial.tokens(f"append {seed}", len(self.tokens), n)
        with torch.no_grad():
            logits = _logits_of(new, guarded(self.decoder.append, new), what="append")
        self.tokens = torch.cat([self.tokens, new], dim=1)
        whole = Inputs(self.tokens)
        yield same(
            lambda: logits,
            lambda: self.trial(whole)[:, -n:],
            what=f"logits of the {n} tokens appended at length {whole.x.shape[1] - n}",
            cause=lambda gap: self._cause(n),
        )

    def _cause(self, n: int) -> str:
        if n > 1:
            return "several tokens at once: the causal mask is aligned to the wrong corner, or positions restart at 0"
        return "the cache is stale, misplaced or misaligned: an offset, the rows after a reorder, or what a crop left"

    def _reorder(self, *rows: int) -> Iterator[Comparison]:
        index = torch.tensor(rows, device=self.tokens.device)
        guarded(self.decoder.reorder, index)  # raises Unsupported before anything has moved, or carries it out
        self.tokens = self.tokens[index]
        return iter(())

    def _crop(self, length: int) -> Iterator[Comparison]:
        guarded(self.decoder.crop, length)
        self.tokens = self.tokens[:, :length]
        return iter(())


def _logits_of(new: Tensor, logits: Any, *, what: str) -> Tensor:
    """``logits``. Raises :class:`SubjectError` where they are not those of the ``new`` tokens."""
    if not isinstance(logits, Tensor) or logits.dim() != 3 or logits.shape[:2] != new.shape:
        came = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        n = new.shape[1]
        raise SubjectError(f"{what}: expected logits (batch, n, vocabulary) of the {n} new tokens, got {came}")
    return logits


class CachedDecoding(RuleBasedStateMachine):
    """Appends, reorders and crops at random. ``begin(case)`` starts a session, ``check`` judges what it yields."""

    session_type = Session

    def __init__(self, cases: st.SearchStrategy[Case], begin: Callable[[Case], Session], check: Any) -> None:
        """A machine that has drawn nothing yet."""
        super().__init__()
        self.cases, self.begin, self.check = cases, begin, check
        self.program: list[Step] = []

    def step(self, *step: Any) -> None:
        """Carry out one step, remembering the program so far."""
        self.program.append(step)
        self.check(self.session.take(step), self.session.trial, tuple(self.program))

    @initialize(data=st.data())
    def start(self, data: st.DataObject) -> None:
        """Draw the sizes and the weights."""
        self.session = self.begin(data.draw(self.cases))

    @property
    def length(self) -> int:
        """How many tokens there are."""
        return self.session.tokens.shape[1]

    @precondition(lambda self: self.length < MAX_LENGTH - 4)
    @rule(n=st.integers(1, 4), seed=st.integers(0, 99))
    def append(self, n: int, seed: int) -> None:
        """Append one to four tokens."""
        self.step("append", n, seed)

    @precondition(lambda self: self.length > 0)
    @rule(data=st.data())
    def reorder(self, data: st.DataObject) -> None:
        """Let every row go on from some row, as beam search does."""
        beams = len(self.session.tokens)
        self.step("reorder", *data.draw(st.lists(st.integers(0, beams - 1), min_size=beams, max_size=beams)))

    @precondition(lambda self: self.length > 1)
    @rule(data=st.data())
    def crop(self, data: st.DataObject) -> None:
        """Forget the last tokens."""
        self.step("crop", data.draw(st.integers(1, self.length - 1)))


def _has_cache(subject: Subject, path: Path) -> str | None:
    return None if subject.decoder else "it has no cached decoding (decoder=)"


@law(
    "decoding.cached_equals_full",
    formula="f(x_t | cache of x₁…x_{t−1}) = f(x)_t",
    claims=("Q28.1", "Q09.1"),
    contracts=("causal_lm",),
    paths={"padding": ("absent",), "mode": ("eval",), "grad": ("off",)},
    machine=CachedDecoding,
    applies=_has_cache,
    twin="causality.past_influences",
)
def cached_equals_full(trial: Trial) -> Iterator[Comparison]:
    """Decoding with a cache, in chunks, through reorders and crops, gives the logits of full recomputation."""
    session = Session(trial)
    for step in trial.case.draws.get("program", ()):
        yield from session.take(tuple(step))


def _rows(beams: int) -> Callable[[Any], st.SearchStrategy[tuple[int, ...]]]:
    """Draws which rows go on, up to ``beams`` of them: another number than there were, as a rule."""
    return lambda sizes: st.lists(st.integers(0, sizes["batch"] - 1), min_size=1, max_size=beams).map(tuple)


@law(
    "decoding.beams_open_and_end",
    formula="cache[rows] continues x[rows], for any number of rows",
    claims=("Q28.1",),
    contracts=("causal_lm",),
    paths={"padding": ("absent",), "mode": ("eval",), "grad": ("off",)},
    draws={"opened": _rows(4), "kept": _rows(3)},
    contents=("normal",),
    applies=_has_cache,
    twin="decoding.cached_equals_full",
)
def beams_open_and_end(trial: Trial) -> Iterator[Comparison]:
    """Beams that are opened from a prompt, go their own ways, and end, each have the logits of their own history."""
    session, opened = Session(trial), trial.case.draws["opened"]
    yield from session.take(("append", 2, 1))
    yield from session.take(("reorder", *opened))
    yield from session.take(("append", 2, 2))
    yield from session.take(("reorder", *(row % len(session.tokens) for row in trial.case.draws["kept"])))
    yield from session.take(("append", 1, 3))


class PaddedSession(Session):
    """A session in which some tokens are padding: each row stands for its real tokens, and is compared with them."""

    def __init__(self, trial: Trial) -> None:
        """Nothing has been appended yet. Raises :class:`Unsupported` where the decoder takes no padding."""
        super().__init__(trial)
        if not isinstance(self.decoder, PaddedDecoder):
            raise Unsupported("its cached decoding takes no padding (append_padded)")
        self.padded_decoder = self.decoder
        self.real = torch.ones(self.tokens.shape, dtype=torch.bool, device=self.tokens.device)

    def append_padded(self, new: Tensor, real: Tensor) -> Iterator[Comparison]:
        """Append tokens (batch, n), of which those at ``real``, boolean (batch, n), are no padding."""
        n, before = new.shape[1], self.tokens.shape[1]
        self.tokens, self.real = torch.cat([self.tokens, new], dim=1), torch.cat([self.real, real], dim=1)
        position_ids = (self.real.cumsum(1) - 1).clamp(min=0)[:, before:]
        with torch.no_grad():
            logits = guarded(
                lambda: self.padded_decoder.append_padded(new, key_padding_mask=real, position_ids=position_ids)
            )
        logits = _logits_of(new, logits, what="append_padded")
        for row in real.any(1).nonzero().flatten().tolist():
            alone = Inputs(self.tokens[row : row + 1, self.real[row]])
            yield same(
                lambda row=row: logits[row : row + 1, real[row]],
                lambda row=row, alone=alone: self.trial(alone)[:, -int(real[row].sum()) :],
                what=f"logits of what row {row} got of the {n} tokens appended at length {before}",
                cause=lambda gap: self._cause_where_padded(before),
            )

    def append_real(self, seed: int) -> Iterator[Comparison]:
        """Append a token of its own to each row."""
        new = self.trial.tokens(f"append {seed}", len(self.tokens), 1)
        return self.append_padded(new, torch.ones_like(new, dtype=torch.bool))

    def _cause_where_padded(self, before: int) -> str:
        if before == 0:
            return "the prompt's own mask or position ids are not used where it is read into the cache"
        return (
            "padding in the cache is attended to: its mask is forgotten, or left behind by a reorder or a crop; or a "
            "token's position counts the padding before it"
        )

    def _reorder(self, *rows: int) -> Iterator[Comparison]:
        yield from super()._reorder(*rows)
        self.real = self.real[list(rows)]

    def _crop(self, length: int) -> Iterator[Comparison]:
        yield from super()._crop(length)
        self.real = self.real[:, :length]


def _each_row(sizes: Mapping[str, Any]) -> st.SearchStrategy[tuple[int, ...]]:
    rows = st.integers(0, sizes["batch"] - 1)
    return st.lists(rows, min_size=sizes["batch"], max_size=sizes["batch"]).map(tuple)


@law(
    "decoding.padded_prompts",
    formula="f(x_t | padded cache of x₁…x_{t−1}) = f(x)_t, for each row's own x",
    claims=("Q28.1",),
    contracts=("causal_lm",),
    paths={"padding": PADDED, "mode": ("eval",), "grad": ("off",)},
    draws={
        "first": lambda sizes: st.integers(1, sizes["length"]),
        "rows": _each_row,
        "kept": lambda sizes: st.integers(1, sizes["length"]),
    },
    contents=("normal",),
    applies=_has_cache,
    twin="decoding.cached_equals_full",
)
def padded_prompts(trial: Trial) -> Iterator[Comparison]:
    """Prompts of different lengths, padded into one batch and decoded together, each give what they give alone.

    The prompts are read in two pieces, the rows reordered, a token appended, some forgotten, and another appended.
    """
    session, draws = PaddedSession(trial), trial.case.draws
    tokens, real = trial.inputs.x, trial.real(trial.inputs)
    for piece in (slice(0, draws["first"]), slice(draws["first"], None)):
        if tokens[:, piece].numel():
            yield from session.append_padded(tokens[:, piece], real[:, piece])
    yield from session.take(("reorder", *draws["rows"]))
    yield from session.append_real(1)
    yield from session.take(("crop", draws["kept"]))
    yield from session.append_real(2)
