"""Expected violations: a reason and a pinned case each, strict both ways; a file that cannot be used says why."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from veriformer.claims.command_line import main
from veriformer.properties import Status
from veriformer.properties.engine import Result
from veriformer.properties.expected import BUILT_IN, read

LAW = "causality.prefix_consistency"

FILE = """
import math
import torch
from veriformer.properties import Subject


def attention(diagonal):
    def call(query, key, value, is_causal=False):
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        if is_causal:
            seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(diagonal)
            scores = scores.masked_fill(~seen, -math.inf)
        return torch.softmax(scores, -1) @ value

    return call


MINE = Subject(name="mine", contract="attention", call=attention(diagonal=1))
MENDED = Subject(name="mine", contract="attention", call=attention(diagonal=0))
OTHER = Subject(name="other", contract="attention", call=attention(diagonal=1))
"""


class Ended(NamedTuple):
    """How a call of ``veriformer check`` ended."""

    status: int
    out: str
    err: str
    results: list[Result]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """``veriformer check`` on a subject of the file above, in this process."""
    (tmp_path / "mine.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def call(attribute: str, *more: str) -> Ended:
        file = Path("out.json")
        arguments = ["check", f"mine.py:{attribute}", "--seed", "0", "--json", str(file), *more]
        status = main(arguments if "--property" in more else [*arguments, "--property", LAW])
        captured = capsys.readouterr()
        data = json.loads(file.read_text())["results"] if file.exists() else []
        file.unlink(missing_ok=True)
        return Ended(status, captured.out, captured.err, [Result.from_data(result) for result in data])

    return call


@pytest.fixture
def token(check: Callable[..., Ended]) -> str:
    """The token of the violation of the law by MINE."""
    return next(result.token for result in check("MINE").results if result.status is Status.VIOLATED)


def toml(**entry: object) -> str:
    """One entry. Values are written as JSON, which for text, lists and tables of them TOML can read; None: no key."""
    lines = [f"{key} = {_value(value)}" for key, value in entry.items() if value is not None]
    return "\n".join(["[[violation]]", *lines, ""])


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


def entry(token: str, /, **changed: object) -> dict[str, object]:
    reason = "It sees one token ahead."
    return {"subject": "mine", "law": LAW, "path": {"causal": "flag"}, "reason": reason, "token": token, **changed}


def test_expected_violation_is_no_failure(check: Callable[..., Ended], token: str) -> None:
    Path("known.toml").write_text(toml(**entry(token, issue="https://example.org/1")))
    ended = check("MINE", "--expect", "known.toml")
    assert ended.status == 0
    assert {r.status for r in ended.results} == {Status.EXPECTED}
    assert all(r.message == "It sees one token ahead. (https://example.org/1)" for r in ended.results)
    assert f"expected violation: {LAW} on path causal=flag" in ended.out
    assert "It sees one token ahead. (https://example.org/1)" in ended.out
    assert f"{len(ended.results)} expected violation" in ended.out.splitlines()[-1]


def test_only_the_pinned_case_runs(check: Callable[..., Ended], token: str) -> None:
    Path("known.toml").write_text(toml(**entry(token)))
    assert {(r.examples, r.comparisons) for r in check("MINE", "--expect", "known.toml").results} <= {(0, 1), (1, 1)}


def test_violation_that_is_gone_fails_the_run(check: Callable[..., Ended], token: str) -> None:
    Path("known.toml").write_text(toml(**entry(token)))
    ended = check("MENDED", "--expect", "known.toml")
    assert ended.status == 1
    assert {r.status for r in ended.results} == {Status.UNEXPECTEDLY_HELD}
    assert f"unexpectedly held: {LAW} on path causal=flag" in ended.out
    assert "the pinned case holds now; was expected: It sees one token ahead." in ended.out


def test_entry_covers_only_its_path(check: Callable[..., Ended], token: str) -> None:
    Path("known.toml").write_text(toml(**entry(token, path={"causal": "flag", "grad": "on"})))
    ended = check("MINE", "--expect", "known.toml")
    assert ended.status == 1
    statuses = {r.path["grad"]: r.status for r in ended.results}
    assert statuses == {"on": Status.EXPECTED, "off": Status.VIOLATED}


def test_entry_covers_only_its_law(check: Callable[..., Ended], token: str) -> None:
    Path("known.toml").write_text(toml(**entry(token)))
    ended = check("MINE", "--expect", "known.toml", "--property", "causality.*")
    assert ended.status == 1
    assert {r.law for r in ended.results if r.status is Status.EXPECTED} == {LAW}
    assert "causality.no_future_influence" in {r.law for r in ended.results if r.status is Status.VIOLATED}


UNUSABLE: dict[str, tuple[Mapping[str, object], str]] = {
    "reason=None": ({"reason": None}, "violation 1: expected subject, law, path, reason, token; reason is missing"),
    "reason=''": ({"reason": ""}, "reason is missing or empty"),
    "reason=' '": ({"reason": " "}, "reason is missing or empty"),
    "reason=3": ({"reason": 3}, "expected text; reason is something else"),
    "token=None": ({"token": None}, "token is missing or empty"),
    "token='vf1.abc'": ({"token": "vf1.abc"}, "violation 1: the replay token is damaged"),
    "law='nosuch'": ({"law": "nosuch"}, "violation 1: expected a law, got 'nosuch'; `veriformer list properties`"),
    "law=another": ({"law": "causality.past_influences"}, f"influences, got one of {LAW}"),
    "issu='https'": ({"issu": "https://example.org"}, "expected keys out of device, dtype, issue,"),
    "path='flag'": ({"path": "flag"}, "path: expected a table such as { causal = 'flag' }; got 'flag'"),
    "path={'causal':3}": ({"path": {"causal": 3}}, "path: expected a table such as { causal = 'flag' }"),
    "dtype='flaot64'": ({"dtype": "flaot64"}, "dtype: expected one of float64, float32,"),
    "device='gpu'": ({"device": "gpu"}, "device: expected one of cpu, cuda or a glob; got 'gpu'"),
    "subject='mnie'": ({"subject": "mnie"}, "expected entries about mine.py:MINE, and none is; check the names"),
    "path={'causal':'mask'}": ({"path": {"causal": "mask"}}, "it matches no check"),
    "path={'causl':'flag'}": ({"path": {"causl": "flag"}}, "it matches no check"),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "words"), UNUSABLE.values(), ids=list(UNUSABLE))
def test_entry_that_cannot_be_used(
    changed: Mapping[str, object], words: str, check: Callable[..., Ended], token: str
) -> None:
    Path("known.toml").write_text(toml(**entry(token, **changed)))
    ended = check("MINE", "--expect", "known.toml")
    assert ended.status == 2, ended
    assert len(ended.err.splitlines()) == 1
    assert words in ended.err


FILES = {
    "no TOML": ("[[violation]\n", "expected a TOML file of expected violations; "),
    "one table": ('[violation]\nlaw = "x"\n', "expected tables [[violation]] and nothing else; got violation"),
    "another name": ('[[violations]]\nlaw = "x"\n', "expected tables [[violation]] and nothing else; got violations"),
    "empty": ("", "expected entries about mine.py:MINE, and none is"),
}


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=list(FILES))
def test_file_that_cannot_be_used(content: str, words: str, check: Callable[..., Ended]) -> None:
    Path("known.toml").write_text(content)
    ended = check("MINE", "--expect", "known.toml")
    assert ended.status == 2
    assert len(ended.err.splitlines()) == 1
    assert words in ended.err


def test_every_built_in_entry_can_be_used() -> None:
    entries = read(BUILT_IN)
    assert entries
    assert all(len(e.reason) > 20 for e in entries)
    assert len({(e.subject, e.law, e.token) for e in entries}) == len(entries)
