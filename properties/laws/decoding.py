"""Decoding: a KV cache is an optimisation, so it must not be seen in what is computed.

The rows of a batch are beams: each is fed tokens of its own, and a reorder lets some go on several times and others not
at all. So their histories part and meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ..case import Case
from ..comparison import Comparison, same
from ..contracts import Inputs, Path, SubjectError, Unsupported
from ..law import law
from ..subjects import MAX_LENGTH, Subject
from ..trial import Trial, guarded

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
            logits = guarded(self.decoder.append, new)
        if not isinstance(logits, torch.Tensor) or logits.dim() != 3 or logits.shape[:2] != new.shape:
            came = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
            raise SubjectError(f"append: expected logits (batch, n, vocabulary) of the {n} new tokens, got {came}")
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
