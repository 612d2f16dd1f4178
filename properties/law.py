"""Laws: what must be true of every subject of a contract, each stated once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis.strategies import SearchStrategy

if TYPE_CHECKING:
    from .comparison import Comparison
    from .trial import Trial

LawFunction = Callable[["Trial"], Iterable["Comparison"]]
Draw = Callable[[Mapping[str, Any]], SearchStrategy[Any]]


@dataclass(frozen=True, kw_only=True)
class Law:
    """A statement about every subject of some contracts, and the cases on which it is tried.

    ``function(trial)`` yields the comparisons that must hold. ``needs`` are features without which the law says
    nothing. ``paths`` restricts axes of the code path ("causal", "padding", "grad", …) to the values that the law is
    about. ``at_least`` gives smallest sizes and ``sizes`` overrides the choices altogether. ``contents`` and ``gains``
    say what inputs and weights are drawn. ``draws`` names what the
    law draws beyond sizes and contents: each entry maps the sizes drawn so far to a strategy. ``dtypes`` are those in
    which the law can be decided. ``machine`` is a
    stateful exploration in place of single cases. ``applies(subject, path)`` may give a reason why it does not.
    """

    name: str
    statement: str
    formula: str
    function: LawFunction
    contracts: tuple[str, ...]
    claims: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    paths: Mapping[str, Sequence[str]] = field(default_factory=dict)
    at_least: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    contents: tuple[str, ...] = ("integers", "normal")
    gains: tuple[float, ...] = (1.0, 2.0, 0.5)
    draws: Mapping[str, Draw] = field(default_factory=dict)
    dtypes: tuple[str, ...] = ("float64", "float32", "bfloat16", "float16")
    machine: Callable[..., Any] | None = None
    applies: Callable[[Any, Mapping[str, str]], str | None] = lambda subject, path: None
    twin: str | None = None

    @property
    def family(self) -> str:
        """The part of the name before the dot."""
        return self.name.partition(".")[0]

    def verify(self, trial: Trial) -> Iterator[Comparison]:
        """The comparisons that must hold for this trial."""
        yield from self.function(trial)


LAWS: dict[str, Law] = {}


def law(name: str, *, formula: str, contracts: Iterable[str], **declared: Any) -> Callable[[LawFunction], LawFunction]:
    """Register the decorated generator of comparisons as the law ``name`` ("family.what_holds").

    The first paragraph of its docstring is the statement. Keywords are those of :class:`Law`.
    """

    def register(function: LawFunction) -> LawFunction:
        if name in LAWS:
            raise ValueError(f"the law {name} is registered twice; give each law its own name")
        statement = " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
        LAWS[name] = Law(
            name=name,
            statement=statement,
            formula=formula,
            function=function,
            contracts=tuple(contracts),
            claims=tuple(declared.pop("claims", ())),
            needs=frozenset(declared.pop("needs", ())),
            **declared,
        )
        return function

    return register
