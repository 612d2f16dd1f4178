"""Signs that are seen at sight. With `rewrites.py` this is the trusted base: an inequality is proved by showing that
right − left equals an expression that is nonnegative by its form."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

from .notation import Bracket, E


def nonnegative(e: Any) -> bool:
    """Whether the form of the expression shows that it is nonnegative wherever it is defined.

    Beyond the signs of parts it knows the bounds of `upper_bound`, such as |a + b| ≤ |a| + |b| and cos ≤ 1, and that
    (e^a − e^b)(a − b) is nonnegative, because the exponential increases, so that both differences have one sign.
    """
    if positive(e) or isinstance(e, sp.KroneckerDelta | Bracket):
        return True
    if isinstance(e, sp.Number | sp.Symbol | sp.Indexed | AppliedUndef):
        return bool(e.is_nonnegative)
    if isinstance(e, sp.Abs):
        return real(e.args[0])
    if isinstance(e, sp.Max):
        return all(map(real, e.args)) and any(map(nonnegative, e.args))
    if isinstance(e, sp.Min):
        return all(map(nonnegative, e.args))
    if isinstance(e, E):
        return nonnegative(e.args[0])
    if isinstance(e, sp.Sum | sp.Product):
        return nonnegative(e.function) and all((high - low + 1).is_nonnegative for _, low, high in e.limits)
    if isinstance(e, sp.Pow):
        return bool(e.exp.is_even and real(e.base)) or bool(e.exp.is_real and nonnegative(e.base))
    if isinstance(e, sp.Add):
        return all(map(nonnegative, e.args)) or covered(e) is not None
    if isinstance(e, sp.Mul):
        unclear = [f for f in e.args if not nonnegative(f)]
        return not unclear or (len(unclear) == 2 and differences_of_one_sign(*unclear))
    return False


def positive(e: Any) -> bool:
    """Whether the form of the expression shows that it is positive."""
    if isinstance(e, sp.Number | sp.Symbol | sp.Indexed):
        return bool(e.is_positive)
    if isinstance(e, sp.exp):
        return real(e.args[0])
    if isinstance(e, sp.Sum):
        return positive(e.function) and all((high - low + 1).is_positive for _, low, high in e.limits)
    if isinstance(e, sp.Product):
        return positive(e.function) and all((high - low + 1).is_nonnegative for _, low, high in e.limits)
    if isinstance(e, sp.Max):
        return all(map(real, e.args)) and any(map(positive, e.args))
    if isinstance(e, sp.Min):
        return all(map(positive, e.args))
    if e is sp.pi:
        return True
    if isinstance(e, sp.Pow):
        return positive(e.base) and bool(e.exp.is_real)
    if isinstance(e, sp.Mul):
        return all(map(positive, e.args))
    if not isinstance(e, sp.Add):
        return False
    if all(map(nonnegative, e.args)):
        return any(map(positive, e.args))
    return any(positive(term) for term in covered(e) or ())


def real(e: Any) -> bool:
    """Whether the form of the expression shows that it is a real number wherever it is defined."""
    if isinstance(e, sp.Number | sp.Symbol | sp.Indexed | sp.NumberSymbol | AppliedUndef):
        return bool(e.is_extended_real)
    if isinstance(e, sp.KroneckerDelta | Bracket):
        return True
    if isinstance(e, sp.Add | sp.Mul | sp.exp | sp.Abs | sp.Max | sp.Min | sp.sin | sp.cos | sp.tanh):
        return all(map(real, e.args))
    if isinstance(e, sp.Sum | sp.Product):
        return real(e.function)
    if isinstance(e, E):
        return real(e.args[0])
    if isinstance(e, sp.Pow):
        return (bool(e.exp.is_integer) and real(e.base)) or (real(e.exp) and nonnegative(e.base))
    return isinstance(e, sp.log) and positive(e.args[0])


def covered(e: sp.Add) -> list[Any] | None:
    """Nonnegative terms that add up to no more than e, each negative term being bounded by others; None if some is not.

    Each term c·t with c < 0 is replaced by c·bound, where t ≤ bound; and each c·t with c > 0 and t of unclear sign by
    −c·bound, where −t ≤ bound. What is left must be nonnegative term by term.
    """
    if any(product.function.is_zero for product in e.atoms(sp.Product)):  # SymPy takes it for 0 though it may be empty
        return None
    table: dict[Any, Any] = dict(sp.expand(split_absolute(e)).as_coefficients_dict())
    for term in sorted(table, key=lambda t: bool(table[t] > 0)):
        coefficient = table[term]
        if coefficient.is_nonnegative and (coefficient == 0 or nonnegative(term)):
            continue
        bound = upper_bound(term if coefficient.is_negative else -term, table)
        if bound is None or bound == term:
            return None
        table[term] -= coefficient
        for part, share in sp.expand(split_absolute(bound)).as_coefficients_dict().items():
            table[part] = table.get(part, sp.S.Zero) - abs(coefficient) * share
    left = [c * term for term, c in table.items() if c != 0]
    return left if all(c.is_nonnegative and nonnegative(t) for t, c in table.items() if c != 0) else None


def upper_bound(t: Any, beside: Mapping[Any, Any]) -> Any:
    """What t is at most: |a + b| ≤ |a| + |b|, a ≤ max(a, b), δ and cos ≤ 1, d^p ≤ d^q for p < q and d ≥ 1, or |t|.

    And e^{a + b} ≤ 1 where a + b ≤ 0, and min(a, b) ≤ a, where all of a stands beside.
    """
    if isinstance(t, sp.Min) and real(t):
        return next((a for a in t.args if all(part in beside for part in sp.expand(a).as_coefficients_dict())), None)
    sign, body = (sp.S.NegativeOne, -t) if t.could_extract_minus_sign() else (sp.S.One, t)
    known = [f for f in sp.Mul.make_args(body) if nonnegative(f)]
    if len(loose := [f for f in sp.Mul.make_args(body) if f not in known]) == 0 and sign == 1:
        exponentials: list[Any] = [f for f in known if isinstance(f, sp.exp)]
        if len(exponentials) > 1 and nonnegative(-sp.Add(*(f.args[0] for f in exponentials))):
            return body / sp.Mul(*exponentials)
        for factor in known:
            if (bound := _bound_of_nonnegative(factor)) is not None:
                return bound * body / factor
    if sign == 1:
        for other in beside:
            if isinstance(other, sp.Max) and t in other.args:
                return other
            if _is_smaller_power(t, other):
                return other
    if len(loose) == 1 and _within_one(loose[0]):
        return sp.Mul(*known)
    return sp.Abs(t) if real(t) else None


def split_absolute(e: Any) -> Any:
    """|a b| = |a| |b|, and |a| = a where a is nonnegative at sight."""

    def split(t: Any) -> Any:
        factors = sp.Mul.make_args(t.args[0])
        return sp.Mul(*(f if nonnegative(f) else sp.Abs(f) for f in factors))

    return e.replace(lambda t: isinstance(t, sp.Abs), split)


def _bound_of_nonnegative(t: Any) -> Any:
    if isinstance(t, sp.KroneckerDelta | Bracket) or (
        isinstance(t, sp.exp) and nonnegative(sp.S.NegativeOne * t.args[0])
    ):
        return sp.S.One
    if isinstance(t, sp.Pow) and t.base.is_Number and t.base >= 1 and nonnegative(sp.S.NegativeOne * t.exp):
        return sp.S.One
    if (isinstance(t, sp.Abs) and _within_one(t.args[0])) or (
        isinstance(t, sp.Pow) and t.exp.is_Integer and t.exp > 0 and _within_one(t.base)
    ):
        return sp.S.One
    if isinstance(t, E) and _bound_of_nonnegative(t.args[0]) == 1:
        return sp.S.One
    if isinstance(t, sp.Abs) and isinstance(t.args[0], sp.Add):
        return sp.Add(*map(sp.Abs, t.args[0].args))
    if isinstance(t, sp.Abs) and isinstance(t.args[0], sp.Sum):
        return sp.Sum(sp.Abs(t.args[0].function), *t.args[0].limits)
    return None


def _within_one(t: Any) -> bool:
    """Whether t is a sine, a cosine or a tanh of something real."""
    return isinstance(t, sp.cos | sp.sin | sp.tanh) and real(t)


def _is_smaller_power(t: Any, other: Any) -> bool:
    (d, p), (base, q) = t.as_base_exp(), other.as_base_exp()
    if t == 1:
        d, p = base, sp.S.Zero
    elif other == 1:
        base, q = d, sp.S.Zero
    return bool(isinstance(d, sp.Symbol) and d == base and d.is_integer and d.is_positive and (q - p).is_positive)


def differences_of_one_sign(first: Any, second: Any) -> bool:
    """Whether the two are e^a − e^b and a − b."""
    for exponentials, plain in itertools.permutations((first, second)):
        if isinstance(plain, sp.Add) and len(plain.args) == 2:
            a, b = plain.args
            if exponentials in (sp.exp(a) - sp.exp(-b), sp.exp(b) - sp.exp(-a)) and real(plain):
                return True
    return False


def sight(e: Any, context: Any) -> Any:
    """For an inequality only: what is left of right − left is nonnegative by its form."""
    return sp.S.Zero if nonnegative(e) else e
