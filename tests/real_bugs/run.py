"""Real bugs told apart: each is flagged by a law on the release that had it, and clean on the one that mended it.

``bugs.toml`` lists them. For each side of each bug this makes an environment that holds the pinned packages and, behind
them, what this interpreter has (PyTorch and the suite), and runs there what a user would: ``veriformer check
FILE:subject --property LAW``. Environments are kept, in ``.real_bugs`` at the top of the repository, so that a second
run is quick. PyTorch is the same on both sides: its own bugs are no part of this list.

    python tests/real_bugs/run.py [NAME …] [--jobs N]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / ".real_bugs"
SEED = 0


@dataclass(frozen=True)
class Bug:
    """A bug that shipped: which law flags it, the pins that have it and those that do not, and where it was reported.

    ``subject`` is a file beside this one and an attribute in it. ``beside`` are pins that both sides need. A bug so
    plain that the suite refuses the subject before any law has ``refused``, words of that refusal.
    """

    name: str
    what: str
    link: str
    subject: str
    law: str
    bad: tuple[str, ...]
    good: tuple[str, ...]
    beside: tuple[str, ...] = ()
    refused: str = ""
    dtype: str = "float64"

    def pins(self, side: str) -> tuple[str, ...]:
        """What the environment of ``side`` ("bad" or "good") holds."""
        return (*getattr(self, side), *self.beside)


@dataclass(frozen=True)
class Outcome:
    """What one side gave: how many checks held, were violated, …; the smallest case of the first violation."""

    counts: Counter[str] = field(default_factory=Counter)
    smallest: str = ""
    trouble: str = ""


def bugs() -> list[Bug]:
    """The list, as ``bugs.toml`` has it."""
    listed: list[dict[str, Any]] = tomllib.loads((HERE / "bugs.toml").read_text(encoding="utf-8"))["bug"]
    return [Bug(**{name: _settled(value) for name, value in entry.items()}) for entry in listed]


def _settled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def environment(pins: Sequence[str]) -> Path:
    """The Python of an environment with ``pins`` before all that this interpreter has; made where it is not there yet.

    Raises RuntimeError, with what pip said last, where the pins cannot be installed.
    """
    folder = ENVIRONMENTS / hashlib.sha256("\n".join(sorted(pins)).encode()).hexdigest()[:12]
    python, stamp = folder / "bin" / "python", folder / "installed"
    if stamp.exists():
        return python
    venv.create(folder, clear=True, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    behind = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (site / "behind.pth").write_text(behind, encoding="utf-8")  # pip sees them too: what is new enough is not fetched
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "install", *pins], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pip could not install {' '.join(pins)}: {done.stderr.strip().splitlines()[-1]}")
    stamp.touch()
    return python


def tried(bug: Bug, side: str) -> Outcome:
    """The law of ``bug`` on its subject, with the packages of ``side``."""
    try:
        python = environment(bug.pins(side))
    except RuntimeError as error:
        return Outcome(trouble=str(error))
    report = python.parents[1] / f"{bug.name}.json"
    report.unlink(missing_ok=True)
    check = [str(python), "-m", "veriformer.claims.command_line", "check", bug.subject, "--property", bug.law]
    given = {
        **os.environ,
        "PYTHONWARNINGS": "ignore",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(python.parents[1] / "examples"),
    }
    done = subprocess.run(
        [*check, "--dtype", bug.dtype, "--seed", str(SEED), "--json", str(report)],
        cwd=HERE,
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )
    if not report.exists():
        told = (done.stderr or done.stdout).strip().splitlines()
        return Outcome(trouble=told[-1] if told else f"the check ended with status {done.returncode}")
    results: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["results"]
    counts = Counter(result["status"] for result in results if result["status"] != "not applicable")
    messages = [result["message"] for result in results if result["status"] == "violated"]
    crashes = [result["message"].strip().splitlines()[0] for result in results if result["status"] == "crashed"]
    return Outcome(counts, _smallest(messages[0]) if messages else "", crashes[0] if crashes else "")


def _smallest(message: str) -> str:
    lines = [line.strip() for line in message.splitlines()]
    return "; ".join(line for line in lines if line.startswith(("smallest", "measured")))


def told_apart(bug: Bug, bad: Outcome, good: Outcome) -> bool:
    """The law is violated (or the subject refused) where the bug was, and holds on every path where it was mended."""
    flagged = bug.refused in bad.trouble if bug.refused else bad.counts["violated"] > 0
    return flagged and set(good.counts) == {"held"}


def _told(outcome: Outcome) -> str:
    counts = ", ".join(f"{number} {status}" for status, number in sorted(outcome.counts.items()))
    return "\n".join(part for part in (counts, outcome.smallest, outcome.trouble) if part)


def main(arguments: Sequence[str] | None = None) -> int:
    """Try both sides of the bugs that are named, or of all; 0 if every pair is told apart, 1 if not."""
    parser = argparse.ArgumentParser(description="Tell releases with a known bug from those without, by a law.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a bug of bugs.toml; all of them if none is named")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many are tried at a time")
    given = parser.parse_args(arguments)
    listed = {bug.name: bug for bug in bugs()}
    if unknown := sorted(set(given.names) - set(listed)):
        parser.error(f"expected bugs out of {', '.join(listed)}; got {unknown[0]}")
    chosen = [listed[name] for name in given.names or listed]
    table = Table("bug", "law", "with the bug", "mended", "told apart", show_lines=True)
    apart = 0
    with ThreadPoolExecutor(given.jobs) as pool:
        sides = {side: [pool.submit(tried, bug, side) for bug in chosen] for side in ("bad", "good")}
        for bug, *pair in zip(chosen, sides["bad"], sides["good"], strict=True):
            bad, good = (future.result() for future in pair)
            apart += (yes := told_apart(bug, bad, good))
            columns = (f"{' '.join(pins)}\n{_told(o)}" for pins, o in ((bug.bad, bad), (bug.good, good)))
            table.add_row(f"{bug.name}\n{bug.link}", bug.law, *columns, "yes" if yes else "NO")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 180)
    console.print(table)
    console.print(f"{apart} of {len(chosen)} pairs told apart (seed {SEED})")
    return 0 if apart == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
