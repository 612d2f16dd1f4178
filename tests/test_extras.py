"""Optional dependencies: what is said where one is missing, and that none is imported before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from veriformer.claims import claims_command
from veriformer.claims.claim import Claim
from veriformer.claims.claims_command import Judged
from veriformer.claims.command_line import main
from veriformer.claims.evidence import Finding, Holds
from veriformer.properties import LAWS, Subject, extras
from veriformer.properties.engine import plan
from veriformer.properties.loading import BUILT_IN, load
from veriformer.properties.preflight import preflight

OPTIONAL = [s for name in BUILT_IN if not name.startswith("reference") for s in load(name) if s.extra is not None]


@pytest.mark.parametrize("subject", OPTIONAL, ids=lambda s: f"{s.name}-{s.contract}")
def test_missing_library_is_one_line(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert subject.extra is not None
    preflight(subject, device="cpu", dtype="float64")
    made = plan(subject)
    assert not made.checks
    assert {result.message for result in made.not_applicable} == {
        f"the library {subject.extra.library} is not installed: pip install 'veriformer[{subject.extra.name}]'"
    }
    assert len(made.not_applicable) == sum(subject.contract in law.contracts for law in LAWS.values())


def test_library_is_imported_when_it_is_needed() -> None:
    libraries = {s.extra.library for s in OPTIONAL if s.extra is not None}
    code = f"""
import sys
from veriformer.properties.loading import BUILT_IN, load
subjects = [s for name in BUILT_IN for s in load(name)]
print(*({libraries!r} & set(sys.modules)))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.stdout.strip(), ended.stderr) == ("", "")


HELD = Finding("holds", "padding.content", True, "10 examples on 1 paths")
FALLEN = Finding("holds", "padding.gradients", False, "violated on 1 of 1 paths")
UNHEARD = Finding("holds", "initial.distribution on keras", False, "the library keras is …", extra="keras")


def judged(*findings: Finding) -> Judged:
    return Judged(Claim("S.keras", "…", "P", (Holds("padding.content"),), "…"), list(findings))


def test_claim_is_open_for_want_of_a_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert main(["claims", "S.bert", "--json", str(tmp_path / "claims.json")]) == 0
    printed = capsys.readouterr().out
    assert "open for want of a library: S.bert; pip install 'veriformer[huggingface]'" in printed
    assert "✗" not in printed
    (claim,) = json.loads((tmp_path / "claims.json").read_text())["claims"]
    assert (claim["verdict"], claim["extras"]) == ("open", ["huggingface"])


def test_check_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert main(["check", "keras.initializers.GlorotUniform", "--seed", "0"]) == 2
    ended = capsys.readouterr()
    assert "the library keras is not installed: pip install 'veriformer[keras]'" in ended.out
    assert len(ended.err.splitlines()) == 1


def test_what_was_not_run_is_no_failure_and_no_support() -> None:
    assert judged(HELD).verdict == "supported"
    assert judged(HELD, UNHEARD).verdict == "open"
    assert not judged(HELD, UNHEARD).failed
    assert judged(FALLEN, UNHEARD).failed == [FALLEN]


def test_table_says_what_to_install() -> None:
    console = Console(width=100, record=True, file=StringIO())
    claims_command._table(console, [judged(HELD, UNHEARD)])
    assert "to decide it: pip install 'veriformer[keras]'" in console.export_text()
