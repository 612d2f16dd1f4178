"""PyTorch explains in warnings which path it takes, and why not a faster one. The adapters choose paths on purpose."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Without PyTorch's warnings; also a decorator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
