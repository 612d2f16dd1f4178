"""``veriformer check``: an implementation held to the laws of its contract."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from importlib.metadata import version

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from veriformer.properties import expected
from veriformer.properties.contracts import CONTRACTS
from veriformer.properties.engine import Check, Result, Status, replay
from veriformer.properties.law import Law
from veriformer.properties.laws import LAWS
from veriformer.properties.loading import load
from veriformer.properties.parametrize import present_devices
from veriformer.properties.paths import allows
from veriformer.properties.subjects import DTYPES
from veriformer.properties.violation import Token, told_path
from veriformer.properties.worker import Request, results, try_out

from .command_line import OK, UNDECIDED, VIOLATED, UsageError

_COLOURS = {
    Status.HELD: "green",
    Status.VIOLATED: "bold red",
    Status.UNEXPECTEDLY_HELD: "bold red",
    Status.CRASHED: "bold magenta",
    Status.INCONCLUSIVE: "yellow",
    Status.EXPECTED: "cyan",
    Status.NOT_APPLICABLE: "dim",
}
_SHORT = {Status.EXPECTED: "expected"}


def check(given: argparse.Namespace) -> int:
    """Run what was asked for and print the report. Returns the exit status."""
    _check_names(given)
    torch.set_num_threads(1)
    if given.replay is not None:
        return _replay(given)
    request = _request(given)
    load(given.subject, contract=given.contract)
    try_out(request, time_limit=given.time_limit)
    plan = request.plan()
    _check_own_expectations(given, plan.checks)
    if not plan.checks and not plan.not_applicable:
        laws = ", ".join(request.laws)
        raise UsageError(f"{given.subject}: expected a law of its contract, and none of {laws} is; change the filter")
    console = Console(record=given.html is not None, highlight=False, markup=False, soft_wrap=True)
    console.print(_header(given, request), end="\n\n")
    found = [*plan.not_applicable, *_with_progress(results(request, time_limit=given.time_limit), len(plan.checks))]
    _report(console, found)
    if given.json is not None:
        given.json.write_text(json.dumps(_as_data(given, request, found), indent=1) + "\n", encoding="utf-8")
    if given.html is not None:
        console.save_html(str(given.html))
    if all(result.status is Status.NOT_APPLICABLE for result in found):
        raise UsageError(
            f"{given.subject}: expected a law that applies, and none of those chosen does; so none was run"
        )
    return _exit_status(found)


def _check_names(given: argparse.Namespace) -> None:
    if given.dtype not in DTYPES:
        raise UsageError(f"--dtype: expected one of {', '.join(DTYPES)}; got {given.dtype!r}")
    if given.device not in ("cpu", "cuda"):
        raise UsageError(f"--device: expected cpu or cuda; got {given.device!r}")
    if given.device not in present_devices():
        raise UsageError(f"--device {given.device}: there is none that torch {torch.__version__} can use here; use cpu")
    if given.contract is not None and given.contract not in CONTRACTS:
        raise UsageError(f"--contract: expected one of {', '.join(CONTRACTS)}; got {given.contract!r}")
    if given.max_examples is not None and given.max_examples < 1:
        raise UsageError(f"--max-examples: expected a number of at least 1; got {given.max_examples}")
    if given.strength < 1:
        raise UsageError(f"--strength: expected a number of at least 1; got {given.strength}")
    if not 0 < given.time_limit <= 86400:
        raise UsageError(f"--time-limit: expected a number of seconds, up to a day's; got {given.time_limit:g}")


def _laws(given: argparse.Namespace) -> list[Law]:
    chosen = [law for law in LAWS.values() if fnmatch(law.name, given.property)]
    if not chosen:
        raise UsageError(
            f"--property: expected a glob over law names (`veriformer list properties`); got {given.property!r}"
        )
    if given.claim is None:
        return chosen
    from .ledger import claims_matching

    try:
        wanted = {claim.id for claim in claims_matching(identifier=given.claim)}
    except LookupError as error:
        raise UsageError(f"--claim: {error}") from error
    bearing = [law for law in chosen if wanted & set(law.claims)]
    if not bearing:
        raise UsageError(f"--claim {given.claim}: expected a claim that a chosen law bears on; none of them does yet")
    return bearing


def _request(given: argparse.Namespace) -> Request:
    known = expected.read(expected.BUILT_IN) + (expected.read(given.expect) if given.expect else [])
    return Request(
        address=given.subject,
        contract=given.contract,
        laws=tuple(law.name for law in _laws(given)),
        devices=(given.device,),
        dtypes=(given.dtype,),
        profile=given.profile,
        max_examples=given.max_examples,
        seed=random.SystemRandom().randrange(2**31) if given.seed is None else given.seed,
        strength=given.strength,
        expectations=tuple(known),
    )


def _check_own_expectations(given: argparse.Namespace, checks: Sequence[Check]) -> None:
    """A file that is given must be about the subject that is given."""
    if given.expect and not any(expected.match(check, expected.read(given.expect)) for check in checks):
        raise UsageError(
            f"--expect {given.expect}: expected entries about {given.subject}, and none is; check the names"
        )


def _header(given: argparse.Namespace, request: Request) -> str:
    examples = request.settings().max_examples
    return (
        f"veriformer {version('veriformer')}: {given.subject}\n"
        f"torch {torch.__version__}, {given.device}, {given.dtype}; "
        f"profile {given.profile}, {examples} examples a check, seed {request.seed}"
    )


def _with_progress(arriving: Iterable[Result], total: int) -> list[Result]:
    """The results, with a bar on a terminal and a line now and then elsewhere (both on standard error)."""
    console = Console(stderr=True)
    found: list[Result] = []
    if not console.is_terminal:
        for result in arriving:
            found.append(result)
            if total >= 100 and len(found) % 100 == 0:
                print(f"{len(found)} of {total} checks run", file=sys.stderr)
        return found
    columns = (TextColumn("{task.description:40.40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=total)
        for result in arriving:
            found.append(result)
            progress.update(task, advance=1, description=result.law)
    return found


def _report(console: Console, found: Sequence[Result]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, justify in (("law", "left"), ("paths", "right"), ("examples", "right"), ("error", "right")):
        table.add_column(column, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("outcome")
    subjects = list(dict.fromkeys((r.contract, r.subject) for r in found))
    contracts = {contract for contract, _ in subjects}
    for contract, name in subjects:
        if len(subjects) > 1:
            table.add_row(Text(contract if len(contracts) == len(subjects) else f"{name} ({contract})", style="bold"))
        mine = [r for r in found if (r.contract, r.subject) == (contract, name)]
        for law in LAWS:
            if of_law := [r for r in mine if r.law == law]:
                table.add_row(*_row(of_law))
    console.print(table)
    console.print("\nerror: the largest rounding error met, as a share of the allowance, or the smallest p-value\n")
    for status in (Status.VIOLATED, Status.UNEXPECTEDLY_HELD, Status.CRASHED, Status.INCONCLUSIVE, Status.EXPECTED):
        _details(console, status, [r for r in found if r.status is status])
    _reasons(console, [r for r in found if r.status is Status.NOT_APPLICABLE])
    for note in sorted({note for r in found for note in r.notes}):
        console.print(f"note: {note}")
    console.print(_summary(found))


def _row(results: Sequence[Result]) -> tuple[Text | str, ...]:
    ran = [r for r in results if r.status is not Status.NOT_APPLICABLE]
    counts = Counter(r.status for r in ran or results)
    outcome = Text(", ").join(
        Text(name if len(counts) == 1 else f"{count} {name}", style=_COLOURS[status])
        for status, count in counts.items()
        for name in (_SHORT.get(status, status.value),)
    )
    return (results[0].law, str(len(ran)), str(sum(r.examples for r in ran)), _error(ran), outcome)


def _error(results: Sequence[Result]) -> str:
    p_values = [r.p_value for r in results if r.p_value is not None]
    if p_values:
        return f"p {min(p_values):.2g}"
    worst = max((r.worst_ratio for r in results), default=0.0)
    return "0" if worst == 0 else f"{worst:.1%}"


def _details(console: Console, status: Status, results: Sequence[Result]) -> None:
    """The first result of each law in full, the others by their paths."""
    of_law: dict[tuple[str, str, str], list[Result]] = {}
    for r in results:
        of_law.setdefault((r.subject, r.contract, r.law), []).append(r)
    for (_, _, law), found in of_law.items():
        first, *others = sorted(found, key=lambda r: len(told_path(r.path)))
        label = "" if status is Status.VIOLATED else f"{status.value}: "
        if not first.message.startswith(law):
            label += f"{law} on path {told_path(first.path)}: "
        console.print(Text(f"{label}{first.message}", style=_COLOURS[status] if label else ""))
        if others:
            paths = "; ".join(told_path(r.path) for r in others[:4]) + ("; …" if len(others) > 4 else "")
            console.print(f"  also on    {len(others)} more path{'s' * (len(others) > 1)}: {paths}")
        console.print()


def _reasons(console: Console, absent: Sequence[Result]) -> None:
    """Each reason once, with the laws that it keeps from some paths, or from all."""
    for reason in dict.fromkeys(r.message for r in absent):
        laws = list(dict.fromkeys(r.law for r in absent if r.message == reason))
        about = laws[0] if len(laws) == 1 else f"{len(laws)} laws"
        console.print(Text(f"not applicable ({about}): {reason}", style="dim"))
    if absent:
        console.print()


def _summary(found: Sequence[Result]) -> str:
    counts = Counter(r.status for r in found)
    applicable = len(found) - counts[Status.NOT_APPLICABLE]
    laws = len({r.law for r in found if r.status is not Status.NOT_APPLICABLE})
    parts = [f"{applicable} applicable", f"{applicable} run"]
    parts += [f"{counts[status]} {status.value}" for status in Status]
    return f"{laws} law{'s' * (laws != 1)}, {len(found)} check{'s' * (len(found) != 1)}: {', '.join(parts)}"


def _as_data(given: argparse.Namespace, request: Request, found: Sequence[Result]) -> dict[str, object]:
    return {
        "veriformer": version("veriformer"),
        "torch": torch.__version__,
        "subject": given.subject,
        "device": given.device,
        "dtype": given.dtype,
        "profile": given.profile,
        "max_examples": request.settings().max_examples,
        "seed": request.seed,
        "summary": dict(Counter(r.status.value for r in found)),
        "results": [r.to_data() for r in found],
    }


def _exit_status(found: Sequence[Result]) -> int:
    statuses = {r.status for r in found}
    if statuses & {Status.VIOLATED, Status.UNEXPECTEDLY_HELD}:
        return VIOLATED
    if statuses & {Status.CRASHED, Status.INCONCLUSIVE}:
        return UNDECIDED
    return OK


def _replay(given: argparse.Namespace) -> int:
    token = Token.decode(given.replay)
    if token.law not in LAWS:
        raise UsageError(f"--replay: expected a token of a law that exists; {token.law!r} does not (any more)")
    if token.device not in present_devices():
        raise UsageError(f"--replay: the case was found on {token.device}, and there is none here")
    law, at = LAWS[token.law], told_path(token.path)
    subjects = [
        subject
        for subject in load(given.subject, contract=token.contract)
        if allows(law, subject, token.path, token.device) and token.dtype in subject.dtypes
    ]
    if not subjects:
        raise UsageError(
            f"--replay: expected a token found on {given.subject}; {law.name} is not tried there on path {at} "
            f"in {token.dtype} on {token.device}"
        )
    checks = [Check(subject, law, token.path, token.device, token.dtype, given.subject) for subject in subjects]
    judged = [replay(check, token.case) for check in checks]
    for result in judged:
        of = f" of {result.subject}" if len(judged) > 1 else ""
        if result.status is Status.VIOLATED:
            print(f"still violated\n\n{result.message}")
        elif result.status is Status.HELD:
            print(f"holds now{of}: {law.name} on path {at}")
        else:
            print(f"{result.status.value}{of}: {result.message}")
    return _exit_status(judged)
