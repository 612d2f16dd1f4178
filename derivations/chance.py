"""The trusted base, third part: moves on expectations that go beyond moments."""

from __future__ import annotations

from typing import Any

import sympy as sp

from .notation import E
from .rewrites import CannotRewrite, Context, Rewrite, named
from .signs import positive
from .trees import fresh, peel


def tower(given: str) -> Rewrite:
    """E[f] = E[E[f | q]]: average over everything else first, with every entry of the vector `given` held fixed."""

    def rewrite(e: Any, context: Context) -> Any:
        q = context.setting.names[given]
        if q not in context.model.independent:
            raise CannotRewrite(f"{given} is not random here")
        return e.replace(lambda t: isinstance(t, E) and len(t.args) == 1, lambda t: E(E(t.args[0], q)))

    return named(rewrite, f"tower {given}")


def gaussian(e: Any, context: Context) -> Any:
    """For independent standard normal entries E[e^{Σ_i (a_i x_i + b x_i²)}] = (1 − 2b)^{−n/2} e^{Σ_i a_i² / 2(1 − 2b)}.

    So it is where 1 − 2b > 0 is seen and b does not depend on i; a_i and b are constant. One entry is a sum of one.
    """

    def expected(f: Any, *given: Any) -> Any:
        if {*given} & {*context.setting.definitions, *context.model.made}:
            raise CannotRewrite(f"what is held fixed with {given[0]}, which is made of others, is not seen")
        moving = ({*context.random()} - {*given}) | {*context.setting.definitions}
        normal = {x for x, entry in context.model.independent.items() if entry.normal and x not in given}
        outside, exponentials = [], []
        for factor in sp.Mul.make_args(sp.powsimp(f)):
            (exponentials if isinstance(factor, sp.exp) else outside).append(factor)
        exponent = sp.expand(sp.Add(*(t.args[0] for t in exponentials)))
        if any(factor.atoms(sp.Symbol, sp.IndexedBase) & moving for factor in outside):
            raise CannotRewrite(f"gaussian takes the expectation of an exponential, not of {f}")
        total, left = sp.Mul(*outside), exponent
        for x in sorted(exponent.atoms(sp.IndexedBase) & normal, key=str):
            mine = sp.Add(*(t for t in sp.Add.make_args(left) if t.has(x)))
            total, left = total * _of_one_vector(mine, x, moving), left - mine
        if left.atoms(sp.Symbol, sp.IndexedBase) & moving:
            raise CannotRewrite(f"gaussian does not know the law of {left}")
        return total * sp.exp(left)

    return e.replace(E, expected)


def _of_one_vector(exponent: Any, x: sp.IndexedBase, moving: set[Any]) -> Any:
    """E[e^exponent], where the exponent is one sum over entries of x, or a polynomial in one entry."""
    body, limit = sp.S.Zero, None
    for term in sp.Add.make_args(fresh(exponent)):
        scale, sums = term.as_independent(sp.Sum, as_Add=False) if term.has(sp.Sum) else (sp.S.One, term)
        if scale.has(x) or (term.has(sp.Sum) and not isinstance(sums, sp.Sum)):
            raise CannotRewrite(f"gaussian wants sums over entries of {x}, not {term}")
        if isinstance(sums, sp.Sum):
            inner, (index, low, high) = peel(sums)
            mine: Any = (index, low, high)
        else:
            entries = [t for t in term.atoms(sp.Indexed) if t.base == x]
            inner, scale, mine = term, sp.S.One, (entries[0].indices[0], None, None)
        if limit is None:
            limit = mine
        if limit[1:] != mine[1:] or (limit[1] is None and limit[0] != mine[0]):
            raise CannotRewrite(f"gaussian meets entries of {x} that may or may not be the same, in {exponent}")
        body += scale * inner.xreplace({mine[0]: limit[0]}) if limit[1] is not None else scale * inner
    index, low, high = limit or (None, None, None)
    entry: Any = x[index]
    polynomial = sp.Poly(sp.expand(body), entry)
    b, a, rest = (polynomial.coeff_monomial(entry**k) for k in (2, 1, 0))
    if polynomial.degree() > 2 or rest != 0 or any(c.atoms(sp.Symbol, sp.IndexedBase) & moving for c in (a, b)):
        raise CannotRewrite(f"gaussian wants a x + b x² with constant a and b, not {body}")
    spread = 1 - 2 * b
    if not positive(spread) or (low is not None and b.has(index)):
        raise CannotRewrite(f"{spread} has to be seen to be positive, and the same for all entries")
    if low is None:
        return sp.exp(a**2 / (2 * spread)) / sp.sqrt(spread)
    if high - low + 1 != x.shape[0]:
        raise CannotRewrite(f"gaussian sums over all entries of {x}, not from {low} to {high}")
    return sp.exp(sp.Sum(a**2 / (2 * spread), (index, low, high))) * spread ** (-(high - low + 1) / 2)
