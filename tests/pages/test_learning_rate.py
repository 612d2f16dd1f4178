"""The formulas of the page are the schedule of the paper, written down anew and run by PyTorch's scheduler."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import sympy as sp
import torch
from torch.optim.lr_scheduler import LambdaLR

import veriformer.derivations
from veriformer.derivations import derivation

PAGE = derivation("learning_rate")
D, W, STEPS = 512, 40, 400


def lambdified(result: str, arguments: str):
    return sp.lambdify([PAGE.symbols[name] for name in arguments.split()], PAGE.results[result])


@pytest.fixture(scope="module")
def rates() -> list[float]:
    """The rate at steps 1 to 400, as an optimiser gets it from Vaswani et al. 2017, eq. 3."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = LambdaLR(optimiser, lambda done: D**-0.5 * min((done + 1) ** -0.5, (done + 1) * W**-1.5))
    found = []
    for _ in range(STEPS):
        found.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    return found


def test_both_branches(rates: list[float]):
    warm_up, decay = lambdified("warm_up", "t w d"), lambdified("decay", "t d")
    assert rates[:W] == pytest.approx([warm_up(t, W, D) for t in range(1, W + 1)])
    assert rates[W - 1 :] == pytest.approx([decay(t, D) for t in range(W, STEPS + 1)])


def test_single_peak(rates: list[float]):
    assert rates[W - 1] == pytest.approx(lambdified("peak", "w d")(W, D))
    assert all(earlier < later for earlier, later in itertools.pairwise(rates[:W]))
    assert all(earlier > later for earlier, later in itertools.pairwise(rates[W - 1 :]))


def test_slope_of_the_warm_up(rates: list[float]):
    differences = [later - earlier for earlier, later in itertools.pairwise(rates[:W])]
    assert differences == pytest.approx([lambdified("warm_up_slope", "w d")(W, D)] * (W - 1))


def test_the_peak_that_the_page_quotes():
    text = (Path(veriformer.derivations.__file__).parent / "learning_rate.md").read_text(encoding="utf-8")
    found = re.search(r"\$`d = (\d+)`\$ and \$`w = (\d+)`\$ it is ([\d.]+)\.", " ".join(text.split()))
    assert found
    assert f"{lambdified('peak', 'w d')(int(found[2]), int(found[1])):.4f}" == found[3]
