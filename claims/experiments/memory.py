"""The most memory that a call holds at once, counted from the tensors that are alive."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Live(TorchDispatchMode):
    """Adds up the bytes of every storage that an operator makes, from when it appears until it is freed."""

    def __init__(self, given: set[int]) -> None:
        super().__init__()
        self.known, self.now, self.peak = given, 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._note(leaf.untyped_storage())
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()  # a storage of Python is made anew on each access; this one is not
        if key not in self.known:
            self.known.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._freed, key, size)

    def _freed(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def peak_bytes(call: Callable[[], Any], *given: torch.Tensor) -> int:
    """Bytes of the tensors that ``call()`` makes, at the moment when most of them are alive; ``given`` do not count.

    What a single operator holds only while it runs is out of sight.
    """
    with _Live({tensor.untyped_storage()._cdata for tensor in given}) as live:
        call()
    return live.peak
