"""Every law bites: beside each law stand real mistakes, planted in a copy of the reference, that it must catch."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import settings

from veriformer.claims.faults import FAULTS, Fault, planted, subjects_with, write_copy
from veriformer.properties import LAWS, Status, Subject, check_subject
from veriformer.properties.engine import Check, Result, plan, replay, run, settings_for
from veriformer.properties.loading import load
from veriformer.properties.violation import Token

PAIRS = [(fault, contract, law) for fault in FAULTS for contract, laws in fault.caught.items() for law in laws]
FAULTS_BY_NAME = {fault.name: fault for fault in FAULTS}
USING = settings_for(settings(), max_examples=10)
LINES = ("law", "subject", "path", "smallest", "measured", "reproduce")


@pytest.fixture(autouse=True)
def one_thread_and_one_seed() -> Iterator[None]:
    """Small tensors on one core; and what a fault draws at random is the same in every run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)


def subject_of(fault: Fault, package: ModuleType, contract: str) -> Subject:
    (subject,) = [s for s in subjects_with(fault, package) if s.contract == contract]
    return subject


def first_violation(subject: Subject, law: str) -> tuple[Check, Result]:
    """The first path on which the law is violated. The others are left out: to shrink on each would take minutes."""
    seen: Counter[str] = Counter()
    for check in plan(subject, laws=[LAWS[law]]).checks:
        result = run(check, using=USING, seed=0)
        if result.status is Status.VIOLATED:
            return check, result
        seen[result.status] += 1
    pytest.fail(f"{law} does not catch it: {dict(seen)}")


@pytest.mark.parametrize(
    ("fault", "contract", "law"), PAIRS, ids=[f"{law}-{fault.name}-{contract}" for fault, contract, law in PAIRS]
)
def test_law_catches_fault(fault: Fault, contract: str, law: str) -> None:
    with planted(fault) as package:
        check, result = first_violation(subject_of(fault, package, contract), law)
        told = result.message.splitlines()
        assert told[0].startswith(f"{law} is violated")
        assert [word for word in LINES if not any(line.startswith(f"  {word} ") for line in told)] == []
        assert result.token in told[-1] or "it is not deterministic" in told[-1]
        shrunk = Token.decode(result.token)
        assert (shrunk.law, dict(shrunk.path)) == (law, dict(check.path))
        tries = 1 if law != "consistency.determinism" else 20  # two random outputs may agree by chance
        assert Status.VIOLATED in (replay(check, shrunk.case).status for _ in range(tries))

    without_the_fault = replace(check, subject=load(fault.on, contract=contract)[0])
    assert replay(without_the_fault, shrunk.case).status is Status.HELD
    assert run(without_the_fault, using=USING, seed=0).status is Status.HELD


@pytest.mark.parametrize("law", LAWS)
def test_every_law_has_three_faults(law: str) -> None:
    assert len({fault.name for fault, _, caught_by in PAIRS if caught_by == law}) >= 3


def test_faults_are_well_formed() -> None:
    assert len(FAULTS_BY_NAME) == len(FAULTS)
    assert {law for _, _, law in PAIRS} <= set(LAWS)
    assert all(contract in LAWS[law].contracts for _, contract, law in PAIRS)


def test_same_answer_by_check_subject() -> None:
    fault = FAULTS_BY_NAME["causal_diagonal_off_by_one"]
    with planted(fault) as package:
        results = check_subject(subject_of(fault, package, "self_attention"), properties="causality.no_future_*")
    by_law = {law: {r.status for r in results if r.law == law} for law in {r.law for r in results}}
    assert Status.VIOLATED in by_law["causality.no_future_influence"]
    assert Status.VIOLATED in by_law["causality.no_future_gradient"]


@pytest.mark.parametrize(
    ("name", "contract", "law"),
    [
        ("mask_polarity_inverted", "self_attention", "padding.content"),
        ("scale_missing", "attention", "scaling.logit_variance"),
    ],
)
def test_command_line_catches_fault(name: str, contract: str, law: str, tmp_path: Path) -> None:
    package = write_copy(tmp_path, FAULTS_BY_NAME[name])
    file = tmp_path / "subject_with_fault.py"
    file.write_text(
        f"import {package.name}\n"
        "from veriformer.claims.reference_subject import subjects_of\n\n"
        f"SUBJECTS = subjects_of({package.name})\n"
    )
    call = [sys.executable, "-m", "veriformer.claims.command_line", "check", f"{file}:SUBJECTS"]
    checked = subprocess.run(
        [*call, "--contract", contract, "--property", law, "--seed", "0"], capture_output=True, text=True, timeout=120
    )
    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert f"{law} is violated" in checked.stdout
    token = re.findall(r"--replay (\S+)", checked.stdout)[0]
    replayed = subprocess.run([*call, "--replay", token], capture_output=True, text=True, timeout=120)
    assert replayed.returncode == 1, replayed.stdout + replayed.stderr
    assert f"{law} is violated" in replayed.stdout


def test_nothing_is_left_of_a_fault() -> None:
    fault = FAULTS[0]
    with planted(fault) as package:
        name, folder = package.__name__, Path(str(package.__file__)).parent
        assert f"{name}.masks" in sys.modules
        assert folder.is_dir()
    assert not [module for module in sys.modules if module.startswith(name)]
    assert not folder.exists()


def test_patch_that_does_not_fit_is_an_error() -> None:
    stale = replace(FAULTS[0], old="a line that the reference no longer has")
    with tempfile.TemporaryDirectory() as folder, pytest.raises(ValueError, match=r"expected once in .*, found 0"):
        write_copy(Path(folder), stale)
