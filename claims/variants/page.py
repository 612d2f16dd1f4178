"""The table of variants and laws: what each keeps, what it breaks, and on which case; all of it computed.

`python -m veriformer.claims.variants.page` writes it into reference/variants/README.md. The tests find both again: that
the page says what is pinned, and that what it says is so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import veriformer.reference.variants
from veriformer.properties import LAWS, Subject
from veriformer.properties.engine import Check, plan
from veriformer.properties.violation import Token, told_case, told_path

from . import VARIANTS
from .evidence import pinned_in, where_of

PAGE = Path(veriformer.reference.variants.__file__).with_name("README.md")
HEAD = """\
# Variants of the Transformer, and what each gives up

Each file is the smallest honest form of one paper, named in it. Each variant is held to every law of its contract
that the plain Transformer keeps:

    veriformer check reference.variants.fnet

✓ it keeps the law; ✗ it breaks it, on some paths at least, with the reason and the counterexample below; an empty
field: the law does not apply, for one of the reasons at the end. The laws `variants.*` hold each to what its own paper
promises: that it equals the plain computation it stands for, how its cost grows, that random features estimate
softmax's kernel without bias, and that a memory takes no gradient.

<!-- Written by `python -m veriformer.claims.variants.page` -->
"""
KEEPS, BREAKS, NOT_APPLICABLE = "✓", "✗", ""


def subjects() -> dict[str, Subject]:
    """Every variant by its name."""
    return dict(vars(VARIANTS))


def marks(subject: Subject) -> dict[str, str]:
    """For each law that there is: whether ``subject`` keeps it, breaks it, or is not held to it."""
    broken = {entry.law for entry in pinned_in(subject)}
    applies = {check.law.name for check in plan(subject).checks}
    return {law: BREAKS if law in broken else KEEPS if law in applies else NOT_APPLICABLE for law in LAWS}


def page() -> str:
    """The page in Markdown."""
    every = subjects()
    columns = {name: marks(subject) for name, subject in every.items()}
    met = [law for law in LAWS if any(column[law] for column in columns.values())]
    lines = [HEAD, "## Laws and variants", ""]
    lines += [f"| law | {' | '.join(name.replace('_', ' ') for name in every)} |", "|---" * (len(every) + 1) + "|"]
    lines += [f"| `{law}` | {' | '.join(column[law] for column in columns.values())} |" for law in met]
    lines += ["", "## What is broken, and on which case", ""]
    for name, subject in every.items():
        if pinned_in(subject):
            lines += [f"### {name.replace('_', ' ')}", "", *_broken(subject)]
    lines += ["## Why a law does not apply", ""]
    for name, subject in every.items():
        lines += [f"- *{name.replace('_', ' ')}*: {'; '.join(_reasons(subject))}."]
    return "\n".join(lines) + "\n"


def _broken(subject: Subject) -> Iterator[str]:
    for entry in pinned_in(subject):
        pinned = Token.decode(entry.token)
        check = Check(subject, LAWS[entry.law], pinned.path, pinned.device, pinned.dtype)
        yield f"- `{entry.law}`, {where_of(entry)}. {entry.reason}"
        yield f"  On {told_case(check, pinned.case)} (path {told_path(pinned.path)}):"
        yield f"  `veriformer check {subject.name} --replay {entry.token}`"
    yield ""


def _reasons(subject: Subject) -> Iterator[str]:
    absent = plan(subject).not_applicable
    for reason in dict.fromkeys(result.message for result in absent):
        laws = dict.fromkeys(f"`{result.law}`" for result in absent if result.message == reason)
        yield f"{reason} ({', '.join(laws)})"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
