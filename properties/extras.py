"""Optional dependencies: a library that a built-in subject stands for, which need not be there."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True)
class Extra:
    """The extra ``name`` of this package, and the ``library`` that it installs (its import name)."""

    name: str
    library: str

    @property
    def missing(self) -> str | None:
        """One line on what to install; None where the library is there. It is not imported to find out."""
        if find_spec(self.library) is not None:
            return None
        return f"the library {self.library} is not installed: pip install 'veriformer[{self.name}]'"
