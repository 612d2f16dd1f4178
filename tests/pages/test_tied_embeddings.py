"""The formulas of the page against PyTorch's gradients, on the reference's embedding and output layer."""

from __future__ import annotations

import itertools

import pytest
import sympy as sp
import torch

from veriformer.derivations import derivation
from veriformer.reference.causal_lm import CausalLM
from veriformer.reference.config import Config
from veriformer.reference.embedding import Embedding, output_layer

PAGE = derivation("tied_embeddings")
V, D = 7, 5


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


def table(*, even: bool = False) -> torch.Tensor:
    rows = torch.randn(V, D, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.normalize(rows, dim=1) if even else rows


def tied(rows: torch.Tensor) -> tuple[Embedding, torch.nn.Linear]:
    embedding = Embedding(*rows.shape).double()
    embedding.weight.data.copy_(rows)
    return embedding, output_layer(embedding, tied=True)


def test_lead_of_one_logit_over_another():
    rows, x = table(), torch.randn(D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    _, output = tied(rows)
    logits, lengths, distances = output(x).detach(), (rows**2).sum(1), ((x - rows) ** 2).sum(1)
    formula = lambdified("lead", "Q_v Q_t N_t N_v")
    for t in range(V):
        lead = formula(distances, distances[t], lengths[t], lengths)
        torch.testing.assert_close(logits[t] - logits, lead)


def test_own_row_wins_where_rows_are_equally_long():
    _, output = tied(table(even=True))
    assert torch.equal(output(table(even=True)).argmax(dim=1), torch.arange(V))


def test_another_row_can_win_where_they_are_not():
    rows = table(even=True)
    rows[3] = 2 * rows[0]
    _, output = tied(rows)
    assert int(output(rows[0]).argmax()) == 3


@pytest.mark.parametrize("width", [5, 7, 50])
def test_output_layer_inverts_the_embedding_up_to_the_coherence(width: int):
    rows = torch.randn(V, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows = torch.nn.functional.normalize(rows, dim=1)
    if width == V:
        rows = torch.linalg.qr(rows)[0]
    bound = float((rows @ rows.T - torch.eye(V)).abs().max())
    assert PAGE.results["coherence_bound"] == PAGE.symbols["rho"]
    _, output = tied(rows)
    assert float((output(rows).detach() - torch.eye(V)).abs().max()) <= bound + 1e-12
    assert width != V or bound < 1e-12


def test_gradient_through_the_input_reaches_the_rows_of_tokens_present():
    embedding, _ = tied(table())
    tokens = torch.tensor([[2, 5, 2]])
    g = torch.randn(1, 3, D, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (embedding(tokens) * g).sum().backward()
    assert embedding.weight.grad is not None
    one_hot = torch.nn.functional.one_hot(tokens[0], V).double()
    names, expected = PAGE.setting.names, torch.empty(V, D, dtype=torch.float64)
    total = PAGE.steps["10"].relation.right.subs(names["n"], 3).doit()
    for w, q in itertools.product(range(V), range(D)):
        formula = sp.lambdify([names["T"], names["g"]], total.subs({names["w"]: w, names["q"]: q}))
        expected[w, q] = float(formula(one_hot.numpy(), D**0.5 * g[0].numpy()))
    torch.testing.assert_close(embedding.weight.grad, expected)
    absent = [w for w in range(V) if w not in (2, 5)]
    assert not embedding.weight.grad[absent].any()


def test_own_row_wins_up_to_a_coherence_of_one_half():
    size, width = 200, 400  # at random, rows of this width have about 1/20 in common
    rows = torch.randn(size, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / width**0.5
    bound = float((rows @ rows.T - torch.eye(size)).abs().max())
    _, output = tied(rows)
    logits = output(rows).detach()
    leads = logits.diagonal()[:, None] - logits + 2 * torch.eye(size)
    assert 0.1 < bound < 0.5
    assert float(leads.min()) >= 1 - 2 * bound
    assert torch.equal(logits.argmax(dim=1), torch.arange(size))


def test_gradient_through_the_output_reaches_every_row():
    _, output = tied(table())
    x, y = torch.randn(D, dtype=torch.float64, generator=torch.Generator().manual_seed(3)), 4
    logits = output(x)
    torch.nn.functional.cross_entropy(logits, torch.tensor(y)).backward()
    formula = lambdified("output_gradient", "p_w delta_wy x_q")
    p, right = logits.detach().softmax(0), torch.nn.functional.one_hot(torch.tensor(y), V)
    assert output.weight.grad is not None
    torch.testing.assert_close(output.weight.grad, formula(p[:, None], right[:, None], x[None, :]))
    assert output.weight.grad.all()


def test_gradient_of_a_tied_table_is_the_sum_of_both():
    embedding, output = tied(table())
    tokens, y = torch.tensor([[2, 5, 2]]), 4
    embedded = embedding(tokens)
    embedded.retain_grad()
    x = torch.tanh(embedded).sum(dim=(0, 1))
    logits = output(x)
    torch.nn.functional.cross_entropy(logits, torch.tensor(y)).backward()
    assert embedding.weight.grad is not None
    assert embedded.grad is not None
    names, found = PAGE.setting.names, torch.empty(V, D, dtype=torch.float64)
    T, p, x = torch.nn.functional.one_hot(tokens[0], V).numpy(), logits.detach().softmax(0), x.detach()
    total = PAGE.steps["16"].relation.right.subs(names["n"], 3).doit()
    arguments = [names[name] for name in ("T", "g", "p", "x")]
    for w, q in itertools.product(range(V), range(D)):
        formula = sp.lambdify(arguments, total.subs({names["w"]: w, names["q"]: q, names["y"]: y}))
        found[w, q] = float(formula(T, D**0.5 * embedded.grad[0].numpy(), p.numpy(), x.numpy()))
    torch.testing.assert_close(embedding.weight.grad, found)


def test_a_tied_table_is_one_parameter():
    sizes = [
        sum(p.numel() for p in CausalLM(Config(d_model=8, n_heads=2, vocab_size=30, tie_embeddings=tie)).parameters())
        for tie in (False, True)
    ]
    saved = PAGE.results["weights_saved"].subs({PAGE.symbols["V"]: 30, PAGE.symbols["d"]: 8})
    assert sizes[0] - sizes[1] == saved == 240
    assert PAGE.results["output_flops"] == derivation("block_cost").results["output_flops"]
