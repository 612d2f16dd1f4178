"""The pages: each step holds, each page is complete, and its formulas can be used."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
import torch
from sympy.core.function import AppliedUndef

from veriformer.claims.ledger import CLAIMS
from veriformer.derivations import PageError, UnknownDerivation, derivation, names
from veriformer.derivations.index import in_reading_order, index, reports, rests_on, written
from veriformer.derivations.instances import World, points, value
from veriformer.derivations.notation import Bracket, E, Lim, Partial, Var
from veriformer.derivations.page import MOVES, Derivation, entries_at_free_indices
from veriformer.derivations.plain import plain
from veriformer.derivations.step import Assumption, Counterexample
from veriformer.properties import LAWS
from veriformer.reference.attention import scaled_dot_product_attention

ROOM = Path(__file__).parent.parent / "derivations"
PAGES = names()
CHECKS = [(page, number) for page in PAGES for number in derivation(page).checks]
GITHUB_REFUSES = ("operatorname", "mbox", "phantom", "newcommand", "def", "require", "unicode", "href", "color")


@pytest.mark.parametrize(("page", "number"), CHECKS, ids=lambda part: str(part).replace(" ", "-"))
def test_step(page: str, number: str):
    report = derivation(page).check_step(number)
    assert report.ok, f"{page}, {report.says}\n{report.message}"


@pytest.mark.parametrize("page", PAGES)
class TestPage:
    def test_has_every_section(self, page: str):
        text = (ROOM / f"{page}.md").read_text(encoding="utf-8")
        sections = re.findall(r"^## (.*)$", text, re.M)
        assert [s for s in sections if s != "In numbers"] == ["Setting", "Steps", "Result", "Where it stops holding"]

    def test_drops_every_assumption(self, page: str):
        checks = derivation(page).checks.values()
        stated = {check.number for check in checks if isinstance(check, Assumption)}
        dropped = {check.drops for check in checks if isinstance(check, Counterexample)}
        assert stated == dropped == set(derivation(page).assumptions)

    def test_steps_are_numbered_in_order(self, page: str):
        numbers = [n for n in derivation(page).steps if n.isdigit()]
        assert numbers == [str(k) for k in range(1, 1 + len(numbers))]

    def test_renders_on_github(self, page: str):
        text = (ROOM / f"{page}.md").read_text(encoding="utf-8")
        assert not [macro for macro in GITHUB_REFUSES if re.search(rf"\\{macro}(?![A-Za-z])", text)]
        assert not re.findall(r"\$`[^`]*\n[^`]*`\$", text), "inline mathematics stays on one line"
        assert not re.findall(r"(?<!`)\$(?!`)[^$\n]*[\\_][^$\n]*\$(?!`)", text), "inline mathematics is written $`…`$"

    def test_no_line_is_wider_than_the_page(self, page: str):
        text = (ROOM / f"{page}.md").read_text(encoding="utf-8")
        assert not [line for line in text.split("\n---\n", 1)[1].splitlines() if len(line) > 120]
        assert max(len(plain(block.source)) for block, _ in derivation(page).displays) <= 100

    def test_reads_at_80_columns(self, page: str):
        text = derivation(page).text()
        assert max(map(len, text.splitlines())) <= 80
        assert not re.search(r"[\\${}`]", text), "TeX or Markdown is left over"
        assert text.count("holds (") == len(derivation(page).checks)

    def test_links_lead_somewhere(self, page: str):
        text = (ROOM / f"{page}.md").read_text(encoding="utf-8")
        assert all((ROOM.parent / code.partition("::")[0]).exists() for code in derivation(page).code)
        links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
        assert all((ROOM / link).exists() for link in links)
        assert set(derivation(page).properties) <= set(LAWS)


def test_claims_and_pages_know_each_other():
    supported = {claim for page in PAGES for claim in derivation(page).claims}
    assert supported <= {claim.id for claim in CLAIMS}
    assert {claim.id for claim in CLAIMS if "D" in claim.asks} <= supported


class TestIndex:
    def test_has_every_page_once(self):
        assert sorted(in_reading_order()) == list(PAGES)

    def test_is_in_step_with_the_pages(self):
        readme = (ROOM / "README.md").read_text(encoding="utf-8")  # that each page holds is what test_step finds
        message = "run `python -m veriformer.derivations.index`"
        assert written(readme, dict.fromkeys(PAGES, True)) == readme, message

    def test_shows_a_page_that_fails(self):
        text = index({page: page != "layer_norm" for page in PAGES})
        assert "    layer_norm:::fails" in text
        assert "    batch_norm:::checked" in text
        assert re.search(r"\(layer_norm\.md\) .* of which some FAIL \|", text)

    def test_no_page_rests_on_a_later_one(self):
        order = list(in_reading_order())
        assert all(order.index(source) < order.index(page) for page in PAGES for source in rests_on(page))

    @pytest.mark.parametrize("page", PAGES)
    def test_front_matter_says_on_what_a_page_rests(self, page: str):
        assert sorted(rests_on(page)) == sorted(derivation(page).uses)

    def test_reports_come_in_the_order_of_the_pages(self):
        assert [(r.name, r.ok) for r in reports(["learning_rate", "dropout"])] == [
            ("learning_rate", True),
            ("dropout", True),
        ]


def test_table_of_moves_is_in_step():
    rows = re.findall(r"^\| `(\w+)[^|]*` \|", (ROOM / "README.md").read_text(encoding="utf-8"), re.M)
    assert sorted(rows) == sorted(MOVES)


def test_unknown_name_lists_the_names():
    with pytest.raises(UnknownDerivation, match=r"'softmax'; there are activation_slopes, "):
        derivation("softmax")


def test_report_of_a_whole_page():
    report = derivation("score_variance").check()
    assert report.ok
    assert [step.number for step in report.steps] == list(derivation("score_variance").checks)
    assert report.seconds > 0


# --- the formulas, as the laws use them ---


def lambdified(page: str, result: str, arguments: str):
    symbols = derivation(page).symbols
    return sp.lambdify([symbols[name] for name in arguments.split()], derivation(page).results[result])


HELD_OPEN = (E, Var, Partial, Lim, Bracket, sp.Product, AppliedUndef)  # nothing that lambdify knows
RESULTS = [(page, name) for page in PAGES for name in derivation(page).results]


def array(base: Any, world: World) -> np.ndarray:
    shape = [int(value(length, world, {}, {})) for length in base.shape]
    entries = [value(base[at], world, world.outcomes[0][1], {}) for at in np.ndindex(*shape)]
    return np.array(entries).reshape(shape)


@pytest.mark.parametrize(
    ("page", "name"),
    [(page, name) for page, name in RESULTS if not sp.sympify(derivation(page).results[name]).has(*HELD_OPEN)],
)
def test_result_evaluates_to_what_its_step_says(page: str, name: str):
    found, step = sp.sympify(derivation(page).results[name]), derivation(page).proved_by[name]
    arrays = sorted(found.atoms(sp.IndexedBase), key=str)
    symbols = [s for s in found.free_symbols if isinstance(s, sp.Symbol) and s not in {a.label for a in arrays}]
    formula = sp.lambdify([*symbols, *arrays], found, modules=[{"KroneckerDelta": lambda i, j: int(i == j)}, "numpy"])
    entries = {s: entry for entry, s in entries_at_free_indices(step.relation.right, step.setting).items()}
    for world in step.worlds[:6]:
        for point in itertools.islice(points(step.relation, world), 4):
            at = [value(entries.get(s, s), world, world.outcomes[0][1], point) for s in symbols]
            expected = value(step.relation.right, world, world.outcomes[0][1], point)
            assert formula(*at, *(array(base, world) for base in arrays)) == pytest.approx(expected, rel=1e-9)


def test_variance_agrees_with_a_sample():
    rng = np.random.default_rng(0)
    mu_q, sigma_q, mu_k, sigma_k, d_k, samples = 0.5, 1.5, -1.0, 0.7, 8, 200_000
    formula = lambdified("score_variance", "variance", "d_k mu_q sigma_q mu_k sigma_k")
    q = mu_q + sigma_q * rng.uniform(-math.sqrt(3), math.sqrt(3), (samples, d_k))
    k = mu_k + sigma_k * rng.standard_normal((samples, d_k))
    scores = (q * k).sum(axis=1)
    fourth = np.mean((scores - scores.mean()) ** 4)
    standard_error = math.sqrt((fourth - scores.var() ** 2) / samples)
    deviations = abs(scores.var() - formula(d_k, mu_q, sigma_q, mu_k, sigma_k)) / standard_error
    assert deviations < 6.5  # the two-sided Gaussian tail beyond is below 1e-10


def test_scaled_variance_in_the_case_of_the_paper_is_one():
    scaled = lambdified("score_variance", "scaled_variance", "s d_k mu_q sigma_q mu_k sigma_k")
    assert [scaled(1 / math.sqrt(d_k), d_k, 0, 1, 0, 1) for d_k in (1, 64, 512)] == pytest.approx([1, 1, 1])


def test_conditional_variance_counts_entries_as_arrays_do():
    q = np.array([3.0, 4.0])
    assert lambdified("score_variance", "conditional_variance", "s sigma_k q d_k")(0.5, 2, q, 2) == pytest.approx(25)


def test_jacobian_agrees_with_a_difference_quotient():
    x, h = np.array([0.3, -1.2, 2.0]), 1e-6

    def softmax(logits: np.ndarray) -> np.ndarray:
        return np.exp(logits) / np.exp(logits).sum()

    formula = lambdified("softmax_jacobian", "jacobian", "p_i p_j delta_ij")
    p, identity = softmax(x), np.eye(3)
    measured = np.stack([(softmax(x + h * e) - softmax(x - h * e)) / (2 * h) for e in identity], axis=1)
    np.testing.assert_allclose(formula(p[:, None], p[None, :], identity), measured, atol=1e-9)
    assert np.linalg.norm(measured, 2) <= derivation("softmax_jacobian").results["norm_bound"]


def test_attention_on_the_page_is_that_of_the_reference():
    def tensor(name: str, world: World) -> torch.Tensor:
        array = world.setting.names[name]
        shape = [int(world.numbers[size]) for size in array.shape]
        entries = [value(array[at], world, {}, {}) for at in np.ndindex(*shape)]
        return torch.tensor(entries, dtype=torch.float64).reshape(1, 1, *shape)

    steps = derivation("permutation_equivariance").steps
    for world, tilde in itertools.product([w for step in ("9", "A", "B") for w in steps[step].worlds], ("", "_tilde")):
        W, V, M, x, y, a = (tensor(name, world) for name in ("W", "V", "M", f"x{tilde}", f"y{tilde}", f"a{tilde}"))
        output, weights = scaled_dot_product_attention(x @ W, x, x @ V, mask=M == 1, scale=1.0)
        torch.testing.assert_close(output, y)
        torch.testing.assert_close(weights, a)


def test_all_that_a_block_uses_of_its_input_is_that_it_is_rearranged(monkeypatch: pytest.MonkeyPatch):
    page = derivation("permutation_equivariance")
    for name in ("x", "x_tilde", "t_tilde"):
        monkeypatch.delitem(page.setting.definitions, page.setting.names[name])
    assert all(page.steps[str(number)].proves(page.steps[str(number)].relation) for number in range(3, 18))
    # step 15 says of the output what step 2 says of the input, so the next block can start from it
    into = {page.setting.names[f"f{tilde}"]: page.setting.names[f"x{tilde}"] for tilde in ("", "_tilde")}
    block, start = page.steps["15"].relation, page.steps["2"].relation
    assert (block.left.xreplace(into), block.right.xreplace(into)) == (start.left, start.right)


# --- a page that is not well formed ---

FRONT = "---\ntitle: t\nclaims:\nreach: all\nfor_all:\nassumptions: none\nuses:\ncode:\nproperties:\n---\n"
DECLARED = "```python\nx, y = symbol('x', real=True), symbol('y', real=True)\n```\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("```math\nx = x\n```\n", r"page.md:14: this equation has no check under it"),
        ("```math\nx = x\n```\n```python\npass\n```\n", r"page.md:17: exactly one check belongs under"),
        (
            "```math\nx = z\n```\n```python\ndefinition()\n```\n",
            r"page.md:14: TexError: z is used and was not declared",
        ),
        ("```math\nx = 1\n```\n```python\nstep(by=[expand])\n```\n", r"page.md:14: TexError: no new number"),
        ("```math\nx = 1\n```\n```python\nassumption('so')\n```\n", r"the front matter lists no assumption 'so'"),
        ("```math\nx = x^2\n```\n```python\ndefinition()\n```\n", r"uses x, which the left side does not introduce"),
        ("```python\nsymbol('x')\n```\n", r"x is declared twice"),
        ("```python\nstep(by=[expand])\n```\n", r"no new number|no displayed equation"),
    ],
)
def test_malformed_page_names_its_line(body: str, message: str):
    with pytest.raises(PageError, match=message):
        Derivation("page", FRONT + DECLARED + body)


def test_front_matter_names_what_is_missing():
    with pytest.raises(PageError, match=r"page.md:1: the front matter lacks claims, reach"):
        Derivation("page", "---\ntitle: t\n---\n")
