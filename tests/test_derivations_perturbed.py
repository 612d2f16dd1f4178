"""Every coefficient, sign, exponent, index and bound of every checked line is changed in turn, and all are refused.

The rewrites alone must refuse it: a change that they prove although it is false in some small model is a hole in the
trusted base. What they prove and no model contradicts is as true as the line itself, and is listed in `tests/pages`
with the reason.
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
from veriformer.derivations.notation import Bracket, Lim, Relation, Selection
from veriformer.derivations.setting import Setting
from veriformer.derivations.step import Step
from veriformer.derivations.trees import RANGED, canonical, index_symbols

from .page_notes import notes

PAGES = names()


def changes(e: Any, setting: Setting) -> Iterator[tuple[str, Any]]:
    """Every way to change one thing in an expression, with a few words that say which."""
    yield from changes_here(e, setting)
    if isinstance(e, sp.Indexed | sp.IndexedBase | sp.Symbol | sp.KroneckerDelta):
        return
    if isinstance(e, (*RANGED, sp.Integral)):
        for what, body in changes(e.function, setting):
            yield what, e.func(body, *e.limits)
        return
    if isinstance(e, Lim):
        for what, body in changes(e.args[0], setting):
            yield what, Lim(body, *e.args[1:])
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
    if isinstance(e, sp.Indexed | sp.KroneckerDelta | Bracket):
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
    if isinstance(e, (*RANGED, sp.Integral)):
        limits: Any = e.limits
        (index, low, high), *others = limits
        ends = {
            f"from {low + 1}": (low + 1, high),
            f"to {high + 1}": (low, high + 1),
            f"to {high - 1}": (low, high - 1),
        }
        for words, (first, final) in ends.items():
            if (first, final) != (low, high):
                yield f"{e} {words}", e.func(e.function, (index, first, final), *others)


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
    assert found == {what for note in notes(page, "same") if note["step"] == number for what in note["changes"]}
