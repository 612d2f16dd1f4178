"""The pytest door, as users come through it: a project of their own, and pytest in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import pytest

import veriformer.properties

OURS = Path(str(veriformer.properties.__file__)).parent

KERNELS = """
import math
import os
import torch
from veriformer.properties import Subject, Unsupported


def scores(query, key):
    return query @ key.mT / math.sqrt(query.shape[-1])


def seen(length, diagonal):
    return torch.ones(length, length, dtype=torch.bool).tril(diagonal)


def good(query, key, value, is_causal=False):
    with open(os.environ.get("CALLS", os.devnull), "a") as calls:
        print(tuple(query.shape), float(query.detach().sum()), file=calls)
    s = scores(query, key)
    if is_causal:
        s = s.masked_fill(~seen(query.shape[2], 0), -math.inf)
    return torch.softmax(s, -1) @ value


def leaky(query, key, value, is_causal=False):
    s = scores(query, key)
    if is_causal:
        s = s.masked_fill(~seen(query.shape[2], 1), -math.inf)
    return torch.softmax(s, -1) @ value


def raises(query, key, value):
    if query.shape[2] > 2:
        raise ValueError("too long for me")
    return good(query, key, value)


def refuses(query, key, value):
    raise Unsupported("not on a Sunday")


GOOD, LEAKY, RAISES, REFUSES = (
    Subject(name=call.__name__, contract="attention", call=call) for call in (good, leaky, raises, refuses)
)
"""

HEAD = """
import pytest
from kernels import GOOD, LEAKY, RAISES, REFUSES
from veriformer.properties import Subject, parametrize_with_properties
"""


@dataclass(frozen=True)
class Ran:
    """How a run of pytest ended: each test by its id, and what was printed."""

    status: int
    out: str
    tests: dict[str, tuple[str, str]]

    @property
    def counts(self) -> dict[str, int]:
        """How many tests had each outcome."""
        outcomes = [outcome for outcome, _ in self.tests.values()]
        return {outcome: outcomes.count(outcome) for outcome in dict.fromkeys(outcomes)}


def run(folder: Path, tests: str, *options: str, calls: str = "") -> Ran:
    """Write ``tests`` into a project in ``folder``, and run pytest there."""
    (folder / "kernels.py").write_text(KERNELS)
    if tests:
        (folder / "test_mine.py").write_text(HEAD + tests)
    (folder / "out.xml").unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--junitxml=out.xml", *options]
    # Not the environment of this run: on a build server Hypothesis has other defaults.
    environment = {"PATH": "", "COLUMNS": "80", **({"CALLS": calls} if calls else {})}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    return Ran(ended.returncode, ended.stdout + ended.stderr, _outcomes(folder / "out.xml"))


def _outcomes(file: Path) -> dict[str, tuple[str, str]]:
    found = {}
    for case in ElementTree.parse(file).iter("testcase"):
        inner = next((e for e in case if e.tag in ("failure", "skipped", "error")), None)
        outcome = "passed" if inner is None else inner.get("type", "").removeprefix("pytest.") or inner.tag
        outcome = outcome if outcome in ("passed", "skip", "xfail") else inner.tag if inner is not None else outcome
        found[case.get("name", "")] = (outcome, "" if inner is None else f"{inner.get('message')}\n{inner.text}")
    return found


FUNCTION_AND_METHOD = """
@parametrize_with_properties([GOOD], properties="*.[clps]*")
def test_function(check):
    check()


class TestClass:
    @parametrize_with_properties(["kernels:GOOD", "kernels.py:GOOD"], properties="causality.prefix_*")
    def test_method(self, check):
        check()
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A correct subject, by a function and by a method, with statistics."""
    folder = tmp_path_factory.mktemp("plain")
    return run(folder, FUNCTION_AND_METHOD, "--hypothesis-show-statistics", "--hypothesis-profile=dev")


def test_every_check_is_a_test_with_a_readable_id(plain: Ran) -> None:
    assert plain.status == 0, plain.out
    shape = r"test_\w+\[good-attention-[a-z]+\.[a-z_]+(\[[a-z=,_-]+-cpu-float64\])?\d*\]"
    assert [name for name in plain.tests if not re.fullmatch(shape, name)] == []
    assert {
        "test_function[good-attention-causality.prefix_consistency[causal=flag-cpu-float64]]",
        "test_function[good-attention-padding.content]",
        "test_method[good-attention-causality.prefix_consistency[causal=flag,grad=off-cpu-float64]0]",
    } <= set(plain.tests)


def test_ids_are_unique(tmp_path: Path, plain: Ran) -> None:
    collected = run(tmp_path, FUNCTION_AND_METHOD, "--collect-only", "-q").out
    ids = [line for line in collected.splitlines() if "::" in line]
    assert len(ids) == len(set(ids)) > 20


def test_laws_that_do_not_apply_are_skipped_with_the_reason(plain: Ran) -> None:
    outcome, why = plain.tests["test_function[good-attention-padding.content]"]
    assert outcome == "skip"
    assert "it takes no padding mask" in why
    assert set(plain.counts) == {"passed", "skip"}


def test_it_is_a_hypothesis_test(plain: Ran) -> None:
    _, *blocks = plain.out.partition("= Hypothesis Statistics =")[2].split("\ntest_mine.py::")
    assert len(blocks) == plain.counts["passed"]
    assert all("10 passing, 0 failing" in block and "settings.max_examples=10" in block for block in blocks)


def test_same_outcomes_over_two_workers(tmp_path: Path, plain: Ran) -> None:
    pytest.importorskip("xdist")
    spread = run(tmp_path, FUNCTION_AND_METHOD, "-n", "2", "--hypothesis-profile=dev")
    assert spread.status == 0, spread.out
    assert {name: outcome for name, (outcome, _) in spread.tests.items()} == {
        name: outcome for name, (outcome, _) in plain.tests.items()
    }


ONE_CHECK = """
@parametrize_with_properties(["kernels:GOOD"], properties="scaling.*")
def test_mine(check):
    check()
"""


def test_seed_makes_runs_repeatable(tmp_path: Path) -> None:
    def cases(seed: int, name: str) -> str:
        ended = run(tmp_path, ONE_CHECK, f"--hypothesis-seed={seed}", "--hypothesis-profile=dev", calls=name)
        assert ended.status == 0, ended.out
        return (tmp_path / name).read_text()

    one, again, other = cases(1, "one"), cases(1, "again"), cases(2, "other")
    assert one == again != other


PROFILES = {"ci": 10, "thorough": 30}


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_exist(profile: str, tmp_path: Path) -> None:
    ended = run(tmp_path, ONE_CHECK, f"--hypothesis-profile={profile}", "--hypothesis-show-statistics")
    assert ended.status == 0, ended.out
    assert f"settings.max_examples={PROFILES[profile]}" in ended.out


VIOLATED = """
@parametrize_with_properties(["kernels:LEAKY"], properties="causality.no_future_gradient")
def test_mine(check):
    check()
"""


@pytest.fixture(scope="module")
def violated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Ran]:
    """A subject that leaks, tried twice in the same folder."""
    folder = tmp_path_factory.mktemp("violated")
    options = ("--hypothesis-show-statistics", "--hypothesis-profile=dev")
    return run(folder, VIOLATED, *options), run(folder, "", *options)


def test_violation_is_told_in_a_few_lines(violated: tuple[Ran, Ran]) -> None:
    ran, _ = violated
    assert ran.status == 1
    assert ran.counts == {"failure": 1}
    ((_, report),) = ran.tests.values()
    message = report.partition("\n\n")[0]
    assert "causality.no_future_gradient is violated" in message
    told = re.findall(r"^E +(law|subject|path|smallest|measured|where|reproduce) ", ran.out, re.MULTILINE)
    assert told == ["law", "subject", "path", "smallest", "measured", "where", "reproduce"]
    assert "reproduce  veriformer check kernels:LEAKY --replay vf1." in ran.out
    section = ran.out[ran.out.index("= FAILURES =") : ran.out.index("= Hypothesis Statistics =")]
    assert len(section.splitlines()) <= 35, section
    assert str(OURS) not in section
    assert "Subject(" not in section
    assert "Draw 1" not in section


def test_failing_example_is_tried_first_next_time(violated: tuple[Ran, Ran]) -> None:
    first, second = violated
    assert "during reuse phase" not in first.out
    assert "during reuse phase" in second.out
    assert "during generate phase" not in second.out
    assert re.findall(r"--replay (\S+)", first.out)[0] == re.findall(r"--replay (\S+)", second.out)[0]


AWKWARD = """
@parametrize_with_properties(["kernels:RAISES", "kernels:REFUSES"], properties="consistency.determinism")
def test_mine(check):
    check()


@parametrize_with_properties(["kernels:GOOD"], properties="scaling.*")
@pytest.mark.skip(reason="marked below")
def test_marked_below(check):
    check()


@pytest.mark.skip(reason="marked above")
@parametrize_with_properties(["kernels:GOOD"], properties="scaling.*")
def test_marked_above(check):
    check()
"""


@pytest.fixture(scope="module")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Subjects that raise, and marks around the decorator."""
    return run(tmp_path_factory.mktemp("awkward"), AWKWARD, "--hypothesis-profile=dev")


def test_crash_shows_the_users_line_and_one_of_ours(awkward: Ran) -> None:
    crashed = {name: text for name, (outcome, text) in awkward.tests.items() if "raises" in name}
    assert {outcome for name, (outcome, _) in awkward.tests.items() if "raises" in name} == {"failure"}
    for text in crashed.values():
        assert 'raise ValueError("too long for me")' in text
        assert "consistency.determinism on path " in text
        assert "the subject raised ValueError: too long for me" in text
        assert "reproduce  veriformer check kernels:RAISES --replay vf1." in text
        assert "Subject(" not in text


def test_subject_that_supports_nothing_is_skipped(awkward: Ran) -> None:
    refused = [result for name, result in awkward.tests.items() if "refuses" in name]
    assert refused
    assert {outcome for outcome, _ in refused} == {"skip"}
    assert all("not on a Sunday" in why for _, why in refused)


def test_marks_above_and_below_count(awkward: Ran) -> None:
    marked = {name: why for name, (outcome, why) in awkward.tests.items() if "marked" in name and outcome == "skip"}
    assert {name.partition("[")[0] for name in marked} == {"test_marked_below", "test_marked_above"}
    assert all("marked" in why for why in marked.values())


EXPECTED = """
@parametrize_with_properties([SUBJECT], properties="causality.no_future_gradient", expect="known.toml")
def test_mine(check):
    check()
"""


def test_expected_violation_is_a_strict_xfail(tmp_path: Path, violated: tuple[Ran, Ran]) -> None:
    (token,) = set(re.findall(r"--replay (\S+)", violated[0].out))
    entry = (
        f'subject = "leaky"\nlaw = "causality.no_future_gradient"\nreason = "It sees one ahead."\ntoken = "{token}"\n'
    )
    (tmp_path / "known.toml").write_text(f"[[violation]]\n{entry}")
    known = run(tmp_path, EXPECTED.replace("SUBJECT", "LEAKY"), "--hypothesis-profile=dev")
    assert known.status == 0, known.out
    assert known.counts == {"xfail": 1}
    assert "It sees one ahead." in next(iter(known.tests.values()))[1]

    mended = EXPECTED.replace("SUBJECT", 'Subject(name="leaky", contract="attention", call=GOOD.call)')
    gone = run(tmp_path, mended, "--hypothesis-profile=dev")
    assert gone.status == 1
    assert gone.counts == {"failure": 1}
    assert "[XPASS(strict)] It sees one ahead." in gone.out


def test_unused_plugin_costs_nothing(tmp_path: Path) -> None:
    heavy = {"torch", "sympy", "veriformer.properties.engine"}
    (tmp_path / "test_other.py").write_text(
        f"import sys\n\n\ndef test_it():\n    assert not {heavy!r} & set(sys.modules)\n"
    )
    ended = run(tmp_path, "")
    assert ended.status == 0, ended.out
    assert "veriformer" in run(tmp_path, "", "--trace-config", "test_other.py").out


USES = {
    '(["reference"], properties="nosuch*")': "properties='nosuch*': expected a glob that matches a law",
    '(["reference"], properties="nothing.*")': "expected a glob that matches a law",
    '(["nosuch:thing"])': "nosuch: importing it raised ModuleNotFoundError",
    '(["kernels:NOSUCH"])': "kernels has no attribute 'NOSUCH'; subjects declared there: GOOD",
    '(["kernels:good"])': "expected a Subject, got a function",
    '("reference")': "expected a list, as in @parametrize_with_properties([SUBJECT]); got 'reference'",
    "(GOOD)": "expected a list, as in @parametrize_with_properties([SUBJECT]); got a Subject",
    "": "expected a list, as in @parametrize_with_properties([SUBJECT]); got a function",
    "([])": "expected one or more subjects",
    "([3])": "expected Subjects, or addresses such as 'module:attribute'; got a int",
    '([GOOD], dtypes="float64")': "dtypes='float64': expected a list out of what is here: float64, float32",
    '([GOOD], dtypes=["int8"])': "dtypes=['int8']: expected a list out of what is here: float64, float32",
    '([GOOD], devices=["tpu"])': "devices=['tpu']: expected a list out of what is here: cpu",
    "([GOOD], strength=0)": "strength=0: expected a number of at least 1",
    '([GOOD], expect="nosuch.toml")': "nosuch.toml: expected a TOML file of expected violations",
}


def test_wrong_use_is_one_line_at_collection(tmp_path: Path) -> None:
    for number, use in enumerate(USES):
        text = f"{HEAD}\n\n@parametrize_with_properties{use}\ndef test_it(check):\n    check()\n"
        (tmp_path / f"test_{number:02d}.py").write_text(text)
    wrong_test = f"{HEAD}\n\n@parametrize_with_properties([GOOD])\ndef test_it(subject):\n    subject()\n"
    (tmp_path / "test_signature.py").write_text(wrong_test)
    ended = run(tmp_path, "")
    assert ended.status == 2
    assert str(OURS) not in ended.out
    for number, (use, words) in enumerate(USES.items()):
        report = ended.out.partition(f"ERROR collecting test_{number:02d}.py")[2].partition("ERROR collecting")[0]
        assert len([line for line in report.splitlines() if line.startswith("E  ")]) == 1, use
        assert words in report, use
    assert "test_it: expected a test with the one argument `check`, got ['subject']" in ended.out
