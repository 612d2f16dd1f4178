"""The properties: laws that every Transformer must obey, and the engine that tries to break them.

Declare an implementation with :func:`subject` or :class:`Subject`, then hold it to the laws with
:func:`parametrize_with_properties` in pytest, with :func:`check_subject` in Python, or with ``veriformer check``.
"""

from .contracts import CONTRACTS, SubjectError, Unsupported
from .engine import Result, Status, check_subject
from .law import LAWS
from .subject import CachedDecoder, Config, Projections, Sizes, Subject, subject

__all__ = [
    "CONTRACTS",
    "LAWS",
    "CachedDecoder",
    "Config",
    "Projections",
    "Result",
    "Sizes",
    "Status",
    "Subject",
    "SubjectError",
    "Unsupported",
    "check_subject",
    "subject",
]
