"""The list of real bugs says what can be run, and only what the laws say is called told apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from veriformer.properties import LAWS

from .real_bugs.run import HERE, Bug, Outcome, bugs, main, told_apart

BUGS = bugs()
HELD, VIOLATED = Outcome(Counter(held=3)), Outcome(Counter(held=2, violated=1))


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_listed_bug_can_be_run(bug: Bug) -> None:
    file, _, attribute = bug.subject.partition(":")
    assert f"\n{attribute} = " in (HERE / file).read_text(encoding="utf-8")
    assert bug.law in LAWS
    assert bug.link.startswith("https://")
    assert bug.what
    assert bug.bad != bug.good
    assert [pin.partition("==")[0] for pin in bug.bad] == [pin.partition("==")[0] for pin in bug.good]
    assert all("==" in pin for side in ("bad", "good") for pin in bug.pins(side))


def test_names_are_apart() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS)


@pytest.mark.parametrize(
    ("bad", "good", "apart"),
    [
        (VIOLATED, HELD, True),
        (HELD, HELD, False),
        (VIOLATED, VIOLATED, False),
        (VIOLATED, Outcome(), False),
        (VIOLATED, Outcome(Counter(held=2, crashed=1)), False),
        (Outcome(trouble="it cannot be imported"), HELD, False),
    ],
)
def test_pair_is_told_apart_by_the_law_alone(bad: Outcome, good: Outcome, apart: bool) -> None:
    assert told_apart(replace(BUGS[0], refused=""), bad, good) is apart


def test_refusal_counts_where_it_is_expected_in_these_words() -> None:
    bug = replace(BUGS[0], refused="the wrong way round")
    assert told_apart(bug, Outcome(trouble="is the mask read the wrong way round?"), HELD)
    assert not told_apart(bug, Outcome(trouble="it cannot be imported"), HELD)
    assert not told_apart(bug, VIOLATED, HELD)


def test_unknown_bug_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["no_such_bug"])
    assert "expected bugs out of" in capsys.readouterr().err
