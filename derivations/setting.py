"""What a page's *Setting* declares: symbols, ranges of indices, definitions, and what is random."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Any

import sympy as sp

from .notation import Selection
from .signs import nonnegative, positive

Atoms = list[tuple[float, float]]  # (value, probability)


@dataclass(frozen=True)
class Entry:
    """The law of one random entry: the moments that a proof may use, and a finite law that has exactly these moments.

    A proof reads `moments`; the second opinion enumerates `atoms`, so neither can lean on the other.
    """

    moments: Mapping[int, sp.Expr]
    atoms: Callable[[Random, Callable[[sp.Expr], float]], Atoms]


def two_moments(mean: sp.Expr, variance: sp.Expr) -> Entry:
    """Any law with this mean and this variance. Instances are skewed two-point laws, another one for each entry."""

    def atoms(rng: Random, value: Callable[[sp.Expr], float]) -> Atoms:
        up, down = rng.randint(1, 3), rng.randint(1, 3)
        p, centre, deviation = up**2 / (up**2 + down**2), value(sp.sympify(mean)), value(sp.sqrt(variance))
        return [(centre + deviation * down / up, p), (centre - deviation * up / down, 1 - p)]

    return Entry({0: sp.S.One, 1: sp.sympify(mean), 2: sp.sympify(mean) ** 2 + sp.sympify(variance)}, atoms)


def standard_normal() -> Entry:
    """N(0, 1), of which a proof may use four moments. Instances are the three-point law that shares the first five."""
    third = [(-(3**0.5), 1 / 6), (0.0, 2 / 3), (3**0.5, 1 / 6)]
    return Entry({0: sp.S.One, 1: sp.S.Zero, 2: sp.S.One, 3: sp.S.Zero, 4: sp.Integer(3)}, lambda rng, value: third)


@dataclass(frozen=True)
class Model:
    """The circumstances under which a step holds.

    Args:
        independent: vectors whose entries are all mutually independent, with the law of an entry.
        where: what other names are made of, `{k[i]: q[i]}` for example; i stands for every index.
        domain: bounds within which a symbol is drawn, where its declaration does not say it: `(rho, -1, 1)`.
        permutations: maps of places that take every place exactly once.
    """

    independent: Mapping[sp.IndexedBase, Entry] = field(default_factory=dict)
    where: Mapping[Any, Any] = field(default_factory=dict)
    domain: Sequence[tuple[sp.Symbol, float, float]] = ()
    permutations: Sequence[Selection] = ()

    def __post_init__(self) -> None:
        """Raise `ValueError` for a name that is made of others and yet free or independent, or has another sign."""
        if both := set(self.independent) & set(self.made):
            raise ValueError(f"{', '.join(map(str, both))} cannot be independent and made of others")
        if both := set(self.permutations) & set(self.made):
            raise ValueError(f"{', '.join(map(str, both))} cannot be any permutation and made of others")
        for name, (_, body) in self.made.items():
            refuse_other_sign(name, body)

    @cached_property
    def made(self) -> dict[sp.Basic, tuple[tuple[Any, ...], Any]]:
        """What `where` says, in the form of definitions: for each name its indices and its body."""
        found: dict[sp.Basic, tuple[tuple[Any, ...], Any]] = {}
        for left, right in self.where.items():
            name, indices = (left.base, left.indices) if isinstance(left, sp.Indexed) else (left, ())
            found[name] = (indices, sp.sympify(right))
        return found


@dataclass
class Setting:
    """Everything that a page has declared so far."""

    names: dict[str, Any] = field(default_factory=dict)
    ranges: dict[sp.Symbol, sp.Expr] = field(default_factory=dict)
    definitions: dict[sp.Basic, tuple[tuple[Any, ...], Any]] = field(default_factory=dict)
    places: set[sp.Symbol] = field(default_factory=set)
    twins: dict[Any, Any] = field(default_factory=dict)
    model: Model = field(default_factory=Model)

    def symbol(self, name: str, **assumptions: bool) -> sp.Symbol:
        """Declare a scalar; `assumptions` are SymPy's, such as `real=True` or `positive=True`."""
        return self.declare(name, sp.Symbol(name, **assumptions))

    def size(self, name: str) -> sp.Symbol:
        """Declare a length: any integer from 1 on."""
        return self.symbol(name, integer=True, positive=True)

    def indices(self, letters: str, size: sp.Expr) -> list[sp.Symbol]:
        """Declare indices, given with spaces between, which range over `size` entries, counted from 0 as arrays are."""
        found = [self.symbol(letter, integer=True, nonnegative=True) for letter in letters.split()]
        self.ranges.update(dict.fromkeys(found, size))
        return found

    def place(self, letter: str, size: sp.Expr) -> sp.Symbol:
        """Declare one particular index among `size`: where the maximum is, for example."""
        (found,) = self.indices(letter, size)
        self.places.add(found)
        return found

    def vector(self, name: str, size: sp.Expr, **assumptions: bool) -> Any:
        """Declare a vector of `size` entries; `assumptions` hold for each entry."""
        return self.declare(name, sp.IndexedBase(sp.Symbol(name, **assumptions), shape=(size,)))

    def matrix(self, name: str, rows: sp.Expr, columns: sp.Expr, **assumptions: bool) -> Any:
        """Declare a matrix; `assumptions` hold for each entry."""
        return self.declare(name, sp.IndexedBase(sp.Symbol(name, **assumptions), shape=(rows, columns)))

    def selection(self, name: str, size: sp.Expr) -> Any:
        """Declare a map of `size` places to places: any one, and a permutation where the model says so."""
        return self.declare(name, Selection(sp.Symbol(name, integer=True, nonnegative=True), shape=(size,)))

    def function(self, name: str) -> Any:
        """Declare a real function of one real number, of which a proof knows nothing more."""
        return self.declare(name, sp.Function(name, real=True))

    def copies(self, mark: str, *things: Any) -> list[Any]:
        """Declare for each symbol or vector another, such as x_tilde for x, which is computed in the same way.

        A definition of x is then one of x_tilde too, with every name that has a copy replaced by it.
        """
        for thing in things:
            label = thing.label if isinstance(thing, sp.IndexedBase) else thing
            twin: Any = sp.Symbol(f"{label}_{mark}", **label.assumptions0)
            twin = sp.IndexedBase(twin, shape=thing.shape) if isinstance(thing, sp.IndexedBase) else twin
            self.twins[thing] = self.declare(f"{label}_{mark}", twin)
        return [self.twins[thing] for thing in things]

    def declare(self, name: str, thing: Any) -> Any:
        """Give a thing its name; a second one of the same name would never cancel against it."""
        if name in self.names:
            raise ValueError(f"{name} is declared twice")
        self.names[name] = thing
        return thing

    def sum_over(self, index: sp.Symbol, body: Any, *, up_to: Any = None) -> Any:
        """The sum of `body` over the whole range of the index, or from its lowest value up to the one given."""
        return sp.Sum(body, (index, 0, self.ranges[index] - 1 if up_to is None else up_to))

    def define(self, left: Any, right: Any) -> None:
        """Let `left`, a declared symbol or an entry such as p[i], stand for `right`."""
        name, indices = (left.base, left.indices) if isinstance(left, sp.Indexed) else (left, ())
        if name in self.definitions or isinstance(name, Selection) or not isinstance(name, sp.Symbol | sp.IndexedBase):
            raise ValueError(f"a definition has a new name on its left, found {left}")
        loose = (right.free_symbols & set(self.ranges)) - set(indices) - self.places
        if loose or name in right.atoms(type(name)):
            raise ValueError(f"the right side of {left} uses {loose or left}, which the left side does not introduce")
        refuse_other_sign(name, right)
        if self.twins.get(name) in self.definitions:
            raise ValueError(f"{self.twins[name]} has a definition of its own, and would get another from {left}")
        self.definitions[name] = (tuple(indices), right)
        if name in self.twins:
            self.definitions[self.twins[name]] = (tuple(indices), right.xreplace(self.twins))


def refuse_other_sign(name: Any, body: Any) -> None:
    """A name may be declared positive or nonnegative only if what it stands for is seen to be."""
    declared = name.label if isinstance(name, sp.IndexedBase) else name
    if (declared.is_positive and not positive(body)) or (declared.is_nonnegative and not nonnegative(body)):
        raise ValueError(f"{name} is declared with a sign that {body} does not show")
