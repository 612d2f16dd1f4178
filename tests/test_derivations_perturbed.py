"""Every coefficient, sign, exponent, index and bound of every checked line is changed in turn, and all are refused.

The rewrites alone must refuse it: a change that they prove although it is false in some small model is a hole in the
trusted base. What they prove and no model contradicts is as true as the line itself, and is listed with the reason.
"""

# pyright: reportOperatorIssue=false, reportArgumentType=false
# SymPy does not say of what type its expressions are.

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sympy as sp

from veriformer.derivations import derivation, names
from veriformer.derivations.notation import Relation, Selection
from veriformer.derivations.setting import Setting
from veriformer.derivations.step import Step
from veriformer.derivations.trees import canonical, index_symbols

PAGES = names()
AS_TRUE = {
    "independence holds between entries of any two places, so the indices need not agree": [
        *(("score_variance", step, f"left: {entry}: i → j") for step in ("1", "2") for entry in ("q[i]", "k[i]")),
    ],
    "a variance does not see a sign": [
        *(("score_variance", step, "left: S → −S") for step in ("10", "12", "A", "B", "C", "D")),
        ("score_variance", "10", "left: s → −s"),
        ("score_variance", "10", "right: S → −S"),
        ("score_variance", "19", "left: E(S*s, q) → −E(S*s, q)"),
    ],
    "the square of 1 is 1": [
        ("score_variance", "14", "left: Var(S/sqrt(d_k)) → Var(S/sqrt(d_k))²"),
    ],
    "the shift is common, so every a is the same number": [
        *(("softmax_jacobian", "1", f"left: a[i]: i → {other}") for other in "jm"),
        *(("softmax_jacobian", "1", f"left: a[j]: j → {other}") for other in "im"),
    ],
    "a multiple of 0 is 0, and every row adds up to it": [
        *(("softmax_jacobian", "6", f"left: J[i, j]{what}") for what in (" → 2 J[i, j]", " → −J[i, j]", ": i → m")),
    ],
    "the sum stands in a square": [
        *(("softmax_jacobian", "7", f"right: {factor} → −{factor}") for factor in ("p[i]", "v[i]")),
        *(("softmax_jacobian", "21", f"right: {factor} → −{factor}") for factor in ("p[i]", "z[i]")),
    ],
    "every place has a copy of the token at place m, and so has the place m": [
        *(("permutation_equivariance", "C", f"left: y_tilde[i, c]: i → {other}") for other in ("j", "l", "m", "pi[i]")),
        *(("permutation_equivariance", "C", f"right: v[m, c]{what}") for what in (": m → pi[m]", " → v_tilde[m, c]")),
    ],
}


def changes(e: Any, setting: Setting) -> Iterator[tuple[str, Any]]:
    """Every way to change one thing in an expression, with a few words that say which."""
    yield from changes_here(e, setting)
    if isinstance(e, sp.Indexed | sp.IndexedBase | sp.Symbol | sp.KroneckerDelta):
        return
    if isinstance(e, sp.Sum):
        for what, body in changes(e.function, setting):
            yield what, sp.Sum(body, *e.limits)
        return
    for place, part in enumerate(e.args):
        if not isinstance(part, sp.IndexedBase):
            for what, changed in changes(part, setting):
                yield what, e.func(*e.args[:place], changed, *e.args[place + 1 :])


def changes_here(e: Any, setting: Setting) -> Iterator[tuple[str, Any]]:
    if isinstance(e, sp.Rational):
        yield f"{e} → {e + 1}", e + 1
        yield f"{e} → {-e}", -e
    if isinstance(e, sp.Symbol | sp.Indexed | sp.KroneckerDelta | sp.Function):
        yield f"{e} → 2 {e}", 2 * e
        yield f"{e} → −{e}", -e
    if isinstance(e, sp.Symbol | sp.Indexed | sp.Function) and not isinstance(e, sp.KroneckerDelta):
        yield f"{e} → {e}²", e**2
    if isinstance(e, sp.Indexed | sp.KroneckerDelta):
        for index in sorted(index_symbols(e) & set(setting.ranges), key=str):
            for other in sorted(setting.ranges, key=str):
                if other != index and setting.ranges[other] == setting.ranges[index]:
                    yield f"{e}: {index} → {other}", e.xreplace({index: other})
            for pi in (b for b in setting.names.values() if isinstance(b, Selection)):
                if pi.shape == (setting.ranges[index],):
                    yield f"{e}: {index} → {pi[index]}", e.xreplace({index: pi[index]})
                if e.has(pi[index]):
                    yield f"{e}: {pi[index]} → {index}", e.xreplace({pi[index]: index})
    if isinstance(e, sp.Indexed):
        for pair in setting.twins.items():
            for name, other in (pair, pair[::-1]):
                if e.base == name:
                    yield f"{e} → {other[e.indices]}", other[e.indices]
    if isinstance(e, sp.Add | sp.Mul):
        for part in e.args:
            rest = e.func(*(a for a in e.args if a is not part))
            yield f"{e} without {part}", rest
            if isinstance(e, sp.Add):
                yield f"{e}: {part} → −({part})", rest - part
    if isinstance(e, sp.Sum):
        (index, low, high), *others = e.limits
        yield f"{e} from {low + 1}", sp.Sum(e.function, (index, low + 1, high), *others)
        yield f"{e} to {high + 1}", sp.Sum(e.function, (index, low, high + 1), *others)
        yield f"{e} to {high - 1}", sp.Sum(e.function, (index, low, high - 1), *others)


def changed_relations(relation: Relation, setting: Setting) -> Iterator[tuple[str, Relation]]:
    same = {canonical(relation.left - relation.right), sp.S.Zero}  # 0 is refused as nothing to prove
    if relation.sign == "=":
        same.add(canonical(relation.right - relation.left))
    for side in ("left", "right"):
        for what, changed in changes(getattr(relation, side), setting):
            other = replace(relation, **{side: changed})
            if canonical(other.left - other.right) not in same:
                yield f"{side}: {what}", other


def surviving(step: Step) -> Iterator[str]:
    for what, other in changed_relations(step.relation, step.setting):
        if step.proves(other):
            assert not step.disagreeing(other), f"step {step.number} proves a false statement, {what}: {other}"
            yield what


@pytest.mark.parametrize(("page", "number"), [(page, number) for page in PAGES for number in derivation(page).steps])
def test_each_change_of_a_step_is_refused(page: str, number: str):
    assert len(list(changed_relations(derivation(page).steps[number].relation, derivation(page).setting))) >= 4
    found = set(surviving(derivation(page).steps[number]))
    assert found == {what for cases in AS_TRUE.values() for at, step, what in cases if (at, step) == (page, number)}
