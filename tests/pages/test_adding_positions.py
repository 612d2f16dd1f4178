"""What adding positions does to embeddings of the reference is what the page says; its figures are recomputed."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import sympy as sp
import torch
from torch import Tensor

import veriformer.derivations
from veriformer.derivations import derivation
from veriformer.reference.embedding import Embedding
from veriformer.reference.sinusoidal import SinusoidalPositions, sinusoidal_encoding

PAGE = derivation("adding_positions")
TEXT = (Path(veriformer.derivations.__file__).parent / "adding_positions.md").read_text(encoding="utf-8")
SAMPLES = 100_000
FAR = 6.5  # standard errors; the two-sided Gaussian tail beyond is below 1e-10
WIDE = 512


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


def deviations(terms: Tensor, expected: float) -> float:
    """By how many of its own standard errors the mean of the terms is off."""
    error = float(terms.std()) / math.sqrt(len(terms))
    return abs(float(terms.mean()) - expected) / error


def positions(count: int, d: int) -> Tensor:
    return sinusoidal_encoding(torch.arange(count)[None], d, torch.float64)[0]


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def words() -> Tensor:
    """A table of the reference, drawn with the variance 1/d."""
    torch.manual_seed(0)
    return Embedding(2000, WIDE).double().weight.detach()


def test_adding_is_concatenating_with_shared_weights(generator: torch.Generator):
    x, p, weights = (torch.randn(5, 8, dtype=torch.float64, generator=generator) for _ in range(3))
    together = torch.cat([x, p], dim=-1) @ torch.cat([weights, weights], dim=-1).T
    torch.testing.assert_close(together, (x + p) @ weights.T)
    layer = SinusoidalPositions()
    torch.testing.assert_close(layer.embed(x[None], torch.arange(5)[None])[0], x + positions(5, 8))


def test_concatenating_is_a_case_of_adding(generator: torch.Generator):
    x, p = (torch.randn(5, width, dtype=torch.float64, generator=generator) for width in (6, 2))
    padded = torch.nn.functional.pad(x, (0, 2)) + torch.nn.functional.pad(p, (6, 0))
    torch.testing.assert_close(padded, torch.cat([x, p], dim=-1), rtol=0, atol=0)


def test_on_average_a_score_is_a_matter_of_positions(generator: torch.Generator):
    d = 6
    weights = torch.randn(d, d, dtype=torch.float64, generator=generator)
    p, q = positions(4, d)[[1, 3]]
    x, y = torch.randn(2, SAMPLES, d, dtype=torch.float64, generator=generator)
    expected = lambdified("position_first", "W p p_tilde d")(weights.numpy(), p.numpy(), q.numpy(), d)
    assert deviations(torch.einsum("sa,ab,sb->s", x + p, weights, y + q), float(expected)) < FAR


def test_what_a_position_catches_of_an_embedding(generator: torch.Generator):
    d, tau = 6, 0.7
    p = positions(4, d)[3]
    x = tau * math.sqrt(3) * (2 * torch.rand(SAMPLES, d, dtype=torch.float64, generator=generator) - 1)
    assert deviations((x @ p) ** 2, float(lambdified("interference", "tau p d")(tau, p.numpy(), d))) < FAR


@pytest.mark.parametrize("law", ["coins", "normal"])
@pytest.mark.parametrize("d", [1, 2, 32])
def test_square_of_the_cosine(d: int, law: str, generator: torch.Generator):
    directions = torch.randn(SAMPLES, d, dtype=torch.float64, generator=generator)
    directions = directions.sign() if law == "coins" else directions
    fixed = torch.arange(1, d + 1, dtype=torch.float64)
    squares = (directions @ fixed) ** 2 / (directions.square().sum(dim=1) * fixed.square().sum())
    expected = lambdified("cosine", "d")(d)
    if d == 1:
        torch.testing.assert_close(squares, torch.full_like(squares, expected))
    else:
        assert deviations(squares, expected) < FAR


def test_length_of_the_embeddings_of_the_reference():
    torch.manual_seed(0)
    embedding = Embedding(20_000, 16).double()
    lengths = embedding(torch.arange(20_000)[None])[0].detach().square().sum(dim=1)
    assert deviations(lengths, lambdified("length", "d")(16)) < FAR


def test_bound_of_the_lead(generator: torch.Generator):
    d, lam = 2048, 0.7
    vectors = torch.randn(60, d, dtype=torch.float64, generator=generator).sign() / math.sqrt(d)
    cosines = vectors @ vectors.T
    mu = float((cosines - torch.eye(60, dtype=torch.float64)).abs().max())
    leads = []
    for word in range(50):
        readings = vectors[:50] @ (vectors[word] + lam * vectors[50 + word % 10])
        leads.append(float(readings[word] - readings[torch.arange(50) != word].max()))
    assert min(leads) >= 1 - (1 + 2 * lam) * mu > 0


def read_back(x: Tensor, p: Tensor) -> tuple[float, float]:
    """The shares of sums, in per cent, of which the word and the position are read by the largest inner product."""
    word = torch.arange(len(x))
    place = word % len(p)
    sums = x + p[place]

    def share(table: Tensor, right: Tensor) -> float:
        return float(100 * (sums @ table.T).argmax(dim=1).eq(right).double().mean())

    return share(x, word), share(p, place)


def test_words_and_positions_that_are_read(words: Tensor):
    rows = [re.findall(rf"^\| {name} read \| (\d+) % \| (\d+) % \|$", TEXT, re.M) for name in ("words", "positions")]
    with_factor, without = (read_back(scale * words, positions(100, WIDE)) for scale in (math.sqrt(WIDE), 1))
    for (row,), measured in zip(rows, zip(with_factor, without, strict=True), strict=True):
        assert [float(share) for share in row] == pytest.approx(measured, abs=1)


def test_lead_of_a_position(words: Tensor):
    p, other = positions(11, WIDE)[[9, 10]]
    gap = float((p - other).norm())
    for x, tau in ((math.sqrt(WIDE) * words, 1.0), (words, WIDE**-0.5)):
        leads = (x + p) @ (p - other)
        assert deviations(leads, gap**2 / 2) < FAR
        spread = (leads - gap**2 / 2).square()
        assert deviations(spread, tau**2 * gap**2) < FAR
    share = math.erfc(gap / 2 / math.sqrt(2)) / 2
    assert f"{100 * share:.0f} times in 100" == re.findall(r"(\d+ times in 100)", TEXT)[0]


def test_independent_vectors_are_read_exactly(generator: torch.Generator):
    """Dual vectors read each word from the sum, whatever the position; with more than d vectors there are none."""
    d = 32
    vectors = torch.cat([torch.randn(20, d, dtype=torch.float64, generator=generator), positions(10, d)])
    dual = torch.linalg.pinv(vectors).T
    for word, place in ((0, 29), (7, 20), (19, 23)):
        readings = dual @ (vectors[word] + vectors[place])
        expected = torch.zeros(30, dtype=torch.float64)
        expected[[word, place]] = 1
        torch.testing.assert_close(readings, expected, rtol=0, atol=1e-6)
    many = torch.randn(40, d, dtype=torch.float64, generator=generator)
    assert float((torch.linalg.pinv(many).T @ many.T - torch.eye(40, dtype=torch.float64)).abs().max()) > 0.05


def test_a_collision(words: Tensor):
    position = words[1] - words[0]
    readings = (words[:20] / words[:20].norm(dim=1, keepdim=True)) @ (words[0] + position)
    assert int(readings.argmax()) == 1


def test_table_of_the_page():
    rows = dict(re.findall(r"^\| ([a-z ]+) \| ([\d.]+ \| [\d.]+) \|$", TEXT, re.M))
    p = positions(2, WIDE)
    long, gap = float(p[0].norm()), float((p[0] - p[1]).norm())
    expected: dict[str, list[float]] = {
        "length of an embedding": [math.sqrt(WIDE), 1],
        "length of a position": [long, long],
        "noise in a word": [long / math.sqrt(WIDE) / math.sqrt(WIDE), long / math.sqrt(WIDE)],
        "lead of a position": [gap / 2, gap / 2 * math.sqrt(WIDE)],
    }
    assert rows == {name: " | ".join(f"{number:.2f}" for number in pair) for name, pair in expected.items()}


def test_other_figures_of_the_page():
    limits = [1 / (1 + 2 * lam) for lam in (math.sqrt(0.5), math.sqrt(WIDE / 2))]
    text = TEXT.replace("\n", " ")
    assert f"that is {limits[0]:.2f}. Without" in text
    assert f"it is {limits[1]:.2f}, which is less than the typical cosine" in text
    assert f"a cosine is {WIDE**-0.5:.3f} or so" in text
    assert limits[1] < WIDE**-0.5
    cosines = 37_000 + 36_999  # of all words with the position, and of the other words with the one that was put in
    assert 0.01 < 2 * cosines * math.exp(-WIDE * 0.25**2 / 2) < 0.02
