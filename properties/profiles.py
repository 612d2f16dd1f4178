"""Hypothesis profiles: ``dev`` while writing, ``ci`` derandomised, ``thorough`` before a release.

Figures are examples a check. A law is tried on every path of a subject, so a dozen checks share the work of one law.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.errors import InvalidArgument

# On a build server Hypothesis derandomises what is not told otherwise: five seeds would then be one run.
_RANDOM = settings(deadline=None, derandomize=False, database=DirectoryBasedExampleDatabase(".hypothesis/examples"))

PROFILES: dict[str, settings] = {
    "dev": settings(_RANDOM, max_examples=10),
    "ci": settings(max_examples=10, deadline=None, derandomize=True, database=None, print_blob=True),
    "thorough": settings(_RANDOM, max_examples=30),
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
