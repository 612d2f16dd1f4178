"""Figures that derivations give, to set beside those that are measured."""

from __future__ import annotations

from veriformer.derivations import derivation


def proved(page: str, result: str, **values: float) -> float:
    """The ``result`` of a page at these ``values`` of its symbols, by name."""
    found = derivation(page)
    return float(found.results[result].subs({found.symbols[name]: value for name, value in values.items()}))
