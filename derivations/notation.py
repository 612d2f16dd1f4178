"""What SymPy would evaluate too early, kept as it was written until a named rewrite opens it.

`Derivative(p(i), z[j])` is 0 to SymPy while p is only a name, and `sympy.stats` knows no family of d independent
variables for symbolic d. These classes hold their arguments and compute nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sympy import Expr, Function, IndexedBase, S, sympify


@dataclass(frozen=True)
class Relation:
    """`left = right`, or `left ≤ right`, kept as it was written. SymPy's own relations decide themselves too early."""

    left: Any
    sign: str
    right: Any

    def __str__(self) -> str:
        """The relation on one line, for messages."""
        return f"{self.left} {self.sign} {self.right}"


class E(Function):
    """`E(f)`: the expectation of f. `E(f, q)`: the same with every entry of the vector q held fixed."""

    nargs = (1, 2)

    def _eval_evalf(self, prec: int) -> None:
        """Without this SymPy takes E(1) for a number by the name of this class, 2.718…, when asked for its sign."""


class Var(Function):
    """`Var(f)` = E[f²] − E[f]². `Var(f, q)`: the same with every entry of the vector q held fixed."""

    nargs = (1, 2)


def variance_of(f: Any, *given: Any) -> Any:
    """The definition of variance."""
    return E(f * f, *given) - E(f, *given) * E(f, *given)  # pyright: ignore[reportOperatorIssue]


class Selection(IndexedBase):
    """`pi[i]`, displayed as π(i): which place stands at place i. It is a permutation only where a model says so."""


class Partial(Function):
    """`Partial(f, x)`: the partial derivative of f in x, where x is a symbol or an entry such as z[j]."""

    nargs = 2


class Bracket(Function):
    """`Bracket(x)`: 1 if the integer x is at least 0, and 0 if not. [j ≤ i] on a page is `Bracket(i - j)`."""

    nargs = 1

    @classmethod
    def eval(cls, x: Any) -> Expr | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Decide what the sign of x shows: [i ≤ i] = 1."""
        x = sympify(x)
        return S.One if x.is_nonnegative else S.Zero if x.is_negative else None


class Lim(Function):
    """`Lim(f, c, a)`: the limit of f as the symbol c tends to a, which may be infinite."""

    nargs = 3
