"""Cases: plain data that Hypothesis draws and shrinks, and the arrays that are made from it.

A case holds sizes, a mask pattern, a seed and what a law draws beside them; never tensors. Contents come from NumPy's
seeded generator on the host, not from the device's own: so a case means the same numbers on every machine and device,
a failure on a GPU can be looked at on a CPU, and a replay token is a few dozen characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from .law import Draw, Law
from .subjects import Config, Subject

DRAWN = ("batch", "length", "memory_length", "n_heads", "d_k", "n_layers")


@dataclass(frozen=True)
class Case:
    """One drawn case. ``real`` says, per row of the batch, which positions are real: "110" ends in one padding.

    ``groups`` query heads share one key/value head. ``gain`` scales the weight matrices, whose entries are
    N(0, gain²/fan_in): library defaults are so small that a leak drowns in them.
    """

    batch: int
    length: int
    memory_length: int
    n_heads: int
    groups: int
    d_k: int
    n_layers: int
    contents: str = "integers"
    gain: float = 1.0
    seed: int = 0
    real: tuple[str, ...] = ()
    draws: Mapping[str, Any] = field(default_factory=dict)

    def config(self, subject: Subject, path: Mapping[str, str]) -> Config:
        """The configuration from which ``subject`` is built for this case."""
        d_model = self.n_heads * self.d_k
        return Config(
            d_model=d_model,
            n_heads=self.n_heads,
            n_kv_heads=self.n_heads // self.groups,
            n_layers=self.n_layers,
            d_ff=max(16, 2 * d_model),
            options=subject.options_on(path),
        )

    def rng(self, stream: str) -> np.random.Generator:
        """The generator of one stream of contents: streams are independent, and stable across machines."""
        return np.random.default_rng([self.seed, *stream.encode()])

    def to_data(self) -> dict[str, Any]:
        """As data for JSON."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Case:
        """The inverse of :meth:`to_data`, after JSON has turned tuples into lists."""
        return cls(**{**data, "real": tuple(data["real"]), "draws": _tuples(data["draws"])})


def _tuples(data: Any) -> Any:
    if isinstance(data, list):
        return tuple(_tuples(item) for item in data)
    return {k: _tuples(v) for k, v in data.items()} if isinstance(data, dict) else data


def _choices(law: Law, subject: Subject, name: str) -> list[int]:
    sizes = subject.drawn_sizes
    wanted = law.sizes.get(name, getattr(sizes, name))
    if name in ("n_heads", "d_k") and sizes is subject.sizes:  # a width that a subject was narrowed to is kept
        wanted = [n for n in wanted if n in getattr(sizes, name)]
    return [n for n in wanted if n >= law.at_least.get(name, 1)]


def impossible_size(law: Law, subject: Subject) -> str | None:
    """Why no size that the subject allows is large enough for the law; None if one is."""
    for name in DRAWN:
        if not _choices(law, subject, name):
            wanted = f"≥ {law.at_least[name]}" if name in law.at_least else f"out of {list(law.sizes[name])}"
            return f"it needs {name} {wanted}, and the subject allows {list(getattr(subject.drawn_sizes, name))}"
    return None


# Hypothesis works out a label for every new strategy object; the same few are asked for in every example.
_sampled_as = cache(lambda choices, types: st.sampled_from(choices))
_between = cache(lambda low, high: st.integers(low, high))
_permuted = cache(lambda n: st.permutations(range(n)).map(tuple))
_positions_out_of = cache(lambda n: st.sets(st.integers(0, n - 1), max_size=n - 1))


def _sampled(choices: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    """One of ``choices``. Their types are looked up with them: (1,) and (1.0,) are equal, and not the same sizes."""
    return _sampled_as(choices, tuple(map(type, choices)))


@st.composite
def _real_positions(draw: DrawFn, *, batch: int, length: int, side: str) -> tuple[str, ...]:
    """Which positions are real, per row: at least one each."""
    rows = []
    for _ in range(batch):
        if side == "scattered":
            pads = draw(_positions_out_of(length))
            rows.append("".join("01"[p not in pads] for p in range(length)))
        else:
            pad = draw(_between(0, length - 1))
            rows.append("1" * (length - pad) + "0" * pad if side == "right" else "0" * pad + "1" * (length - pad))
    return tuple(rows)


@st.composite
def cases(draw: DrawFn, law: Law, subject: Subject, path: Mapping[str, str]) -> Case:
    """Cases of ``law`` for ``subject`` on ``path``. They shrink to few and small, with small integers inside."""
    if not subject.kind.takes_inputs:
        drawn = {name: draw(strategy({})) for name, strategy in law.draws.items()}
        return Case(batch=1, length=1, memory_length=1, n_heads=1, groups=1, d_k=1, n_layers=1, draws=drawn)
    sizes: dict[str, Any] = {}
    for name in DRAWN:
        sizes[name] = draw(_sampled(tuple(_choices(law, subject, name))))
    grouped = subject.grouped_queries and "groups" not in law.sizes
    divisors = [g for g in range(1, sizes["n_heads"] + 1) if sizes["n_heads"] % g == 0]
    sizes["groups"] = draw(_sampled(tuple(divisors))) if grouped else 1
    real: tuple[str, ...] = ()
    if path["padding"] in ("right", "left", "scattered"):
        length = sizes["length" if path["over"] == "x" else "memory_length"]
        real = draw(_real_positions(batch=sizes["batch"], length=length, side=path["padding"]))
    sizes["over"] = path["over"]
    drawn = {name: draw(strategy(sizes)) for name, strategy in law.draws.items()}
    del sizes["over"]
    return Case(
        **sizes,
        contents=draw(_sampled(law.contents)),
        gain=1.0 if subject.kind.is_function else draw(_sampled(law.gains)),
        seed=draw(_between(0, 2**16)),
        real=real,
        draws=drawn,
    )


def _length(sizes: Mapping[str, Any]) -> int:
    return sizes["length" if sizes["over"] == "x" else "memory_length"]


def order() -> Draw:
    """Draws a permutation of the positions of the sequence that the law acts on."""
    return lambda sizes: _permuted(_length(sizes))


def position(*, first: int = 0) -> Draw:
    """Draws a position of the sequence that the law acts on, from ``first`` on."""
    return lambda sizes: _between(first, _length(sizes) - 1)


def row() -> Draw:
    """Draws a row of the batch."""
    return lambda sizes: _sampled(tuple(range(sizes["batch"])))


def lengths() -> Draw:
    """Draws a length for each row of the batch, up to that of the case."""
    return lambda sizes: st.tuples(*[_between(1, sizes["length"])] * sizes["batch"])


def one_of(*choices: Any) -> Draw:
    """Draws one of ``choices``."""

    return lambda sizes: _sampled(choices)
