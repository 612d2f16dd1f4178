"""A step that another page proves, restated with this page's names. So pages rest on each other, and not on trust."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy as sp
from sympy.core.function import UndefinedFunction

from .notation import E, Lim, Partial, Relation, Var
from .rewrites import CannotRewrite
from .setting import Model, Setting
from .step import Step, StepFails
from .trees import canonical


@dataclass(frozen=True)
class Lemma(Step):
    """What the step `source` of the page `page` says, with other names for the same things.

    Args:
        page: the name of the page that proves it.
        source: the step there.
        reading: this page's names for things that are called otherwise there.
    """

    page: str
    source: Step = field(repr=False)
    reading: Mapping[str, str]

    def how(self) -> str:
        """By what means it is checked, in a few words."""
        return f"{self.page}, step {self.source.number}"

    def refuse_if_vacuous(self) -> None:
        """Raise `StepFails` unless the step is a proof that could have failed where it stands."""
        self.source.refuse_if_vacuous()

    def prove(self, relation: Relation) -> None:
        """Raise `StepFails` unless this is the very statement that the other page proves, and proves it there."""
        here = restated(self.source, self.setting, self.reading)
        if relation.sign != here.sign or any(
            canonical(mine) != canonical(theirs)
            for mine, theirs in ((relation.left, here.left), (relation.right, here.right))
        ):
            raise StepFails(f"{self.how()} says {here}, and not {relation}")
        self.source.prove(self.source.relation)


def restated(step: Step, setting: Setting, reading: Mapping[str, str]) -> Relation:
    """The relation of another page's step in the names of this setting; `reading` gives those that differ.

    Raises:
        CannotRewrite: the step holds in special circumstances only, or a name means less or something else here.
    """
    if step.model != Model():
        raise CannotRewrite(f"step {step.number} holds in the circumstances of its own page only")
    if any(reason.rests_on_assumptions for other in (step, *step.earlier.values()) for reason in other.because):
        raise CannotRewrite(f"step {step.number} rests on assumptions of its own page, or a step before it does")
    there, known = step.setting, {thing: name for name, thing in step.setting.names.items()}
    named: dict[Any, Any] = {}
    for thing in sorted(_closure(step.relation, there), key=str):
        name = reading.get(known[thing], known[thing])
        if name not in setting.names:
            raise CannotRewrite(f"{name} is not declared here; say with reading= how {known[thing]} is called")
        named[thing] = setting.names[name]
    bodies = [there.definitions[thing][1] for thing in named if thing in there.definitions]
    moving = any(e.has(E, Var, Partial, Lim, sp.Integral) for e in (step.relation.left, step.relation.right, *bodies))
    for thing, here in named.items():
        _refuse_weaker(thing, here, named)
    if len(set(named.values())) < len(named):
        raise CannotRewrite("two things of the other page get one name here")
    for thing, here in named.items():
        if thing in there.ranges and _translated(there.ranges[thing], named) != setting.ranges.get(here):
            raise CannotRewrite(f"{here} does not have the range here that {thing} has there")
        if thing in there.definitions:
            letters, body = there.definitions[thing]
            mine, same = setting.definitions.get(here, ((), None))
            renamed = dict(zip(mine, (_translated(letter, named) for letter in letters), strict=False))
            if same is None or canonical(same.xreplace(renamed)) != canonical(_translated(body, named)):
                raise CannotRewrite(f"{here} is not defined here as {thing} is there")
        if thing in there.signs and here not in setting.signs:
            raise CannotRewrite(f"{here} is not 1 or −1, as {thing} is")
        if moving and thing not in there.definitions and here in setting.definitions:
            raise CannotRewrite(
                f"{here} is made of others here, and {thing} is not: a derivative or a mean would differ"
            )
    left, right = (_translated(side, named) for side in (step.relation.left, step.relation.right))
    return Relation(left, step.relation.sign, right)


def _closure(relation: Relation, setting: Setting) -> set[Any]:
    """The names in a relation, in the definitions that it uses and in the ranges of its indices."""
    names, seen, ahead = set(setting.names.values()), set(), {relation.left, relation.right}
    while ahead:
        here = {name for e in ahead for name in names if e.has(name)} - seen
        seen |= here
        ahead = {setting.definitions[name][1] for name in here if name in setting.definitions}
        ahead |= {sp.sympify(setting.ranges[name]) for name in here if name in setting.ranges}
        ahead |= {length for name in here if isinstance(name, sp.IndexedBase) for length in name.shape}
        ahead |= {sp.Tuple(*setting.definitions[name][0]) for name in here if name in setting.definitions}
    return seen - {sp.pi}


def _refuse_weaker(thing: Any, here: Any, named: Mapping[Any, Any]) -> None:
    kinds = (sp.IndexedBase, sp.Symbol, UndefinedFunction)
    if [isinstance(thing, kind) for kind in kinds] != [isinstance(here, kind) for kind in kinds]:
        raise CannotRewrite(f"{here} is another kind of thing than {thing}")
    if isinstance(thing, sp.IndexedBase):
        if tuple(_translated(length, named) for length in thing.shape) != tuple(here.shape):
            raise CannotRewrite(f"{here} has another shape than {thing}")
        thing, here = thing.label, here.label
    if isinstance(thing, sp.Symbol):
        mine, theirs = here.assumptions0, thing.assumptions0
        if weaker := [name for name, value in theirs.items() if value and not mine.get(name)]:
            raise CannotRewrite(f"{here} is not known to be {', '.join(weaker)}, as {thing} is")


def _translated(e: Any, named: Mapping[Any, Any]) -> Any:
    e = sp.sympify(e).xreplace({old: new for old, new in named.items() if not isinstance(old, UndefinedFunction)})
    functions = {old: new for old, new in named.items() if isinstance(old, UndefinedFunction)}
    return e.replace(lambda t: t.func in functions, lambda t: functions[t.func](*t.args))  # all of them at once
