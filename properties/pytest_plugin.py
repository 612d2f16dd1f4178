"""The pytest plugin, loaded by entry point: it makes the profiles ``dev``, ``ci`` and ``thorough`` known.

It is loaded in every pytest run where veriformer is installed, so it imports neither torch nor the laws.
"""

from __future__ import annotations

import pytest

from .profiles import register


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the profiles before Hypothesis looks for ``--hypothesis-profile``."""
    register()
