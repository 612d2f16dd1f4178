"""Counting: what a call costs, read off the operators that PyTorch dispatches while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from .contracts import Unsupported

_EXPONENTIALS = ("_softmax", "_safe_softmax", "_log_softmax", "exp", "exp_", "exp2", "exp2_")
_FUSED = ("attention", "transformer_encoder_layer")


class _Operators(TorchDispatchMode):
    """Counts exponentials, and notes the fused operators, which hide theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.exponentials = 0
        self.fused: set[Any] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        operator = func.overloadpacket
        if any(word in operator.__name__ for word in _FUSED):
            self.fused.add(operator)
        elif operator.__name__ in _EXPONENTIALS:
            self.exponentials += result.numel()
        return result


def flops_of(call: Callable[[], Any]) -> int:
    """Multiplications and additions in the products of matrices of ``call()``, by ``torch.utils.flop_counter``.

    Raises :class:`Unsupported` where the call uses a fused operator for which that counter has no formula: it would
    pass over the operator in silence.
    """
    with FlopCounterMode(display=False) as counter, _Operators() as operators:
        call()
    if hidden := sorted(str(operator) for operator in operators.fused if operator not in flop_registry):
        raise Unsupported(f"it calls {hidden[0]}, for which PyTorch's FLOP counter has no formula")
    return counter.get_total_flops()


def exponentials_of(call: Callable[[], Any]) -> int:
    """Exponentials that ``call()`` takes, those in a softmax included.

    Raises :class:`Unsupported` where there are none to be seen, as in a fused operator.
    """
    with _Operators() as operators:
        call()
    if operators.fused:
        raise Unsupported(
            f"its softmax is inside {min(map(str, operators.fused))}, where no exponential can be counted"
        )
    if not operators.exponentials:
        raise Unsupported("it calls neither a softmax nor an exponential that could be counted")
    return operators.exponentials
