"""Code paths cover every pair; cases are plain data that mean the same everywhere."""

from __future__ import annotations

import json
from itertools import combinations, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from veriformer.claims.reference_subject import REFERENCE
from veriformer.properties import LAWS, Subject
from veriformer.properties.case import Case, cases, one_of
from veriformer.properties.engine import plan
from veriformer.properties.paths import covering
from veriformer.properties.trial import Trial
from veriformer.properties.violation import BadToken, Token

ENCODER = next(s for s in REFERENCE if s.contract == "encoder")
KERNEL = next(s for s in REFERENCE if s.contract == "attention")


def combined(rows, strength: int) -> set:
    return {some for row in rows for some in combinations(enumerate(row), strength)}


@given(
    sizes=st.lists(st.integers(1, 4), min_size=2, max_size=5),
    strength=st.integers(1, 3),
    left_out=st.sets(st.integers(0, 50), max_size=10),
)
def test_covering_covers(sizes: list[int], strength: int, left_out: set[int]) -> None:
    every = list(product(*(tuple("abcd"[:n]) for n in sizes)))
    rows = tuple(row for i, row in enumerate(every) if i not in left_out) or tuple(every)
    strength = min(strength, len(sizes))
    chosen = covering(rows, strength)
    assert set(chosen) <= set(rows)
    assert combined(chosen, strength) == combined(rows, strength)
    assert len(chosen) == len(set(chosen))


def test_pairs_take_far_fewer_paths_than_all() -> None:
    law = LAWS["consistency.determinism"]
    pairs, triples = (len(plan(ENCODER, laws=[law], strength=n).checks) for n in (2, 3))
    everything = len(plan(ENCODER, laws=[law], strength=99).checks)
    assert pairs < triples < everything
    assert pairs < everything / 10


@given(data=st.data())
def test_case_survives_its_token(data: st.DataObject) -> None:
    check = data.draw(st.sampled_from(plan(ENCODER, laws=[LAWS["order.permutation_equivariance"]]).checks))
    case = data.draw(cases(check.law, check.subject, check.path))
    token = Token(check.law.name, "encoder", dict(check.path), "cpu", "float64", case)
    assert Token.decode(token.encode()) == token
    assert Case.from_data(json.loads(json.dumps(case.to_data()))) == case


@pytest.mark.parametrize("text", ["", "vf1", "vf1.", "vf1.!!!", "vf0.abc", "vf1.eNrLSM3JyQcABiwCFQ"])
def test_damaged_token(text: str) -> None:
    with pytest.raises(BadToken, match="copy it whole"):
        Token.decode(text)


def test_token_means_the_same_numbers_everywhere() -> None:
    """Figures typed here on purpose: a token that is sent to somebody else must bring back the same case."""
    case = Case(batch=1, length=2, memory_length=1, n_heads=1, groups=1, d_k=1, n_layers=1, seed=3, contents="normal")
    path = dict(plan(KERNEL, laws=[LAWS["consistency.determinism"]]).checks[0].path)
    trial = Trial(KERNEL, case, path, device="cpu", dtype="float64")
    expected = torch.tensor(
        [
            -0.09755828731126262,
            -0.8873574500729906,
            0.04056961880046429,
            -1.0045782760364204,
            1.1597768608805783,
            0.0018627899066962085,
        ],
        dtype=torch.float64,
    ).view(1, 2, 3)
    assert torch.allclose(trial.numbers("x", 1, 2, 3), expected, rtol=0, atol=1e-15)


def test_real_positions_are_never_all_padding() -> None:
    check = next(c for c in plan(KERNEL, laws=[LAWS["padding.content"]]).checks if c.path["padding"] == "scattered")

    @given(case=cases(check.law, check.subject, check.path))
    def every_row_has_one(case: Case) -> None:
        assert len(case.real) == case.batch
        assert all("1" in row for row in case.real)

    every_row_has_one()


def test_equal_choices_of_different_types_are_kept_apart() -> None:
    """(1.0,) for a gain and (1,) for a size are equal as tuples, and one must not be handed out for the other."""

    @given(gain=one_of(1.0, 2.0)({}), size=one_of(1, 2)({}))
    def each_of_its_own(gain: float, size: int) -> None:
        assert (type(gain), type(size)) == (float, int)

    each_of_its_own()


def test_module_with_torch_state_is_rebuilt_alike() -> None:
    """Two trials of one case have the same parameters, whatever the global generator has been doing."""
    check = plan(ENCODER, laws=[LAWS["consistency.determinism"]]).checks[0]
    case = Case(batch=1, length=2, memory_length=1, n_heads=1, groups=1, d_k=4, n_layers=1)
    first = check.trial(case).built.state_dict()
    torch.rand(3)
    second = check.trial(case).built.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_subject_keeps_its_function_callable() -> None:
    kernel = Subject(name="k", contract="attention", call=lambda query, key, value: value)
    assert kernel(1, 2, 3) == 3
