"""The sizes and choices that fix one model."""

from dataclasses import dataclass
from typing import Literal, get_args

Norm = Literal["pre", "post"]
PositionScheme = Literal["none", "sinusoidal", "learned", "shaw", "t5", "alibi", "rotary"]


@dataclass(frozen=True)
class Config:
    """Sizes and choices of an encoder, a causal language model, or an encoder-decoder.

    `d_ff=None` means 4 · d_model and `n_kv_heads=None` means n_heads: both fields hold the number once constructed.
    `max_length` is the size of the table of `positions="learned"`; no other scheme has a limit.

    Raises:
        ValueError: a size is not positive, sizes do not divide, or a name is unknown.

    Source: Vaswani et al. 2017, table 3, for the names; §5.4 for `dropout`.
    """

    d_model: int
    n_heads: int
    n_layers: int = 2
    d_ff: int | None = None
    vocab_size: int = 32
    max_length: int = 512
    n_kv_heads: int | None = None
    norm: Norm = "pre"
    positions: PositionScheme = "sinusoidal"
    dropout: float = 0.0
    attention_dropout: float = 0.0
    tie_embeddings: bool = True

    def __post_init__(self) -> None:
        """Fill in what was left to the defaults, then check everything."""
        if self.d_ff is None:
            object.__setattr__(self, "d_ff", 4 * self.d_model)
        if self.n_kv_heads is None:
            object.__setattr__(self, "n_kv_heads", self.n_heads)
        check_heads(self.d_model, self.n_heads, self.n_kv_heads)
        for name in ("n_layers", "d_ff", "vocab_size", "max_length"):
            _check_positive(name, getattr(self, name))
        _check_choice("norm", self.norm, get_args(Norm))
        _check_choice("positions", self.positions, get_args(PositionScheme))
        _check_probability("dropout", self.dropout)
        _check_probability("attention_dropout", self.attention_dropout)
        if self.positions == "rotary" and self.d_k % 2 != 0:
            raise ValueError(
                f"positions='rotary' turns pairs of dimensions and needs an even d_k, "
                f"got d_k = d_model / n_heads = {self.d_k}; change d_model={self.d_model} or n_heads={self.n_heads}"
            )

    @property
    def d_k(self) -> int:
        """Width of one head, d_model / n_heads."""
        return self.d_model // self.n_heads


def check_heads(d_model: int, n_heads: int, n_kv_heads: int | None) -> None:
    """Raise ValueError unless n_heads divides d_model and n_kv_heads (None: n_heads) divides n_heads."""
    _check_positive("d_model", d_model)
    _check_positive("n_heads", n_heads)
    if d_model % n_heads != 0:
        raise ValueError(
            f"d_model must be divisible by n_heads, got d_model={d_model} and n_heads={n_heads}; "
            f"take d_model={d_model // n_heads * n_heads + n_heads}, or an n_heads that divides {d_model}"
        )
    if n_kv_heads is None:
        return
    _check_positive("n_kv_heads", n_kv_heads)
    if n_heads % n_kv_heads != 0:
        divisors = [n for n in range(1, n_heads + 1) if n_heads % n == 0]
        raise ValueError(
            f"n_heads must be divisible by n_kv_heads, got n_heads={n_heads} and n_kv_heads={n_kv_heads}; "
            f"take n_kv_heads from {divisors}"
        )


def _check_positive(name: str, value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}; give {name} of at least 1")


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}; choose one of these")


def _check_probability(name: str, value: float) -> None:
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{name} must be a probability in [0, 1), got {value!r}; 0.0 turns it off")
