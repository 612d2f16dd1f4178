"""The skeleton of a page: front matter on top, then displayed equations, each with its check under it."""

from __future__ import annotations

import re
from dataclasses import dataclass

FIELDS = ("title", "claims", "reach", "for_all", "assumptions", "uses", "code", "properties")
FENCE = re.compile(r"^```(math|python)\n(.*?)^```$", re.M | re.S)


class PageError(ValueError):
    """A page is malformed; the message gives the file and the line."""


@dataclass(frozen=True)
class Block:
    """A fenced block, the line on which it starts, and the prose since the block before."""

    kind: str
    source: str
    line: int
    prose: str


def front_matter(name: str, text: str) -> dict[str, str]:
    """The `key: value` lines at the top of a page."""
    match = re.match(r"---\n(.*?)\n---\n", text, re.S)
    lines = [line.partition(":") for line in match[1].splitlines()] if match else []
    found = {key: value.strip() for key, _, value in lines}
    if missing := [key for key in FIELDS if key not in found]:
        raise PageError(f"{name}.md:1: the front matter lacks {', '.join(missing)}")
    return found


def body_of(text: str) -> tuple[list[Block], str]:
    """The fenced blocks of a page in order, and the prose after the last one."""
    found, end = [], text.index("\n---\n") + 5
    for match in FENCE.finditer(text):
        found.append(Block(match[1], match[2], text[: match.start()].count("\n") + 1, text[end : match.start()]))
        end = match.end()
    return found, text[end:]


def pairs(name: str, blocks: list[Block]) -> list[tuple[Block | None, Block]]:
    """Each python block with the displayed equation that stands above it; declarations stand under none.

    Raises:
        PageError: a displayed equation has no check under it.
    """
    found: list[tuple[Block | None, Block]] = []
    waiting: Block | None = None
    for block in [*blocks, None]:
        if waiting and (block is None or block.kind == "math"):
            raise PageError(f"{name}.md:{waiting.line}: this equation has no check under it")
        if block and block.kind == "python":
            found.append((waiting, block))
        waiting = block if block and block.kind == "math" else None
    return found
