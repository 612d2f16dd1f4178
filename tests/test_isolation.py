"""A subject that hangs, dies or runs out of memory under a law costs that check: the others run, and are reported."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from veriformer.claims.command_line import main
from veriformer.properties import Status
from veriformer.properties.engine import Result
from veriformer.properties.worker import Request, results

FILE = """
import ctypes
import faulthandler
import math
import os
import signal
import time

import torch
from veriformer.properties import Subject


def struck(strike, when):
    # Attention that does something terrible where ``when(query, mask)`` says so.
    def attention(query, key, value, mask=None):
        if when(query, mask):
            strike()
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        return torch.softmax(scores, -1).nan_to_num() @ value

    return attention


def fail(error):
    raise error


STRIKES = {
    "sleeps": lambda: time.sleep(1000),
    "ends": lambda: os._exit(5),
    "leaves": lambda: fail(SystemExit(0)),
    "is_killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "is_aborted": lambda: (faulthandler.disable(), os.kill(os.getpid(), signal.SIGSEGV)),
    "has_no_memory": lambda: fail(MemoryError("no room")),
    "has_no_gpu_memory": lambda: fail(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 TiB")),
    "has_no_cpu_memory": lambda: torch.empty(1 << 60),
    "raises": lambda: fail(ValueError("no such thing\\nand more")),
    "recurses": lambda: fail(RecursionError("maximum recursion depth exceeded")),
}

def on_padding(query, mask):
    # The last query sees every key under a causal mask. Preflight pads one token of three, and is spared.
    return mask is not None and not mask[:, :, -1].all() and query.shape[2] != 3


for name, strike in STRIKES.items():
    for prefix, when in (("", on_padding), ("ALWAYS_", lambda query, mask: True)):
        subject = Subject(name=name, contract="attention", call=struck(strike, when))
        globals()[f"{prefix}{name.upper()}"] = subject
"""


class Ended(NamedTuple):
    """How a call of ``veriformer check`` ended, with what it wrote to --json."""

    status: int
    out: str
    err: str
    data: dict[str, Any]

    def of(self, law: str) -> list[Result]:
        """The results of one law."""
        return [Result.from_data(r) for r in self.data["results"] if r["law"] == law]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """``veriformer check`` on a subject of the file above, in this process."""
    (tmp_path / "struck.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def call(attribute: str, *more: str) -> Ended:
        status = main(["check", f"struck.py:{attribute}", "--seed", "0", "--json", "out.json", *more])
        captured = capsys.readouterr()
        file = Path("out.json")
        return Ended(status, captured.out, captured.err, json.loads(file.read_text()) if file.exists() else {})

    return call


LAW = "consistency.determinism"
PADDED = ("right", "left", "scattered")

COSTS = {
    "SLEEPS": "hung: no result within 5 s (--time-limit)",
    "ENDS": "its process ended by itself with status 5",
    "LEAVES": "its process ended by itself with status 0",
    "IS_KILLED": "its process was killed (signal 9): out of memory, most likely",
    "IS_ABORTED": "its process died of signal 11",
    "HAS_NO_MEMORY": "out of memory: MemoryError: no room",
    "HAS_NO_GPU_MEMORY": "out of memory: OutOfMemoryError: CUDA out of memory. Tried to allocate 9 TiB",
    "HAS_NO_CPU_MEMORY": "out of memory: RuntimeError: ",
    "RAISES": "raised ValueError: no such thing",
    "RECURSES": "raised RecursionError: maximum recursion depth exceeded",
}
"""What each subject does under masks, and what is said of it."""

HAS_TOKEN = {"HAS_NO_MEMORY", "HAS_NO_GPU_MEMORY", "HAS_NO_CPU_MEMORY", "RAISES", "RECURSES"}


@pytest.mark.parametrize("attribute", COSTS)
def test_a_crash_costs_one_check(attribute: str, check: Callable[..., Ended]) -> None:
    ended = check(attribute, "--property", LAW, "--time-limit", "5" if attribute == "SLEEPS" else "60")
    assert ended.status == 3
    padded = [r for r in ended.of(LAW) if r.path["padding"] in PADDED]
    others = [r for r in ended.of(LAW) if r.path["padding"] not in PADDED]
    assert {r.status for r in padded} == {Status.CRASHED}
    assert {r.status for r in others} == {Status.HELD}

    for crashed in padded:
        what, reproduce = crashed.message.splitlines()
        assert what.startswith(f"{LAW} on path ")
        assert COSTS[attribute] in what
        assert reproduce.startswith(f"  reproduce  veriformer check struck.py:{attribute} ")
        assert ("--replay" in reproduce) == (attribute in HAS_TOKEN)
    assert any(f"crashed: {r.message}" in ended.out for r in padded)
    assert f"{len(padded)} crashed" in ended.out.splitlines()[-1]
    assert ended.data["summary"] == {"held": len(others), "crashed": len(padded)}
    assert ended.err == ""


def test_other_laws_still_run(check: Callable[..., Ended]) -> None:
    ended = check("ENDS", "--property", "[cs]*.[dl]*")
    assert Status.CRASHED in {r.status for r in ended.of(LAW)}
    assert {r.status for r in ended.of("scaling.logit_variance")} == {Status.HELD}


def test_what_crashed_reproduces(check: Callable[..., Ended]) -> None:
    crashed = next(r for r in check("RAISES", "--property", LAW).of(LAW) if r.status is Status.CRASHED)
    replayed = check("RAISES", "--replay", crashed.token)
    assert replayed.status == 3
    assert replayed.out.startswith(f"crashed: {LAW} on path ")

    crashed = next(r for r in check("ENDS", "--property", LAW).of(LAW) if r.status is Status.CRASHED)
    call = crashed.message.splitlines()[1].removeprefix("  reproduce  veriformer check struck.py:ENDS ")
    again = check("ENDS", *call.split())
    assert again.status == 3
    assert [r.message for r in again.of(LAW) if r.path == crashed.path] == [crashed.message]


BEFORE_ANY_LAW = {
    "ALWAYS_SLEEPS": "called plainly, it hung: no result within 0.3 s (--time-limit)",
    "ALWAYS_IS_ABORTED": "called plainly, its process died of signal 11; mend it before any law is tried",
    "ALWAYS_ENDS": "called plainly, its process ended by itself with status 5; mend it before any law is tried",
    "ALWAYS_HAS_NO_MEMORY": "called plainly: ran out of memory: MemoryError: no room",
}


@pytest.mark.parametrize("attribute", BEFORE_ANY_LAW)
def test_crash_in_every_call_is_an_unusable_subject(attribute: str, check: Callable[..., Ended]) -> None:
    ended = check(attribute, "--time-limit", "0.3" if attribute == "ALWAYS_SLEEPS" else "20")
    assert ended.status == 2
    assert len(ended.err.splitlines()) == 1
    assert BEFORE_ANY_LAW[attribute] in ended.err
    assert ended.out == ""


def test_results_come_in_the_order_of_the_plan(tmp_path: Path) -> None:
    (tmp_path / "struck.py").write_text(FILE)
    request = Request(
        address=f"{tmp_path}/struck.py:ENDS",
        contract=None,
        laws=("order.permutation_equivariance", LAW),
        devices=("cpu",),
        dtypes=("float64",),
        profile="dev",
        max_examples=3,
        seed=0,
        strength=2,
        expectations=(),
    )
    came = [(r.law, dict(r.path)) for r in results(request, time_limit=20)]
    assert came == [(c.law.name, dict(c.path)) for c in request.plan().checks]
