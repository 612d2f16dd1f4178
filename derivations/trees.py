"""Expression trees: how to walk them, and how to keep the indices of sums apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

from .notation import E, Lim, Var

RANGED = (sp.Sum, sp.Product)
BINDING = (*RANGED, sp.Integral)


def peel(node: Any) -> tuple[Any, tuple[Any, Any, Any]]:
    """The body of the outermost sum, product or integral, and its limit. SymPy keeps nested ones as one."""
    *inner, (index, low, high) = node.limits
    return (node.func(node.function, *inner) if inner else node.function), (index, low, high)


def index_symbols(t: Any) -> set[Any]:
    """The symbols in the indices of an entry or of a Kronecker delta."""
    return {s for k in (t.indices if isinstance(t, sp.Indexed) else t.args) for s in k.free_symbols}


def closure(
    expressions: Iterable[Any], made: Mapping[Any, tuple[Any, Any]], seen_as: Callable[[Any], Any] = lambda e: e
) -> set[Any]:
    """The names in these expressions, and in what these names stand for; `seen_as` may hide a part of each."""
    seen: set[Any] = set()
    ahead = list(expressions)
    while ahead:
        e = seen_as(ahead.pop())
        names = e.atoms(sp.Symbol, sp.IndexedBase) | {t.func for t in e.atoms(AppliedUndef)}
        ahead += [made[name][1] for name in (names - seen) & {*made}]
        seen |= names
    return seen


def terms(e: Any) -> tuple[Any, ...]:
    """What is added up, once everything is multiplied out."""
    return sp.Add.make_args(sp.expand(e))


def rebuild(node: Any, visit: Callable[[Any], Any]) -> Any:
    """The node with its parts replaced; names and their indices are left alone."""
    if not node.args or isinstance(node, sp.Indexed | sp.IndexedBase):
        return node
    if isinstance(node, BINDING):
        body, limit = peel(node)
        return node.func(visit(body), limit)
    if isinstance(node, E | Var | Lim):
        return node.func(visit(node.args[0]), *node.args[1:])
    parts = [visit(a) for a in node.args]
    return node if all(map(lambda a, b: a is b, parts, node.args)) else node.func(*parts)


def fresh(e: Any) -> Any:
    """The same expression with new names for its bound indices, so that nothing can be captured."""

    def visit(node: Any) -> Any:
        node = rebuild(node, visit)
        if isinstance(node, BINDING):
            body, (index, low, high) = peel(node)
            new = sp.Dummy(index.name, **index.assumptions0)
            return node.func(body.xreplace({index: new}), (new, low, high))
        return node

    return visit(sp.sympify(e)) if sp.sympify(e).has(*BINDING) else sp.sympify(e)


@lru_cache(maxsize=2**14)
def canonical(e: Any) -> Any:
    """The same expression with bound indices named by nesting height, so that Σ_i f(i) and Σ_j f(j) are one tree."""
    e = sp.sympify(e)
    return _renamed(e, {}) if e.has(*BINDING) else e


def _renamed(node: Any, names: dict[Any, Any]) -> Any:
    """The node with bound indices named by height; outer ones are higher, so no inner name captures an outer one."""
    if not isinstance(node, BINDING):
        if isinstance(node, sp.Indexed | sp.Symbol):
            return node.xreplace(names)
        return rebuild(node, lambda a: _renamed(a, names))
    body, (index, low, high) = peel(node)
    name = _name(_height(node), index)
    body, low, high = _renamed(body, {**names, index: name}), low.xreplace(names), high.xreplace(names)
    if (height := 1 + _height(body)) < _height(node):  # something inside has cancelled
        lower = _name(height, index)
        body, name = body.xreplace({name: lower}), lower
    return node.func(body, (name, low, high))


@lru_cache(maxsize=2**14)
def _height(node: Any) -> int:
    """How many sums, products and integrals are nested in the node, at most."""
    if isinstance(node, BINDING):
        body, _ = peel(node)
        return 1 + _height(body)
    return max(map(_height, node.args), default=0) if node.args and not isinstance(node, sp.Indexed) else 0


@cache
def _name(height: int, index: sp.Symbol) -> sp.Symbol:
    return sp.Symbol(f"_{height}", **index.assumptions0)
