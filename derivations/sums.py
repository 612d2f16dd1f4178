"""The trusted base, second part: moves on finite sums and products, and on the order of places."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import sympy as sp

from .notation import Bracket
from .rewrites import CannotRewrite, Context, Ranges, Rewrite, named, with_expanded_indices
from .trees import RANGED, canonical, fresh, peel, rebuild, terms


def exchange(e: Any, context: Context) -> Any:
    """Σ_i Σ_j f = Σ_j Σ_i f, where neither range depends on the other index: nested sums in an order of their own."""

    def visit(node: Any) -> Any:
        node = rebuild(node, visit)
        if not isinstance(node, sp.Sum):
            return node
        body, limits = fresh(node), []
        while isinstance(body, sp.Sum):
            body, limit = peel(body)
            limits.append(limit)
        variables = {index for index, _, _ in limits}
        if len(limits) == 1 or any(sp.Tuple(low, high).free_symbols & variables for _, low, high in limits):
            return node
        return min((canonical(_nested(body, order)) for order in itertools.permutations(limits)), key=sp.srepr)

    return visit(e)


def _nested(body: Any, limits: tuple[Any, ...]) -> Any:
    for limit in limits:
        body = sp.Sum(body, limit)
    return body


def last(e: Any, context: Context) -> Any:
    """Σ_{j=0}^{t} f(j) = Σ_{j=0}^{t−1} f(j) + f(t) where t is an index, and so for Π.

    A sum of nothing is 0, a product of nothing is 1, and either of one term is that term.
    """

    def visit(node: Any) -> Any:
        node = rebuild(node, visit)
        if not isinstance(node, RANGED):
            return node
        body, (index, low, high) = peel(node)
        product, length = isinstance(node, sp.Product), sp.expand(high - low + 1)
        if length == 0:
            return sp.S.One if product else sp.S.Zero
        if length != 1 and not (high.free_symbols & set(context.setting.ranges) and length.is_positive):
            return node
        rest = sp.S.Zero if length == 1 else node.func(body, (index, low, high - 1))
        final = body.xreplace({index: high})
        if product:
            return final if length == 1 else rest * final
        return rest + final

    return visit(fresh(e))


def multiplicative(e: Any, context: Context) -> Any:
    """Π f g = Π f Π g, Π_i a = a^n where a does not depend on i, and Π e^f = e^{Σ f}."""

    def visit(node: Any) -> Any:
        node = rebuild(node, visit)
        if not isinstance(node, sp.Product):
            return node
        body, (index, low, high) = peel(node)
        count, found = high - low + 1, sp.S.One
        if not count.is_nonnegative:
            raise CannotRewrite(f"a product from {low} to {high} might run backwards")
        for factor in sp.Mul.make_args(sp.powsimp(body)):
            if not factor.has(index):
                found *= factor**count
            elif isinstance(factor, sp.exp):
                found *= sp.exp(sp.Sum(factor.args[0], (index, low, high)))
            else:
                found *= sp.Product(factor, (index, low, high))
        return found

    return visit(e)


def blocks(length: str) -> Rewrite:
    """Σ_{c < h·d} f(c) = Σ_{a < h} Σ_{r < d} f(a·d + r), where `length` names d."""

    def rewrite(e: Any, context: Context) -> Any:
        d = context.setting.names[length]

        def visit(node: Any) -> Any:
            node = rebuild(node, visit)
            if not isinstance(node, sp.Sum):
                return node
            body, (index, low, high) = peel(node)
            count = (high + 1) / d
            if low != 0 or d in count.free_symbols or not (count.is_integer and count.is_nonnegative):
                return node
            if count == 1:
                return node
            block, rest = (sp.Dummy(name, integer=True, nonnegative=True) for name in "ar")
            return sp.Sum(body.xreplace({index: block * d + rest}), (rest, 0, d - 1), (block, 0, count - 1))

        return visit(fresh(e))

    return named(rewrite, f"blocks {length}")


def digits(length: str) -> Rewrite:
    """δ_{a·d + r, b·d + s} = δ_ab δ_rs and [0 ≤ a·d + r] = [0 ≤ a], where r and s are below d; `length` names d."""

    def rewrite(e: Any, context: Context) -> Any:
        d = context.setting.names[length]

        def split(x: Any, sizes: dict[Any, Any]) -> tuple[Any, Any] | None:
            if not (d.is_integer and d.is_positive):
                return None
            x = sp.expand(x)
            block, rest = x.coeff(d, 1), x.coeff(d, 0)
            whole = sp.expand(block * d + rest - x) == 0 and d not in block.free_symbols and block.is_integer
            return (block, rest) if whole and (rest == 0 or sizes.get(rest) == d) else None

        def visit(node: Any, sizes: dict[Any, Any]) -> Any:
            if isinstance(node, RANGED):
                body, (index, low, high) = peel(node)
                return node.func(visit(body, {**sizes, index: high + 1 if low == 0 else None}), (index, low, high))
            if isinstance(node, sp.Indexed):
                base: Any = node.base
                return base[tuple(visit(k, sizes) for k in node.indices)]
            if isinstance(node, Bracket) and (found := split(node.args[0], sizes)):
                return bracket(found[0])
            if isinstance(node, sp.KroneckerDelta):
                first, second = (split(x, sizes) for x in node.args)
                return sp.Mul(*map(sp.KroneckerDelta, first, second)) if first and second else node
            return rebuild(node, lambda a: visit(a, sizes))

        return visit(fresh(e), dict(context.setting.ranges))

    return named(rewrite, f"digits {length}")


def skip(e: Any, context: Context) -> Any:
    """Σ_{a < h−1} f(a + [p ≤ a]) = Σ_{a < h} f(a) − f(p), where p is one of the h places: all of them but p."""

    def visit(node: Any, sizes: dict[Any, Any]) -> Any:
        if not isinstance(node, sp.Sum):
            return rebuild(node, lambda a: visit(a, sizes))
        body, (index, low, high) = peel(node)
        body = visit(body, {**sizes, index: high + 1 if low == 0 else None})
        for step in sorted(body.atoms(Bracket), key=str):
            place = sp.expand(index - step.args[0])
            if low == 0 and isinstance(place, sp.Symbol) and sizes.get(place) == high + 2:
                past, new = sp.Dummy("past"), sp.Dummy(index.name, integer=True, nonnegative=True)
                moved = with_expanded_indices(body.xreplace({step: past}).xreplace({index: new - past}))
                if not moved.has(past) and not moved.has(index):
                    return sp.Sum(moved, (new, low, high + 1)) - moved.xreplace({new: place})
        return sp.Sum(body, (index, low, high))

    return visit(fresh(e), dict(context.setting.ranges))


def split(length: str) -> Rewrite:
    """Σ_{c < d + e} f(c) = Σ_{c < d} f(c) + Σ_{c < e} f(d + c), where `length` names d."""

    def rewrite(e: Any, context: Context) -> Any:
        d = context.setting.names[length]

        def visit(node: Any) -> Any:
            node = rebuild(node, visit)
            if not isinstance(node, sp.Sum):
                return node
            body, (index, low, high) = peel(node)
            others = sp.expand(high + 1 - d)
            if low != 0 or not (d.is_nonnegative and others.is_positive):
                return node
            first: Any = sp.Sum(body, (index, 0, d - 1))
            return first + sp.Sum(body.xreplace({index: d + index}), (index, 0, others - 1))

        return visit(fresh(e))

    return named(rewrite, f"split {length}")


def prefix(e: Any, context: Context) -> Any:
    """Σ_j [j ≤ i] f(j) = Σ_{j=0}^{i} f(j), over all places j, where i is one of them; [j < i] likewise up to i − 1."""

    def visit(node: Any, sizes: dict[Any, Any]) -> Any:
        if isinstance(node, sp.Sum):
            body, (index, low, high) = peel(node)
            body = visit(body, {**sizes, index: high + 1} if low == 0 else sizes)
            return sp.Add(*(_shortened(term, index, low, high, sizes) for term in terms(body)))
        return rebuild(node, lambda a: visit(a, sizes))

    return visit(fresh(e), dict(context.setting.ranges))


def _shortened(term: Any, index: Any, low: Any, high: Any, sizes: dict[Any, Any]) -> Any:
    for factor in sp.Mul.make_args(term):
        if isinstance(factor, Bracket) and low == 0:
            end = sp.expand(factor.args[0] + index)  # [0 ≤ end − index]
            place: list[Any] = list(end.free_symbols)
            if len(place) == 1 and sizes.get(place[0]) == high + 1 and end in (place[0], place[0] - 1):
                return sp.Sum(term / factor, (index, low, end))
    return sp.Sum(term, (index, low, high))


def order(e: Any, context: Context) -> Any:
    """In a product: [A]² = [A], [A][B] = [A] where A implies B, and [A][B] = 0 where they exclude each other.

    Such as [j ≤ k] [k ≤ i] [j ≤ i] = [j ≤ k] [k ≤ i].
    """

    def product(node: Any) -> Any:
        found, rest = [], []
        for factor in sp.Mul.make_args(node):
            base, power = factor.as_base_exp()
            if isinstance(base, Bracket) and power.is_Integer and power > 0:
                found.append(sp.expand(base.args[0]))
            else:
                rest.append(factor)
        if any(sp.expand(x + y).is_negative for x, y in itertools.combinations(found, 2)):
            return sp.S.Zero
        kept = list(dict.fromkeys(found))
        for x in sorted(kept, key=lambda x: (-len(x.free_symbols), str(x))):
            others = [y for y in kept if y != x]
            if any(_implied(x, known) for known in _sums(others)):
                kept = others
        return sp.Mul(*rest, *(bracket(x) for x in kept))

    def visit(node: Any) -> Any:
        node = rebuild(node, visit)
        return product(node) if isinstance(node, sp.Mul | sp.Pow) and node.has(Bracket) else node

    return visit(sp.expand(e))


def _sums(known: list[Any]) -> Iterator[Any]:
    for count in (1, 2, 3):
        yield from (sp.Add(*some) for some in itertools.combinations(known, count))


def _implied(x: Any, known: Any) -> bool:
    """Whether 0 ≤ known implies 0 ≤ x: their difference is a number that is not negative."""
    rest = sp.expand(x - known)
    return bool(rest.is_Integer and rest >= 0)


def bracket(x: Any) -> Any:
    """[0 ≤ x], as SymPy's expression."""
    return Bracket(x)


def successor(e: Any, context: Context) -> Any:
    """[a ≤ b + 1] = [a ≤ b] + δ_{a,b+1}, and so on down to the bare places: [a ≤ b + 2] has two δ more."""

    def opened(node: Any) -> Any:
        x = sp.expand(node.args[0])
        if not x.is_integer:
            return node
        shift, bare = x.as_coeff_Add()
        places = sp.Add.make_args(bare)
        if not shift.is_Integer or len(places) != 2 or shift == 0:
            return node
        (down,) = [-p for p in places if p.could_extract_minus_sign()] or [None]
        (up,) = [p for p in places if not p.could_extract_minus_sign()] or [None]
        if down is None or up is None:
            return node
        steps = range(1, int(shift) + 1) if shift > 0 else range(int(shift) + 1, 1)
        deltas = sp.Add(*(sp.KroneckerDelta(down, up + k) for k in steps))
        return bracket(bare) + (deltas if shift > 0 else -deltas)

    return e.replace(lambda t: isinstance(t, Bracket), opened)


def complement(e: Any, context: Context) -> Any:
    """[i < j] = 1 − [j ≤ i], wherever the brackets [j ≤ i] and [i < j] stand in one expression."""
    found: list[Any] = sorted({x for t in e.atoms(Bracket) if (x := sp.expand(t.args[0])).is_integer}, key=str)
    for x in found:
        if (opposite := sp.expand(-x - 1)) in found and str(x) < str(opposite):
            brackets = {t: 1 - bracket(x) for t in e.atoms(Bracket) if sp.expand(t.args[0]) == opposite}
            e = e.xreplace(brackets)
    return e


def bounds(e: Any, context: Context) -> Any:
    """δ_{im} = 0 where i < m, and so on: δ and [j ≤ i], where the ranges of the indices in them decide."""

    def end(x: Any, ranges: Ranges, *, highest: bool) -> Any:
        for index, (low, high) in reversed([*ranges.items()]):  # inner ranges first: they may depend on outer indices
            slope = x.coeff(index)
            if sp.expand(x - slope * index).has(index) or not slope.is_number:
                return sp.nan
            x = sp.expand(x.xreplace({index: high if (slope > 0) == highest else low}))
        return x

    def decided(node: Any, ranges: Ranges) -> Any:
        parts: Any = node.args
        x = sp.expand(parts[0] - parts[1] if isinstance(node, sp.KroneckerDelta) else parts[0])
        lowest, highest = (end(x, ranges, highest=highest) for highest in (False, True))
        if isinstance(node, sp.KroneckerDelta):
            return sp.S.Zero if lowest.is_positive or highest.is_negative else node
        return sp.S.One if lowest.is_nonnegative else sp.S.Zero if highest.is_negative else node

    def visit(node: Any, ranges: Ranges) -> Any:
        if isinstance(node, sp.KroneckerDelta | Bracket):
            return decided(node, ranges)
        if isinstance(node, RANGED):
            body, (index, low, high) = peel(node)
            outer = {k: limits for k, limits in ranges.items() if k != index}
            return node.func(visit(body, {**outer, index: (low, high)}), (index, low, high))
        return rebuild(node, lambda a: visit(a, ranges))

    return visit(e, {index: (sp.S.Zero, size - 1) for index, size in context.setting.ranges.items()})
