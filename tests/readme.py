"""The README's files and commands, as the tests and CI use them: ``python tests/readme.py extract FILE…``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```$", re.M | re.S)


def files() -> dict[str, str]:
    """The Python files that the README shows, by name."""
    return dict(BLOCK.findall(README.read_text(encoding="utf-8")))


def extract(folder: Path, names: list[str]) -> None:
    """Write some of the README's files into ``folder``."""
    shown = files()
    for name in names:
        (folder / name).write_text(shown[name], encoding="utf-8")


def shown_run() -> tuple[str, str]:
    """The command whose output the README shows, and that output."""
    command, output = re.findall(r"^```\n\$ (veriformer [^\n]*)\n(.*?)^```$", README.read_text("utf-8"), re.M | re.S)[0]
    return command, output


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] != "extract":
        sys.exit("usage: python tests/readme.py extract FILE…")
    extract(Path.cwd(), sys.argv[2:])
