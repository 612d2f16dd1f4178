"""The checker reads what is displayed, refuses what is wrong or proves nothing, and its moves are true on instances."""

# pyright: reportOperatorIssue=false, reportArgumentType=false
# SymPy does not say of what type its expressions are.

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import sympy as sp

from veriformer.derivations import PageError, derivation, names
from veriformer.derivations import rewrites as moves
from veriformer.derivations.instances import holds, worlds
from veriformer.derivations.lemma import restated
from veriformer.derivations.notation import E, Partial, Relation, Var
from veriformer.derivations.page import Derivation
from veriformer.derivations.rewrites import CannotRewrite, Context
from veriformer.derivations.setting import Model, Setting, bernoulli, four_moments, standard_normal, two_moments
from veriformer.derivations.signs import nonnegative
from veriformer.derivations.step import Reason, Step, StepFails
from veriformer.derivations.tex import TexError, read
from veriformer.derivations.trees import canonical, fresh

from .page_notes import notes

# --- a small setting for everything below ---

SETTING = Setting()
n, d = SETTING.size("n"), SETTING.size("d")
i, j = SETTING.indices("i j", n)
(h,) = SETTING.indices("h", d)
m = SETTING.place("m", n)
x, y, q = SETTING.vector("x", n, real=True), SETTING.vector("y", n, real=True), SETTING.vector("q", n, real=True)
V_Q, W_V = SETTING.matrix("V_Q", n, n, real=True), SETTING.matrix("W_V", n, n, real=True)
p, W = SETTING.vector("p", n, positive=True), SETTING.matrix("W", n, n, real=True)
pi, phi = SETTING.selection("pi", n), SETTING.function("phi")
a, b, c = (SETTING.symbol(name, real=True) for name in "abc")
s, mu_q, S, Z = (SETTING.symbol(name, real=True) for name in ("s", "mu_q", "S", "Z"))
SETTING.define(S, SETTING.sum_over(i, x[i] * q[i]))
SETTING.define(p[i], sp.exp(a * x[i]))
NORMAL = Model(independent={q: standard_normal(), W: two_moments(sp.S.Zero, sp.S.One)})
delta, total = sp.KroneckerDelta, SETTING.sum_over


def tex(line: str) -> list[Relation]:
    return read(line, SETTING.names, SETTING.ranges)


# --- reading a displayed line ---

READINGS = [
    (r"a + b - c", a + b - c),
    (r"-a b", -a * b),
    (r"2 a^2 b", 2 * a**2 * b),
    (r"a \cdot b\, c", a * b * c),
    (r"\frac{a + b}{c}", (a + b) / c),
    (r"a / \sqrt{n}", a / sp.sqrt(n)),
    (r"a (b + c)^2", a * (b + c) ** 2),
    (r"\left( a + b \right) \big[ c \big]", (a + b) * c),
    (r"\mu_q^2", mu_q**2),
    (r"x_i", x[i]),
    (r"W_{ij}", W[i, j]),
    (r"W_{i,j}", W[i, j]),
    (r"x_{i+1}", x[i + 1]),
    (r"V_{Q,ij} + V_{Q,i+1,j}", V_Q[i, j] + V_Q[i + 1, j]),
    (r"\delta_{ij}", delta(i, j)),
    (r"\pi(i)", pi[i]),
    (r"x_{\pi(i)}", x[pi[i]]),
    (r"W_{\pi(i)\pi(j)} W_{i\pi(j)} W_{\pi(i)j}", W[pi[i], pi[j]] * W[i, pi[j]] * W[pi[i], j]),
    (r"x_{\pi(\pi(i))}", x[pi[pi[i]]]),
    (r"\delta_{\pi(j)i}", delta(pi[j], i)),
    (r"\phi(a + b)^2 c", phi(a + b) ** 2 * c),
    (r"\sum_i x_i y_i + a", total(i, x[i] * y[i]) + a),
    (r"\sum_{i=1}^{n} x_i", sp.Sum(x[i], (i, 1, n))),
    (r"\sum_i \sum_j x_i y_j", total(i, total(j, x[i] * y[j]))),
    (r"e^{-a x_i}", sp.exp(-a * x[i])),
    (r"\log(a) + 1", sp.log(a) + 1),
    (r"\mathbb{E}[q_i^2]^2", E(q[i] ** 2) ** 2),
    (r"\mathbb{E}\big[ S \mid q \big]", E(S, q)),
    (r"\mathrm{Var}(a S)", Var(a * S)),
    (r"\frac{\partial p_i}{\partial x_j}", Partial(p[i], x[j])),
    (r"\frac{\mathrm{d}}{\mathrm{d} a} \sum_i p_i", Partial(total(i, p[i]), a)),
]


@pytest.mark.parametrize(("line", "expected"), READINGS, ids=[line for line, _ in READINGS])
def test_reads(line: str, expected: Any):
    (relation,) = tex(f"{line} = 0")
    assert canonical(relation.left) == canonical(expected)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a/b c = 0", "reads in two ways"),
        ("x^12 = 0", "TeX raises only the first digit"),
        ("2 3 = 0", "one number or two"),
        (r"\theta = 0", "theta is used and was not declared"),
        ("a_i = 0", "a_i is not declared in Setting, and a is not a vector"),
        (r"\sum_i x_i = y_i", "i is summed over and also free"),
        (r"\sum_i \sum_i x_i = 0", "already the index of an outer sum"),
        (r"\sum_a x_a = 0", "a is not declared with indices"),
        ("a = b = c", "expected ,, found ="),
        ("a < b", "expected one of = .* after the left side, found <"),
        (r"\operatorname{f} = 0", "outside the subset"),
        (r"x_\pi = 0", r"the line ends where \( was expected"),
        (r"x_{ij} = 0", "x has 1 index, found x_ij"),
        (r"W_{V,ij} = 0", "W_V is declared, and so is the array W"),
        (r"V_{Q,i} = 0", "V_Q has 2 indices"),
        (r"W_i = 0", "W has 2 indices, found W_i"),
        (r"\delta_i = 0", "delta has 2 indices, found delta_i"),
        (r"\phi a = 0", r"expected \("),
        (r"x_{\pi(i} = 0", r"the line ends where \) was expected"),
        ("a = ", "the line ends"),
        ("a + = b", "outside the subset"),
        (r"\frac{a}{b = 0", "expected }"),
        ("a b", "the line ends"),
    ],
)
def test_refuses_to_read(line: str, message: str):
    with pytest.raises(TexError, match=message):
        tex(line)


# --- planted typos ---

TYPOS = [(page, typo) for page in names() for typo in notes(page, "typo")]


@pytest.mark.parametrize(
    ("page", "typo"), TYPOS, ids=[f"{page}-{t['step']}-{t['kind'].replace(' ', '-')}" for page, t in TYPOS]
)
def test_a_typo_in_a_displayed_line_is_caught(page: str, typo: dict[str, str]):
    step = derivation(page).steps[typo["step"]]
    assert typo["line"] in step.tex, "the page has changed; plant the typo in the line as it is now"
    wrong = step.tex.replace(typo["line"], typo["typo"], 1)
    (relation,) = read(wrong, step.setting.names, step.setting.ranges)
    with pytest.raises(StepFails):
        replace(step, relation=relation).check()


@pytest.mark.parametrize("page", names())
def test_typos_are_planted_on_every_page(page: str):
    assert len(notes(page, "typo")) >= 4


WRONG_BODIES = {"twice": lambda e: 2 * e, "minus": lambda e: -e, "plus one": lambda e: e + 1, "squared": lambda e: e**2}
DEFINITIONS = [
    (page, str(name), change)
    for page in names()
    for name in derivation(page).setting.definitions
    for change in WRONG_BODIES
]


@pytest.mark.parametrize(("page", "name", "change"), DEFINITIONS)
def test_a_wrong_definition_breaks_a_step(page: str, name: str, change: str, monkeypatch: pytest.MonkeyPatch):
    setting = derivation(page).setting
    thing = setting.names[name]
    letters, body = setting.definitions[thing]
    monkeypatch.setitem(setting.definitions, thing, (letters, WRONG_BODIES[change](body)))
    unseen = all(step.proves(step.relation) for step in derivation(page).steps.values())
    assert unseen == ((name, change) in [(note["name"], note["change"]) for note in notes(page, "definition")])


# --- guards ---


def a_step(line: str, *by: Any, wrong: tuple[str, ...] = ("7",), for_all: tuple[Any, ...] = (), **more: Any) -> Step:
    (relation,) = tex(line)
    given: dict[str, Any] = {"because": (), "earlier": {}, "model": Model(), "assumptions": {}, **more}
    return Step(
        number="1",
        says="",
        tex=line,
        setting=SETTING,
        relation=relation,
        by=by,
        wrong=tuple(replace(relation, right=tex(f"0 = {side}")[0].right) for side in wrong),
        for_all=frozenset(for_all),
        **given,
    )


def test_a_good_step_passes():
    a_step("(a + b)^2 = a^2 + 2 a b + b^2", moves.expand, wrong=("a^2 + b^2",)).check()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (a_step("a b = b a", moves.expand), "already the same expression"),
        (a_step("0 = 0", moves.expand), "already the same expression"),
        (a_step("a^2 - b^2 = (a - b)^2", moves.expand), "this is left, not 0"),
        (a_step("(a + b)^2 = a^2 + 2 a b + b^2"), "no rewrite is named"),
        (a_step("(a + b)^2 = a^2 + 2 a b + b^2", moves.expand, wrong=()), "no wrong version is given"),
        (
            a_step("a (b + c) = a b + a c", moves.expand, wrong=("a c + b a",)),
            "wrong version a\\*b \\+ a\\*c is proved",
        ),
        (a_step("a (b + c) = a b + a c", moves.expand, for_all=(n,)), "claimed for all n"),
        (a_step("a (b + c) = a b + a c", moves.expand, moves.linear), "linear changes nothing"),
        (a_step("a (b + c) = a b + a c", lambda e, context: sp.S.Zero), "wrong version 7 is proved"),
        (a_step("a = b", lambda e, context: sp.S.Zero), "proved, and yet false in a small model"),
        (a_step(r"0 \le a (b + c)", moves.expand), "this is left, not 0"),
        (a_step(r"0 \le a", because=(Reason(3),)), "step 3 is not proved earlier"),
    ],
)
def test_guard_refuses(step: Step, message: str):
    with pytest.raises(StepFails, match=message):
        step.check()


def test_an_inequality_needs_a_sign_that_is_seen():
    identity = a_step("b - a = (b - a) + 0 a c", moves.expand)
    with pytest.raises(StepFails, match="not nonnegative at sight"):
        a_step(r"a \le b", because=(Reason(1),), earlier={1: identity}).check()


def test_a_step_of_other_circumstances_cannot_be_used():
    special = a_step("a = b", moves.suppose, model=Model(where={a: b}))
    with pytest.raises(CannotRewrite, match="step 1 is not an equation proved earlier under the same"):
        a_step("a^2 = b^2", moves.using(1), earlier={1: special}).check()


def test_a_step_about_a_permutation_cannot_be_used_where_there_is_none():
    line = r"\sum_j x_{\pi(j)} = \sum_j x_j"
    proved = a_step(line, moves.reindex, model=Model(permutations=[pi]), wrong=("n x_i",))
    proved.check()
    for other in (Model(), Model(where={pi[i]: m})):
        assert not a_step(line, moves.reindex, model=other).proves(proved.relation)
        with pytest.raises(CannotRewrite, match="step 1 is not an equation proved earlier under the same"):
            a_step(line, moves.using(1), model=other, earlier={1: proved}).prove(proved.relation)


def test_a_wrong_softmax_jacobian_that_is_right_for_two_logits_is_refused():
    step = derivation("softmax_jacobian").steps["4"]
    false = step.wrong[-1]
    assert all(holds(false, world) for world in step.worlds if world.numbers[step.setting.names["n"]] == 2)
    assert not step.proves(false)


# --- every move is true on instances ---

SHUFFLED = Model(permutations=[pi])
ROTATED = Model(independent={q: standard_normal()}, where={y[i]: c * q[i]})
EARLIER = {1: Relation(total(i, p[i]), "=", a), 2: Relation(p[i], "=", sp.exp(a * x[i]))}
MOVES: list[tuple[Any, Any, Model]] = [
    (moves.expand, (a + b) ** 2 * sp.exp(a + b) * delta(i, j) ** 2, Model()),
    (moves.unfold("S"), S**2 + total(j, S * x[j]), Model()),
    (moves.unfold("p"), total(i, p[i] * x[i]), Model()),
    (moves.unfold("p"), total(i, phi(a * p[i]) * x[i]), Model()),
    (moves.suppose, total(i, y[i] * x[i]), ROTATED),
    (moves.using(2), total(j, p[j] * x[j]) + p[i], Model()),
    (moves.linear, total(i, (x[i] + a) * (b + total(j, y[j] * x[i]))), Model()),
    (moves.linear, total(i, sp.exp(x[i] + a)), Model()),
    (moves.linear, total(i, a + 1), Model()),
    (moves.linear, E(a * q[i] + total(j, x[j] * q[j])), NORMAL),
    (moves.linear, E(a * total(j, x[j] * q[j] * q[i]), q), NORMAL),
    (moves.distribute, total(i, x[i]) ** 2 * total(i, y[i]), Model()),
    (moves.collapse, total(i, x[i] * delta(i, j) * y[j]) + delta(i, j) * x[i], Model()),
    (moves.collapse, total(i, total(j, x[i] * W[i, j] * delta(i, j))), Model()),
    (moves.collapse, total(i, x[i] * delta(i, m)), Model()),
    (moves.reindex, total(j, x[pi[j]] * sp.exp(W[i, pi[j]]) * p[pi[j]]) ** 2, SHUFFLED),
    (moves.reindex, total(i, total(j, W[pi[i], pi[j]] * x[pi[i]])), SHUFFLED),
    (moves.reindex, total(i, x[i] * total(j, W[i, pi[j]])), SHUFFLED),
    (moves.reindex, total(j, x[pi[pi[j]]] + delta(pi[j], i)), SHUFFLED),
    (moves.cases, sp.exp(a * (1 - delta(i, j)) * x[i]), Model()),
    (moves.variance, Var(q[i] + a) + Var(x[i] * q[i], q), NORMAL),
    (moves.independence, E(q[i] ** 2 * q[j] * x[j] + q[i] * q[j]), NORMAL),
    (moves.independence, E(q[i] * q[j] * q[m] ** 2), NORMAL),
    (moves.independence, E(W[i, j] * W[j, i]), NORMAL),
    (moves.independence, E(q[i] * W[i, j] ** 2, q), NORMAL),
    (moves.differentiate, Partial(total(i, x[i] ** 3 * sp.exp(a * x[i])), x[j]), Model()),
    (moves.differentiate, Partial(p[i] * sp.exp(a * b) / (1 + a**2), a), Model()),
    (moves.differentiate, Partial(S, b) + Partial(S**2, x[j]), Model()),
]


@pytest.mark.parametrize(("move", "e", "model"), MOVES, ids=[f"{m.__name__}: {e}" for m, e, _ in MOVES])
def test_move_is_true_on_instances(move: Any, e: Any, model: Model):
    context = Context(SETTING, model, EARLIER)
    after = move(canonical(fresh(e)), context)
    assert canonical(after) != canonical(e), "the move did nothing"
    assert all(holds(Relation(e, "=", after), world) for world in worlds(SETTING, model, seed=str(e), count=9))


@pytest.mark.parametrize(
    ("move", "e", "message"),
    [
        (moves.independence, E(q[i] ** 6), "only moments"),
        (moves.independence, E(S), "open it first"),
        (moves.independence, E(total(i, q[i])), "open it first"),
        (moves.independence, E(sp.exp(q[i])), "cannot take the expectation"),
        (moves.independence, E(1 / q[i]), "only moments"),
        (moves.linear, sp.Sum(a, (i, 3, n)), "run backwards"),
        (moves.differentiate, Partial(a**b, b), "no rule is known"),
        (moves.differentiate, Partial(sp.Sum(a, (i, 1, n)), n), "not a variable"),
        (moves.differentiate, Partial(a * S, S), "not a variable"),
        (moves.differentiate, Partial(a * b, a * b), "not a variable"),
        (moves.using(9), a, "step 9 is not an equation"),
    ],
)
def test_move_refuses(move: Any, e: Any, message: str):
    with pytest.raises(CannotRewrite, match=message):
        move(e, Context(SETTING, NORMAL))


def test_moves_leave_alone_what_they_have_no_right_to():
    context = Context(SETTING, NORMAL, EARLIER)
    other_range = total(h, delta(h, i) * a)
    assert canonical(moves.collapse(other_range, context)) == canonical(other_range)
    assert moves.using(1)(Partial(total(i, p[i]), b), context) == Partial(total(i, p[i]), b)
    assert moves.linear(E(q[i] * S), context) == E(q[i] * S)


@pytest.mark.parametrize(
    ("e", "model"),
    [
        (total(j, x[pi[j]]), Model()),
        (total(j, x[pi[j]]), Model(where={pi[i]: m})),
        (sp.Sum(x[pi[j]], (j, 1, n - 1)), SHUFFLED),
        (sp.Sum(x[pi[j]], (j, 0, n - 2)), SHUFFLED),
        (sp.Sum(x[pi[j]], (j, 0, i)), SHUFFLED),
        (sp.Sum(x[pi[j]], (j, 0, d - 1)), SHUFFLED),
        (total(j, x[pi[j]] * y[j]), SHUFFLED),
        (total(j, x[pi[j]] * total(i, W[i, j])), SHUFFLED),
        (total(j, j * x[pi[j]]), SHUFFLED),
        (total(j, sp.Sum(x[pi[j]] * x[i], (i, 0, j))), SHUFFLED),
        (total(j, x[pi[m]]), SHUFFLED),
        (total(j, x[pi[j + 1]]), SHUFFLED),
        (x[pi[j]], SHUFFLED),
    ],
    ids=str,
)
def test_reindex_leaves_alone_what_is_not_a_whole_sum_over_a_permutation(e: Any, model: Model):
    assert canonical(moves.reindex(e, Context(SETTING, model))) == canonical(e)


def test_instances_draw_maps_of_places_and_permutations_only_where_they_are_assumed():
    every_place_once = Relation(total(j, delta(pi[j], i)), "=", sp.S.One)
    assert all(holds(every_place_once, world) for world in worlds(SETTING, SHUFFLED, seed="once", count=9))
    assert not all(holds(every_place_once, world) for world in worlds(SETTING, Model(), seed="once", count=9))
    drawn = {tuple(world.arrays[pi].values()) for world in worlds(SETTING, SHUFFLED, seed="all", count=60)}
    assert {len(images) for images in drawn} == {1, 2, 3}
    assert len(drawn) == 1 + 2 + 6, "some permutation is never drawn"


def test_instances_of_a_function_have_nothing_in_common_but_that_they_are_functions():
    drawn = worlds(SETTING, Model(), seed="any", count=9)
    for special in (phi(a + b) - phi(a) - phi(b), phi(a * b) - a * phi(b), phi(a) - phi(-a), phi(a), phi(a) - phi(b)):
        assert not any(holds(Relation(special, "=", sp.S.Zero), world) for world in drawn)


def test_a_copy_is_computed_by_the_same_formula():
    setting = Setting()
    size = setting.size("n")
    (k,) = setting.indices("k", size)
    t, u, weights = (setting.vector(name, size, real=True) for name in "tuw")
    t_tilde, u_tilde = setting.copies("tilde", t, u)
    setting.define(u[k], weights[k] * t[k])
    assert setting.definitions[u_tilde] == ((k,), weights[k] * t_tilde[k])
    with pytest.raises(ValueError, match="t_tilde is declared twice"):
        setting.copies("tilde", t)
    setting.define(t_tilde[k], weights[k])
    with pytest.raises(ValueError, match="t_tilde has a definition of its own"):
        setting.define(t[k], weights[k])


def test_a_map_of_places_is_made_by_the_circumstances_alone():
    with pytest.raises(ValueError, match="a definition has a new name on its left"):
        SETTING.define(pi[i], m)
    with pytest.raises(ValueError, match="pi cannot be any permutation and made of others"):
        Model(permutations=[pi], where={pi[i]: m})


def test_nothing_is_captured_when_a_definition_is_opened_under_a_sum():
    shadow = Setting()
    size = shadow.size("n")
    k, h = shadow.indices("k h", size)
    u, t = shadow.vector("u", size, real=True), shadow.vector("t", size, real=True)
    shadow.define(t[k], shadow.sum_over(h, u[k] * u[h]))
    opened = moves.unfold("t")(shadow.sum_over(h, t[h]), Context(shadow, Model()))
    relation = Relation(shadow.sum_over(h, t[h]), "=", canonical(opened))
    assert all(holds(relation, world) for world in worlds(shadow, Model(), seed="capture"))
    assert canonical(opened) == canonical(shadow.sum_over(k, shadow.sum_over(h, u[k] * u[h])))


# --- signs ---

positive = sp.Symbol("positive", positive=True)
SIGNS = [
    (sp.Integer(2), True),
    (sp.Integer(-2), False),
    (a, False),
    (a**2, True),
    (a**3, False),
    (positive**3, True),
    (1 / positive, True),
    (1 / a, False),
    (sp.exp(a), True),
    (-sp.exp(a), False),
    (sp.exp(sp.Symbol("z")), False),
    (a * b, False),
    (a**2 + b**2, True),
    (a**2 - b**2, False),
    (total(i, x[i] ** 2), True),
    (total(i, x[i]), False),
    (sp.Sum(x[i] ** 2, (i, n, 1)), False),
    (1 - delta(i, j), True),
    (delta(i, j) - 1, False),
    (1 - sp.exp(-(a**2)), True),
    (1 - sp.exp(a**2), False),
    (sp.exp(-(a**2)) - 1, False),
    ((sp.exp(a) - sp.exp(b)) * (a - b), True),
    ((sp.exp(a) - sp.exp(b)) * (b - a), False),
    ((sp.exp(a) - sp.exp(b)) * (a + b), False),
    ((sp.exp(a) + sp.exp(b)) * (a - b), False),
    ((sp.exp(-a) - sp.exp(-b)) * (a - b), False),
    ((sp.exp(-a) - sp.exp(-b)) * (b - a), True),
    (sp.log(1 + a**2), False),
]


@pytest.mark.parametrize(("e", "expected"), SIGNS, ids=[str(e) for e, _ in SIGNS])
def test_sign_at_sight(e: Any, expected: bool):
    assert nonnegative(e) is expected


def test_a_name_cannot_be_declared_with_a_sign_that_its_definition_does_not_show():
    setting = Setting()
    real, claimed = setting.symbol("r", real=True), setting.symbol("t", positive=True)
    with pytest.raises(ValueError, match="t is declared with a sign that r does not show"):
        setting.define(claimed, real)
    with pytest.raises(ValueError, match="t is declared with a sign"):
        Model(where={claimed: real})
    below, whole, plain = setting.symbol("b", negative=True), setting.size("w"), setting.symbol("z")
    with pytest.raises(ValueError, match="b is declared with a sign"):
        setting.define(below, real**2)
    with pytest.raises(ValueError, match="w is declared integer"):
        Model(where={whole: claimed})
    with pytest.raises(ValueError, match="r is declared real, which z does not show"):
        setting.define(real, plain)


@pytest.mark.parametrize(
    ("declared", "law"),
    [
        ({"real": True}, four_moments(sp.Integer(2), sp.Integer(2))),
        ({"real": True}, bernoulli(sp.Integer(2))),
        ({"positive": True}, standard_normal()),
        ({"sign": True}, two_moments(sp.S.Zero, sp.Integer(4))),
    ],
)
def test_a_law_that_no_entry_can_have_is_refused(declared: dict[str, bool], law: Any):
    setting = Setting()
    vector = setting.vector("u", setting.size("n"), **declared)
    with pytest.raises(ValueError, match="has no law that takes"):
        worlds(setting, Model(independent={vector: law}), seed="law")


def test_what_is_independent_cannot_be_made_of_others():
    with pytest.raises(ValueError, match="q cannot be independent and made of others"):
        Model(independent={q: standard_normal()}, where={q[i]: x[i]})


# --- what another page proves ---

SUM_OF_SOFTMAX = r"""
```python
n = size("n")
i, j = indices("i j", n)
s, p, Z = vector("s", n, real=True), vector("p", n, positive=True), symbol("Z", positive=True)
t, e = vector("t", n), vector("p_tilde", n, positive=True)
```

```math
Z = \sum_i e^{s_i}
```

```python
definition()
```

```math
p_j = \frac{e^{s_j}}{Z}
```

```python
definition()
```

**1.** Softmax adds up to 1.

```math
\sum_i p_i = 1
```

```python
lemma("softmax_jacobian", step=2, reading={"x": "s"}, wrong=["n"])
```
"""
FRONT = "---\ntitle: t\nclaims:\nreach: all\nfor_all:\nassumptions:\nuses: softmax_jacobian\ncode:\nproperties:\n---\n"


def test_a_lemma_restates_what_another_page_proves():
    page = Derivation("page", FRONT + SUM_OF_SOFTMAX)
    assert page.check().ok
    step = page.steps["1"]
    assert not step.proves(replace(step.relation, right=sp.Integer(2)))
    assert step.how() == "softmax_jacobian, step 2"


@pytest.mark.parametrize(
    ("this", "that", "message"),
    [
        (r"\frac{e^{s_j}}{Z}", r"\frac{e^{2 s_j}}{Z}", "p is not defined here as p is there"),
        ('{"x": "s"}', "{}", "x is not declared here"),
        ('{"x": "s"}', '{"x": "t"}', "t is not known to be .*real"),
        ('{"x": "s"}', '{"x": "s", "j": "i"}', "two things of the other page get one name"),
        ('{"x": "s"}', '{"x": "n"}', "n is another kind of thing"),
        ("step=2", "step=1", "in the circumstances of its own page only"),
    ],
)
def test_a_lemma_that_says_something_else_is_refused(this: str, that: str, message: str):
    assert this in SUM_OF_SOFTMAX
    assert re.search(message, Derivation("page", FRONT + SUM_OF_SOFTMAX.replace(this, that)).check().steps[0].message)


def test_a_lemma_says_no_more_here_than_there():
    here = Setting()
    size = here.size("n")
    (k,) = here.indices("i", size)
    here.symbol("b", integer=True, nonzero=True)
    square = here.vector("y", size, real=True)
    u, first, second = here.vector("x", size, real=True), here.function("f"), here.function("g")
    here.indices("j", size)
    here.define(square[k], u[k] ** 2)
    there = Setting()
    length = there.size("n")
    there.indices("i j", length)
    there.symbol("b", sign=True, real=True)
    for name in "xy":
        there.vector(name, length, real=True)
    for name in "fg":
        there.function(name)

    def said(line: str, because: tuple[Reason, ...] = (), **reading: str) -> Relation:
        (relation,) = read(line, there.names, there.ranges)
        return restated(replace(a_step("a = b", because=because), setting=there, relation=relation), here, reading)

    with pytest.raises(CannotRewrite, match="b is not 1 or −1, as b is"):
        said("b^2 = 1")
    with pytest.raises(CannotRewrite, match="y is made of others here, and y is not"):
        said(r"\frac{\partial}{\partial x_j} (x_i y_i) = \delta_{ij} y_i")
    with pytest.raises(CannotRewrite, match="rests on assumptions of its own page"):
        said(r"x_i \le 1", (Reason("small"),))
    assert said("f(x_i) = 2 g(x_i)", f="g", g="f") == Relation(second(u[k]), "=", 2 * first(u[k]))


def test_a_page_says_on_which_pages_it_rests():
    with pytest.raises(PageError, match="does not say that this page uses softmax_jacobian"):
        Derivation("page", FRONT.replace("uses: softmax_jacobian", "uses:") + SUM_OF_SOFTMAX)


def test_a_lemma_that_the_other_page_does_not_prove_fails():
    page = Derivation("page", FRONT + SUM_OF_SOFTMAX.replace(r"\sum_i p_i = 1", r"\sum_i p_i = 2"))
    assert re.search("softmax_jacobian, step 2 says .* and not", page.check().steps[0].message)


# --- declarations that would say something else than the page ---


@pytest.mark.parametrize(
    ("left", "message"),
    [
        (lambda u, w, k, place: u[0], "one for every index"),
        (lambda u, w, k, place: u[place], "one for every index"),
        (lambda u, w, k, place: w[k, k], "one for every index"),
        (lambda u, w, k, place: k, "k is an index"),
    ],
)
def test_a_definition_is_one_for_every_index(left: Any, message: str):
    setting = Setting()
    size = setting.size("n")
    (k,), place = setting.indices("k", size), setting.place("m", size)
    u, w = setting.vector("u", size, real=True), setting.matrix("w", size, size, real=True)
    with pytest.raises(ValueError, match=message):
        setting.define(left(u, w, k, place), sp.S.One)


def test_circumstances_are_said_for_every_index():
    for left in (x[0], W[i, i]):
        with pytest.raises(ValueError, match="for every index, each a letter"):
            Model(where={left: a})
    for left in (x[m], i):
        with pytest.raises(CannotRewrite, match="for every index, and not for one place or by one index"):
            moves.suppose(total(i, x[i]), Context(SETTING, Model(where={left: sp.S.Zero})))


def test_the_range_of_an_index_depends_on_no_other():
    setting = Setting()
    (k,) = setting.indices("k", setting.size("n"))
    with pytest.raises(ValueError, match="the range of l would depend on"):
        setting.indices("l", k + 1)


# --- what a proof may take from elsewhere ---


def test_what_moves_does_not_hide_in_a_name():
    hidden = Setting()
    size = hidden.size("n")
    u, place = hidden.vector("u", size, real=True), hidden.place("m", size)
    first, variable, square = (hidden.symbol(name, real=True) for name in "frs")
    hidden.define(first, u[place])
    hidden.define(square, variable**2)
    for line, by in ((r"\sum_m f = n f", moves.linear), (r"\int_{0}^{1} s \, \mathrm{d} r = s", moves.expand)):
        (relation,) = read(line, hidden.names, hidden.ranges)
        step = replace(a_step("a = b", by), setting=hidden, relation=relation)
        with pytest.raises(StepFails, match="hides in a name that would not move with it"):
            step.prove(relation)
    with pytest.raises(StepFails, match="c moves, and hides in a name"):
        a_step(r"\lim_{c \to \infty} \frac{1}{c} = \frac{1}{a}", moves.suppose, model=Model(where={c: a})).check()


@pytest.mark.parametrize(
    ("line", "by", "general", "special"),
    [
        (r"\mathbb{E}[x_i^2] = x_i^2", moves.linear, Model(), Model(independent={x: two_moments(sp.S.Zero, sp.S.One)})),
        (r"\mathbb{E}[q_i x_i] = 0", moves.linear, NORMAL, replace(NORMAL, where={x[i]: q[i]})),
        (
            r"\frac{\partial}{\partial x_j} (x_i y_i) = \delta_{ij} y_i",
            moves.differentiate,
            Model(),
            Model(where={y[i]: x[i]}),
        ),
    ],
)
def test_a_mean_or_a_derivative_is_another_one_where_more_moves(line: str, by: Any, general: Model, special: Model):
    proved = a_step(line, by, model=general)
    step = a_step(line, moves.using(1), model=special, earlier={1: proved})
    with pytest.raises(CannotRewrite, match="step 1 is not an equation proved earlier under the same"):
        step.prove(step.relation)
    other = Model(independent={y: two_moments(sp.S.Zero, sp.S.One)}) if general == Model() else general
    kept = replace(general, independent={**general.independent, **other.independent}, where={c: sp.S.One})
    assert (y not in other.independent or "y" not in line) <= bool(replace(step, model=kept).context.earlier)


def test_what_is_said_of_one_place_is_not_added_up_over_all():
    of_one_place = {1: a_step(r"a \le x_m")}
    with pytest.raises(StepFails, match="speaks of one m only"):
        a_step(
            r"0 \le \sum_m (x_m - a)", moves.expand, because=(Reason(1, sp.S.One, (m, 0, n - 1)),), earlier=of_one_place
        ).check()


def test_what_cannot_be_evaluated_is_not_false_for_that():
    held_fixed = a_step(r"\mathbb{E}[q_i \mid y] = 0", moves.linear, model=Model(independent={q: standard_normal()}))
    assert held_fixed.disagreeing(held_fixed.relation), "what has no value is not true"
    with pytest.raises(KeyError):
        held_fixed.refuting(held_fixed.relation)
