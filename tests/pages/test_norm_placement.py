"""The reference encoder at initialisation, beside the mean field of the page."""

# pyright: reportAttributeAccessIssue=false, reportCallIssue=false
# PyTorch does not say of what type the parts of a module are.

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path

import pytest
import sympy as sp
import torch
from torch import Tensor, nn

import veriformer.derivations
from veriformer.derivations import derivation
from veriformer.reference.config import Config, Norm
from veriformer.reference.encoder import Encoder
from veriformer.reference.layer_norm import LayerNorm

PAGE = derivation("norm_placement")
TEXT = (Path(veriformer.derivations.__file__).parent / "norm_placement.md").read_text(encoding="utf-8")
WIDTH, HIDDEN, TOKENS, SEEDS = 64, 256, 16, range(5)
FAR = 6.5  # standard errors; the two-sided Gaussian tail beyond is below 1e-10


def number(result: str, **values: float) -> float:
    at = {PAGE.setting.names[name]: value for name, value in values.items()}
    return float(PAGE.results[result].subs(at))


def mean_square(x: Tensor) -> float:
    return float(x.detach().square().mean())


def added() -> float:
    """τ² of the feed-forward layer with Glorot's variance: step 2, with half of the units open."""
    names = PAGE.setting.names
    scale = math.sqrt(2 / (WIDTH + HIDDEN))
    at = {names["lambda"]: 0.5, names["w"]: HIDDEN, names["omega"]: scale, names["chi"]: scale, names["d"]: WIDTH}
    formula = PAGE.results["branch"].subs(at).doit()
    return float(formula.subs(dict.fromkeys(formula.atoms(sp.Indexed), 1)))


@cache
def measured(norm: Norm, blocks: int, attention: bool, seed: int) -> tuple[list[float], list[float], float, float]:
    """Mean squares of stream and gradient, bottom to top; the last matrix's gradient; how alike tokens are."""
    torch.manual_seed(seed)
    encoder = Encoder(Config(d_model=WIDTH, n_heads=4, n_layers=blocks, norm=norm, positions="none")).double()
    for module in encoder.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    x = torch.randn(1, TOKENS, WIDTH, dtype=torch.float64, requires_grad=True)
    stream = [x]

    def keep(module: nn.Module, arguments: object, output: Tensor) -> None:
        output.retain_grad()
        stream.append(output)

    for layer in encoder.layers:
        layer.feed_forward_residual.register_forward_hook(keep)
        if attention:
            layer.self_attention_residual.register_forward_hook(keep)
        else:
            layer.self_attention_residual.forward = lambda x, branch: x
    y = encoder(x)
    y.backward(torch.randn_like(y))
    gradients = [place.grad for place in stream]
    assert all(gradient is not None for gradient in gradients)
    last = encoder.layers[-1].feed_forward.W_2.weight.grad
    assert isinstance(last, Tensor)
    squares = [mean_square(gradient) for gradient in gradients if gradient is not None]
    tokens = nn.functional.normalize(y.detach()[0], dim=1)
    alike = (float((tokens @ tokens.T).sum()) - TOKENS) / (TOKENS * (TOKENS - 1))
    return [mean_square(place) for place in stream], squares, float(last.norm()), alike


def interval(values: list[float]) -> str:
    low, high = (f"{bound:.0f}" if bound >= 10 else f"{bound:.2g}" for bound in (min(values), max(values)))
    return f"{low} to {high}"


def test_a_branch_is_at_right_angles_and_adds_its_mean_square():
    generator = torch.Generator().manual_seed(0)
    samples, d, w, lam, omega, chi = 100_000, 3, 4, 0.3, 0.7, 1.2
    b, x = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), 0.8
    V = chi * math.sqrt(3) * (2 * torch.rand(samples, d, w, dtype=torch.float64, generator=generator) - 1)
    W = omega * torch.randn(samples, w, dtype=torch.float64, generator=generator)
    o = (torch.rand(samples, w, dtype=torch.float64, generator=generator) < lam).double()
    made = (torch.einsum("j,njr->nr", b, V) * o * W).sum(dim=1)
    names = PAGE.setting.names
    at = {names["lambda"]: lam, names["w"]: w, names["omega"]: omega, names["chi"]: chi, names["d"]: d}
    formula = PAGE.results["branch"].subs(at).doit()
    expected = float(formula.subs({entry: float(b[int(entry.indices[0])]) for entry in formula.atoms(sp.Indexed)}))
    for terms, mean in ((made**2, expected), ((x + made) ** 2, x**2 + expected)):
        assert abs(float(terms.mean()) - mean) < FAR * float(terms.std()) / math.sqrt(samples)


@pytest.mark.parametrize("epsilon", [0.0, 0.2])
def test_a_random_gradient_through_layer_norm(epsilon: float):
    generator, d, gamma, samples = torch.Generator().manual_seed(0), 7, 1.7, 50_000
    x = 3 * torch.randn(d, dtype=torch.float64, generator=generator)
    slopes = torch.autograd.functional.jacobian(LayerNorm(d, eps=epsilon).double(), x)
    assert isinstance(slopes, Tensor)
    G = math.sqrt(gamma) * torch.randn(samples, d, dtype=torch.float64, generator=generator)
    terms = (G @ slopes).square().mean(dim=1)
    sigma = math.sqrt(float(x.var(correction=0)) + epsilon)
    expected = number("through_layer_norm", gamma=gamma, sigma=sigma, d=d, varepsilon=epsilon)
    assert abs(float(terms.mean()) - expected) < FAR * float(terms.std()) / math.sqrt(samples)


def test_pre_ln_stream_and_gradient_of_feed_forward_branches():
    depth, tau = 32, math.sqrt(added())
    for seed in SEEDS:
        stream, gradient, *_ = measured("pre", depth, False, seed)
        for t in (0, 8, 24, 32):
            assert gradient[depth - t] == pytest.approx(number("pre", Gamma=1, a=1, L=depth, t=t, tau=tau), rel=0.35)
            assert stream[t] == pytest.approx(number("stream", a=1, ell=t, tau=tau), rel=0.35)
            assert stream[t] * gradient[t] == pytest.approx(1, rel=0.35)


def test_post_ln_of_the_mean_field():
    tau = math.sqrt(added())
    assert number("post", Gamma=1, beta=tau, tau=tau, t=32) == pytest.approx(1)
    assert measured("post", 32, False, 0)[0][1:] == pytest.approx([1] * 32, abs=1e-4)


def test_table_of_feed_forward_branches():
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+ to \d+) \| (\d+) \| (\d+ to \d+) \|$", TEXT, re.M)
    tau_2 = added()
    assert "$`\\tau^2 = 0.32`$" in TEXT
    assert round(tau_2, 2) == 0.32
    hidden = tau_2 / (2 / (WIDTH + HIDDEN))  # Σ u², as τ² = ω² Σ u²
    assert [int(row[0]) for row in rows] == [2, 8, 32]
    for depth, *shown in rows:
        L = int(depth)
        pre, post = (math.sqrt(TOKENS * WIDTH * hidden / s) for s in (1 + L * tau_2, 1 + tau_2))
        found = [interval([measured(norm, L, False, seed)[2] for seed in SEEDS]) for norm in ("pre", "post")]
        assert shown == [f"{pre:.0f}", found[0], f"{post:.0f}", found[1]]


def test_table_of_the_gradient_at_the_input():
    span = r"([\d.]+ to [\d.]+)"
    rows = re.findall(rf"^\| (\d+) \| {span} \| {span} \| {span} \| {span} \|$", TEXT, re.M)
    assert [int(row[0]) for row in rows] == [2, 8, 32]
    for blocks, *shown in rows:
        kinds: list[tuple[Norm, bool]] = [("pre", False), ("post", False), ("pre", True), ("post", True)]
        assert shown == [
            interval([measured(*kind[:1], int(blocks), kind[1], seed)[1][0] for seed in SEEDS]) for kind in kinds
        ]


def test_last_matrix_with_attention():
    shown = re.findall(r"(\d+ to \d+) at 2 blocks and (\d+ to \d+) at 32", re.sub(r"\s+", " ", TEXT))
    assert len(shown) == 2
    for norm, expected in zip(("pre", "post"), shown, strict=True):
        found = [interval([measured(norm, blocks, True, seed)[2] for seed in SEEDS]) for blocks in (2, 32)]
        assert found == list(expected)


def test_attention_makes_tokens_alike():
    shown = re.findall(
        r"cosine between two tokens is ([\d.]+) with post-LN and ([\d.]+) with pre-LN", " ".join(TEXT.split())
    )
    found = [sum(measured(norm, 32, True, seed)[3] for seed in SEEDS) / len(SEEDS) for norm in ("post", "pre")]
    assert shown == [tuple(f"{cosine:.2f}" for cosine in found)]
