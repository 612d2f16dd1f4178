"""One step of a derivation, and the reasons for which it is refused.

A proof that could not have failed proves nothing. So a step is refused when its rewrites do not reach the literal 0,
and also when it would have passed although the statement were wrong: nothing was rewritten, a wrong version passes as
well, a size that the page speaks about does not occur, or small models drawn at random disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import sympy as sp

from .instances import World, holds, worlds
from .notation import E, Lim, Partial, Relation, Var
from .rewrites import CannotRewrite, Context, Rewrite
from .setting import Model, Setting
from .signs import nonnegative, real, sight
from .trees import BINDING, canonical, closure


class StepFails(AssertionError):
    """The check fails, or could not have failed; the message says which, and shows what is left."""


@dataclass(frozen=True)
class Check:
    """What stands under a displayed line.

    Args:
        number: the one that the page gives it, or the name of an assumption.
        says: the sentence above it.
        tex: the displayed line.
        setting: what the page has declared.
        model: the circumstances under which it holds.
    """

    number: str
    says: str
    tex: str
    setting: Setting = field(repr=False)
    model: Model = field(repr=False)

    def check(self) -> None:
        """Raise `StepFails` unless it holds."""
        raise NotImplementedError

    def how(self) -> str:
        """By what means it is checked, in a few words."""
        raise NotImplementedError

    @cached_property
    def worlds(self) -> list[World]:
        """Small models inside the assumptions, the same ones on every run."""
        return worlds(self.setting, self.model, seed=self.tex)

    def disagreeing(self, relation: Relation) -> World | None:
        """The first small model in which the relation is false, or has no value at all."""
        try:
            return self.refuting(relation)
        except (TypeError, KeyError):
            return self.worlds[0]

    def refuting(self, relation: Relation) -> World | None:
        """The first small model in which it is false or divides by 0; an error if it cannot be evaluated there."""
        for world in self.worlds:
            try:
                if not holds(relation, world):
                    return world
            except (ArithmeticError, ValueError):
                return world
        return None


@dataclass(frozen=True)
class Assumption(Check):
    """Conditions that a result needs. They hold under the model; a counterexample drops one and keeps the others."""

    relations: Sequence[Relation]

    def check(self) -> None:
        """Raise `StepFails` unless every small model of the circumstances satisfies the conditions."""
        for relation in self.relations:
            if world := self.disagreeing(relation):
                raise StepFails(f"{relation} is false in a small model: {_describe(world)}")

    def how(self) -> str:
        """By what means it is checked, in a few words."""
        return f"in {len(self.worlds)} small models"


@dataclass(frozen=True)
class increasing:  # noqa: N801 (pages write it like a move)
    """e^a ≤ e^b, where the step or assumption `source` says a ≤ b."""

    source: int | str

    def __str__(self) -> str:
        """In a few words."""
        return f"the exponential of {Reason(self.source)}"


@dataclass(frozen=True)
class both:  # noqa: N801
    """What two steps say at once: |a| ≤ b, where the one says a ≤ b and the other −a ≤ b."""

    above: int | str
    below: int | str

    def __str__(self) -> str:
        """In a few words."""
        return f"{Reason(self.above)} and {Reason(self.below)} at once"


Source = int | str | increasing | both


@dataclass(frozen=True)
class Reason:
    """Why something is nonnegative: an earlier step or an assumption, times a factor, added up over an index or not."""

    source: Source
    factor: Any = sp.S.One
    over: tuple[Any, Any, Any] | None = None

    def __str__(self) -> str:
        """In a few words."""
        name = f"step {self.source}" if isinstance(self.source, int) else str(self.source)
        factor = f" times {self.factor}" if self.factor != 1 else ""
        return name + factor + (f", for every {self.over[0]}" if self.over else "")

    @property
    def rests_on_assumptions(self) -> bool:
        """Whether a source is an assumption by its name."""
        source: Any = self.source
        parts = vars(source).values() if isinstance(source, increasing | both) else [source]
        return any(isinstance(part, str) and part != "hypothesis" for part in parts)

    def contribution(self, difference: Any) -> Any:
        """What the difference, known to be nonnegative, gives here; `StepFails` if the factor might be negative."""
        if not nonnegative(self.factor):
            raise StepFails(f"the factor {self.factor} is not nonnegative at sight")
        product = self.factor * difference
        return sp.Sum(product, self.over) if self.over else product


@dataclass(frozen=True)
class Step(Check):
    """A relation, the rewrites that prove it, and wrong versions that they must not prove.

    Args:
        relation: what the displayed line states.
        by: the rewrites, in order.
        because: for an inequality, what contributes nonnegative differences that add up to right − left.
        wrong: the same relation with a wrong right side.
        for_all: the symbols that must occur: in the line, in a definition that it uses, or as the range of an index.
        earlier: the steps that this one may use.
        assumptions: the assumptions stated above it.
    """

    relation: Relation
    by: Sequence[Rewrite]
    because: Sequence[Reason]
    wrong: Sequence[Relation]
    for_all: frozenset[sp.Symbol]
    earlier: Mapping[int, Step] = field(repr=False)  # each of which holds those before it
    assumptions: Mapping[str, Assumption] = field(repr=False)

    def check(self) -> None:
        """Raise `StepFails` unless the step is proved by a proof that could have failed."""
        self.refuse_if_vacuous()
        self.prove(self.relation)
        if world := self.disagreeing(self.relation):
            raise StepFails(f"proved, and yet false in a small model: {_describe(world)}")
        if not self.wrong:
            raise StepFails("no wrong version is given, so nothing shows that the check can fail")
        for wrong in self.wrong:
            if self.proves(wrong):
                raise StepFails(f"the wrong version {wrong.right} is proved as well")
            if not self.disagreeing(wrong):
                raise StepFails(f"the wrong version {wrong.right} is false in no small model; is it wrong?")

    def how(self) -> str:
        """By what means it is checked, in a few words."""
        return ", ".join([*(r.__name__ for r in self.by), *map(str, self.because)])

    def refuse_if_vacuous(self) -> None:
        """Raise `StepFails` if there is nothing to prove, or if a part of the proof is idle."""
        left, right = self.relation.left, self.relation.right
        if canonical(left - right) == 0:
            raise StepFails(f"both sides are already the same expression, {left}: nothing is left to prove")
        if not self.by and not self.because:
            raise StepFails("no rewrite is named")
        self.refuse_idle_moves()
        if missing := self.for_all - self.speaks_about():
            raise StepFails(f"claimed for all {', '.join(sorted(map(str, missing)))}, which does not occur in it")

    def refuse_idle_moves(self) -> None:
        """Raise `StepFails` if a rewrite changes nothing when its turn comes."""
        residues = self.residues(self.relation)
        for rewrite, before, after in zip(self.by, residues, residues[1:], strict=False):
            if before == after:
                raise StepFails(f"{rewrite.__name__} changes nothing when its turn comes; remove it from the proof")

    def speaks_about(self) -> set[Any]:
        """The symbols that occur in the line, in the definitions that it uses, and in the ranges of its indices."""
        seen: set[Any] = set()
        ahead: set[Any] = self.relation.left.free_symbols | self.relation.right.free_symbols
        while ahead:
            seen |= ahead
            found = [self.setting.ranges[s] for s in ahead if s in self.setting.ranges]
            found += [body for thing, (_, body) in self.setting.definitions.items() if str(thing) in map(str, ahead)]
            ahead = {s for e in found for s in e.free_symbols} - seen
        return seen

    def prove(self, relation: Relation) -> None:
        """Raise `StepFails` unless the rewrites reach 0; for an inequality, 0 after what `because` contributes."""
        if relation.sign == "=" and sight in self.by:
            raise StepFails("an equation does not follow from a sign")
        if hidden := bound(relation) & self.hidden(relation):
            raise StepFails(f"{', '.join(map(str, hidden))} moves, and hides in a name that would not move with it")
        *_, left = self.residues(relation)
        if left != 0:
            raise StepFails(f"after {self.how()} this is left, not 0: {left}")

    def hidden(self, relation: Relation) -> set[Any]:
        """The names that stand for others here, and the symbols in what they stand for."""
        made = {**self.setting.definitions, **self.model.made}
        used = closure((relation.left, relation.right), made) & {*made}
        return used.union(*(made[name][1].free_symbols - {*made[name][0]} for name in used))

    def proves(self, relation: Relation) -> bool:
        """Whether the rewrites prove the relation."""
        try:
            self.prove(relation)
        except (StepFails, CannotRewrite):
            return False
        return True

    def residues(self, relation: Relation) -> list[Any]:
        """What is to be brought to 0: at first, and after each rewrite."""
        left, right = relation.left, relation.right
        found = [canonical(left - right if relation.sign == "=" else right - left - self.contribution())]
        for rewrite in self.by:
            found.append(canonical(rewrite(found[-1], self.context)))
        return found

    def contribution(self) -> Any:
        """The sum of what the reasons contribute."""
        for reason in self.because:
            if reason.over and (reason.over[0] in self.setting.places or reason.over[0] in self.supposed_of):
                raise StepFails(f"{reason} speaks of one {reason.over[0]} only, and cannot be added up over it")
        return sp.Add(*(reason.contribution(self.difference(reason.source)) for reason in self.because))

    @property
    def supposed_of(self) -> set[Any]:
        """The index of which a hypothesis speaks."""
        return {self.context.hypothesis[1]} if self.context.hypothesis else set()

    def difference(self, source: Source) -> Any:
        """What an earlier step, an assumption or the hypothesis of an induction says to be nonnegative."""
        if isinstance(source, both):  # the smaller of two nonnegative numbers
            first, second = (self.difference(one) for one in (source.above, source.below))
            return (first + second) / 2 - sp.Abs(sp.expand(first - second)) / 2
        known = self.known(source.source if isinstance(source, increasing) else source)
        if isinstance(source, increasing):
            if known.sign != "≤" or not (real(known.left) and real(known.right)):
                raise StepFails(f"{Reason(source.source)} does not say which of two real numbers is larger")
            return sp.exp(known.right) - sp.exp(known.left)
        if known.sign == "=" and not nonnegative(known.right):
            raise StepFails(f"the right side of {Reason(source)} is not nonnegative at sight: {known.right}")
        return known.left if known.sign == "=" else known.right - known.left

    def known(self, source: int | str) -> Relation:
        """What an earlier step, an assumption or the hypothesis says; `StepFails` if it is not known here."""
        if isinstance(source, int):
            known = self.context.earlier.get(source)
        elif source == "hypothesis":
            known = self.context.hypothesis[0] if self.context.hypothesis else None
        else:
            known = self._assumed(source)
        if known is None:
            raise StepFails(f"{Reason(source)} is not proved earlier under the same assumptions")
        return known

    def _assumed(self, name: str) -> Relation | None:
        stated = self.assumptions.get(name)
        if stated is None or len(stated.relations) != 1 or not self._inherits(stated.relations[0], stated.model):
            return None
        return stated.relations[0]

    def _inherits(self, relation: Relation, general: Model) -> bool:
        """Whether what was shown of `general` holds here: all that was assumed is, and no name has begun to move.

        A mean or a derivative says something else where what was fixed in it is random, or depends on what moves.
        """
        if not _specialises(self.model, general):
            return False
        made = {**self.setting.definitions, **general.made}
        names = closure((relation.left, relation.right), made)
        bodies = [relation.left, relation.right, *(made[name][1] for name in names & {*made})]
        moving = set().union(*(moved(body) for body in bodies))
        random = {*self.model.independent} if any(body.has(E, Var) for body in bodies) else set()
        if names & random - {*general.independent}:
            return False
        everything = {**self.setting.definitions, **self.model.made}
        new = names & ({*self.model.made} - {*general.made})
        return not any(closure((everything[name][1],), everything) & (moving | random) for name in new)

    @cached_property
    def context(self) -> Context:
        """What the rewrites may rely on."""
        usable = {n: s.relation for n, s in self.earlier.items() if self._inherits(s.relation, s.model)}
        return Context(self.setting, self.model, usable)


@dataclass(frozen=True)
class Induction(Step):
    """A relation for every value of an index: at 0, and at t + 1 where it holds at t.

    Args:
        on: the index t.
        base: the rewrites that prove the relation at 0.
    """

    on: sp.Symbol
    base: Sequence[Rewrite]

    def how(self) -> str:
        """By what means it is checked, in a few words."""
        base = ", ".join(move.__name__ for move in self.base)
        return f"induction on {self.on}; at 0: {base or 'as it stands'}; at {self.on} + 1: {super().how()}"

    def parts(self, relation: Relation) -> tuple[Step, Step]:
        """The two steps of which it is made."""
        same = {each.name: getattr(self, each.name) for each in fields(Step)}
        now, after = ({self.on: value} for value in (sp.S.Zero, self.on + 1))
        first = Step(**{**same, "relation": _at(relation, now), "by": self.base, "because": ()})
        return first, _Following(**{**same, "relation": _at(relation, after)}, supposed=(relation, self.on))

    def refuse_if_vacuous(self) -> None:
        """Raise `StepFails` if there is nothing to prove, or if a part of the proof is idle."""
        if self.on not in self.relation.left.free_symbols | self.relation.right.free_symbols:
            raise StepFails(f"{self.on} does not occur in what is proved by induction on it")
        first, following = self.parts(self.relation)
        following.refuse_if_vacuous()
        first.refuse_idle_moves()

    def prove(self, relation: Relation) -> None:
        """Raise `StepFails` unless both parts are proved."""
        if self.on not in set(self.setting.ranges) - self.setting.places:
            raise StepFails(f"{self.on} does not take the values 0, 1, 2 and so on up to a length")
        for part in self.parts(relation):
            part.prove(part.relation)


@dataclass(frozen=True)
class _Following(Step):
    """The step of an induction from t to t + 1."""

    supposed: tuple[Relation, sp.Symbol]

    @cached_property
    def context(self) -> Context:
        """What the rewrites may rely on, the hypothesis among it."""
        return replace(super().context, hypothesis=self.supposed)


def _at(relation: Relation, where: Mapping[Any, Any]) -> Relation:
    return replace(relation, left=relation.left.xreplace(where), right=relation.right.xreplace(where))


@dataclass(frozen=True)
class Counterexample(Step):
    """What holds instead when one assumption is dropped: a step, under circumstances in which `breaks` is false."""

    drops: str
    breaks: int

    def check(self) -> None:
        """Raise `StepFails` unless the step holds, only `drops` is violated, and step `breaks` is false here."""
        super().check()
        for assumption in self.assumptions.values():
            kept = all(self.disagreeing(relation) is None for relation in assumption.relations)
            if kept == (assumption.number == self.drops):
                raise StepFails(f"the assumption '{assumption.number}' is {'kept' if kept else 'violated too'} here")
        if not self.refuting(self.earlier[self.breaks].relation):
            raise StepFails(f"step {self.breaks} holds here as well: '{self.drops}' is not needed for it")


def bound(relation: Relation) -> set[Any]:
    """The variables of the sums, products, integrals and limits in a relation."""
    sides = sp.Tuple(relation.left, relation.right)
    return {v for t in sides.atoms(*BINDING) for v in t.variables} | {t.args[1] for t in sides.atoms(Lim)}


def moved(e: Any) -> set[Any]:
    """The names in which an expression has derivatives, integrals and limits."""
    variables = {v for t in e.atoms(sp.Integral) for v in t.variables} | {t.args[1] for t in e.atoms(Lim)}
    return variables | {getattr(t.args[1], "base", t.args[1]) for t in e.atoms(Partial)}


def _specialises(model: Model, general: Model) -> bool:
    """Whether everything assumed in `general` is assumed in `model` too, so that what was proved there holds here."""
    return (
        general.independent.items() <= model.independent.items()
        and general.where.items() <= model.where.items()
        and set(general.permutations) <= set(model.permutations)
        and set(general.domain) <= set(model.domain)
    )


def _describe(world: World) -> str:
    return ", ".join(f"{name} = {number:.3g}" for name, number in world.numbers.items())
