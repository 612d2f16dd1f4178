r"""Read the TeX of a displayed equation as a relation of SymPy expressions.

The equation that a page displays is the equation that is checked: there is no second copy that could drift.
The reader knows a small subset, and refuses whatever a person could read in two ways.

    names        `d_k`, `\mu_q`, `z_i`, `J_{ij}`, `\bar z`: looked up among the names of the page's *Setting*;
                 a subscript is part of the name if that name was declared (d_k), and otherwise an index (z_i);
                 `W_{Q,bc}` is the entry bc of W_Q
    products     side by side, `\cdot`, `\,`; `a/b` divides by one factor, and nothing may follow it
    sums         `\sum_i` over the declared range of i, `\sum_{i=1}^{n}` as written, and `\prod` in the same way;
                 a sum takes the rest of its product
    maps         `\pi(i)`, `\phi(a)`, and `x_{\pi(i)}`, if \pi was declared as a map of places and \phi as a function
    operators    `\frac{a}{b}`, `\sqrt{a}`, `e^{a}`, `\log(a)`, `\sin(a)`, `\cos(a)`, `\tanh(a)`, `\max(a, b)`,
                 `\min(a, b)`, `\lvert a \rvert`, `\mathbb{E}[f]`, `\mathbb{E}[f \mid q]`, `\mathrm{Var}(f)`,
                 `\frac{\partial f}{\partial x}`, `\int_{a}^{b} f \, \mathrm{d} x`, `\lim_{c \to \infty} f`
    brackets     `\delta_{ij}` is 1 if i = j, `[j \le i]` if j ≤ i and `[j < i]` if j < i; 0 if not
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import sympy as sp
from sympy.core.function import UndefinedFunction

from .notation import Bracket, E, Lim, Partial, Relation, Selection, Var

RELATIONS = {"=": "=", r"\le": "≤"}
OPERATORS = {r"\mathbb{E}": E, r"\mathrm{Var}": Var}
CLOSING = {"(": ")", "[": "]"}
FUNCTIONS = {rf"\{name}": getattr(sp, name) for name in ("log", "sin", "cos", "tanh")}
FUNCTIONS |= {r"\max": sp.Max, r"\min": sp.Min}
RANGED = {r"\sum": sp.Sum, r"\prod": sp.Product}
ENDS = ("", "+", "-", "}", ")", "]", ",", "<", r"\mid", r"\rvert", r"\mathrm{d}", *RELATIONS)  # of a product
ACCENTS = (r"\bar", r"\hat", r"\tilde")
LETTERS = "alpha|beta|gamma|delta|(var)?epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|phi|chi|psi|omega"
LETTERS += "|Gamma|Delta|Theta|Lambda|Pi|Sigma|Phi|Psi|Omega|ell"
GREEK = re.compile(rf"\\({LETTERS})")

# Sizes of brackets and spaces mean nothing; everything that is not listed here is refused by name.
SILENT = re.compile(r"\s|\\[,;:! ]|\\(?:left|right|[bB]igg?[lr]?|qquad|quad)(?![A-Za-z])|&")
TOKEN = re.compile(r"\\mathbb\{E\}|\\mathrm\{(?:Var|d)\}|\\[A-Za-z]+|\d+|[A-Za-z]|[-+=</^_{}()\[\],]")


class TexError(ValueError):
    """The displayed line is outside the subset, or can be read in two ways."""


def tokens(tex: str) -> list[str]:
    """Cut a line into tokens, dropping spaces and the sizes of brackets."""
    found, position = [], 0
    while position < len(tex):
        if match := SILENT.match(tex, position):
            position = match.end()
        elif match := TOKEN.match(tex, position):
            found.append({r"\tfrac": r"\frac", r"\leq": r"\le"}.get(match[0], match[0]))
            position = match.end()
        else:
            raise TexError(f"cannot read {tex[position : position + 12]!r}; the subset is described in tex.py")
    return found


class _Reader:
    """One pass over the tokens of one line; each method reads one kind of phrase and returns its expression."""

    def __init__(self, tex: str, names: Mapping[str, Any], ranges: Mapping[sp.Symbol, sp.Expr]):
        self.left, self.names, self.ranges = tokens(tex), names, ranges
        self.bound: list[sp.Symbol] = []

    def peek(self, ahead: int = 0) -> str:
        return self.left[ahead] if len(self.left) > ahead else ""

    def take(self, expected: str = "") -> str:
        if not self.left:
            raise TexError(f"the line ends where {expected or 'more'} was expected")
        if expected and self.peek() != expected:
            raise TexError(f"expected {expected}, found {self.peek()} before {' '.join(self.left[1:6])!r}")
        return self.left.pop(0)

    def relations(self) -> list[Relation]:
        """Relations with commas between them, to the end of the line."""
        found = [self.relation()]
        while self.left:
            self.take(",")
            found.append(self.relation())
        return found

    def relation(self) -> Relation:
        left = self.expression()
        sign = self.take()
        if sign not in RELATIONS:
            raise TexError(f"expected one of {' '.join(RELATIONS)} after the left side, found {sign}")
        return Relation(left, RELATIONS[sign], self.expression())

    def expression(self) -> Any:
        total = self.signed_product()
        while self.peek() in ("+", "-"):
            total += self.signed_product()
        return total

    def signed_product(self) -> Any:
        sign = 1
        if self.peek() in ("+", "-"):
            sign = -1 if self.take() == "-" else 1
        return sign * self.product()

    def product(self) -> Any:
        value = self.factor()
        while self.peek() not in ENDS:
            if self.peek() == "/":
                self.take()
                value /= self.factor()
                if self.peek() not in ENDS:
                    raise TexError(rf"a/b followed by {self.peek()} reads in two ways; use \frac")
                return value
            if self.peek() == r"\cdot":
                self.take()
            value *= self.factor()
        return value

    def factor(self) -> Any:
        value = self.atom()
        if self.peek() == "^":
            self.take()
            value **= self.group()
        return value

    def group(self) -> Any:
        """What follows ^ or a macro: a braced expression, or one digit or name without braces."""
        if self.peek() != "{":
            token = self.take()
            if len(token) > 1 and token.isdigit():
                raise TexError(f"TeX raises only the first digit of {token}; write {{{token}}}")
            return sp.Integer(token) if token.isdigit() else self.named(token)
        self.take("{")
        value = self.expression()
        self.take("}")
        return value

    def atom(self) -> Any:
        token = self.take()
        if token.isdigit():
            if self.peek().isdigit():
                raise TexError(f"{token} {self.peek()} reads as one number or two")
            return sp.Integer(token)
        if token in CLOSING:
            value = self.expression()
            if token == "[" and self.peek() in (r"\le", "<"):
                strict = self.take() == "<"
                distance = self.expression() - value
                if strict and not distance.is_integer:
                    raise TexError("[a < b] is read for integers only, as [a + 1 ≤ b]")
                value = Bracket(distance - int(strict))
            self.take(CLOSING[token])
            return value
        if token == r"\lvert":
            value = self.expression()
            self.take(r"\rvert")
            return sp.Abs(value)
        if token in OPERATORS:
            return self.operator(OPERATORS[token])
        if token in FUNCTIONS:
            return FUNCTIONS[token](*self.arguments())
        if token == r"\infty":
            return sp.oo
        if token == r"\frac":
            return self.fraction()
        if token == r"\sqrt":
            return sp.sqrt(self.group())
        if token in RANGED:
            return self.ranged(RANGED[token])
        if token == r"\int":
            return self.integral()
        if token == r"\lim":
            return self.limit()
        if token == "e" and self.peek() == "^" and "e" not in self.names:
            self.take()
            return sp.exp(self.group())
        return self.applied(self.name(token))

    def applied(self, value: Any) -> Any:
        """A map with its argument in brackets; anything else as it is."""
        if not isinstance(value, Selection | UndefinedFunction):
            return value
        found = self.arguments()
        return value[found[0]] if isinstance(value, Selection) else value(*found)

    def arguments(self) -> list[Any]:
        """What stands in the brackets after a function, with commas between."""
        self.take("(")
        found = [self.expression()]
        while self.peek() == ",":
            self.take()
            found.append(self.expression())
        self.take(")")
        return found

    def operator(self, operator: type[sp.Function]) -> Any:
        closing = CLOSING.get(opening := self.take())
        if closing is None:
            raise TexError(f"{operator.__name__} needs a bracket, found {opening}")
        arguments = [self.expression()]
        if self.peek() == r"\mid":
            self.take()
            arguments.append(self.named(self.take()))
        self.take(closing)
        return operator(*arguments)

    def fraction(self) -> Any:
        differential = self.peek(1)
        if differential not in (r"\partial", r"\mathrm{d}"):
            above = self.group()
            return above / self.group()
        self.take("{")
        self.take(differential)
        above = None if self.peek() == "}" else self.product()
        self.take("}")
        self.take("{")
        self.take(differential)
        variable = self.atom()
        self.take("}")
        return Partial(self.product() if above is None else above, variable)

    def integral(self) -> Any:
        self.take("_")
        low = self.group()
        self.take("^")
        high = self.group()
        body = self.expression()
        self.take(r"\mathrm{d}")
        variable = self.variable()
        signed = variable.is_nonnegative and not (low.is_nonnegative and high.is_nonnegative)
        if variable.is_integer or variable.is_nonpositive or not variable.is_real or signed:
            raise TexError(f"{variable} is declared as what it is not everywhere from {low} to {high}")
        return sp.Integral(body, (variable, low, high))

    def limit(self) -> Any:
        self.take("_")
        self.take("{")
        variable = self.variable()
        self.take(r"\to")
        where = self.expression()
        if not where.is_infinite:
            raise TexError(f"a limit is one at infinity here, found {where}")
        self.take("}")
        return Lim(self.product(), variable, where)

    def variable(self) -> sp.Symbol:
        variable = self.name(self.take())
        if not isinstance(variable, sp.Symbol) or variable in self.ranges:
            raise TexError(f"{variable} is not a number that can vary")
        return variable

    def ranged(self, kind: type[sp.Sum] | type[sp.Product]) -> Any:
        self.take("_")
        if self.peek() != "{":
            index = self.index(self.take())
            low, high = sp.S.Zero, self.ranges[index] - 1
        else:
            self.take("{")
            index = self.index(self.take())
            if self.peek() == "=":
                self.take()
                low = self.expression()
                self.take("}")
                self.take("^")
                high = self.group()
            else:
                self.take("}")
                low, high = sp.S.Zero, self.ranges[index] - 1
        if index in self.bound:
            raise TexError(f"{index} is already the index of an outer sum")
        if not sp.sympify(low).is_nonnegative:
            raise TexError(f"{index} stands for a place, and would start at {low}, which may lie before the first one")
        self.bound.append(index)
        body = self.product()
        self.bound.pop()
        return kind(body, (index, low, high))

    def index(self, token: str) -> sp.Symbol:
        index = self.named(token)
        if index not in self.ranges:
            raise TexError(f"{token} is not declared with indices(...) in Setting")
        return index

    def name(self, token: str) -> Any:
        """A name with what hangs below it."""
        spelled = self.spell(token)
        if self.peek() != "_":
            return self.look_up(spelled)
        self.take()
        below = self.subscript()
        whole = f"{spelled}_{''.join(t.lstrip(chr(92)) for t in below)}"
        base = self.names.get(spelled)
        indexable = isinstance(base, sp.IndexedBase) or spelled == "delta"
        labelled = f"{spelled}_{below[0].lstrip(chr(92))}"
        if below[1:2] == [","] and isinstance(self.names.get(labelled), sp.IndexedBase):
            if indexable:
                raise TexError(f"{labelled} is declared, and so is the array {spelled}: {whole} reads in two ways")
            spelled, base, below, indexable = labelled, self.names[labelled], below[2:], True
        if whole in self.names:
            if indexable:
                raise TexError(f"{whole} is declared, and so is the vector {spelled}: it reads in two ways")
            return self.look_up(whole)
        if not indexable:
            raise TexError(f"{whole} is not declared in Setting, and {spelled} is not a vector")
        indices, wanted = self.indices(below), len(base.shape) if isinstance(base, sp.IndexedBase) else 2
        if len(indices) != wanted:
            raise TexError(f"{spelled} has {wanted} {'index' if wanted == 1 else 'indices'}, found {whole}")
        return base[tuple(indices)] if isinstance(base, sp.IndexedBase) else sp.KroneckerDelta(*indices)

    def subscript(self) -> list[str]:
        if self.peek() != "{":
            return [self.take()]
        self.take("{")
        below = []
        while self.peek() != "}":
            below.append(self.take())
        self.take("}")
        return below

    def indices(self, below: list[str]) -> list[sp.Expr]:
        r"""`ij` is two indices, `\pi(i)j` too; with commas each part is an expression, so `i+1,j` is two as well."""
        inner = _Reader("", self.names, self.ranges)
        inner.left = list(below)
        if all(re.fullmatch(r"[A-Za-z()]", t) or isinstance(self.names.get(t[1:]), Selection) for t in below):
            side_by_side = []
            while inner.left:
                side_by_side.append(inner.atom())
            return side_by_side
        found = [inner.expression()]
        while inner.left:
            inner.take(",")
            found.append(inner.expression())
        return found

    def spell(self, token: str) -> str:
        if token in ACCENTS:
            inner = self.take() if self.peek() != "{" else self.subscript()[0]
            return f"{inner.lstrip(chr(92))}_{token[1:]}"
        if re.fullmatch(r"[A-Za-z]", token) or GREEK.fullmatch(token):
            return token.lstrip("\\")
        raise TexError(f"{token} is outside the subset that tex.py reads")

    def named(self, token: str) -> Any:
        return self.look_up(self.spell(token))

    def look_up(self, spelled: str) -> Any:
        if spelled not in self.names:
            raise TexError(f"{spelled} is used and was not declared in Setting")
        return self.names[spelled]


def read(tex: str, names: Mapping[str, Any], ranges: Mapping[sp.Symbol, sp.Expr]) -> list[Relation]:
    """The relations that a displayed line states, one or more with commas between them.

    Args:
        tex: a line in the subset above.
        names: what each name stands for: symbols, and `IndexedBase` for vectors and matrices.
        ranges: for each index the size n of its range 0 … n − 1.

    Raises:
        TexError: the line is outside the subset, ambiguous, or uses a name that was not declared.
    """
    found = _Reader(tex, names, ranges).relations()
    for relation in found:
        refuse_shared_indices(relation)
    return found


def refuse_shared_indices(relation: Relation) -> None:
    """An index that is summed over in one place and free in another is two things under one name."""
    sides = sp.Tuple(relation.left, relation.right)
    summed = {v for s in sides.atoms(*RANGED.values()) for v in s.variables}
    free = sides.free_symbols
    if both := summed & free:
        raise TexError(f"{', '.join(map(str, both))} is summed over and also free in one line; rename one of them")
