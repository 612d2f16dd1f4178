"""What the README shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from veriformer.claims.command_line import _parser, main
from veriformer.claims.experiments import EXPERIMENTS

from .readme import README, extract, files, shown_run


@pytest.mark.parametrize(
    ("file", "attribute", "status"),
    [
        ("my_attention.py", "my_attention", 0),
        ("my_layer.py", "my_layer", 0),
        ("my_rotary.py", "my_rotary", 0),
        ("textbook.py", "textbook", 1),
    ],
)
def test_example(file: str, attribute: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extract(tmp_path, [file])
    assert main(["check", f"{tmp_path / file}:{attribute}", "--seed", "0", "--profile", "ci"]) == status
    assert ("is violated" in capsys.readouterr().out) == (status == 1)


def test_examples_are_short() -> None:
    counts = {name: len([line for line in body.splitlines() if line.strip()]) for name, body in files().items()}
    assert counts["my_attention.py"] <= 10
    assert counts["my_rotary.py"] <= 10
    assert counts["test_mine.py"] <= 10


def test_shown_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command, shown = shown_run()
    extract(tmp_path, ["textbook.py"])
    monkeypatch.chdir(tmp_path)
    assert main(command.split()[1:]) == 1
    printed = capsys.readouterr().out
    assert shown.strip("…\n") in printed


def test_experiments_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = re.findall(r"^veriformer (measure[^#\n]*?) *#", README.read_text(encoding="utf-8"), re.M)
    monkeypatch.chdir(tmp_path)
    for command in shown:
        called = command.split()
        parsed = _parser().parse_args(called)
        assert parsed.name in (None, *EXPERIMENTS)
        if parsed.draw is not None:
            pytest.importorskip("matplotlib")
            assert main(called) == 0
            assert parsed.draw.is_file()
        elif parsed.name is None:
            assert main(called) == 0
    assert len(shown) == 4
    assert "head_removal" in capsys.readouterr().out


def test_commands_exist() -> None:
    text = README.read_text(encoding="utf-8")
    for script in ("benchmarks/harness_cost.py", "benchmarks/false_alarms.py", "properties/expected_violations.toml"):
        assert script in text
        assert (README.parent / script).is_file()
