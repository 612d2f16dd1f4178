"""Signs that are seen at sight. With `rewrites.py` this is the trusted base: an inequality is proved by showing that
right − left equals an expression that is nonnegative by its form."""

from __future__ import annotations

import itertools
from typing import Any

import sympy as sp


def nonnegative(e: Any) -> bool:
    """Whether the form of the expression shows that it is nonnegative wherever it is defined.

    Two facts go beyond the signs of parts. 1 − δ and 1 − e^{−a}, for a ≥ 0, are nonnegative. And (e^a − e^b)(a − b) is,
    because the exponential increases, so that both differences have one sign.
    """
    if positive(e) or isinstance(e, sp.KroneckerDelta):
        return True
    if isinstance(e, sp.Number | sp.Symbol | sp.Indexed):
        return bool(e.is_nonnegative)
    if isinstance(e, sp.Sum):
        return nonnegative(e.function) and all((high - low + 1).is_nonnegative for _, low, high in e.limits)
    if isinstance(e, sp.Pow):
        return bool(e.exp.is_even and real(e.base)) or bool(e.exp.is_real and nonnegative(e.base))
    if isinstance(e, sp.Add):
        return all(map(nonnegative, e.args)) or _one_minus_at_most_one(e)
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
    if isinstance(e, sp.Pow):
        return positive(e.base) and bool(e.exp.is_real)
    if isinstance(e, sp.Mul):
        return all(map(positive, e.args))
    return isinstance(e, sp.Add) and all(map(nonnegative, e.args)) and any(map(positive, e.args))


def real(e: Any) -> bool:
    """Whether the form of the expression shows that it is a real number wherever it is defined."""
    if isinstance(e, sp.Number | sp.Symbol | sp.Indexed):
        return bool(e.is_extended_real)
    if isinstance(e, sp.Add | sp.Mul | sp.exp | sp.KroneckerDelta):
        return all(map(real, e.args))
    if isinstance(e, sp.Sum):
        return real(e.function)
    if isinstance(e, sp.Pow):
        return (bool(e.exp.is_integer) and real(e.base)) or (real(e.exp) and nonnegative(e.base))
    return isinstance(e, sp.log) and positive(e.args[0])


def _one_minus_at_most_one(e: sp.Add) -> bool:
    rest: Any = 1 - e
    return isinstance(rest, sp.KroneckerDelta) or (
        isinstance(rest, sp.exp) and nonnegative(sp.S.NegativeOne * rest.args[0])
    )


def differences_of_one_sign(first: Any, second: Any) -> bool:
    """Whether the two are e^a − e^b and a − b."""
    for exponentials, plain in itertools.permutations((first, second)):
        if isinstance(plain, sp.Add) and len(plain.args) == 2:
            a, b = plain.args
            if exponentials in (sp.exp(a) - sp.exp(-b), sp.exp(b) - sp.exp(-a)) and real(plain):
                return True
    return False
