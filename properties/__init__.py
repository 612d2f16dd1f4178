"""The properties: laws that every Transformer must obey, and the engine that tries to break them.

Declare an implementation with :func:`subject` or :class:`Subject`, then hold it to the laws with
:func:`parametrize_with_properties` in pytest, with :func:`check_subject` in Python, or with ``veriformer check``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .contracts import CONTRACTS, SubjectError, Unsupported
    from .distributions import Normal, Uniform
    from .engine import Result, Status, check_subject
    from .law import LAWS
    from .parametrize import parametrize_with_properties
    from .subjects import (
        BatchNormParts,
        Block,
        Blocks,
        CachedDecoder,
        Config,
        GainAndBias,
        PaddedDecoder,
        Projections,
        Sizes,
        Subject,
        TwoLayers,
        subject,
    )
    from .violation import Violation

__all__ = [
    "CONTRACTS",
    "LAWS",
    "BatchNormParts",
    "Block",
    "Blocks",
    "CachedDecoder",
    "Config",
    "GainAndBias",
    "Normal",
    "PaddedDecoder",
    "Projections",
    "Result",
    "Sizes",
    "Status",
    "Subject",
    "SubjectError",
    "TwoLayers",
    "Uniform",
    "Unsupported",
    "Violation",
    "check_subject",
    "parametrize_with_properties",
    "subject",
]

_HOME = {
    "contracts": ("CONTRACTS", "SubjectError", "Unsupported"),
    "distributions": ("Normal", "Uniform"),
    "engine": ("LAWS", "Result", "Status", "check_subject"),
    "parametrize": ("parametrize_with_properties",),
    "subjects": (
        "BatchNormParts",
        "Block",
        "Blocks",
        "CachedDecoder",
        "Config",
        "GainAndBias",
        "PaddedDecoder",
        "Projections",
        "Sizes",
        "Subject",
        "TwoLayers",
        "subject",
    ),
    "violation": ("Violation",),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is: pytest loads this package in every run, and torch takes seconds."""
    for module, names in _HOME.items():
        if name in names:
            value = getattr(import_module(f".{module}", __name__), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
