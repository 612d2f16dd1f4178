"""Hypothesis profiles: ``dev`` while writing, ``ci`` derandomised, ``thorough`` before a release.

Figures are examples a check. A law is tried on every path of a subject, so a dozen checks share the work of one law.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis.errors import InvalidArgument

PROFILES: dict[str, settings] = {
    "dev": settings(max_examples=10, deadline=None),
    "ci": settings(max_examples=10, deadline=None, derandomize=True, database=None, print_blob=True),
    "thorough": settings(max_examples=100, deadline=None),
}


def register(*, replace: bool = False) -> None:
    """Register the profiles with Hypothesis; names that are taken are left alone unless ``replace``."""
    for name, profile in PROFILES.items():
        if replace or not _taken(name):
            settings.register_profile(name, profile)


def _taken(name: str) -> bool:
    try:
        settings.get_profile(name)
    except InvalidArgument:
        return False
    return True
