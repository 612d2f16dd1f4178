"""From the name of a position scheme in a `Config` to the scheme."""

from .alibi import ALiBi
from .config import Config
from .learned import LearnedPositions
from .positions import Positions
from .rotary import Rotary
from .shaw import ShawPositions
from .sinusoidal import SinusoidalPositions
from .t5_bias import T5Bias


def build_positions(config: Config, *, bidirectional: bool) -> Positions:
    """Build the scheme that `config.positions` names, one object for all layers of a stack.

    `bidirectional` is False for a stack that only ever runs causally: T5's buckets then all cover the past.
    T5's table is shared by the layers in the paper, too; Shaw et al.'s experiments give each layer tables of its own.
    """
    match config.positions:
        case "sinusoidal":
            return SinusoidalPositions()
        case "learned":
            return LearnedPositions(config.max_length, config.d_model)
        case "shaw":
            return ShawPositions(config.d_k)
        case "t5":
            return T5Bias(config.n_heads, bidirectional=bidirectional)
        case "alibi":
            return ALiBi()
        case "rotary":
            return Rotary()
        case "none":
            return Positions()
