"""Read a page, and check it. The file that a person reads is the file that is checked."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import sympy as sp

from . import calculus, chance, rewrites, signs, sums
from .lemma import Lemma
from .markdown import Block, PageError, body_of, front_matter, pairs
from .notation import Relation
from .plain import plain, plain_prose, terminal_prose, wrapped
from .rewrites import CannotRewrite, Rewrite
from .setting import (
    Model,
    Setting,
    bernoulli,
    fair_sign,
    four_moments,
    gaussian_law,
    standard_normal,
    two_moments,
)
from .step import Assumption, Check, Counterexample, Induction, Reason, Source, Step, StepFails, both, increasing
from .tex import TexError, read
from .trees import index_symbols

HERE = Path(__file__).parent
ITEM = re.compile(r"^\*\*(\w+)\.\*\*\s+(.*?)\n\s*\n", re.M | re.S)
MOVES: dict[str, Any] = {
    move.__name__: move
    for move in (
        *(rewrites.absolute, rewrites.cases, rewrites.collapse, rewrites.differentiate, rewrites.distribute),
        *(rewrites.expand, rewrites.hypothesis, rewrites.independence, rewrites.linear, rewrites.reindex),
        *(rewrites.suppose, rewrites.unfold, rewrites.using, rewrites.variance, signs.sight),
        *(sums.blocks, sums.complement, sums.exchange, sums.last, sums.multiplicative, sums.order, sums.prefix),
        *(sums.bounds, sums.digits, sums.skip, sums.split, sums.successor, chance.gaussian, chance.tower),
        *(calculus.antiderivative, calculus.fractions, calculus.half_angle, calculus.limit, calculus.trigonometry),
    )
}
LAWS = (two_moments, four_moments, standard_normal, gaussian_law, bernoulli, fair_sign)
DECLARATIONS = ("size", "symbol", "constant", "indices", "place", "vector", "matrix", "array", "selection", "function")
DECLARATIONS += ("copies", "sum_over")
CHECKS = ("definition", "recursion", "assumption", "step", "induction", "lemma", "counterexample")


Because = Source | tuple[Source, str] | tuple[Source, str, str]


class UnknownDerivation(LookupError):
    """No page has this name; the message lists the names."""


@dataclass(frozen=True)
class StepReport:
    """What one check found."""

    number: str
    says: str
    ok: bool
    seconds: float
    message: str


@dataclass(frozen=True)
class Report:
    """What the checks of one page found, in the page's order."""

    name: str
    steps: tuple[StepReport, ...]

    @property
    def ok(self) -> bool:
        """Whether there was something to check, and all of it holds."""
        return bool(self.steps) and all(step.ok for step in self.steps)

    @property
    def seconds(self) -> float:
        """The time that all checks took together."""
        return sum(step.seconds for step in self.steps)


class Derivation:
    """One page: what it states and assumes, the formulas that it proves, and its checks.

    Reading a page proves nothing; `check` does.
    """

    def __init__(self, name: str, text: str):
        """Read the page `name` from its Markdown. Raises `PageError` if it is malformed."""
        self.name = name
        self.front = front_matter(name, text)
        self.title, self.reach = self.front["title"], self.front["reach"]
        self.claims, self.assumptions, self.uses, self.code, self.properties = (
            tuple(part.strip() for part in self.front[key].split(";") if part.strip())
            for key in ("claims", "assumptions", "uses", "code", "properties")
        )
        self.blocks, self.closing = body_of(text)
        self.setting = Setting()
        self.checks: dict[str, Check] = {}
        self.results: dict[str, Any] = {}
        self.proved_by: dict[str, Step] = {}  # for each result the step that proves it
        self.displays: list[tuple[Block, str]] = []
        self.namespace = self._vocabulary()
        for displayed, code in pairs(name, self.blocks):
            self._run(displayed, code)

    @property
    def result(self) -> Any:
        """The first formula that the page exports."""
        return next(iter(self.results.values()))

    @cached_property
    def symbols(self) -> dict[str, Any]:
        """The symbols and vectors of all exported formulas by name, as `sympy.lambdify` wants them."""
        formulas = sp.Tuple(*self.results.values())
        found = [t for t in formulas.free_symbols if isinstance(t, sp.Symbol)]
        return {str(t): t for t in sorted([*found, *formulas.atoms(sp.IndexedBase)], key=str)}

    @property
    def steps(self) -> dict[str, Step]:
        """The steps and the counterexamples by number: "3", or "A" for a counterexample."""
        return {number: check for number, check in self.checks.items() if isinstance(check, Step)}

    def check(self) -> Report:
        """Run every check of the page. A check that fails is reported, and never raises."""
        return Report(self.name, tuple(self.check_step(number) for number in self.checks))

    def check_step(self, number: str) -> StepReport:
        """Run one check, given by the number of a step or the name of an assumption."""
        step, start, message = self.checks[number], time.perf_counter(), ""
        try:
            step.check()
        except (StepFails, CannotRewrite) as error:
            message = str(error)
        except Exception as error:  # a check that breaks down has proved nothing
            message = f"{type(error).__name__}: {error}"
        return StepReport(number, plain_prose(step.says), not message, time.perf_counter() - start, message)

    def text(self) -> str:
        """The page for a terminal of 80 columns: its prose, and each step with its equation, its check and its time."""
        reports = {report.number: report for report in self.check().steps}
        numbers = {block.line: number for block, number in self.displays}
        lines: list[str] = []
        for block in self.blocks:
            lines += terminal_prose(block.prose)
            if block.kind == "math":
                lines += [*wrapped(plain(block.source), "    "), ""]
            if report := reports.get(numbers.get(block.line, "")):
                lines += [*wrapped(self._verdict(report), "        "), ""]
        return "\n".join(lines + terminal_prose(self.closing))

    def _verdict(self, report: StepReport) -> str:
        how = self.checks[report.number].how()
        return f"{'holds' if report.ok else 'FAILS'} ({report.seconds:.2f} s; {how}) {report.message}".strip()

    def _vocabulary(self) -> dict[str, Any]:
        """What the python blocks of a page may call."""
        return {
            **MOVES,
            **{law.__name__: law for law in LAWS},
            **{name: getattr(self.setting, name) for name in DECLARATIONS},
            **{name: getattr(self, name) for name in CHECKS},
            "result": self.export,
            "increasing": increasing,
            "both": both,
            "Model": Model,
            "delta": sp.KroneckerDelta,
            "sqrt": sp.sqrt,
            "sin": sp.sin,
            "cos": sp.cos,
        }

    def _run(self, displayed: Block | None, code: Block) -> None:
        self.here, before = displayed, len(self.displays)
        try:
            exec(compile("\n" * code.line + code.source, f"{self.name}.md", "exec"), self.namespace)
        except (ValueError, NameError, TypeError, LookupError, SyntaxError) as error:
            line = (displayed or code).line
            raise PageError(f"{self.name}.md:{line}: {type(error).__name__}: {error}") from error
        if isinstance(standing := self.namespace.get("standing"), Model):
            self.setting.model = standing
        if displayed and len(self.displays) != before + 1:
            raise PageError(f"{self.name}.md:{code.line}: exactly one check belongs under a displayed equation")

    def _display(self, number: str = "") -> str:
        if self.here is None:
            raise TexError("no displayed equation stands above this check")
        self.displays.append((self.here, number))
        return self.here.source

    def _read(self, tex: str) -> Relation:
        relation, *more = read(tex, self.setting.names, self.setting.ranges)
        if more:
            raise TexError("one line states one relation here, found several")
        return relation

    def definition(self) -> None:
        """The displayed equation says what its left side stands for."""
        relation = self._read(self._display())
        self.setting.define(relation.left, relation.right)

    def recursion(self) -> None:
        """The displayed equations say what the left side of the first stands for, and how each one gives the next."""
        first, *following = read(self._display(), self.setting.names, self.setting.ranges)
        if len(following) != 1:
            raise TexError("a recursion is two equations, the first value and the next one")
        self.setting.recur((first.left, first.right), (following[0].left, following[0].right))

    def assumption(self, name: str, *, under: Model | None = None) -> None:
        """The displayed relations are what an assumption of the front matter amounts to; they hold under the model."""
        if name not in self.assumptions:
            raise ValueError(f"the front matter lists no assumption '{name}'")
        tex = self._display(name)
        relations = tuple(read(tex, self.setting.names, self.setting.ranges))
        self.checks[name] = Assumption(
            name, f"Assumption: {name}", tex, self.setting, under or self.setting.model, relations
        )

    def step(
        self,
        *,
        by: Sequence[Rewrite] = (),
        wrong: Sequence[str] = (),
        because: Sequence[Because] = (),
        under: Model | None = None,
        for_all: str | None = None,
    ) -> None:
        r"""The displayed relation is proved by these rewrites, and none of the wrong right sides is.

        Args:
            by: the rewrites, in order.
            wrong: wrong right sides, in TeX.
            because: for an inequality, earlier steps (by number) and assumptions (by name) whose nonnegative
                differences add up to right − left; `(5, r"\lambda")` is step 5 times a factor, and
                `(5, "p_j", "j")` its sum over j with these factors; `increasing(5)` is e^a ≤ e^b where step 5 is a ≤ b,
                and `both(5, 6)` is |a| ≤ b where the one step is a ≤ b and the other −a ≤ b.
            under: the circumstances, if not those of *Setting*.
            for_all: names that must occur, if not those of the front matter.
        """
        self._add(Step, by=by, wrong=wrong, because=because, under=under, for_all=for_all)

    def induction(
        self,
        *,
        on: str,
        base: Sequence[Rewrite] = (),
        by: Sequence[Rewrite] = (),
        wrong: Sequence[str] = (),
        because: Sequence[Because] = (),
        under: Model | None = None,
        for_all: str | None = None,
    ) -> None:
        """The displayed relation holds for every value of the index `on`: at 0 by `base`, and from each to the next.

        In `by`, the move `hypothesis` replaces the left side at t by the right side; `because` may name "hypothesis".
        """
        more = {"on": self.setting.names[on], "base": tuple(base)}
        self._add(Induction, by=by, wrong=wrong, because=because, under=under, for_all=for_all, **more)

    def lemma(
        self, page: str, *, step: int, wrong: Sequence[str], reading: Mapping[str, str] | None = None, for_all: str = ""
    ) -> None:
        """The displayed relation is the one that `step` of another page proves; `reading` gives names that differ."""
        if page not in self.uses:
            raise ValueError(f"the front matter does not say that this page uses {page}")
        source = derivation(page).steps[str(step)]
        more = {"page": page, "source": source, "reading": reading or {}}
        self._add(Lemma, by=(), wrong=wrong, because=(), under=Model(), for_all=for_all, **more)

    def counterexample(
        self,
        *,
        drops: str,
        breaks: int,
        under: Model,
        by: Sequence[Rewrite],
        wrong: Sequence[str],
        for_all: str | None = None,
    ) -> None:
        """The displayed relation holds where only the assumption `drops` is violated, and step `breaks` fails there."""
        if drops not in self.checks or str(breaks) not in self.steps:
            raise ValueError(f"there is no assumption '{drops}', or no step {breaks}, above this")
        dropped = {"drops": drops, "breaks": breaks}
        self._add(Counterexample, by=by, wrong=wrong, because=(), under=under, for_all=for_all, **dropped)

    def _add(
        self,
        kind: Callable[..., Step],
        *,
        by: Sequence[Rewrite],
        wrong: Sequence[str],
        because: Sequence[Because],
        under: Model | None,
        for_all: str | None,
        **more: Any,
    ) -> None:
        number, says = self._item()
        tex = self._display(number)
        relation = self._read(tex)
        quantified = (self.front["for_all"] if for_all is None else for_all).split()
        self.checks[number] = kind(
            number=number,
            says=says,
            tex=tex,
            relation=relation,
            by=tuple(by),
            because=tuple(map(self._reason, because)),
            wrong=tuple(replace(relation, right=self._read(f"0 = {side}").right) for side in wrong),
            for_all=frozenset(self.setting.names[name] for name in quantified),
            setting=self.setting,
            model=under or self.setting.model,
            earlier={int(n): s for n, s in self.steps.items() if n.isdigit()},
            assumptions={name: check for name, check in self.checks.items() if isinstance(check, Assumption)},
            **more,
        )

    def _reason(self, because: Because) -> Reason:
        source, factor, *over = because if isinstance(because, tuple) else (because, "1")
        indices = [self.setting.names[index] for index in over]
        limits = [(index, sp.S.Zero, self.setting.ranges[index] - 1) for index in indices]
        return Reason(source, self._read(f"0 = {factor}").right, *limits)

    def _item(self) -> tuple[str, str]:
        """The number and the sentence above the displayed equation."""
        found = ITEM.findall(self.here.prose) if self.here else []
        if not found or found[-1][0] in self.checks:
            raise TexError("no new number, such as **1.**, stands above the displayed equation")
        return found[-1]

    def export(self, name: str, *, step: int) -> None:
        """The displayed equation is that of the step; its right side becomes a result of the page."""
        relation, proved = self._read(self._display()), self.steps[str(step)].relation
        if relation != proved:
            raise ValueError(f"the result '{name}' reads {relation}, and step {step} proves {proved}")
        self.results[name] = plain_symbols(relation.right, self.setting)
        self.proved_by[name] = self.steps[str(step)]


def plain_symbols(e: Any, setting: Setting) -> Any:
    """The formula in symbols that lambdify: an entry at free indices, such as p[i], becomes the symbol p_i.

    An entry at an index that is summed over stays an entry of its array: x[i, b] does, where b is summed over.
    """
    return e.xreplace(entries_at_free_indices(e, setting))


def entries_at_free_indices(e: Any, setting: Setting) -> dict[Any, sp.Symbol]:
    """The entries and deltas at free indices, each with the symbol that takes its place in a result of the page."""
    free, named = e.free_symbols & set(setting.ranges), {}
    for entry in e.atoms(sp.Indexed, sp.KroneckerDelta):
        if index_symbols(entry) and index_symbols(entry) <= free:
            delta = isinstance(entry, sp.KroneckerDelta)
            name, indices = ("delta", entry.args) if delta else (entry.base, entry.indices)
            named[entry] = sp.Symbol(f"{name}_{''.join(map(str, indices))}", real=True)
    return named


def names() -> tuple[str, ...]:
    """The names of all pages, in alphabetical order."""
    return tuple(sorted(path.stem for path in HERE.glob("*.md") if path.name != "README.md"))


@cache
def derivation(name: str) -> Derivation:
    """The page of this name, read and not yet checked.

    Raises:
        UnknownDerivation: no page has this name.
        PageError: the page is malformed.
    """
    if name not in names():
        raise UnknownDerivation(f"no derivation is called {name!r}; there are {', '.join(names())}")
    return Derivation(name, (HERE / f"{name}.md").read_text(encoding="utf-8"))
