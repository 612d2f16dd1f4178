"""The trusted base, fourth part: fractions, trigonometry, integrals and limits."""

from __future__ import annotations

from typing import Any

import sympy as sp

from .notation import Lim, Partial
from .rewrites import CannotRewrite, Context, Rewrite, named
from .signs import positive
from .trees import canonical, peel, rebuild


def fractions(e: Any, context: Context) -> Any:
    """a/b + c/d = (a d + b c)/(b d), with everything above multiplied out; nothing is cancelled but a whole 0."""
    above, below = sp.fraction(sp.together(e))
    above = canonical(sp.expand(above))
    return sp.S.Zero if above == 0 else above / below


def trigonometry(e: Any, context: Context) -> Any:
    """sin(a + b) and cos(a + b) by the addition theorems, and sin² = 1 − cos²."""
    opened = sp.expand_trig(e)
    return sp.expand(opened).replace(
        lambda t: isinstance(t, sp.Pow) and isinstance(t.base, sp.sin) and t.exp.is_Integer and t.exp > 1,
        lambda t: sp.expand((1 - sp.cos(t.base.args[0]) ** 2) ** (t.exp // 2) * t.base ** (t.exp % 2)),
    )


def half_angle(e: Any, context: Context) -> Any:
    """sin² a = (1 − cos 2a)/2, and cos² a = (1 + cos 2a)/2."""

    def halved(t: Any) -> Any:
        wave, power = t.as_base_exp()
        double = sp.cos(2 * wave.args[0])
        square = (1 - double) / 2 if isinstance(wave, sp.sin) else (1 + double) / 2
        return square ** (power // 2) * wave ** (power % 2)

    return e.replace(
        lambda t: isinstance(t, sp.Pow) and isinstance(t.base, sp.sin | sp.cos) and t.exp.is_Integer and t.exp > 1,
        halved,
    )


def antiderivative(number: int) -> Rewrite:
    """∫_a^b f dx = F(b) − F(a), where the step `number` says ∂F/∂x = f; at an infinite end F has a limit."""

    def rewrite(e: Any, context: Context) -> Any:
        known = context.earlier.get(number)
        if known is None or known.sign != "=" or not isinstance(known.left, Partial):
            raise CannotRewrite(f"step {number} is not a derivative proved earlier under the same assumptions")
        whole, variable = known.left.args
        made = {*context.setting.definitions, *context.model.made}
        if not isinstance(variable, sp.Symbol) or whole.atoms(sp.Symbol, sp.IndexedBase) & made:
            raise CannotRewrite(f"{variable} may hide in {whole}, or may be one variable or another")
        if not continuous(whole, variable):
            raise CannotRewrite(f"{whole} is not seen to be continuous in {variable}")

        def at(end: Any) -> Any:
            return _limit(whole, variable, end) if end.is_infinite else whole.xreplace({variable: end})

        def visit(node: Any) -> Any:
            node = rebuild(node, visit)
            if isinstance(node, sp.Integral):
                body, (x, low, high) = peel(node)
                signed = any(v.is_nonnegative or v.is_nonpositive for v in (variable, x))
                inside = not signed or (low.is_nonnegative and high.is_nonnegative and not x.is_nonpositive)
                if inside and canonical(sp.expand(body.xreplace({x: variable}) - known.right)) == 0:
                    return at(high) - at(low)
            return node

        return visit(e)

    return named(rewrite, f"antiderivative {number}")


def continuous(f: Any, x: Any) -> bool:
    """Whether f is made of polynomials in x and of functions without a pole, so that the theorem of calculus holds."""
    if not f.has(x):
        return not f.has(sp.Sum, sp.Product)
    if isinstance(f, sp.Pow):
        return bool(f.exp.is_Integer and f.exp > 0) and continuous(f.base, x)
    known = sp.Symbol | sp.Add | sp.Mul | sp.exp | sp.sin | sp.cos | sp.tanh
    return isinstance(f, known) and all(continuous(a, x) for a in f.args)


def limit(e: Any, context: Context) -> Any:
    """The limit of an expression without sums, products, expectations or names that stand for others."""
    made = {*context.setting.definitions, *context.model.made}

    def taken(f: Any, c: Any, where: Any) -> Any:
        if not _written_out(f) or ({c} | f.atoms(sp.Symbol, sp.IndexedBase)) & made:
            raise CannotRewrite(f"limit wants what is written out, not {f}")
        return _limit(f, c, where)

    return e.replace(Lim, taken)


def _limit(f: Any, c: Any, where: Any) -> Any:
    """The limit as SymPy finds it, which thinks of no coefficient that is 0: so at 0 it has to be the same formula."""
    if not _generic(f, c):
        unclear = [p for p in f.free_symbols - {c} if p.is_Symbol and p.is_real and p.is_nonzero is None]
        for p in sorted((p for p in unclear if p.is_integer is None), key=str):
            away = sp.Dummy(p.name, real=True, nonzero=True, nonnegative=p.is_nonnegative)
            found = _limit(f.xreplace({p: away}), c, where).xreplace({away: p})
            if _limit(f.xreplace({p: sp.S.Zero}), c, where) == found.xreplace({p: sp.S.Zero}):
                return found
        raise CannotRewrite(f"the limit of {f} is another one where a coefficient is 0")
    try:
        found = sp.limit(f, c, where)
    except (NotImplementedError, TypeError) as error:
        raise CannotRewrite(f"the limit of {f} at {where} is not seen") from error
    if found.has(sp.oo, sp.zoo, sp.nan, sp.sign, sp.Limit, sp.AccumBounds) or found.has(c):
        raise CannotRewrite(f"the limit of {f} at {where} is not seen")
    return found


def _written_out(f: Any) -> bool:
    known = (sp.Number, sp.NumberSymbol, sp.Symbol, sp.Indexed, sp.Add, sp.Mul, sp.Pow, sp.exp, sp.log)
    if isinstance(f, sp.Indexed):
        return True
    return isinstance(f, (*known, sp.sin, sp.cos, sp.tanh)) and all(map(_written_out, f.args))


def _generic(f: Any, c: Any) -> bool:
    """Whether each c-dependent term, once multiplied out, has a factor without c that is seen not to be 0."""
    if not f.has(c):
        return True
    if isinstance(f, sp.Pow) and not f.exp.has(c):
        return bool(_not_zero(f.exp)) and _generic(f.base, c)
    if isinstance(f, sp.Add | sp.Mul):
        found: dict[Any, Any] = {}
        for term in sp.Add.make_args(sp.expand(f)):
            fixed, moving = term.as_independent(c, as_Add=False)
            found[moving] = found.get(moving, sp.S.Zero) + fixed
        whole = all(_not_zero(fixed) for moving, fixed in found.items() if moving != 1)
        parts = (factor for moving in found for factor in sp.Mul.make_args(moving))
        return whole and all(not part.has(c) or (part != f and _inside(part, c)) for part in parts)
    return _inside(f, c)


def _inside(f: Any, c: Any) -> bool:
    if f == c:
        return True
    if isinstance(f, sp.Add):
        return _generic(f, c)
    if isinstance(f, sp.Mul):
        return False
    return all(_generic(part, c) for part in f.args)


def _not_zero(e: Any) -> bool:
    if isinstance(e, sp.Mul):
        return all(map(_not_zero, e.args))
    if isinstance(e, sp.Pow):
        return _not_zero(e.base)
    return positive(e) or positive(sp.expand(-e)) or bool(e.is_Symbol and e.is_nonzero)
