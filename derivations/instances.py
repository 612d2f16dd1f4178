"""A second opinion: evaluate both sides of an equation as plain numbers, at small sizes, on models drawn at random.

Nothing here rewrites. Sums are loops, an expectation is an average over every outcome of a finite probability space,
a derivative is a difference quotient; so an error in a rewrite, or in SymPy, has no counterpart here to hide behind.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef, UndefinedFunction

from .notation import E, Partial, Relation, Selection, Var, variance_of
from .setting import Model, Setting
from .trees import peel

MOST_OUTCOMES = 100
# The five-point difference quotient below is exact to about 1e-10; a wrong formula is off by far more than this.
CLOSE = 1e-6
STENCIL = 1e-3

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
    entries: dict[Any, float] = field(default_factory=dict, init=False, compare=False)  # defined entries met before


def holds(relation: Relation, world: World) -> bool:
    """Whether the relation is true in this world, for every value of its free indices and in every outcome."""
    for outcome, point in itertools.product(world.outcomes, points(relation, world)):
        left, right = (value(side, world, outcome[1], point) for side in (relation.left, relation.right))
        if not (math.isfinite(left) and math.isfinite(right)):
            raise ArithmeticError(f"a side of {relation} is not finite")
        slack = CLOSE * (1 + abs(left) + abs(right))
        if left > right + slack or (relation.sign == "=" and left < right - slack):
            return False
    return True


def points(relation: Relation, world: World) -> Iterator[dict[sp.Symbol, int]]:
    """Every assignment of the relation's free indices."""
    ranges = world.setting.ranges
    free = sorted(
        (relation.left.free_symbols | relation.right.free_symbols) & (set(ranges) - world.setting.places), key=str
    )
    sizes = [range(int(value(ranges[index], world, {}, {}))) for index in free]
    return (dict(zip(free, point, strict=True)) for point in itertools.product(*sizes))


def value(e: Any, world: World, outcome: Arrays, bound: Mapping[sp.Symbol, int]) -> float:
    """The number that an expression stands for."""

    def inner(f: Any, more: Mapping[sp.Symbol, int] | None = None) -> float:
        return value(f, world, outcome, {**bound, **more} if more else bound)

    if isinstance(e, sp.Number):
        return e.p if isinstance(e, sp.Integer) else float(e)
    if isinstance(e, sp.Symbol):
        return _symbol_value(e, world, outcome, bound)
    if isinstance(e, sp.Indexed):
        return _entry_value(e.args[0], tuple(int(inner(k)) for k in e.indices), world, outcome)
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
    if isinstance(e, sp.Sum):
        body, (index, low, high) = peel(e)
        return math.fsum(inner(body, {index: k}) for k in range(int(inner(low)), int(inner(high)) + 1))
    if isinstance(e, E):
        return expectation(e.args, world, outcome, bound)
    if isinstance(e, Var):
        return inner(variance_of(*e.args))
    if isinstance(e, Partial):
        f, x = e.args
        return _difference_quotient(f, x, world, outcome, bound)
    if isinstance(e, AppliedUndef):
        return math.fsum(c * inner(e.args[0]) ** k for k, c in enumerate(world.functions[e.func]))
    return float(e.func(*(sp.Float(inner(a)) for a in e.args)))


def _symbol_value(e: sp.Symbol, world: World, outcome: Arrays, bound: Mapping[sp.Symbol, int]) -> float:
    if e in bound:
        return bound[e]
    if e in world.setting.definitions:
        return value(world.setting.definitions[e][1], world, outcome, {})
    made = world.model.made
    found = value(made[e][1], world, outcome, {}) if e in made else world.numbers[e]
    return found + world.nudged.get(e, 0)


def _entry_value(base: Any, indices: tuple[int, ...], world: World, outcome: Arrays) -> float:
    if base in world.setting.definitions:
        if outcome or (base, indices) not in world.entries:
            letters, body = world.setting.definitions[base]
            found = value(body, world, outcome, dict(zip(letters, indices, strict=True)))
            if outcome:
                return found
            world.entries[base, indices] = found
        return world.entries[base, indices]
    if base in (made := world.model.made):
        letters, body = made[base]
        found = value(body, world, outcome, dict(zip(letters, indices, strict=True)))
    else:
        found = (outcome if base in outcome else world.arrays)[base][indices]
    return found + world.nudged.get((base, indices), 0)


def expectation(arguments: tuple[Any, ...], world: World, outcome: Arrays, bound: Mapping[sp.Symbol, int]) -> float:
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


def _difference_quotient(f: Any, x: Any, world: World, outcome: Arrays, bound: Mapping[sp.Symbol, int]) -> float:
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
        bounded = {symbol: rng.uniform(low, high) for symbol, low, high in model.domain}
        sizes = {s: rng.randint(1, 3) for s in dict.fromkeys(setting.ranges.values()) if isinstance(s, sp.Symbol)}
        sizes |= dict.fromkeys(list(sizes)[:1], size)
        world = World(setting, model, {s: _number(s, rng) for s in scalars} | bounded | sizes)
        placed = {place: rng.randrange(int(value(setting.ranges[place], world, {}, {}))) for place in setting.places}
        world = replace(world, numbers={**world.numbers, **placed})
        fixed = [b for b in arrays if b not in model.independent]
        world = replace(world, arrays={b: _array(b, world, rng) for b in fixed})
        functions = [f for f in setting.names.values() if isinstance(f, UndefinedFunction)]
        world = replace(world, functions={f: tuple(rng.uniform(-1, 1) for _ in range(3)) for f in functions})
        random = [
            (base, at, entry.atoms(rng, lambda e, world=world: value(e, world, {}, {})))
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
    return {at: _number(base[at], rng) for at in cells}


def _cells(base: sp.IndexedBase, world: World) -> Iterator[tuple[int, ...]]:
    return itertools.product(*(range(int(value(length, world, {}, {}))) for length in base.shape))


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
