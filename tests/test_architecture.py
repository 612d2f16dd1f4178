"""Imports run one way, and each law keeps the form that the suite relies on."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from veriformer.properties import LAWS

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "reference": set(),
    "derivations": set(),
    "properties": {"derivations"},
    "claims": {"reference", "derivations", "properties"},
}


def imported(file: Path) -> set[str]:
    """Absolute names of what a file imports."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room: str) -> None:
    for file in (ROOT / room).rglob("*.py"):
        rooms = {name.split(".")[1] for name in imported(file) if name.startswith("veriformer.")} - {room}
        allowed = MAY_IMPORT[room] | ({"reference"} if file.name == "oracle.py" else set())
        assert rooms <= allowed, file


def test_derivations_need_sympy_alone() -> None:
    for file in (ROOT / "derivations").glob("*.py"):
        foreign = {name.split(".")[0] for name in imported(file)} - set(sys.stdlib_module_names)
        assert foreign <= {"sympy"}, file


def test_public_package_is_light() -> None:
    code = "import sys, veriformer.properties; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_law_is_stated(law) -> None:
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", law.name)
    assert law.statement.endswith(".")
    assert law.formula
    assert law.contracts


def test_must_not_influence_has_its_twin() -> None:
    for law in LAWS.values():
        if law.family in ("padding", "causality", "order"):
            assert law.twin, f"{law.name} names no twin that says what does influence"
