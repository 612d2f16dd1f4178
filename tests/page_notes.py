"""What is known of the pages, beside them in `tests/pages/NAME.toml`.

`[[same]]`        changed lines of a step that are as true as the line itself, with the reason
`[[typo]]`        planted errors, which the page must not survive
`[[definition]]`  changes of a definition that no step can see, with the reason
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

PAGES = Path(__file__).parent / "pages"


def notes(page: str, kind: str) -> list[dict[str, Any]]:
    """The entries of one kind for one page."""
    path = PAGES / f"{page}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")).get(kind, []) if path.exists() else []
