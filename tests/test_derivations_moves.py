"""Moves beyond sums and moments: order, blocks, induction, Gaussians, calculus. Each is true on instances."""

# pyright: reportOperatorIssue=false, reportArgumentType=false
# SymPy does not say of what type its expressions are.

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sympy as sp

from veriformer.derivations import calculus, chance, rewrites, signs, sums
from veriformer.derivations.instances import holds, worlds
from veriformer.derivations.notation import Bracket, E, Lim, Partial, Relation
from veriformer.derivations.rewrites import CannotRewrite, Context
from veriformer.derivations.setting import (
    Model,
    Setting,
    bernoulli,
    fair_sign,
    four_moments,
    gaussian_law,
    two_moments,
)
from veriformer.derivations.step import Assumption, Induction, Reason, Step, StepFails, both, increasing
from veriformer.derivations.tex import TexError, read
from veriformer.derivations.trees import canonical, fresh

SETTING = Setting()
n, T, h, d = (SETTING.size(name) for name in ("n", "T", "h", "d_k"))
i, j, k = SETTING.indices("i j k", n)
(t,) = SETTING.indices("t", T)
(s,) = SETTING.indices("s", T)
a_, b_ = SETTING.indices("a l", h)
r, o = SETTING.indices("r o", d)
(c,) = SETTING.indices("c", h * d)
x, y = SETTING.vector("x", n, real=True), SETTING.vector("y", n, real=True)
g, u = SETTING.vector("g", n, real=True), SETTING.vector("u", n, real=True)
w, e_ = SETTING.vector("w", h * d, real=True), SETTING.vector("b", T, real=True)
S = SETTING.vector("S", T + 1, real=True)
m, m_ = SETTING.indices("m m_tilde", n + T)
V = SETTING.vector("V", n + T, real=True)
v_, delta = SETTING.vector("v", h, real=True), sp.KroneckerDelta
B, F = SETTING.matrix("B", n, n, real=True), SETTING.vector("F", T + 1, positive=True)
p, q, z = (SETTING.symbol(name, real=True) for name in "pqz")
lam, eta = SETTING.symbol("lambda", positive=True), SETTING.symbol("eta", sign=True)
epsilon, tau = SETTING.vector("epsilon", n, sign=True, real=True), SETTING.vector("tau", n, real=True)
phi, psi, chi = SETTING.function("phi"), SETTING.function("psi", arguments=2), SETTING.function("chi")
SETTING.constant("pi")
SETTING.define(phi(p), p**2 + 1)
SETTING.define(chi(n), sp.Max(0, n) + n)  # which SymPy takes for 2n, as n is positive
SETTING.recur((S[0], sp.S.Zero), (S[t + 1], S[t] + e_[t]))
SETTING.recur((F[0], sp.S.One), (F[t + 1], F[t] * (1 + e_[t] ** 2)))
MADE = Model(independent={g: gaussian_law()}, where={y[i]: p * g[i]})
GAUSSIAN = Model(independent={g: gaussian_law(), u: gaussian_law()})
SMALL = Model(domain=[(tau, -1, 1), (q, -0.4, 0.4), (p, -0.4, 0.4)])
over, delta = SETTING.sum_over, sp.KroneckerDelta


def up_to(body: Any, index: Any, end: Any, kind: Any = sp.Sum) -> Any:
    return kind(body, (index, 0, end))


MOVES: list[tuple[Any, Any, Model]] = [
    (rewrites.unfold("phi"), phi(x[i]) + phi(phi(q)), Model()),
    (rewrites.unfold("chi"), chi(n) + chi(T + 1), Model()),
    (rewrites.unfold("S"), S[t + 1] ** 2 + S[0], Model()),
    (rewrites.absolute, sp.Abs(p * q * sp.exp(z)), Model()),
    (rewrites.cases, sp.Max(0, eta * lam) + sp.Abs(eta * p + q) + eta**3, Model()),
    (rewrites.cases, sp.exp(epsilon[i] * p) + epsilon[i] ** 2, Model()),
    (rewrites.cases, sp.exp(p * Bracket(i - j)), Model()),
    (rewrites.differentiate, Partial(sp.sin(p * q) * sp.tanh(p) + sp.cos(p) ** 2, p), Model()),
    (rewrites.independence, E(tau[i] ** 2 * tau[j]), Model(independent={tau: bernoulli(sp.Rational(1, 3))})),
    (rewrites.independence, E(tau[i] ** 4 * tau[j] ** 2), Model(independent={tau: fair_sign()})),
    (rewrites.independence, E(tau[i] ** 2 * tau[j] ** 2), Model(independent={tau: four_moments(lam, 2 * lam**2)})),
    (sums.exchange, over(j, over(i, B[i, j] * x[i])) - over(i, over(j, B[i, j] * x[i])), Model()),
    (sums.exchange, over(j, over(t, over(i, B[i, j] * e_[t]))), Model()),
    (sums.last, up_to(e_[s], s, t), Model()),
    (sums.last, up_to(1 + e_[s] ** 2, s, t, sp.Product), Model()),
    (sums.last, sp.Sum(x[i], (i, 0, -1)) + sp.Product(x[i], (i, 0, -1)), Model()),
    (sums.multiplicative, sp.Product(p * sp.exp(x[i]) * y[i], (i, 0, n - 1)), Model()),
    (sums.blocks("d_k"), over(c, w[c] ** 2), Model()),
    (sums.digits("d_k"), over(r, w[a_ * d + r] * delta(a_ * d + r, b_ * d + o) + delta(a_ * d, b_ * d + r)), Model()),
    (sums.digits("d_k"), w[o + b_ * d * Bracket(b_ * d + o - a_ * d)] + Bracket(r - b_ * d - d), Model()),
    (sums.skip, up_to(v_[a_ + Bracket(a_ - b_)] ** 2, a_, h - 2) - over(a_, v_[a_]), Model()),
    (sums.skip, up_to(over(r, w[(a_ + Bracket(a_ - b_)) * d + r] * w[b_ * d + r]), a_, h - 2), Model()),
    (sums.split("n"), over(m, over(m_, V[m] * V[m_])) + over(m, V[m] * q), Model()),
    (sums.split("n"), sp.Sum(p, (m, 0, 2 * n - 1)), Model()),
    (sums.prefix, over(j, Bracket(i - j) * x[j] + Bracket(i - j - 1) * y[j]), Model()),
    (sums.prefix, over(i, over(j, Bracket(i - j) * B[i, j])), Model()),
    (sums.order, Bracket(i - j) ** 2 * x[i] + Bracket(i - k) * Bracket(k - j) * Bracket(i - j), Model()),
    (sums.order, Bracket(i - j) * Bracket(j - i - 1) + Bracket(i - j) * Bracket(i - j + 1), Model()),
    (sums.successor, Bracket(i + 2 - j) + Bracket(i - j - 1) + Bracket(i - j - 2), Model()),
    (sums.bounds, over(i, x[i] * (delta(i, n) + Bracket(n - i) + Bracket(i - n))) + delta(j, -1), Model()),
    (sums.bounds, over(t, up_to(e_[s] * (delta(s, t + 1) + Bracket(t - s)), s, t)) + Bracket(i + j), Model()),
    (sums.complement, Bracket(i - j) * x[i] + Bracket(j - i - 1) * x[i], Model()),
    (chance.tower("g"), E(over(i, g[i] * u[i]) ** 2), GAUSSIAN),
    (chance.gaussian, E(sp.exp(over(i, p * x[i] * g[i]))), replace(GAUSSIAN, domain=SMALL.domain)),
    (chance.gaussian, E(q * sp.exp(p * g[i] - lam * g[i] ** 2 / 10)), replace(GAUSSIAN, domain=SMALL.domain)),
    (chance.gaussian, E(sp.exp(over(i, p * g[i] - g[i] ** 2 / 10 + q * u[i]))), replace(GAUSSIAN, domain=SMALL.domain)),
    (chance.gaussian, E(sp.exp(p * over(i, g[i] * u[i])), g), replace(GAUSSIAN, domain=[(p, -0.2, 0.2)])),
    (calculus.fractions, p / (1 + q**2) + q / lam, Model()),
    (calculus.trigonometry, sp.sin(p + q) * sp.sin(p) + sp.cos(p - q) ** 2 + sp.sin(p) ** 3, Model()),
    (calculus.half_angle, sp.sin(p + q) ** 2 + sp.cos(p / 2) ** 5 + over(i, sp.sin(x[i] / 2) ** 3), Model()),
    (calculus.antiderivative(1), sp.Integral(z * sp.exp(-(z**2) / 2), (z, 0, sp.oo)), Model()),
    (calculus.antiderivative(1), sp.Integral(p * sp.exp(-(p**2) / 2), (p, -sp.oo, q)), Model()),
    (calculus.limit, Lim((1 - p**2 / n) ** (-n / 2), n, sp.oo), Model()),
    (calculus.limit, Lim((1 + z) / (2 * z) + sp.exp(-lam * z), z, sp.oo), Model()),
]
EARLIER = {
    1: Relation(Partial(-sp.exp(-(z**2) / 2), z), "=", z * sp.exp(-(z**2) / 2)),
    2: Relation(Partial(-1 / z, z), "=", 1 / z**2),
    3: Relation(Partial(lam**2, lam), "=", 2 * lam),
    4: Relation(Partial(q, z), "=", 2 * z),
    5: Relation(Partial(x[i] ** 2 / 2, x[j]), "=", x[i] * delta(i, j)),
}


@pytest.mark.parametrize(("move", "e", "model"), MOVES, ids=[f"{m.__name__}: {e}" for m, e, _ in MOVES])
def test_move_is_true_on_instances(move: Any, e: Any, model: Model):
    after = move(canonical(fresh(e)), Context(SETTING, model, EARLIER))
    assert canonical(after) != canonical(e), "the move did nothing"
    assert all(holds(Relation(e, "=", after), world) for world in worlds(SETTING, model, seed=str(e), count=9))


def test_a_product_of_zeros_may_be_empty():
    maybe_empty = up_to(p, s, t - 1, sp.Product)
    zero = {"earlier": {1: Relation(p, "=", sp.S.Zero)}}
    for e in (sp.Abs(maybe_empty), sp.exp(maybe_empty), sp.cos(maybe_empty)):
        for move in (rewrites.suppose, rewrites.using(1)):
            with pytest.raises(CannotRewrite, match="which may be empty"):
                move(e, Context(SETTING, Model(where={p: sp.S.Zero}), **zero))


def test_what_some_moves_make():
    context = Context(SETTING, Model(), EARLIER)
    twice = over(j, over(i, B[i, j])) - over(i, over(j, B[i, j]))
    assert canonical(sums.exchange(twice, context)) == 0
    triangle = over(i, over(j, Bracket(i - j) * B[i, j]))
    assert canonical(sums.prefix(triangle, context)) == canonical(over(i, up_to(B[i, j], j, i)))
    assert sums.order(Bracket(i - k) * Bracket(k - j) * (1 - Bracket(i - j)), context) == 0
    parts = over(i, V[i]) + up_to(V[n + s], s, T - 1)
    assert canonical(sums.split("n")(over(m, V[m]), context)) == canonical(parts)
    assert calculus.half_angle(2 * sp.sin(p / 2) ** 2 + sp.cos(p) - 1, context) == 0
    assert calculus.antiderivative(1)(sp.Integral(z * sp.exp(-(z**2) / 2), (z, 0, sp.oo)), context) == 1
    outside = over(i, x[i] * (delta(i, n) + Bracket(i - n))) + delta(j, -1) + up_to(delta(s, t + 1) * e_[s], s, t)
    assert sums.bounds(outside, context).replace(sp.Sum, lambda body, *limits: body) == 0


@pytest.mark.parametrize(
    "e",
    [
        over(i, x[i] * (delta(i, n - 1) + Bracket(i - 1))),
        over(i, x[i] * delta(i, j)),
        over(t, e_[t] * (delta(t, n) + Bracket(n - t))),
        up_to(e_[s] * (delta(s, t) + Bracket(s - t)), s, t),
        delta(i, 2 * j - 1) + Bracket(i - j) + Bracket(i * j - 1),
    ],
    ids=str,
)
def test_bounds_leaves_alone_what_the_ranges_do_not_decide(e: Any):
    assert canonical(sums.bounds(e, Context(SETTING, Model()))) == canonical(e)


@pytest.mark.parametrize(
    ("move", "e", "model", "message"),
    [
        (rewrites.hypothesis, p, Model(), "in an induction only"),
        (rewrites.unfold("chi"), chi(-n), Model(), "defined where n is positive, and asked for -n"),
        (rewrites.unfold("chi"), chi(lam), Model(), "defined where n is integer, and asked for lambda"),
        (chance.tower("x"), E(x[i]), GAUSSIAN, "x is not random here"),
        (rewrites.independence, E(g[i], y), MADE, "what is held fixed with y"),
        (chance.gaussian, E(sp.exp(g[i]), y), MADE, "what is held fixed with y"),
        (rewrites.suppose, Partial(p * z, p), Model(where={p: z}), "there is a derivative in p"),
        (rewrites.differentiate, Partial(sp.exp(eta), eta), Model(), "not a variable"),
        (chance.gaussian, E(sp.exp(lam * g[i] ** 2)), GAUSSIAN, "has to be seen to be positive"),
        (chance.gaussian, E(sp.exp(g[i] ** 3)), GAUSSIAN, "wants a x"),
        (chance.gaussian, E(g[i] * sp.exp(g[i])), GAUSSIAN, "the expectation of an exponential, not of"),
        (chance.gaussian, E(sp.exp(g[i] + g[j])), GAUSSIAN, "may or may not be the same"),
        (chance.gaussian, E(sp.exp(over(i, g[i] * u[i]))), GAUSSIAN, "with constant a and b"),
        (chance.gaussian, E(sp.exp(over(i, g[i]) ** 2)), GAUSSIAN, "wants sums over entries"),
        (chance.gaussian, E(sp.exp(up_to(g[i], i, j))), GAUSSIAN, "sums over all entries of g"),
        (chance.gaussian, E(sp.exp(over(i, -(x[i] ** 2) * g[i] ** 2))), GAUSSIAN, "the same for all entries"),
        (
            rewrites.independence,
            E(sp.Mul(*(g[i + k] for k in range(7)))),
            GAUSSIAN,
            "no more than 6 places of a vector",
        ),
        (calculus.antiderivative(2), sp.Integral(1 / z**2, (z, -1, 1)), Model(), "not seen to be continuous"),
        (calculus.antiderivative(9), p, Model(), "step 9 is not a derivative"),
        (calculus.limit, Lim(sp.exp(p * z), z, sp.oo), Model(), "is not seen"),
        (calculus.limit, Lim(sp.exp(z), z, sp.oo), Model(), "is not seen"),
        (calculus.limit, Lim(over(i, x[i]) / z, z, sp.oo), Model(), "wants what is written out"),
        (calculus.limit, Lim(sp.Function("f")(1 / z), z, sp.oo), Model(), "wants what is written out"),
        (calculus.limit, Lim(E(1 / z), z, sp.oo), Model(), "wants what is written out"),
        (calculus.limit, Lim(z / (1 + z), z, sp.oo), Model(where={z: q}), "wants what is written out"),
        (calculus.limit, Lim((p * z + 1) / (p * z + 2), z, sp.oo), Model(), "where a coefficient is 0"),
        (calculus.limit, Lim(1 / (1 + p**2 * z), z, sp.oo), Model(), "where a coefficient is 0"),
        (calculus.antiderivative(4), sp.Integral(2 * z, (z, 0, 1)), Model(where={q: z**2}), "may hide in q"),
        (calculus.antiderivative(5), sp.Integral(x[i] * delta(i, j), (z, 0, 1)), Model(), "one variable or another"),
    ],
)
def test_move_refuses(move: Any, e: Any, model: Model, message: str):
    with pytest.raises(CannotRewrite, match=message):
        move(e, Context(SETTING, model, EARLIER))


@pytest.mark.parametrize(
    ("move", "e"),
    [
        (rewrites.unfold("S"), S[t] + over(t, S[t])),
        (rewrites.cases, sp.exp(over(i, sp.KroneckerDelta(i, j) * x[i]))),
        (sums.exchange, over(i, up_to(B[i, j], j, i))),
        (sums.last, over(i, x[i])),
        (sums.last, sp.Sum(x[i], (i, 1, n - 1))),
        (sums.split("n"), over(i, x[i])),
        (sums.split("n"), over(t, e_[t])),
        (sums.split("n"), sp.Sum(V[m], (m, 1, n + T - 1))),
        (calculus.half_angle, sp.sin(p) + sp.cos(p) + 1 / sp.sin(p) ** 2),
        (sums.blocks("d_k"), over(i, x[i])),
        (sums.blocks("d_k"), over(r, r * p)),
        (sums.digits("d_k"), delta(a_ * d + i, b_ * d + r) + delta(a_ * d + r, b_ * d + r + 1)),
        (sums.digits("d_k"), Bracket(a_ * d - r) + Bracket(a_ * d + r + o) + Bracket(p * d + r)),
        (sums.digits("d_k"), sp.Sum(Bracket(a_ * d - b_ * d + o), (o, 1, d))),
        (sums.skip, over(a_, v_[a_ + Bracket(a_ - b_)])),
        (sums.skip, up_to(v_[a_ + Bracket(a_ - b_)], a_, h - 3)),
        (sums.skip, up_to(a_ * v_[a_ + Bracket(a_ - b_)], a_, h - 2)),
        (sums.skip, up_to(v_[a_ + Bracket(a_ - i)], a_, h - 2)),
        (sums.skip, up_to(v_[a_ + Bracket(a_ - b_ - 1)], a_, h - 2)),
        (sums.prefix, over(j, Bracket(t - j) * x[j])),
        (sums.prefix, over(j, Bracket(j - i) * x[j])),
        (sums.order, Bracket(i - j) * Bracket(i - k)),
        (sums.successor, Bracket(q - p + 1)),
        (sums.complement, Bracket(q - p) + Bracket(p - q - 1)),
        (sums.digits("p"), Bracket(p * i - p * j)),
        (calculus.antiderivative(3), sp.Integral(2 * z, (z, -1, 1))),
    ],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
def test_move_leaves_alone_what_it_has_no_right_to(move: Any, e: Any):
    assert canonical(move(e, Context(SETTING, Model(), EARLIER))) == canonical(e)


def test_a_sign_is_none_inside_of_an_expectation_and_none_if_its_law_has_other_values():
    for law, e in ((fair_sign(), ABS(E(epsilon[i]))), (two_moments(sp.S.Zero, sp.S.One), epsilon[i] ** 4)):
        assert rewrites.cases(e, Context(SETTING, Model(independent={epsilon: law}))) == e
    assert rewrites.cases(epsilon[i] ** 4, Context(SETTING, Model(independent={epsilon: fair_sign()}))) == 1


# --- induction ---


def proof_by_induction(line: str, wrong: str, base: list[Any], by: list[Any], **more: Any) -> Induction:
    (relation,) = read(line, SETTING.names, SETTING.ranges)
    (false,) = read(f"0 = {wrong}", SETTING.names, SETTING.ranges)
    given = {"because": (), "earlier": {}, "assumptions": {}, "model": Model(), "on": t, **more}
    return Induction(
        number="1",
        says="",
        tex=line,
        setting=SETTING,
        relation=relation,
        base=base,
        by=by,
        wrong=(replace(relation, right=false.right),),
        for_all=frozenset({T}),
        **given,
    )


RUNNING = (r"S_t = \sum_{s=0}^{t-1} b_s", r"\sum_{s=0}^{t} b_s")
OPENED = [rewrites.unfold("S"), sums.last]
STEPPED = [rewrites.unfold("S"), rewrites.hypothesis, sums.last]


def test_induction_proves_a_running_sum():
    proof_by_induction(*RUNNING, OPENED, STEPPED).check()


def test_induction_proves_an_inequality():
    proof_by_induction(
        r"1 \le F_t",
        "F_t + 1",
        [rewrites.unfold("F")],
        [rewrites.unfold("F"), rewrites.expand, signs.sight],
        because=(Reason("hypothesis"),),
    ).prove(Relation(sp.S.One, "≤", F[t]))


def test_induction_needs_its_hypothesis_and_its_base():
    with pytest.raises(StepFails, match="this is left"):
        proof_by_induction(*RUNNING, OPENED, [rewrites.unfold("S"), sums.last]).check()
    with pytest.raises(StepFails, match="this is left"):
        proof_by_induction(*RUNNING, [], STEPPED).check()
    off_by_a_constant = Relation(S[t], "=", up_to(e_[s], s, t - 1) + p)  # the step from t to t + 1 alone proves it
    good = proof_by_induction(*RUNNING, OPENED, STEPPED)
    assert good.parts(off_by_a_constant)[1].proves(good.parts(off_by_a_constant)[1].relation)
    assert not good.proves(off_by_a_constant)


def test_the_hypothesis_speaks_of_one_t_alone():
    with pytest.raises(StepFails, match=r"this is left|changes nothing"):
        proof_by_induction(r"S_t = \sum_{s=0}^{t-1} b_s", "1", OPENED, [rewrites.hypothesis]).check()


def test_induction_is_on_an_index_alone():
    for line, on, wrong in ((r"\cos(\pi p)^2 = 1", p, "0"), (r"n = n^2", n, "0")):
        with pytest.raises(StepFails, match="does not take the values 0, 1, 2"):
            proof_by_induction(line, wrong, [], [rewrites.hypothesis], on=on).prove(Relation(p, "=", p))


def test_a_hypothesis_is_not_added_up_over_its_index():
    reason = Reason("hypothesis", 1 / (T - 1), (t, sp.S.Zero, T - 1))
    line = r"0 \le (1 - \delta_{t,0}) (T - 1) p"
    proof = proof_by_induction(line, "1", [], [rewrites.linear, rewrites.collapse], because=(reason,))
    with pytest.raises(StepFails, match="speaks of one t only"):
        proof.prove(proof.relation)


# --- signs and reasons ---

ABS, COS = sp.Abs, sp.cos
positive = sp.Symbol("positive", positive=True)
SIGNS = [
    (ABS(p) + ABS(q) - ABS(p + q), True),
    (ABS(p + q) - ABS(p) - ABS(q), False),
    (ABS(p) - p, True),
    (ABS(p) + p, True),
    (ABS(p) - 2 * p, False),
    (ABS(p) * ABS(q) - p * q, True),
    (positive * (ABS(p) + ABS(q)) - positive * ABS(p + q), True),
    (over(i, ABS(x[i])) - ABS(over(i, x[i])), True),
    (sp.Max(p, q) - p, True),
    (p - sp.Max(p, q), False),
    (sp.Max(p, q) - p - 1, False),
    (sp.Min(p, q) - p, False),
    (1 - sp.exp(p - sp.Max(p, q)), True),
    (sp.exp(p - sp.Max(p, q)) - 1, False),
    (1 - sp.exp(sp.Max(p, q) - p), False),
    (1 - sp.exp(p - q), False),
    (positive - positive * sp.exp((sp.KroneckerDelta(i, j) - 1) * p**2), True),
    (positive - positive * sp.exp((1 - sp.KroneckerDelta(i, j)) * p**2), False),
    (p - sp.Min(p, q), True),
    (q + z - sp.Min(p, q + z), True),
    (q - sp.Min(p, q + z), False),
    (p - 2 * sp.Min(p, q), False),
    (1 - COS(p), True),
    (1 + sp.sin(p), True),
    (1 - 2 * COS(p), False),
    (2 - COS(p) - COS(q), True),
    (1 - Bracket(i - j), True),
    (Bracket(i - j) - 1, False),
    (1 / sp.sqrt(n) - 1 / (2 * n), True),
    (1 / sp.sqrt(n) - 2 / n, False),
    (n - 1, True),
    (n - 2, False),
    (1 - positive, False),
    (n**2 - n, True),
    (n**p - n, False),  # whatever the sign of p
    (n - n**2, False),
    (1 - sp.tanh(p) ** 2, True),
    (1 - ABS(sp.sin(p)), True),
    (ABS(q) - ABS(q * sp.tanh(p)), True),
    (1 - ABS(COS(sp.Symbol("z"))), False),
    (1 - 2 * sp.tanh(p) ** 2, False),
    (1 - 1 / sp.tanh(p) ** 2, False),
    (1 - E(sp.tanh(p) ** 2), True),
    (1 - E(p**2), False),
    (E(sp.S.One) - 2, False),  # SymPy would take E(1) for 2.718…
    (E(sp.S.NegativeOne), False),
    (1 - 2 ** (-n), True),
    (1 - sp.Rational(1, 2) ** (-n), False),
    (1 - 2**n, False),
    (1 - 2**p, False),
    (E(p**2), True),
    (E(p), False),
    (sp.Product(x[i] ** 2, (i, 0, n - 1)), True),
    (sp.Product(x[i], (i, 0, n - 1)), False),
    (1 - lam * sp.Product(0, (s, 0, t - 1)), False),  # the product may be empty, and 1
]


@pytest.mark.parametrize(("e", "expected"), SIGNS, ids=[str(e) for e, _ in SIGNS])
def test_sign_at_sight(e: Any, expected: bool):
    assert signs.nonnegative(e) is expected


def a_step(line: str, *by: Any, **more: Any) -> Step:
    (relation,) = read(line, SETTING.names, SETTING.ranges)
    given: dict[str, Any] = {"because": (), "earlier": {}, "model": Model(), "assumptions": {}, **more}
    wrong = (replace(relation, right=relation.left - 1),)
    return Step(
        number="1",
        says="",
        tex=line,
        setting=SETTING,
        relation=relation,
        by=by,
        wrong=wrong,
        for_all=frozenset(),
        **given,
    )


BOUNDED = Assumption(
    "bounded", "", "", SETTING, SMALL, tuple(read(r"\lvert \tau_i \rvert \le 1", SETTING.names, SETTING.ranges))
)


def test_an_assumption_times_a_factor_proves_an_inequality():
    line = r"\sum_i x_i^2 \lvert \tau_i \rvert \le \sum_i x_i^2"
    reason = Reason("bounded", x[i] ** 2, (i, 0, n - 1))
    given = {"because": (reason,), "assumptions": {"bounded": BOUNDED}, "model": SMALL}
    a_step(line, rewrites.linear, **given).check()
    with pytest.raises(StepFails, match="not proved earlier under the same"):
        a_step(line, rewrites.linear, **{**given, "model": Model()}).check()
    with pytest.raises(StepFails, match="not nonnegative at sight"):
        a_step(line, rewrites.linear, **{**given, "because": (replace(reason, factor=x[i]),)}).check()


AT_MOST = {1: a_step(r"p \le q"), 2: a_step(r"-p \le q"), 3: a_step("p = q")}


@pytest.mark.parametrize(
    ("line", "source", "holds_too"),
    [
        (r"e^p \le e^q", increasing(1), True),
        (r"e^q \le e^p", increasing(1), False),
        (r"e^{2 p} \le e^q", increasing(1), False),
        (r"\lvert p \rvert \le q", both(1, 2), True),
        (r"\lvert p \rvert \le q", both(1, 1), False),
        (r"q \le \lvert p \rvert", both(1, 2), False),
    ],
)
def test_what_steps_say_of_exponentials_and_absolute_values(line: str, source: Any, holds_too: bool):
    step = a_step(line, rewrites.expand, because=(Reason(source),), earlier=AT_MOST)
    assert step.proves(step.relation) is holds_too


@pytest.mark.parametrize(
    ("source", "message"), [(increasing(3), "which of two real numbers"), (both(1, 4), "step 4 is not proved earlier")]
)
def test_a_reason_that_says_no_such_thing_is_refused(source: Any, message: str):
    with pytest.raises(StepFails, match=message):
        a_step(r"e^p \le e^q", rewrites.expand, because=(Reason(source),), earlier=AT_MOST).check()


def test_a_sign_proves_no_equation():
    with pytest.raises(StepFails, match="an equation does not follow from a sign"):
        a_step(r"p^2 + q^2 = 2 q p", signs.sight).prove(Relation(p**2 + q**2, "=", 2 * p * q))


# --- declarations ---


@pytest.mark.parametrize(
    ("first", "following", "message"),
    [
        ((S[0], p), (S[t + 1], S[t]), "a definition has a new name"),
        ((tau[0], p), (tau[t + 1], p), "a recursion gives"),
        ((e_[0], p), (e_[t + 1], e_[t]), "a recursion gives"),
    ],
)
def test_a_recursion_is_one(first: Any, following: Any, message: str):
    with pytest.raises(ValueError, match=message):
        SETTING.recur(first, following)


def test_a_recursion_uses_the_value_before_alone():
    setting = Setting()
    (step,) = setting.indices("t", length := setting.size("T"))
    v = setting.vector("v", length + 1, real=True)
    for body in (v[step + 1], v[step - 1], v[0]):
        with pytest.raises(ValueError, match="uses more of v than its value at t"):
            setting.recur((v[0], sp.S.One), (v[step + 1], body))


def test_a_function_is_made_of_its_arguments_alone():
    with pytest.raises(ValueError, match="made of its arguments alone"):
        SETTING.define(psi(p, q), p * z)
    with pytest.raises(ValueError, match="each a letter"):
        SETTING.define(psi(p, p), p)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (r"\prod_i x_i", sp.Product(x[i], (i, 0, n - 1))),
        (r"\lvert p + q \rvert", ABS(p + q)),
        (r"\max(0, p) - \min(p, q)", sp.Max(0, p) - sp.Min(p, q)),
        (r"\sin(p)^2 \cos(q) \tanh(p q)", sp.sin(p) ** 2 * sp.cos(q) * sp.tanh(p * q)),
        (r"[j \le i] x_j", Bracket(i - j) * x[j]),
        (r"[j < i + 1]", Bracket(i - j)),
        (r"\int_{0}^{\infty} z e^{-z} \, \mathrm{d} z", sp.Integral(z * sp.exp(-z), (z, 0, sp.oo))),
        (r"\lim_{z \to \infty} \frac{1}{z}", Lim(1 / z, z, sp.oo)),
        (r"\psi(p, q + 1)", psi(p, q + 1)),
        (r"2 \pi p", 2 * sp.pi * p),
        (r"S_{t+1} B_{i,j}", S[t + 1] * B[i, j]),
        (r"w_{a d_k + r}", w[a_ * d + r]),
    ],
)
def test_reads(line: str, expected: Any):
    (relation,) = read(f"{line} = 0", SETTING.names, SETTING.ranges)
    assert canonical(relation.left) == canonical(expected)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (r"\lim_{z \to 0} z = 0", "a limit is one at infinity"),
        (r"\int_{0}^{1} z \, \mathrm{d} i = 0", "i is not a number that can vary"),
        (r"\int_{0}^{1} z = 0", "expected"),
        (r"\int_{-1}^{1} \lvert \lambda \rvert \, \mathrm{d} \lambda = 0", "what it is not everywhere from -1 to 1"),
        (r"\int_{0}^{-1} \lambda \, \mathrm{d} \lambda = 0", "what it is not everywhere from 0 to -1"),
        (r"[p < q] = 0", "for integers only"),
        (r"\sum_{i=-1}^{0} \lvert i \rvert = -1", "may lie before the first one"),
        (r"\lvert p = 0", "expected"),
    ],
)
def test_refuses_to_read(line: str, message: str):
    with pytest.raises(TexError, match=message):
        read(line, SETTING.names, SETTING.ranges)
