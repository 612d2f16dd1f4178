"""A second opinion: evaluate both sides of an equation as plain numbers, at small sizes, on models drawn at random.

Nothing here rewrites. Sums are loops, an expectation is an average over every outcome of a finite probability space,
a derivative is a difference quotient; so an error in a rewrite, or in SymPy, has no counterpart here to hide behind.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef, UndefinedFunction
from sympy.integrals.quadrature import gauss_legendre

from .notation import Bracket, E, Lim, Partial, Relation, Selection, Var, variance_of
from .setting import Model, Setting
from .trees import RANGED, closure, peel

MOST_OUTCOMES = 400
# The five-point difference quotient below is exact to about 1e-10; a wrong formula is off by far more than this.
CLOSE = 1e-6
STENCIL = 1e-3
PANELS = 6
FAR = 1e8  # stands for infinity; what vanishes like its inverse is below CLOSE there
PLAIN = {sp.sin: math.sin, sp.cos: math.cos, sp.tanh: math.tanh, sp.log: math.log}
PLAIN |= {sp.Abs: abs, sp.Max: max, sp.Min: min}

Arrays = Mapping[sp.IndexedBase, Mapping[tuple[int, ...], float]]


@dataclass(frozen=True)
class World:
    """One concrete model: numbers, fixed arrays, and the outcomes of everything that is random."""

    setting: Setting
    model: Model
    numbers: Mapping[sp.Symbol, float]
    arrays: Arrays = field(default_factory=dict)
    outcomes: tuple[tuple[float, Arrays], ...] = ((1.0, {}),)
    nudged: Mapping[Any, float] = field(default_factory=dict)  # a symbol, or a vector and a place, and by how much
    functions: Mapping[Any, tuple[float, ...]] = field(default_factory=dict)  # coefficients of a polynomial
    averages: dict[Any, float] = field(default_factory=dict, init=False, compare=False)  # expectations met before
    entries: dict[Any, float] = field(default_factory=dict, init=False, compare=False)  # what is defined, once met


def holds(relation: Relation, world: World) -> bool:
    """Whether the relation is true in this world, for every value of its free indices and in every outcome."""
    sides = (relation.left, relation.right)
    outcomes = [o for _, o in world.outcomes] if any(varies(side, world) for side in sides) else [{}]
    for outcome, point in itertools.product(outcomes, points(relation, world)):
        left, right = (value(side, world, outcome, point) for side in sides)
        if not (math.isfinite(left) and math.isfinite(right)):
            raise ArithmeticError(f"a side of {relation} is not finite")
        slack = CLOSE * (1 + abs(left) + abs(right))
        if left > right + slack or (relation.sign == "=" and left < right - slack):
            return False
    return True


def varies(e: Any, world: World) -> bool:
    """Whether the value may differ between outcomes: something random stands outside of all expectations."""
    made = {**world.setting.definitions, **world.model.made}
    return bool(world.model.independent) and bool(closure((e,), made, _outside_means) & {*world.model.independent})


def _outside_means(e: Any) -> Any:
    return e.replace(lambda t: isinstance(t, E | Var) and len(t.args) == 1, lambda t: sp.S.One)


def points(relation: Relation, world: World) -> Iterator[dict[sp.Symbol, int]]:
    """Every assignment of the relation's free indices."""
    ranges = world.setting.ranges
    free = sorted(
        (relation.left.free_symbols | relation.right.free_symbols) & (set(ranges) - world.setting.places), key=str
    )
    sizes = [range(int(value(ranges[index], world, {}, {}))) for index in free]
    return (dict(zip(free, point, strict=True)) for point in itertools.product(*sizes))


def value(e: Any, world: World, outcome: Arrays, bound: Mapping[Any, float]) -> float:
    """The number that an expression stands for."""

    if isinstance(e, sp.Number):
        return e.p if isinstance(e, sp.Integer) else float(e)
    if isinstance(e, sp.Symbol):
        return bound[e] if e in bound else _symbol_value(e, world, outcome)
    if isinstance(e, sp.Indexed):
        base, *indices = e.args
        return _entry_value(base, tuple(int(value(k, world, outcome, bound)) for k in indices), world, outcome)

    def inner(f: Any, more: Mapping[Any, float] | None = None) -> float:
        return value(f, world, outcome, {**bound, **more} if more else bound)

    if isinstance(e, sp.Add):
        return math.fsum(inner(a) for a in e.args)
    if isinstance(e, sp.Mul):
        return math.prod(inner(a) for a in e.args)
    if isinstance(e, sp.Pow):
        return inner(e.base) ** inner(e.exp)
    if isinstance(e, sp.exp):
        return math.exp(inner(e.args[0]))
    if isinstance(e, sp.KroneckerDelta):
        return float(inner(e.args[0]) == inner(e.args[1]))
    if isinstance(e, RANGED):
        body, (index, low, high) = peel(e)
        parts = (inner(body, {index: k}) for k in range(int(inner(low)), int(inner(high)) + 1))
        return math.fsum(parts) if isinstance(e, sp.Sum) else math.prod(parts)
    if isinstance(e, sp.Integral):
        body, (x, low, high) = peel(e)
        return _integral(lambda t: inner(body, {x: t}), inner(low), inner(high))
    if isinstance(e, Lim):
        f, c, where = e.args
        return inner(f, {c: math.copysign(FAR, inner(where))})
    if isinstance(e, Bracket):
        return float(inner(e.args[0]) >= 0)
    if isinstance(e, sp.Piecewise):
        pieces: Any = e.args
        return next(inner(f) for f, when in pieces if when == True or inner(when.lhs) == inner(when.rhs))  # noqa: E712
    if isinstance(e, E):
        return expectation(e.args, world, outcome, bound)
    if isinstance(e, Var):
        return inner(variance_of(*e.args))
    if isinstance(e, Partial):
        f, x = e.args
        return _difference_quotient(f, x, world, outcome, bound)
    if isinstance(e, AppliedUndef):
        arguments = [inner(a) for a in e.args]
        function: Any = e.func
        if function in world.setting.definitions:
            letters, body = world.setting.definitions[function]
            return inner(body, dict(zip(letters, arguments, strict=True)))
        powers = itertools.product(range(3), repeat=len(arguments))
        return math.fsum(
            c * math.prod(map(pow, arguments, k)) for k, c in zip(powers, world.functions[e.func], strict=True)
        )
    if e.func in PLAIN:
        return float(PLAIN[e.func](*map(inner, e.args)))
    return float(e.func(*(sp.Float(inner(a)) for a in e.args)))


def _symbol_value(e: sp.Symbol, world: World, outcome: Arrays) -> float:
    if e in world.setting.definitions:
        return _defined(e, (), world, outcome)
    made = world.model.made
    found = value(made[e][1], world, outcome, {}) if e in made else world.numbers[e]
    return found + world.nudged.get(e, 0)


def _entry_value(base: Any, indices: tuple[int, ...], world: World, outcome: Arrays) -> float:
    if base in world.setting.definitions:
        return _defined(base, indices, world, outcome)
    if base in (made := world.model.made):
        letters, body = made[base]
        found = value(body, world, outcome, dict(zip(letters, indices, strict=True)))
    else:
        found = (outcome if base in outcome else world.arrays)[base][indices]
    return found + world.nudged.get((base, indices), 0)


def _defined(name: Any, indices: tuple[int, ...], world: World, outcome: Arrays) -> float:
    key = (name, indices, id(outcome) if outcome else 0)  # the world keeps its outcomes, so no two share an id
    if key not in world.entries:
        letters, body = world.setting.definitions[name]
        world.entries[key] = value(body, world, outcome, dict(zip(letters, indices, strict=True)))
    return world.entries[key]


def expectation(arguments: tuple[Any, ...], world: World, outcome: Arrays, bound: Mapping[Any, float]) -> float:
    """The average over all outcomes in which what is given is as it is in this one."""
    f, *given = arguments
    fixed = [outcome[g] for g in given]
    key = (f, tuple(tuple(entries.values()) for entries in fixed), tuple(bound.items()))
    if key not in world.averages:
        alike = [
            (p, o) for p, o in world.outcomes if all(o[g] == entries for g, entries in zip(given, fixed, strict=True))
        ]
        total = math.fsum(p * value(f, world, o, bound) for p, o in alike)
        world.averages[key] = total / math.fsum(p for p, _ in alike)
    return world.averages[key]


def _integral(f: Callable[[float], float], low: float, high: float) -> float:
    """By Gauss and Legendre; an infinite end is brought to 1 by x = t/(1 − t)."""
    if math.isinf(low):
        if math.isinf(high):
            return _integral(f, 0, high) + _integral(lambda x: f(-x), 0, -low)
        return _integral(lambda x: f(-x), -high, -low)
    if math.isinf(high):
        return _integral(lambda t: f(low + t / (1 - t)) / (1 - t) ** 2, 0, 1)
    half = (high - low) / 2 / PANELS
    middles = (low + (2 * panel + 1) * half for panel in range(PANELS))
    return half * math.fsum(w * f(middle + half * x) for middle in middles for x, w in _gauss_legendre())


@cache
def _gauss_legendre() -> tuple[tuple[float, float], ...]:
    nodes, weights = gauss_legendre(12, 17)
    return tuple((float(x), float(w)) for x, w in zip(nodes, weights, strict=True))


def _difference_quotient(f: Any, x: Any, world: World, outcome: Arrays, bound: Mapping[Any, float]) -> float:
    where = x if isinstance(x, sp.Symbol) else (x.base, tuple(int(value(k, world, outcome, bound)) for k in x.indices))

    def shifted(h: float) -> float:
        return value(f, replace(world, nudged={**world.nudged, where: world.nudged.get(where, 0) + h}), outcome, bound)

    h = STENCIL
    return (8 * (shifted(h) - shifted(-h)) - (shifted(2 * h) - shifted(-2 * h))) / (12 * h)


def worlds(setting: Setting, model: Model, seed: str, count: int | None = None) -> list[World]:
    """Models drawn at random inside the assumptions: every size from 1 to 3 in turn, numbers within their domains.

    There are `count` of them; if None, six for each size that the setting declares.
    """
    rng = Random(seed)
    count = 6 * max(1, len(set(setting.ranges.values()))) if count is None else count
    return [_draw(setting, model, rng, 1 + trial % 3) for trial in range(count)]


def _draw(setting: Setting, model: Model, rng: Random, size: int) -> World:
    made = {*setting.definitions, *model.made, *setting.ranges} - setting.places
    scalars = [s for s in setting.names.values() if isinstance(s, sp.Symbol) and s not in made]
    arrays = [b for b in setting.names.values() if isinstance(b, sp.IndexedBase) and b not in made]
    while True:
        bounded = {thing: rng.uniform(low, high) for thing, low, high in model.domain if isinstance(thing, sp.Symbol)}
        sizes = {s: rng.randint(1, 3) for s in dict.fromkeys(setting.ranges.values()) if isinstance(s, sp.Symbol)}
        sizes |= dict.fromkeys(list(sizes)[:1], size)
        numbers = {s: _drawn(s, s, setting, rng) for s in scalars}
        world = World(setting, model, numbers | bounded | sizes)
        placed = {place: rng.randrange(int(value(setting.ranges[place], world, {}, {}))) for place in setting.places}
        world = replace(world, numbers={**world.numbers, **placed})
        fixed = [b for b in arrays if b not in model.independent]
        world = replace(world, arrays={b: _array(b, world, rng) for b in fixed})
        functions: list[Any] = [f for f in setting.names.values() if isinstance(f, UndefinedFunction)]
        coefficients = {f: tuple(rng.uniform(-1, 1) for _ in range(3 ** min(f.nargs))) for f in functions}
        world = replace(world, functions=coefficients)
        random = [
            (base, at, _possible(base, entry.atoms(rng, lambda e, world=world: value(e, world, {}, {})), setting))
            for base, entry in model.independent.items()
            for at in _cells(base, world)
        ]
        if math.prod(len(atoms) for _, _, atoms in random) <= MOST_OUTCOMES:
            return replace(world, outcomes=tuple(_outcomes(random)))
        size = max(1, size - 1)


def _array(base: sp.IndexedBase, world: World, rng: Random) -> dict[tuple[int, ...], float]:
    cells = list(_cells(base, world))
    if base in world.model.permutations:
        return dict(zip(cells, rng.sample(range(len(cells)), len(cells)), strict=True))
    if isinstance(base, Selection):
        return {at: rng.randrange(len(cells)) for at in cells}
    for thing, low, high in world.model.domain:
        if thing == base:
            return {at: rng.uniform(low, high) for at in cells}
    return {at: _drawn(base, base.label, world.setting, rng) for at in cells}


def _possible(base: sp.IndexedBase, atoms: Any, setting: Setting) -> Any:
    """The atoms of a law; `ValueError` if no law is like that, or none of numbers as these were declared to be."""
    label = base.label
    for atom, p in atoms:
        signs = (label.is_positive, atom > 0), (label.is_nonnegative, atom >= 0), (label.is_negative, atom < 0)
        whole = (label.is_integer, atom == int(atom)), (base in setting.signs, abs(atom) == 1)
        if not 0 <= p <= 1 or any(declared and not kept for declared, kept in (*signs, *whole)):
            raise ValueError(f"{base} has no law that takes {atom:.3g} with probability {p:.3g}")
    return atoms


def _cells(base: sp.IndexedBase, world: World) -> Iterator[tuple[int, ...]]:
    return itertools.product(*(range(int(value(length, world, {}, {}))) for length in base.shape))


def _drawn(name: Any, thing: Any, setting: Setting, rng: Random) -> float:
    return rng.choice([-1, 1]) if name in setting.signs else _number(thing, rng)


def _number(thing: Any, rng: Random) -> float:
    if thing.is_integer:
        return rng.randint(int(bool(thing.is_positive)), 3)
    return rng.uniform(0.3, 1.8) if thing.is_nonnegative else rng.choice([-1, 1]) * rng.uniform(0.3, 1.8)


def _outcomes(random: list[tuple[sp.IndexedBase, tuple[int, ...], Any]]) -> Iterator[tuple[float, Arrays]]:
    for choice in itertools.product(*(atoms for _, _, atoms in random)):
        entries: dict[sp.IndexedBase, dict[tuple[int, ...], float]] = {base: {} for base, _, _ in random}
        for (base, at, _), (atom, _) in zip(random, choice, strict=True):
            entries[base][at] = atom
        yield math.prod(p for _, p in choice), entries
