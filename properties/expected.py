"""Expected violations: known disagreements, each with a reason and a pinned case, strict both ways.

The file is TOML, a table ``[[violation]]`` each:

    [[violation]]
    subject = "torch.nn.MultiheadAttention"
    law = "padding.gradients"
    path = { weights = "yes", padding = ["left", "scattered"] }   # a path matches if it has these values
    reason = "why this is so"                                     # required
    issue = "https://…"                                           # where upstream knows of it
    token = "vf1.…"                                               # the shrunk case that shows it

Only the pinned case runs on the paths that match. One that holds there fails the run; so does an entry without a match.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from fnmatch import fnmatch
from pathlib import Path
from types import MappingProxyType

from .contracts import SubjectError
from .engine import Check, Expectation
from .law import LAWS
from .paths import allows
from .subjects import DTYPES
from .violation import BadToken, Token

BUILT_IN = Path(__file__).with_name("expected_violations.toml")

_KEYS = {f.name for f in fields(Expectation)}
_REQUIRED = ("subject", "law", "path", "reason", "token")


def read(file: Path) -> list[Expectation]:
    """The entries of ``file``. Raises :class:`SubjectError` for a file or an entry that cannot be used."""
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SubjectError(f"{file}: expected a TOML file of expected violations; {error}") from error
    entries = data.get("violation", [])
    if set(data) - {"violation"} or not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise SubjectError(f"{file}: expected tables [[violation]] and nothing else; got {', '.join(data)}")
    return [_entry(file, number, entry) for number, entry in enumerate(entries, 1)]


def _entry(file: Path, number: int, entry: dict[str, object]) -> Expectation:
    where = f"{file}: violation {number}"
    if missing := [key for key in _REQUIRED if not str(entry.get(key, "")).strip() and key != "path"]:
        raise SubjectError(f"{where}: expected {', '.join(_REQUIRED)}; {', '.join(missing)} is missing or empty")
    if unknown := set(entry) - _KEYS:
        raise SubjectError(
            f"{where}: expected keys out of {', '.join(sorted(_KEYS))}; got {', '.join(sorted(unknown))}"
        )
    if wrong := [key for key, value in entry.items() if key != "path" and not isinstance(value, str)]:
        raise SubjectError(f"{where}: expected text; {', '.join(wrong)} is something else")
    path = entry.get("path", {})
    if not isinstance(path, dict) or not all(isinstance(value, (str, list)) for value in path.values()):
        raise SubjectError(f"{where}: path: expected a table such as {{ causal = 'flag' }}; got {path!r}")
    if entry["law"] not in LAWS:
        raise SubjectError(f"{where}: expected a law, got {entry['law']!r}; `veriformer list properties` names them")
    for key, known in (("dtype", tuple(DTYPES)), ("device", ("cpu", "cuda"))):
        if not any(fnmatch(name, str(entry.get(key, "*"))) for name in known):
            raise SubjectError(f"{where}: {key}: expected one of {', '.join(known)} or a glob; got {entry[key]!r}")
    try:
        token = Token.decode(str(entry["token"]))
    except BadToken as error:
        raise SubjectError(f"{where}: {error}") from error
    if token.law != entry["law"]:
        raise SubjectError(f"{where}: expected a token of {entry['law']}, got one of {token.law}")
    return Expectation(**{"path": {}, **entry})  # type: ignore[arg-type]


def match(check: Check, expectations: Iterable[Expectation]) -> Expectation | None:
    """The entry that is about ``check``, if there is one."""
    return next((e for e in expectations if e.matches(check)), None)


def pinned(expectations: Iterable[Expectation], checks: Sequence[Check]) -> list[Check]:
    """The checks of pinned cases whose own path is not among ``checks``: the covering array may have left it out.

    Only entries about the subjects, laws, dtypes and devices of ``checks`` count. Raises :class:`SubjectError` for an
    entry whose path is none of its subject's: a path, an option or a law that is no longer there.
    """
    known = {(c.subject.name, c.subject.contract, c.device, c.dtype): c for c in checks}
    laws = {c.law.name for c in checks}
    added = []
    for entry in expectations:
        token = Token.decode(entry.token)
        for (name, contract, device, dtype), like in known.items():
            kinds = fnmatch(dtype, entry.dtype) and fnmatch(device, entry.device)
            if (name, contract) != (entry.subject, token.contract) or entry.law not in laws or not kinds:
                continue
            own = replace(like, law=LAWS[entry.law], path=MappingProxyType(dict(token.path)))
            if not entry.matches(own) or not allows(own.law, own.subject, own.path, device):
                raise SubjectError(
                    f"expected violation {entry.law} of {entry.subject} on {dict(entry.path)}: it matches no check: "
                    "its pinned path is none on which that law is tried on that subject; correct it, or remove it"
                )
            if not any(entry.matches(check) for check in checks):
                added.append(own)
    return added
