"""Whether the suite cries wolf: every built-in subject under the ``thorough`` profile, at five seeds.

    python benchmarks/false_alarms.py [--seeds N] [--dtype NAME]

Prints a line a run, and ends with status 1 if any law was violated that is not a known disagreement: all built-in
subjects are taken to be correct. Takes the better part of an hour on one core; runs are independent of each other.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from veriformer.properties.loading import BUILT_IN


def run(address: str, seed: int, dtype: str) -> tuple[int, dict[str, int], float, int]:
    """Exit status, results by status, the largest error as a share of its allowance, and the examples run."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.json"
        call = [sys.executable, "-m", "veriformer.claims.command_line", "check", address, "--profile", "thorough"]
        ended = subprocess.run(
            [*call, "--seed", str(seed), "--dtype", dtype, "--time-limit", "600", "--json", str(file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        results = json.loads(file.read_text())["results"]
    worst = max((r["worst_ratio"] for r in results), default=0.0)
    return ended.returncode, Counter(r["status"] for r in results), worst, sum(r["examples"] for r in results)


def main() -> int:
    """Run all, and say what was seen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--dtype", default="float64")
    given = parser.parse_args()
    alarms = 0
    for seed in range(1, given.seeds + 1):
        for address in BUILT_IN:
            status, counts, worst, examples = run(address, seed, given.dtype)
            alarms += counts.get("violated", 0)
            told = ", ".join(f"{n} {name}" for name, n in counts.items())
            print(
                f"seed {seed} {address}: exit {status}; {told}; {examples} examples; worst error {worst:.1%}",
                flush=True,
            )
    print(f"{alarms} false alarms")
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
