"""Running checks out of harm's way: in a process of their own, watched by this one.

A subject that hangs, dies or takes all memory then costs one check. The others still run, and are reported.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import hypothesis
import torch

from . import expected
from .contracts import SubjectError
from .engine import Check, Plan, Result, Status, plan, run, settings_for
from .law import LAWS
from .loading import load
from .preflight import preflight
from .profiles import PROFILES
from .violation import told_path


@dataclass(frozen=True)
class Request:
    """What is to be run, as plain data: a process can be started on it afresh."""

    address: str
    contract: str | None
    laws: tuple[str, ...]
    devices: tuple[str, ...]
    dtypes: tuple[str, ...]
    profile: str
    max_examples: int | None
    seed: int
    strength: int
    expectations: tuple[expected.Expectation, ...] = field(hash=False)

    def plan(self) -> Plan:
        """The checks, in an order that depends on the request alone. Raises SubjectError."""
        return _plan(self)

    def settings(self) -> hypothesis.settings:
        """What Hypothesis runs each check with."""
        return settings_for(PROFILES[self.profile], max_examples=self.max_examples)


@lru_cache(maxsize=8)
def _plan(request: Request) -> Plan:
    plans = [
        plan(
            subject,
            address=request.address,
            laws=[LAWS[name] for name in request.laws],
            devices=request.devices,
            dtypes=request.dtypes,
            strength=request.strength,
        )
        for subject in load(request.address, contract=request.contract)
    ]
    checks = [check for p in plans for check in p.checks]
    checks += expected.pinned(request.expectations, checks)
    return Plan(checks, [result for p in plans for result in p.not_applicable])


START_LIMIT = 120.0
"""Seconds for a fresh process to import torch and the subject, before any check's own time runs."""


def try_out(request: Request, *, time_limit: float) -> None:
    """Preflight, in a process of its own. Raises :class:`SubjectError`, too where that process hangs or dies."""
    process, answers = _start(_try_out, request)
    try:
        _await_start(answers)
        if not answers.poll(time_limit):
            said = f"{request.address}: called plainly, it hung: no result within {time_limit:g} s (--time-limit)"
        else:
            said = answers.recv()
    except EOFError:
        process.join()
        said = f"{request.address}: called plainly, {_death(process.exitcode)}; mend it before any law is tried"
    finally:
        process.kill()
        process.join()
    if said is not None:
        raise SubjectError(said)


def _try_out(request: Request, answers: Connection) -> None:
    torch.set_num_threads(1)
    subjects, said = load(request.address, contract=request.contract), None
    answers.send("ready")
    try:
        for subject in subjects:
            for device, dtype in product(request.devices, request.dtypes):
                if device in subject.devices and dtype in subject.dtypes:
                    preflight(subject, device=device, dtype=dtype)
    except SubjectError as error:
        said = str(error)
    answers.send(said)


def results(request: Request, *, time_limit: float) -> Iterator[Result]:
    """The result of every check of ``request``, in order, as each is done.

    A check that takes longer than ``time_limit`` seconds, or whose process dies, gives a CRASHED result.
    """
    checks = request.plan().checks
    done = 0
    while done < len(checks):
        process, answers = _start(_work, request, done)
        for result in _received(process, answers, checks[done:], request, time_limit):
            done += 1
            yield result
        process.kill()
        process.join()


def _start(target: Callable[..., None], request: Request, *more: int) -> tuple[BaseProcess, Connection]:
    # A fork has everything imported already; CUDA does not survive one.
    can_fork = "fork" in multiprocessing.get_all_start_methods() and sys.platform == "linux"
    forks = can_fork and "cuda" not in request.devices
    context = multiprocessing.get_context("fork") if forks else multiprocessing.get_context("spawn")
    answers, sending = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(request, *more, sending), daemon=True)
    process.start()
    sending.close()
    return process, answers


def _await_start(answers: Connection) -> None:
    with suppress(EOFError):  # a process that died says so again where its first answer is awaited
        if answers.poll(START_LIMIT):
            answers.recv()


def _received(
    process: BaseProcess, answers: Connection, checks: Sequence[Check], request: Request, time_limit: float
) -> Iterator[Result]:
    """Results until all are there, or until one check has hung or killed its process: that one is the last."""
    _await_start(answers)
    for check in checks:
        if not answers.poll(time_limit):
            yield _crashed(check, f"hung: no result within {time_limit:g} s (--time-limit)", request)
            return
        try:
            yield answers.recv()
        except EOFError:
            process.join()
            yield _crashed(check, _death(process.exitcode), request)
            return


def _death(exitcode: int | None) -> str:
    if exitcode == -9:
        return "its process was killed (signal 9): out of memory, most likely"
    if exitcode is not None and exitcode < 0:
        return f"its process died of signal {-exitcode}"
    return f"its process ended by itself with status {exitcode}"


def _crashed(check: Check, why: str, request: Request) -> Result:
    # Which case it was died with the process: the same law from the same seed comes upon it again.
    subject = check.subject
    usual = {"device": "cpu", "dtype": "float64", "profile": "dev", "max-examples": None, "strength": 2}
    given = {**vars(request), "device": check.device, "dtype": check.dtype, "max-examples": request.max_examples}
    flags = "".join(f" --{name} {given[name]}" for name, value in usual.items() if given[name] != value)
    again = f"--contract {subject.contract} --property {check.law.name}{flags} --seed {request.seed}"
    message = f"{check.law.name} on path {told_path(check.path)}: {why}\n"
    message += f"  reproduce  veriformer check {check.address} {again}"
    return Result(
        check.law.name,
        subject.name,
        subject.contract,
        Status.CRASHED,
        dict(check.path),
        check.device,
        check.dtype,
        message,
    )


def _work(request: Request, first: int, answers: Connection) -> None:
    torch.set_num_threads(1)
    using, shrunk = request.settings(), set()
    checks = request.plan().checks[first:]
    answers.send("ready")
    for check in checks:
        key = (check.law.name, check.subject.name, check.subject.contract)
        known = expected.match(check, request.expectations)
        result = run(check, using=using, seed=request.seed, expected=known, shrink=key not in shrunk)
        if result.status is Status.VIOLATED:
            shrunk.add(key)
        answers.send(result)
