"""Optional dependencies: what is said where one is missing, and that none is imported before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
