"""The variants as subjects: what each accepts, and what its paper promises.

Windows, blocks and landmarks are tiny, so that sequences of a few tokens are longer than they are.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import veriformer.reference
from veriformer.properties import Subject

from . import by_features, depth_and_memory, in_the_reference, low_rank, reformer, sparse, without_scores

VARIANT = "reference.variants."
"""What the built-in names of variants begin with."""


def variants_of(package: ModuleType) -> dict[str, Subject]:
    """The variants of the reference in ``package``, by the name of each after ``VARIANT``."""
    reference: Any = package
    variants: Any = import_module(f"{package.__name__}.variants")
    return {
        **sparse.subjects(reference, variants),
        **by_features.subjects(variants),
        **low_rank.subjects(reference, variants),
        **reformer.subjects(reference, variants),
        **without_scores.subjects(variants),
        **depth_and_memory.subjects(reference, variants),
        **in_the_reference.subjects(reference),
    }


VARIANTS = SimpleNamespace(**variants_of(veriformer.reference))
"""Every variant, by its name: ``VARIANTS.fnet``."""
