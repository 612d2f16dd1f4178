"""Allowances: never exceeded by rounding, far below a bug; and tests of statistics that are exact."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from veriformer.properties import Subject, tolerance
from veriformer.properties.case import Case
from veriformer.properties.comparison import Undecidable, same
from veriformer.properties.paths import axes_of
from veriformer.properties.statistics import chi_square_tails, lipschitz_tail, normal_tails, rectified_square_tails
from veriformer.properties.trial import Trial

CASE = Case(batch=1, length=3, memory_length=3, n_heads=1, groups=1, d_k=2, n_layers=1, contents="normal")


def trial_of(kernel, dtype: str = "float64") -> Trial:
    subject = Subject(name="kernel", contract="attention", call=kernel, features=())
    return Trial(subject, CASE, {axis: v[0] for axis, v in axes_of(subject).items()}, device="cpu", dtype=dtype)


def attention(query, key, value):
    return (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1) @ value


@given(
    seed=st.integers(0, 2**16),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    n=st.integers(1, 24),
    d=st.integers(1, 24),
    size=st.sampled_from([0.01, 1.0, 3.0]),
)
def test_derived_bound_holds(seed: int, dtype: torch.dtype, n: int, d: int, size: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    query, key, value = (torch.randn(1, 2, n, d, generator=generator).mul(size).to(dtype) for _ in range(3))
    exact = attention(query.double(), key.double(), value.double())
    bound = tolerance.attention_error_bound(
        query.double(), key.double(), value.double(), mask=None, scale=d**-0.5, dtype=dtype
    )
    assert ((attention(query, key, value).double() - exact).abs() <= bound).all()


def test_derived_bound_is_not_idle() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(4, 4, 16, 8, generator=generator).double() for _ in range(3))
    bound = tolerance.attention_error_bound(query, key, value, mask=None, scale=8**-0.5, dtype=torch.float32)
    error = (attention(query.float(), key.float(), value.float()).double() - attention(query, key, value)).abs()
    assert (error / bound).max() > 1e-3
    unscaled = (attention(query * 8**0.5, key, value) - attention(query, key, value)).abs()
    assert (unscaled > bound).float().mean() > 0.99


def test_bound_is_never_more_than_the_values_allow() -> None:
    """Logits in the hundreds, and sums of 400 terms in bfloat16: any weights may come out, and no output beyond."""
    x = torch.ones(1, 1, 3, 400, dtype=torch.float64)
    bound = tolerance.attention_error_bound(x, x, x, mask=None, scale=1.0, dtype=torch.bfloat16)
    assert 2 < float(bound.max()) < 2.2


def test_bound_is_smaller_where_more_is_known_of_the_sums() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 1, 16, 64, generator=generator).half().double() for _ in range(3))
    plain, wide = (
        tolerance.attention_error_bound(
            query, key, value, mask=None, scale=1 / 8, dtype=torch.float16, accumulate=accumulate
        )
        for accumulate in (None, torch.float32)
    )
    assert (wide < plain / 3).all()


def test_masked_keys_are_no_part_of_the_bound() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 1, 6, 4, generator=generator).double() for _ in range(3))
    key[..., 4:, :], value[..., 4:, :] = 1e8, 1e8
    mask = torch.tensor([True] * 4 + [False] * 2).expand(1, 1, 6, 6)
    bound = tolerance.attention_error_bound(query, key, value, mask=mask, scale=0.5, dtype=torch.float32)
    assert float(bound.max()) < 1e-4
    nobody = tolerance.attention_error_bound(
        query, key, value, mask=torch.zeros_like(mask), scale=0.5, dtype=torch.float32
    )
    assert (nobody < 1e-30).all()


def test_rounding_is_allowed_and_a_leak_is_not() -> None:
    trial = trial_of(attention)
    x = trial.inputs
    assert same(lambda: trial(x) * (1 + 2**-50), lambda: trial(x)).judge(trial).holds
    assert not same(lambda: trial(x) * (1 + 1e-9), lambda: trial(x)).judge(trial).holds


def test_allowance_grows_with_the_conditioning() -> None:
    """What is too much for a smooth kernel is allowed for a steep one, which amplifies rounding."""

    def steep(query, key, value):
        return torch.sin(query * 1e6) + 0 * value

    gentle, sharp = trial_of(attention), trial_of(steep)
    flat = same(lambda: gentle(gentle.inputs) + 1e-13, lambda: gentle(gentle.inputs)).judge(gentle)

    def sensitivity(trial: Trial) -> float:
        before = trial(trial.inputs)
        return tolerance.sensitivity(lambda: (trial(trial.inputs) - before).abs(), trial.jitter)

    assert not flat.holds
    assert sensitivity(sharp) > 1e3 * sensitivity(gentle)


def test_hopeless_conditioning_is_undecided() -> None:
    def chaotic(query, key, value):
        return torch.sin(query * 1e14) + 0 * value[..., :1, :]

    trial = trial_of(chaotic)
    with pytest.raises(Undecidable):
        same(lambda: trial(trial.inputs) + 1e-3, lambda: trial(trial.inputs)).judge(trial)


def test_jitter_moves_every_input_and_then_stops() -> None:
    trial = trial_of(attention)
    before = trial(trial.inputs)
    with trial.jitter(0):
        moved = trial(trial.inputs)
    assert 0 < float((moved - before).abs().max()) < 1e-13
    assert torch.equal(trial(trial.inputs), before)


@pytest.mark.parametrize(
    ("statistic", "freedom", "above"),
    [(3.841458820694124, 1, 0.05), (18.307038053275146, 10, 0.05), (2.0, 2, math.exp(-1)), (100.0, 2, math.exp(-50))],
)
def test_chi_square_tails(statistic: float, freedom: int, above: float) -> None:
    below, tail = chi_square_tails(statistic, freedom)
    assert tail == pytest.approx(above, rel=1e-9)
    assert below == pytest.approx(1 - above, rel=1e-9)


@pytest.mark.parametrize(("statistic", "freedom"), [(-1.0, 3), (1.0, 0)])
def test_chi_square_of_nothing(statistic: float, freedom: int) -> None:
    with pytest.raises(ValueError, match="expected a statistic"):
        chi_square_tails(statistic, freedom)


def test_lipschitz_tail_is_above_that_of_the_steepest_function() -> None:
    """Of all functions with this constant a sum over √n moves most, and it is standard normal."""
    for z in (0.1, 1.0, 3.0, 7.0):
        beyond = 2 * normal_tails(z)[1]
        assert beyond <= lipschitz_tail(z, 1.0) == lipschitz_tail(-2 * z, 2.0)
        assert lipschitz_tail(z, 1.0) < 20 * beyond


@pytest.mark.parametrize("n", [1, 40, 2048])
def test_tails_of_rectified_squares_are_bounds(n: int) -> None:
    """They lie above what the parts alone give (k of n are above 0, and these have a χ² law), and not far above."""

    def exactly_above(s: float) -> float:
        some = range(1, n + 1) if n < 100 else range(n // 2 - 300, n // 2 + 301)
        return sum(math.exp(_log_binomial(n, k)) * chi_square_tails(s, k)[1] for k in some)

    for times in (1.2, 2.0):
        bound, exact = rectified_square_tails(times * n / 2, n)[1], exactly_above(times * n / 2)
        assert exact <= bound <= min(1, 200 * exact)
    below, _ = rectified_square_tails(0.5 * n / 2, n)
    assert 1 - exactly_above(0.5 * n / 2) <= below + 1e-12


def _log_binomial(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)


def test_power_of_the_variance_test() -> None:
    """The miss probability that the law's docstring states, at its smallest sizes."""
    from veriformer.properties.laws.scaling import FALSE_ALARM

    freedom = 128 * 2 * 8

    def edge(upper: bool) -> float:
        low, high = 0.3 * freedom, 3.0 * freedom
        for _ in range(60):
            middle = (low + high) / 2
            below, above = chi_square_tails(middle, freedom)
            inside = (above if upper else below) > FALSE_ALARM / 2
            low, high = (middle, high) if inside == upper else (low, middle)
        return low

    for factor in (2 / 3, 3 / 2):
        missed = chi_square_tails(edge(True) / factor, freedom)[0] - chi_square_tails(edge(False) / factor, freedom)[0]
        assert missed < 1e-8


def test_power_of_the_tests_of_relu() -> None:
    """What the laws' docstrings state, at their smallest sizes: 16 units wide and 256 sequences; 128 units, 16 deep."""
    from veriformer.properties.laws.feed_forward import DEPTH
    from veriformer.properties.laws.scaling import FALSE_ALARM

    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(32, 16, dtype=torch.float64, generator=generator)
    norm = float(torch.linalg.matrix_norm(rows / rows.norm(dim=1, keepdim=True), 2))
    constant = 1.2 * norm / math.sqrt(256 * 20 * 32)
    noticed = constant * math.sqrt(2 * math.log(2 / FALSE_ALARM))
    assert lipschitz_tail(0.25 / math.sqrt(2 * math.pi) - noticed, constant) < 1e-9

    n = 128 * DEPTH
    low = max(s for s in range(1, n // 2) if 2 * rectified_square_tails(s, n)[0] <= FALSE_ALARM)
    high = min(s for s in range(n // 2, 2 * n) if 2 * rectified_square_tails(s, n)[1] <= FALSE_ALARM)
    assert rectified_square_tails(high / 2, n)[0] < 1e-8
    assert rectified_square_tails(low * 2, n)[1] < 1e-8
