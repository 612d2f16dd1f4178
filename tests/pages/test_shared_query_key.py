"""With one matrix for queries and keys the reference has the scores and the weights that the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sympy as sp
import torch

import veriformer.derivations
from veriformer.derivations import derivation
from veriformer.reference.attention import scaled_dot_product_attention

PAGE = derivation("shared_query_key")
TEXT = (Path(veriformer.derivations.__file__).parent / "shared_query_key.md").read_text(encoding="utf-8")


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


def weights(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    return scaled_dot_product_attention(query[None, None], key[None, None], key[None, None], scale=1.0)[1][0, 0]


@pytest.fixture
def drawn() -> tuple[torch.Tensor, ...]:
    """Six tokens of width 5, and two matrices that bring them to width 2."""
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((6, 5), (5, 2), (5, 2)))


def test_two_matrices_act_as_one_of_small_rank(drawn: tuple[torch.Tensor, ...]):
    x, W_Q, W_K = drawn
    B, scores = W_Q @ W_K.T, (x @ W_Q) @ (x @ W_K).T
    torch.testing.assert_close(scores, x @ B @ x.T)
    torch.testing.assert_close(scores - scores.T, x @ (B - B.T) @ x.T)
    assert int(torch.linalg.matrix_rank(B)) == 2
    assert (scores - scores.T).abs().max() > 0.1


def test_scores_with_one_matrix(drawn: tuple[torch.Tensor, ...]):
    x, W, _ = drawn
    q = x @ W
    scores, u = q @ q.T, torch.linspace(-1, 2, 6, dtype=torch.float64)
    torch.testing.assert_close(scores, scores.T)
    formula = lambdified("quadratic_form", "u q n d_k")
    assert float(u @ scores @ u) == pytest.approx(float(formula(u.numpy(), q.numpy(), 6, 2)))
    assert float(torch.linalg.eigvalsh(scores).min()) > -1e-10
    assert (scores.square() <= torch.outer(scores.diag(), scores.diag()) + 1e-10).all()


def test_weights_with_one_matrix(drawn: tuple[torch.Tensor, ...]):
    x, W, _ = drawn
    q = x @ W
    scores, alpha = q @ q.T, weights(q, q)
    Z = scores.exp().sum(dim=1)
    formula = lambdified("asymmetry_of_weights", "alpha_ij alpha_ji S_ij Z_i Z_j")
    expected = formula(alpha.numpy(), alpha.T.numpy(), scores.numpy(), Z[:, None].numpy(), Z[None, :].numpy())
    torch.testing.assert_close(alpha - alpha.T, torch.from_numpy(expected))
    assert (alpha - alpha.T).abs().max() > 0.1
    torch.testing.assert_close(Z @ alpha, Z)


def test_one_token_among_zeros():
    q = torch.zeros(4, 1, dtype=torch.float64)
    q[2] = 1.5
    formula, alpha = lambdified("sums", "n delta_im S_mm"), weights(q, q)
    others, own = formula(4, 0, 1.5**2), formula(4, 1, 1.5**2)
    assert float(alpha[0, 2]) == pytest.approx(float(1 / others))
    assert float(alpha[2, 0]) == pytest.approx(float(1 / own))


def test_table_of_the_page():
    rows = re.findall(r"^\| (\d) \| (\d), (\d) \| ([\d.]+), ([\d.]+) \| ([\d.]+) \|$", TEXT, re.M)
    assert len(rows) == 2
    q = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    scores, alpha = q @ q.T, weights(q, q)
    for token, *found in rows:
        i = int(token)
        expected = [f"{score:.0f}" for score in scores[i]] + [f"{weight:.4f}" for weight in alpha[i]]
        assert found == [*expected, f"{scores[i].exp().sum():.4f}"]
