"""Expression trees: how to walk them, and how to keep the indices of sums apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp

from .notation import E, Var


def peel(node: sp.Sum) -> tuple[Any, tuple[Any, Any, Any]]:
    """The body of the outermost sum, and its limit. SymPy keeps nested sums as one, innermost limit first."""
    *inner, (index, low, high) = node.limits
    return (sp.Sum(node.function, *inner) if inner else node.function), (index, low, high)


def index_symbols(t: Any) -> set[Any]:
    """The symbols in the indices of an entry or of a Kronecker delta."""
    return {s for k in (t.indices if isinstance(t, sp.Indexed) else t.args) for s in k.free_symbols}


def terms(e: Any) -> tuple[Any, ...]:
    """What is added up, once everything is multiplied out."""
    return sp.Add.make_args(sp.expand(e))


def rebuild(node: Any, visit: Callable[[Any], Any]) -> Any:
    """The node with its parts replaced; names and their indices are left alone."""
    if not node.args or isinstance(node, sp.Indexed | sp.IndexedBase):
        return node
    if isinstance(node, sp.Sum):
        body, limit = peel(node)
        return sp.Sum(visit(body), limit)
    if isinstance(node, E | Var):
        return node.func(visit(node.args[0]), *node.args[1:])
    parts = [visit(a) for a in node.args]
    return node if all(map(lambda a, b: a is b, parts, node.args)) else node.func(*parts)


def fresh(e: Any) -> Any:
    """The same expression with new names for its bound indices, so that nothing can be captured."""

    def visit(node: Any) -> Any:
        node = rebuild(node, visit)
        if isinstance(node, sp.Sum):
            body, (index, low, high) = peel(node)
            new = sp.Dummy(index.name, integer=True, nonnegative=True)
            return sp.Sum(body.xreplace({index: new}), (new, low, high))
        return node

    return visit(sp.sympify(e)) if sp.sympify(e).has(sp.Sum) else sp.sympify(e)


def canonical(e: Any) -> Any:
    """The same expression with bound indices named by nesting depth, so that Σ_i f(i) and Σ_j f(j) are one tree."""

    def visit(node: Any) -> Any:
        node = rebuild(node, visit)
        if isinstance(node, sp.Sum):
            body, (index, low, high) = peel(node)
            depth = 1 + max((int(v.name[1:]) for s in body.atoms(sp.Sum) for v in s.variables), default=0)
            new = sp.Symbol(f"_{depth}", integer=True, nonnegative=True)
            return sp.Sum(body.xreplace({index: new}), (new, low, high))
        return node

    return visit(fresh(e)) if sp.sympify(e).has(sp.Sum) else sp.sympify(e)
