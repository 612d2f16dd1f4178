"""What is left of a gradient at the bottom of a fresh stack, over its depth, by how its branches are joined.

Claims Q22.1 and Q23.2. The page on norm placement says what to expect of pre-LN and post-LN in the mean field.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import sympy as sp
import torch
from torch import Tensor, nn

from veriformer.derivations import derivation
from veriformer.reference.feed_forward import FeedForward
from veriformer.reference.layer_norm import LayerNorm
from veriformer.reference.multi_head import MultiHeadAttention
from veriformer.reference.residual import Residual

from .experiment import Budget, Chart, Curve, Expectation, Experiment, Figure, Outcome
from .intervals import mean_with_interval
from .proved import proved

JOINS = {
    "bare": "no residual, no LayerNorm",
    "normalised": "no residual, LayerNorm in front of each branch",
    "residual": "residual, no LayerNorm",
    "post": "post-LN",
    "pre": "pre-LN",
}
"""How the branches of a stack are joined, with words for it."""

PLACES = ("post", "pre")


class Plain(nn.Module):
    """``Residual`` with parts taken away: f(x), f(LayerNorm(x)) or x + f(x)."""

    def __init__(self, d_model: int, join: str) -> None:
        """``join`` is "bare", "normalised" or "residual"."""
        super().__init__()
        self.adds = join == "residual"
        self.norm = LayerNorm(d_model) if join == "normalised" else nn.Identity()

    def forward(self, x: Tensor, branch: Callable[[Tensor], Tensor]) -> Tensor:
        """x is (batch, length, d_model), as is the output."""
        output = branch(self.norm(x))
        return x + output if self.adds else output


class Stack(nn.Module):
    """Branches of the reference, one upon the other, joined in one of the ``JOINS``; a last LayerNorm for pre-LN.

    ``kinds`` is "feed_forward" or "attention" for each branch. Matrices are drawn as Glorot and Bengio do, N(0, 2/(fan
    in + fan out)), and biases are 0. All is float64: what is left without a residual underflows float32.
    """

    def __init__(self, join: str, kinds: Sequence[str], *, d_model: int, n_heads: int) -> None:
        """Draw the weights from PyTorch's global generator."""
        super().__init__()
        made = {"feed_forward": lambda: FeedForward(d_model), "attention": lambda: MultiHeadAttention(d_model, n_heads)}
        self.branches = nn.ModuleList([made[kind]() for kind in kinds])
        self.joins = nn.ModuleList(
            [Residual(d_model, join, 0.0) if join in ("pre", "post") else Plain(d_model, join) for _ in kinds]
        )
        self.last = LayerNorm(d_model) if join == "pre" else nn.Identity()
        self.double()
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.xavier_normal_(parameter)
        for module in self.modules():
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The stream, (batch, length, d_model): what entered, what stands behind each branch, and the output."""
        stream = [x]
        for branch, join in zip(self.branches, self.joins, strict=True):
            stream.append(join(stream[-1], lambda x, branch=branch: _first(branch(x))))
        return [*stream, self.last(stream[-1])]


def _first(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The output without the weights of attention."""
    return output[0] if isinstance(output, tuple) else output


@dataclass(frozen=True)
class Gradients:
    """``stream``: the gradient's root mean square below each branch, bottom first; at the output it is 1, up to chance.

    ``last``: the length of the gradient of the last feed-forward layer's second matrix.
    """

    stream: list[float]
    last: float


def gradients(join: str, kinds: Sequence[str], budget: Budget, *, seed: int) -> Gradients:
    """Of a fresh stack that reads standard normal tokens, where a standard normal gradient enters at its output."""
    torch.manual_seed(seed)
    shape = (1, budget["tokens"], budget["d_model"])
    x, above = (torch.randn(shape, dtype=torch.float64) for _ in range(2))
    stack = Stack(join, kinds, d_model=budget["d_model"], n_heads=budget["n_heads"])
    *stream, output = stack(x.requires_grad_())
    matrix = [branch for branch in stack.branches if isinstance(branch, FeedForward)][-1].W_2.weight
    *found, of_matrix = torch.autograd.grad((output * above).sum(), [*stream[:-1], matrix])
    return Gradients([float(g.square().mean().sqrt()) for g in found], float(of_matrix.norm()))


def branch_mean_square(d: int, w: int) -> float:
    """τ², the mean square of what a feed-forward branch adds to an entry: width d, hidden width w, drawn as above."""
    page, names = derivation("norm_placement"), ("lambda", "w", "omega", "chi", "b", "d")
    of_weights = sp.lambdify([page.symbols[name] for name in names], page.results["branch"])
    return float(of_weights(0.5, w, _spread(d, w), _spread(d, w), [1.0] * d, d))


def _spread(fan_in: int, fan_out: int) -> float:
    return math.sqrt(2 / (fan_in + fan_out))


def expected_share(join: str, below: int, branches: int, budget: Budget) -> float:
    """Root mean square of the gradient below ``below`` of the branches, counted from the top, in the mean field."""
    d = budget["d_model"]
    tau = math.sqrt(branch_mean_square(d, 4 * d))
    if join == "pre":
        return math.sqrt(proved("norm_placement", "pre", Gamma=1, a=1, tau=tau, L=branches, t=below))
    return math.sqrt(proved("norm_placement", "post", Gamma=1, beta=tau, tau=tau, t=below))


def expected_last(join: str, branches: int, budget: Budget) -> float:
    """Length of the gradient of the last matrix: what enters it, times the gradient that comes down to its branch."""
    d, w = budget["d_model"], 4 * budget["d_model"]
    added = branch_mean_square(d, w)
    hidden = added / _spread(d, w) ** 2  # the squared length of the hidden layer: its matrix adds ω² of it an entry
    if join == "pre":
        arriving = expected_share("pre", 0, branches, budget) ** 2
    else:  # by way of one LayerNorm, and no branch
        arriving = proved("norm_placement", "post", Gamma=1, beta=0, tau=math.sqrt(added), t=1)
    return math.sqrt(budget["tokens"] * hidden * d * arriving)


def measure(budget: Budget, say: Callable[[str], None]) -> Outcome:
    """Gradients of stacks with attention, joined in every way; and of pre-LN and post-LN without it, as derived."""
    seeds, blocks, deepest = budget["seeds"], budget["blocks"], max(budget["blocks"])
    bottom: dict[str, list[list[float]]] = {}
    for join in JOINS:
        runs = [
            [gradients(join, ["attention", "feed_forward"] * n, budget, seed=seed).stream[0] for seed in seeds]
            for n in blocks
        ]
        bottom[join] = [[math.log10(share) for share in shares] for shares in runs]
        say(f"{JOINS[join]}: 10^{mean_with_interval(bottom[join][-1])[0]:.2f} is left below {deepest} blocks")
    alone = {
        join: [[gradients(join, ["feed_forward"] * 2 * n, budget, seed=seed) for seed in seeds] for n in blocks]
        for join in PLACES
    }
    return Outcome(
        _figures(bottom, alone, budget),
        (_bottom_chart(bottom, budget), _last_chart(alone, budget), _stream_chart(alone, budget)),
    )


def _figures(
    bottom: Mapping[str, list[list[float]]], alone: Mapping[str, list[list[Gradients]]], budget: Budget
) -> tuple[Figure, ...]:
    few, many = 2 * min(budget["blocks"]), 2 * max(budget["blocks"])
    left = f"gradient at the input over that at the output, {many // 2} blocks"
    last, power = (
        f"gradient of the last matrix, {many} feed-forward branches,",
        f"its power of the depth, from {few} on",
    )

    def figure(name: str, what: str, values: Sequence[float], unit: str = "dimensionless") -> Figure:
        return Figure(name, what, *mean_with_interval(values), unit, len(values))

    def exponent(early: float, late: float) -> float:
        return math.log(late / early) / math.log(many / few)

    def exponents(join: str) -> list[float]:
        return [exponent(early.last, late.last) for early, late in zip(alone[join][0], alone[join][-1], strict=True)]

    def over_expected(join: str) -> list[float]:
        return [found.last / expected_last(join, many, budget) for found in alone[join][-1]]

    gap = [pre - post for pre, post in zip(bottom["pre"][-1], bottom["post"][-1], strict=True)]
    derived = exponent(*(expected_last("pre", branches, budget) for branches in (few, many)))
    return (
        *(figure(f"left_{j}", f"{left}: {told}", bottom[j][-1], "powers of ten") for j, told in JOINS.items()),
        figure("left_gap", f"{left}: pre-LN less post-LN", gap, "powers of ten"),
        *(figure(f"last_{j}", f"{last} over what is expected: {JOINS[j]}", over_expected(j)) for j in PLACES),
        *(figure(f"power_{j}", f"{power}: {JOINS[j]}", exponents(j)) for j in PLACES),
        Figure("power_pre_derived", f"{power}: pre-LN, derived", derived, derived, derived, "dimensionless", 1),
    )


def _curve(label: str, x: Sequence[float], logs: Sequence[Sequence[float]]) -> Curve:
    """Geometric means with their intervals, from common logarithms."""
    ends = zip(*([10**end for end in mean_with_interval(values)] for values in logs), strict=True)
    return Curve(label, tuple(map(float, x)), *map(tuple, ends))


def _derived(label: str, x: Sequence[float], values: Sequence[float]) -> Curve:
    return Curve(f"{label}, derived", tuple(map(float, x)), *[tuple(values)] * 3)


def _bottom_chart(bottom: Mapping[str, list[list[float]]], budget: Budget) -> Chart:
    curves = tuple(_curve(JOINS[join], budget["blocks"], logs) for join, logs in bottom.items())
    title, y_label = "What is left of a gradient below a fresh stack", "root mean square, at the output 1"
    return Chart("bottom", title, "blocks", y_label, curves, {}, log_x=True, log_y=True)


def _last_chart(alone: Mapping[str, list[list[Gradients]]], budget: Budget) -> Chart:
    depths = [2 * n for n in budget["blocks"]]
    curves = []
    for join in PLACES:
        logs = [[math.log10(found.last) for found in runs] for runs in alone[join]]
        due = [expected_last(join, n, budget) for n in depths]
        curves += [_curve(JOINS[join], depths, logs), _derived(JOINS[join], depths, due)]
    title = "Gradient of the last matrix of a stack of feed-forward branches"
    return Chart("last", title, "branches", "length", tuple(curves), {}, log_x=True, log_y=True)


def _stream_chart(alone: Mapping[str, list[list[Gradients]]], budget: Budget) -> Chart:
    n = 2 * max(budget["blocks"])
    places = range(n)
    curves = []
    for join in PLACES:
        logs = [[math.log10(found.stream[place]) for found in alone[join][-1]] for place in places]
        due = [expected_share(join, n - place, n, budget) for place in places]
        curves += [_curve(JOINS[join], places, logs), _derived(JOINS[join], places, due)]
    title = f"Gradient on its way down {n} feed-forward branches"
    return Chart("stream", title, "branches below", "root mean square, at the output 1", tuple(curves), {}, log_y=True)


DEPTH = Experiment(
    name="depth",
    claims=("Q22.1", "Q23.2"),
    question="How much of a gradient is left at the bottom of a fresh stack, and how much do its last weights get?",
    method="Fresh stacks, made of the attention and the feed-forward layer of the reference, read random tokens; a "
    "random gradient enters at the output. Only how the branches are joined differs. What the mean field says of "
    "pre-LN and post-LN is derived for feed-forward branches, so that part is measured on stacks of these alone. "
    "Intervals are Student's, 95 %, over seeds, of logarithms where the unit or the chart is logarithmic.",
    measure=measure,
    full={
        "seeds": list(range(1, 21)),
        "blocks": [1, 2, 4, 8, 16, 32],
        "d_model": 64,
        "n_heads": 4,
        "tokens": 16,
    },
    small={"seeds": [1, 2, 3], "blocks": [1, 8], "d_model": 64, "n_heads": 4, "tokens": 16},
    expectations=(
        Expectation(
            "without residual and LayerNorm less than a hundredth of a gradient is left",
            lambda found: found["left_bare"].value < -2,
        ),
        Expectation(
            "LayerNorm in front of each branch, without a residual, leaves a hundred times as much",
            lambda found: found["left_normalised"].value > found["left_bare"].value + 2,
        ),
        Expectation(
            "with the residual alone nothing is lost",
            lambda found: found["left_residual"].value > -0.1,
        ),
        Expectation(
            "with pre-LN no more than two thirds are lost, and not more than as much again is gained",
            lambda found: math.log10(1 / 3) < found["left_pre"].value < math.log10(2),
        ),
        Expectation(
            "post-LN leaves less than pre-LN, where there is attention",
            lambda found: found["left_gap"].value > 0,
        ),
        Expectation(
            "the last matrix gets what the mean field says, within a fifth, with pre-LN and with post-LN",
            lambda found: all(0.8 < found[f"last_{join}"].value < 1.2 for join in PLACES),
        ),
        Expectation(
            "with pre-LN its gradient falls with the depth by the derived power, within 0.05; with post-LN it stays",
            lambda found: (
                abs(found["power_pre"].value - found["power_pre_derived"].value) < 0.05
                and abs(found["power_post"].value) < 0.05
            ),
        ),
    ),
)
