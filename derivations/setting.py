"""What a page's *Setting* declares: symbols, ranges of indices, definitions, and what is random."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from random import Random
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef, UndefinedFunction
from sympy.integrals.quadrature import gauss_hermite

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
    normal: bool = False


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


def gaussian_law() -> Entry:
    """N(0, 1) in full, so that `gaussian` may be used. Instances are the nodes of Gauss and Hermite: 20 outcomes."""
    moments = {k: sp.factorial2(k - 1) if k % 2 == 0 else sp.S.Zero for k in range(9)}
    return Entry(moments, lambda rng, value: list(_gauss_hermite()), normal=True)


@cache
def _gauss_hermite() -> tuple[tuple[float, float], ...]:
    nodes, weights = gauss_hermite(20, 17)
    return tuple((float(x) * 2**0.5, float(w) / math.pi**0.5) for x, w in zip(nodes, weights, strict=True))


def bernoulli(p: sp.Expr) -> Entry:
    """1 with probability p, and 0 otherwise."""
    moments = {k: sp.S.One if k == 0 else sp.sympify(p) for k in range(9)}
    return Entry(moments, lambda rng, value: [(1.0, value(sp.sympify(p))), (0.0, 1 - value(sp.sympify(p)))])


def fair_sign() -> Entry:
    """1 or −1, each with probability 1/2."""
    return Entry({k: sp.Integer((k + 1) % 2) for k in range(9)}, lambda rng, value: [(1.0, 0.5), (-1.0, 0.5)])


def four_moments(second: sp.Expr, fourth: sp.Expr) -> Entry:
    """Any law with these moments and with first and third moment 0. Instances are symmetric three-point laws.

    No law has a fourth moment below the square of the second, so `fourth` has to be written such that it is not.
    """
    zero, second, fourth = sp.S.Zero, sp.sympify(second), sp.sympify(fourth)

    def atoms(rng: Random, value: Callable[[sp.Expr], float]) -> Atoms:
        outer, p = math.sqrt(value(fourth / second)), value(second**2 / fourth)
        return [(-outer, p / 2), (0.0, 1 - p), (outer, p / 2)]

    return Entry({0: sp.S.One, 1: zero, 2: second, 3: zero, 4: fourth}, atoms)


@dataclass(frozen=True)
class Model:
    """The circumstances under which a step holds.

    Args:
        independent: vectors whose entries are all mutually independent, with the law of an entry.
        where: what other names are made of, `{k[i]: q[i]}` for example; i stands for every index.
        domain: bounds within which a symbol, or each entry of a vector, is drawn: `(rho, -1, 1)`.
        permutations: maps of places that take every place exactly once.
    """

    independent: Mapping[sp.IndexedBase, Entry] = field(default_factory=dict)
    where: Mapping[Any, Any] = field(default_factory=dict)
    domain: Sequence[tuple[Any, float, float]] = ()
    permutations: Sequence[Selection] = ()

    def __post_init__(self) -> None:
        """Raise `ValueError` for a name that is made of others and yet free or independent, or has another sign."""
        if both := set(self.independent) & set(self.made):
            raise ValueError(f"{', '.join(map(str, both))} cannot be independent and made of others")
        if both := set(self.permutations) & set(self.made):
            raise ValueError(f"{', '.join(map(str, both))} cannot be any permutation and made of others")
        for left in self.where:
            letters = left.indices if isinstance(left, sp.Indexed) else ()
            if len(set(letters)) < len(letters) or not all(isinstance(k, sp.Symbol) for k in letters):
                raise ValueError(f"what a name is made of is said for every index, each a letter; found {left}")
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
    signs: set[Any] = field(default_factory=set)
    twins: dict[Any, Any] = field(default_factory=dict)
    model: Model = field(default_factory=Model)

    def symbol(self, name: str, *, sign: bool = False, **assumptions: bool) -> sp.Symbol:
        """Declare a scalar; `assumptions` are SymPy's, such as `real=True`; a `sign` is 1 or −1."""
        return self.declare(name, sp.Symbol(name, **_of_sign(sign, assumptions)), sign=sign)

    def constant(self, name: str) -> Any:
        """Declare that the name is that of SymPy's constant: `pi` is the number π, and not a map of places."""
        if name != "pi":
            raise ValueError(f"pi is the only constant with a name of its own, found {name}")
        return self.declare(name, sp.pi)

    def size(self, name: str) -> sp.Symbol:
        """Declare a length: any integer from 1 on."""
        return self.symbol(name, integer=True, positive=True)

    def indices(self, letters: str, size: sp.Expr) -> list[sp.Symbol]:
        """Declare indices, given with spaces between, which range over `size` entries, counted from 0 as arrays are."""
        if moving := sp.sympify(size).free_symbols & (set(self.ranges) - self.places):
            raise ValueError(f"the range of {letters} would depend on {moving}, which moves itself")
        found = [self.symbol(letter, integer=True, nonnegative=True) for letter in letters.split()]
        self.ranges.update(dict.fromkeys(found, size))
        return found

    def place(self, letter: str, size: sp.Expr) -> sp.Symbol:
        """Declare one particular index among `size`: where the maximum is, for example."""
        (found,) = self.indices(letter, size)
        self.places.add(found)
        return found

    def vector(self, name: str, size: sp.Expr, *, sign: bool = False, **assumptions: bool) -> Any:
        """Declare a vector of `size` entries; `assumptions` hold for each entry; a `sign` is 1 or −1."""
        label = sp.Symbol(name, **_of_sign(sign, assumptions))
        return self.declare(name, sp.IndexedBase(label, shape=(size,)), sign=sign)

    def matrix(self, name: str, rows: sp.Expr, columns: sp.Expr, **assumptions: bool) -> Any:
        """Declare a matrix; `assumptions` hold for each entry."""
        return self.declare(name, sp.IndexedBase(sp.Symbol(name, **assumptions), shape=(rows, columns)))

    def selection(self, name: str, size: sp.Expr) -> Any:
        """Declare a map of `size` places to places: any one, and a permutation where the model says so."""
        return self.declare(name, Selection(sp.Symbol(name, integer=True, nonnegative=True), shape=(size,)))

    def array(self, name: str, *shape: sp.Expr, **assumptions: bool) -> Any:
        """Declare an array of any number of axes; `assumptions` hold for each entry."""
        return self.declare(name, sp.IndexedBase(sp.Symbol(name, **assumptions), shape=shape))

    def function(self, name: str, arguments: int = 1) -> Any:
        """Declare a real function of real numbers: any one, unless it gets a definition."""
        return self.declare(name, sp.Function(name, real=True, nargs=arguments))

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

    def declare(self, name: str, thing: Any, *, sign: bool = False) -> Any:
        """Give a thing its name; a second one of the same name would never cancel against it."""
        if name in self.names:
            raise ValueError(f"{name} is declared twice")
        self.names[name] = thing
        self.signs |= {thing} if sign else set()
        return thing

    def sum_over(self, index: sp.Symbol, body: Any, *, up_to: Any = None) -> Any:
        """The sum of `body` over the whole range of the index, or from its lowest value up to the one given."""
        return sp.Sum(body, (index, 0, self.ranges[index] - 1 if up_to is None else up_to))

    def define(self, left: Any, right: Any) -> None:
        """Let `left`, a declared symbol, an entry such as p[i] or a function such as φ(a), stand for `right`."""
        name, letters = _named(left)
        self._refuse_definition(name, letters, left, right)
        if right.has(name):
            raise ValueError(f"the right side of {left} uses {name}, which the left side does not introduce")
        if isinstance(name, UndefinedFunction) and not right.free_symbols <= {*letters}:
            raise ValueError(f"a function is made of its arguments alone, and {left} of {right}")
        self._define(name, letters, left, right)

    def recur(self, first: tuple[Any, Any], following: tuple[Any, Any]) -> None:
        """Let a[0], and a[t + 1] in terms of a[t], stand for what is given; the time is the first index."""
        (start, body), (left, right) = first, following
        name, (time, *letters) = _named(left)
        t, steps = time - 1, name.shape[0] if isinstance(name, sp.IndexedBase) else None
        if start != left.xreplace({time: sp.S.Zero}) or t not in self.ranges or steps != self.ranges[t] + 1:
            raise ValueError(f"a recursion gives a[0] and a[t + 1], with t below the length of a less 1; found {left}")
        if body.has(name) or any(entry.indices[0] != t for entry in right.atoms(sp.Indexed) if entry.base == name):
            raise ValueError(f"the right side of {left} uses more of {name} than its value at {t}")
        whole = sp.Piecewise((body, sp.Eq(t, 0)), (right.xreplace({t: t - 1}), True))
        self._refuse_definition(name, (t, *letters), left, whole)
        self._define(name, (t, *letters), left, whole)

    def _refuse_definition(self, name: Any, letters: tuple[Any, ...], left: Any, right: Any) -> None:
        kinds = sp.Symbol | sp.IndexedBase | UndefinedFunction
        if name in self.definitions or isinstance(name, Selection) or not isinstance(name, kinds):
            raise ValueError(f"a definition has a new name on its left, found {left}")
        if name in self.ranges:
            raise ValueError(f"{name} is an index, and takes every value of its range")
        if isinstance(name, sp.IndexedBase) and (
            len(set(letters)) < len(letters) or not set(letters) <= set(self.ranges) - self.places
        ):
            raise ValueError(f"a definition is one for every index, each a letter of its own; found {left}")
        loose = (right.free_symbols & set(self.ranges)) - set(letters) - self.places
        if loose:
            raise ValueError(f"the right side of {left} uses {loose}, which the left side does not introduce")
        refuse_other_sign(name, right)
        if self.twins.get(name) in self.definitions:
            raise ValueError(f"{self.twins[name]} has a definition of its own, and would get another from {left}")

    def _define(self, name: Any, letters: tuple[Any, ...], left: Any, right: Any) -> None:
        self.definitions[name] = (tuple(letters), right)
        if name in self.twins:
            self.definitions[self.twins[name]] = (tuple(letters), right.xreplace(self.twins))


def _named(left: Any) -> tuple[Any, tuple[Any, ...]]:
    """What a definition with this left side gives a meaning to, and the letters that stand for its indices."""
    if isinstance(left, AppliedUndef):
        if len(set(left.args)) < len(left.args) or not all(isinstance(a, sp.Symbol) for a in left.args):
            raise ValueError(f"a function is defined for any arguments, each a letter; found {left}")
        return left.func, left.args
    return (left.base, left.indices) if isinstance(left, sp.Indexed) else (left, ())


def _of_sign(sign: bool, assumptions: dict[str, bool]) -> dict[str, bool]:
    return {**assumptions, "integer": True, "nonzero": True} if sign else assumptions


def refuse_other_sign(name: Any, body: Any) -> None:
    """A name may be declared positive or nonnegative only if what it stands for is seen to be."""
    declared = name.label if isinstance(name, sp.IndexedBase) else name
    if isinstance(name, UndefinedFunction):
        return
    if isinstance(body, sp.Piecewise):
        pieces: Any = body.args
        for case, _ in pieces:
            refuse_other_sign(name, case)
        return
    labels = {base.label for base in body.atoms(sp.IndexedBase)}
    shown = {"positive": positive(body), "nonnegative": nonnegative(body)}
    shown |= {"negative": positive(sp.expand(-body)), "nonpositive": nonnegative(sp.expand(-body))}
    shown |= {"nonzero": shown["positive"] or shown["negative"] or body.is_nonzero}
    shown |= {kind: getattr(body, f"is_{kind}") for kind in ("integer", "even", "odd", "prime", "zero", "rational")}
    shown |= {"real": all(t.is_extended_real for t in body.atoms(sp.Symbol, sp.Indexed) if t not in labels)}
    if missing := [kind for kind, seen in shown.items() if getattr(declared, f"is_{kind}") and not seen]:
        if set(missing) <= {"positive", "nonnegative", "negative", "nonpositive", "nonzero"}:
            raise ValueError(f"{name} is declared with a sign that {body} does not show")
        raise ValueError(f"{name} is declared {', '.join(missing)}, which {body} does not show")
