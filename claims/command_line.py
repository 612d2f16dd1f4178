"""The command line: ``veriformer claims | check | derive | measure | list``.

Exit status: 0 every applicable law holds; 1 a law is violated; 2 the call or the subject cannot be used (one line);
3 the subject crashed, hung or ran out of memory under a law, or a law could not be decided. ``claims`` gives 1 where
evidence was run and does not say what it should. A claim that is open, for want of evidence or of a library, is no
failure.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

OK, VIOLATED, UNUSABLE, UNDECIDED = 0, 1, 2, 3


class UsageError(Exception):
    """A call that cannot be carried out: one line with what was expected, what came, and what to do."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; `{self.prog} --help` shows the call")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="veriformer", description="Hold Transformers to the laws that the textbooks state.")
    parser.add_argument("--version", action="version", version=f"veriformer {version('veriformer')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="claims | check | derive | measure | list")
    _claims_arguments(commands.add_parser("claims", help="the verdict on every claim of the sheet, from evidence"))
    _check_arguments(commands.add_parser("check", help="hold an implementation to the laws of its contract"))
    derive = commands.add_parser("derive", help="print a derivation, or check them all")
    derive.add_argument("name", nargs="?", metavar="NAME", help="which derivation; without it, their names")
    derive.add_argument("--check", action="store_true", help="check the derivation, or all of them, and print verdicts")
    _measure_arguments(commands.add_parser("measure", help="run an experiment, or list them with the results stored"))
    listing = commands.add_parser("list", help="name what there is")
    listing.add_argument("what", nargs="?", choices=("properties", "claims", "subjects", "contracts", "derivations"))
    return parser


def _claims_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="a claim (Q06.2) or a question (Q06), shown in full")
    parser.add_argument("--question", type=int, metavar="N", help="the claims of question N, shown in full")
    parser.add_argument("--profile", default="dev", choices=("dev", "ci", "thorough"), help="how many examples")
    parser.add_argument("--seed", type=int, default=0, help="seed of the examples (default 0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts and their figures")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write what is printed as a page")


def _measure_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="which experiment; without it, what there is")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--small", action="store_true", help="a form of it that takes seconds and stores nothing")
    chosen.add_argument("--out", type=Path, metavar="FILE", help="store the result there, not beside the code")
    chosen.add_argument(
        "--draw", type=Path, metavar="FILE", help="draw the stored curves (.svg, .png, .pdf); runs nothing"
    )


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", metavar="SUBJECT", help="a built-in name, module:attribute, or file.py:attribute")
    parser.add_argument("--contract", metavar="NAME", help="only this contract; also what a bare function is")
    parser.add_argument("--property", default="*", metavar="GLOB", help="only laws whose name matches")
    parser.add_argument("--claim", metavar="ID", help="only laws that bear on this claim")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu (default), cuda")
    parser.add_argument(
        "--dtype", default="float64", metavar="NAME", help="float64 (default), float32, bfloat16, float16"
    )
    parser.add_argument("--profile", default="dev", choices=("dev", "ci", "thorough"), help="how many examples a check")
    parser.add_argument("--max-examples", type=int, metavar="N", help="examples a check, in place of the profile's")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the examples; drawn and printed if not given")
    parser.add_argument(
        "--strength", type=int, default=2, metavar="N", help="cover every N values of a path (default 2)"
    )
    parser.add_argument(
        "--time-limit", type=float, default=120.0, metavar="S", help="seconds for one check (default 120)"
    )
    parser.add_argument("--expect", type=Path, metavar="FILE", help="a TOML file of expected violations")
    parser.add_argument("--replay", metavar="TOKEN", help="run just the case of a reported violation")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every result")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write what is printed as a page")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command; returns the exit status."""
    try:
        given = _parser().parse_args(arguments)
        try:
            return _carry_out(given)
        except SystemExit as ended:
            raise UsageError(f"the subject ended the program (SystemExit: {ended.code}); mend it") from ended
    except KeyboardInterrupt:
        print("veriformer: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return OK
    except Exception as error:
        if not _is_expected(error):
            traceback.print_exc()
            print("veriformer: that was a defect of veriformer itself; please report the lines above", file=sys.stderr)
            return UNDECIDED
        print(f"veriformer: {error.args[0] if error.args else error}", file=sys.stderr)
        return UNUSABLE


def _is_expected(error: Exception) -> bool:
    """Whether ``error`` is one of ours, which say in one line what is wrong with the call or the subject."""
    if isinstance(error, UsageError):
        return True
    from veriformer.derivations import UnknownDerivation
    from veriformer.properties.contracts import SubjectError
    from veriformer.properties.violation import BadToken

    return isinstance(error, (SubjectError, BadToken, UnknownDerivation))


def _carry_out(given: argparse.Namespace) -> int:
    # A subject's warnings are its own affair; they would drown the report.
    warnings.simplefilter("ignore")
    sys.path.insert(0, "")
    for name in ("json", "html", "out", "draw"):
        file = getattr(given, name, None)
        if file is not None:
            _check_writable(name, file)
    # Each command imports what it needs when it runs: torch alone takes seconds, and `--help` should not.
    if given.command == "derive":
        from .derive_command import derive

        return derive(given.name, check=given.check)
    if given.command == "list":
        from .list_command import list_all

        return list_all(given.what)
    if given.command == "claims":
        from .claims_command import claims

        return claims(given)
    if given.command == "measure":
        from .measure_command import measure

        return measure(given)
    from .check_command import check

    return check(given)


def _check_writable(name: str, file: Path) -> None:
    """A file that cannot be written is an error before the run, not after it."""
    if not file.resolve().parent.is_dir():
        raise UsageError(f"--{name} {file}: expected a file in a folder that exists")
    if file.is_dir() or not os.access(file if file.exists() else file.resolve().parent, os.W_OK):
        raise UsageError(f"--{name} {file}: expected a file that can be written, and this cannot; name another")


if __name__ == "__main__":
    from veriformer.claims.command_line import main  # this module by its own name: its errors are of one class then

    sys.exit(main())
