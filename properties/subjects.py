"""Subjects: implementations that are held to the laws, and how a user declares one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from .contracts import CONTRACTS, Contract, SubjectError
from .distributions import Entries
from .extras import Extra

DTYPES: dict[str, torch.dtype] = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
DROPPED = ("embedding", "sublayer", "attention", "hidden")
RATES = ("dropout", "attention_dropout")
VOCABULARY = 11
MAX_LENGTH = 24


@dataclass(frozen=True)
class Config:
    """What a module is built from. ``options`` holds the value of each of the subject's own options on this path.

    ``dropout`` and ``attention_dropout`` are the rates p at which units and attention weights are dropped in training:
    0 but for the laws on dropout. One who has a single rate for both takes ``dropout``.
    """

    d_model: int
    n_heads: int
    n_kv_heads: int
    n_layers: int
    d_ff: int
    vocab_size: int = VOCABULARY
    max_length: int = MAX_LENGTH
    dropout: float = 0.0
    attention_dropout: float = 0.0
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def d_k(self) -> int:
        """Width of one head."""
        return self.d_model // self.n_heads


@dataclass(frozen=True)
class Sizes:
    """The sizes that Hypothesis draws from, smallest first. Narrow them where an implementation is choosier.

    Laws also call with parts of these (a prefix, one row, one head) and with lengths up to 2 above: raise
    ``Unsupported`` where an implementation cannot. No length is above ``Config.max_length``.
    """

    batch: Sequence[int] = (1, 2, 3)
    length: Sequence[int] = (1, 2, 3, 4, 5, 6, 7, 12, 20)
    memory_length: Sequence[int] = (1, 2, 3, 4, 5, 6, 7, 12)
    n_heads: Sequence[int] = (1, 2, 3, 4)
    d_k: Sequence[int] = (1, 2, 3, 4, 8)
    n_layers: Sequence[int] = (1, 2, 3)


# LayerNorm over one feature is constant and over two is ±1: narrower models would pass for the wrong reason.
_MODULE_SIZES = Sizes(d_k=(4, 8))


@dataclass(frozen=True)
class Projections:
    """The weights of a multi-head layer, so that a loop over heads can recompute it.

    Each ``w_*`` is (out, in) as in ``torch.nn.Linear``, each ``b_*`` (out,) or None.
    """

    w_q: Tensor
    w_k: Tensor
    w_v: Tensor
    w_o: Tensor
    b_q: Tensor | None = None
    b_k: Tensor | None = None
    b_v: Tensor | None = None
    b_o: Tensor | None = None


@dataclass(frozen=True)
class TwoLayers:
    """The weights of a feed-forward network of two layers with a ReLU between, the parameters themselves.

    ``w_1`` is (d_ff, d_model) and ``w_2`` (d_model, d_ff), (out, in) as in ``torch.nn.Linear``; ``b_1`` is (d_ff,) and
    ``b_2`` (d_model,), or None.
    """

    w_1: Tensor
    w_2: Tensor
    b_1: Tensor | None = None
    b_2: Tensor | None = None


@dataclass(frozen=True)
class GainAndBias:
    """The weights of a norm, the parameters themselves: ``gain`` and ``bias`` are (d_model,), or None.

    ``eps`` is what is added to the variance, under the root (in the unit of the variance).
    """

    gain: Tensor | None
    bias: Tensor | None
    eps: float


@dataclass(frozen=True)
class Block:
    """One layer of an encoder: its two sub-layers, each with the LayerNorm that stands before or after it."""

    attention: Projections
    attention_norm: GainAndBias
    feed_forward: TwoLayers
    feed_forward_norm: GainAndBias


@dataclass(frozen=True)
class Blocks:
    """The layers of an encoder, first to last, and the LayerNorm that stands behind them all, or None."""

    layers: Sequence[Block]
    final_norm: GainAndBias | None


@dataclass(frozen=True)
class BatchNormParts(GainAndBias):
    """A BatchNorm: its running statistics as well, the buffers themselves, (d_model,) each, or None.

    ``momentum`` is the share of a new batch in them; None for an average of all batches.
    """

    running_mean: Tensor | None
    running_var: Tensor | None
    momentum: float | None


class CachedDecoder(Protocol):
    """Incremental decoding of one batch. Raise ``Unsupported`` from what the implementation cannot do."""

    def append(self, tokens: Tensor) -> Tensor:
        """Tokens (batch, n ≥ 1) → logits (batch, n, vocabulary) of these tokens, given all that came before."""
        ...

    def reorder(self, rows: Tensor) -> None:
        """Row r of the new batch continues what row ``rows[r]`` held; ``rows`` is (new batch,) integer."""
        ...

    def crop(self, length: int) -> None:
        """Forget every position from ``length`` on."""
        ...


@runtime_checkable
class PaddedDecoder(CachedDecoder, Protocol):
    """A :class:`CachedDecoder` that also takes a batch whose rows are not equally long."""

    def append_padded(self, tokens: Tensor, *, key_padding_mask: Tensor, position_ids: Tensor) -> Tensor:
        """As ``append``, with padding among the tokens: logits (batch, n, vocabulary), at padding whatever comes.

        ``key_padding_mask`` is boolean (batch, n), True = a real token; ``position_ids``, integer (batch, n), count
        the real tokens of a row from 0. Both are those of the new tokens alone: the old ones are as they were given.
        A token appended without padding is handed over here too, once there is padding before it.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An implementation, and what it offers.

    ``call`` is used as it is (an attention kernel); ``build`` makes a module from a :class:`Config`. Give one of them.
    ``features`` are the optional keywords of the contract that it accepts: read off the signature where not given.
    ``options`` are choices that change the function (where LayerNorm stands); every law runs over each.
    ``paths`` are choices that must *not* change it (the backend); the first is the one the others are compared with.
    ``positions`` says how it encodes positions, "none" if not at all (an option of that name overrides it).
    ``dot_product`` is False for an attention kernel whose scores are something else than q·k/√d_k.
    ``plain_blocks`` is True for an encoder of nothing but multi-head attention with four matrices and feed-forward
    layers with two, d_ff wide: it is then held to the laws of what these cost.
    ``fully_masked`` is what a query gives that may attend to nothing: "zero", "nan", or "undefined".
    ``decoder(built, batch)`` starts a :class:`CachedDecoder`, which may be a :class:`PaddedDecoder`;
    ``projections(built)`` gives the weights of a multi-head layer.
    ``two_layers(built)`` gives the weights of a feed-forward network, ``norm_parts(built)`` those of a norm.
    ``blocks(built)`` gives the weights of a plain encoder. ``norm`` says where LayerNorm stands in its blocks, "pre" or
    "post" (an option of that name overrides it).
    ``refuses(path, device)`` says why this way through the code is not offered, or None where it is.
    ``inert`` maps name patterns of parameters that cannot influence the output to the reason.
    ``plain(built)`` is the plain computation that a shortcut stands for, with the same weights, called as the subject.
    ``growth(path)`` is the degree in the length of what its matrix products cost: 1 linear, 2 quadratic, None untold.
    ``segment`` is how many tokens a model with a memory reads at once, None where it reads all.
    ``drops`` says where it drops units in training, and which field of the Config is the rate there: "embedding" (what
    enters the first layer), "sublayer" (the output of each), "attention" (the weights), "hidden" (inside feed-forward).
    ``random_features(built)`` maps (…, d_k) to the logarithms (…, m) of features whose products estimate e^{q·k}.
    ``entries(rows, columns)`` is the law that the entries of an initializer's table follow: ``Uniform`` or ``Normal``.
    ``extra`` is the optional dependency without which nothing of it can be built; no law applies where it is missing.

    Raises :class:`SubjectError` where a field does not fit the contract.
    """

    name: str
    contract: str
    call: Callable[..., Any] | None = None
    build: Callable[[Config], Any] | None = None
    features: frozenset[str] | Iterable[str] | None = None
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)
    paths: Mapping[str, Sequence[str]] = field(default_factory=dict)
    positions: str = "none"
    grouped_queries: bool = False
    dot_product: bool = True
    plain_blocks: bool = False
    fully_masked: str = "undefined"
    dtypes: Sequence[str] = tuple(DTYPES)
    devices: Sequence[str] = ("cpu", "cuda")
    sizes: Sizes | None = None
    decoder: Callable[[Any, int], CachedDecoder] | None = None
    projections: Callable[[Any], Projections] | None = None
    two_layers: Callable[[Any], TwoLayers] | None = None
    blocks: Callable[[Any], Blocks] | None = None
    norm: str | None = None
    norm_parts: Callable[[Any], GainAndBias] | None = None
    refuses: Callable[[Mapping[str, str], str], str | None] = lambda path, device: None
    inert: Mapping[str, str] = field(default_factory=dict)
    plain: Callable[[Any], Callable[..., Any]] | None = None
    growth: Callable[[Mapping[str, str]], int | None] = lambda path: None
    segment: int | None = None
    random_features: Callable[[Any], Callable[[Tensor], Tensor]] | None = None
    entries: Callable[[int, int], Entries] | None = None
    drops: Mapping[str, str] = field(default_factory=dict)
    extra: Extra | None = None

    def __post_init__(self) -> None:
        """Check the declaration and read the features off the signature."""
        if self.contract not in CONTRACTS:
            raise SubjectError(f"{self.name}: expected a contract out of {', '.join(CONTRACTS)}; got {self.contract!r}")
        if (self.call is None) == (self.build is None):
            raise SubjectError(f"{self.name}: expected exactly one of call= (a function) and build= (a factory)")
        if self.fully_masked not in ("zero", "nan", "undefined"):
            raise SubjectError(f"{self.name}: fully_masked: expected zero, nan or undefined; got {self.fully_masked!r}")
        if unknown := set(self.dtypes) - set(DTYPES):
            raise SubjectError(f"{self.name}: dtypes: expected some of {', '.join(DTYPES)}; got {sorted(unknown)}")
        if self.features is not None:
            object.__setattr__(self, "features", frozenset(self.features))
            if unknown := set(self.features) - set(self.kind.features):
                raise SubjectError(
                    f"{self.name}: features of contract {self.contract}: expected some of "
                    f"{', '.join(self.kind.features)}; got {sorted(unknown)}"
                )
        places = self.options.get("norm", (self.norm,))
        if self.blocks is not None and not {"pre", "post"}.issuperset(places):
            got = ", ".join(map(repr, places))
            raise SubjectError(f"{self.name}: norm=, of blocks=: expected pre, post, or an option of these; got {got}")
        if not (set(self.drops) <= set(DROPPED) and set(self.drops.values()) <= set(RATES)):
            told = f"{self.name}: drops: expected some of {', '.join(DROPPED)}, each with {' or '.join(RATES)}"
            raise SubjectError(f"{told}; got {dict(self.drops)}")
        for name, values in {**self.options, **self.paths}.items():
            if not values or isinstance(values, str):
                raise SubjectError(f"{self.name}: {name}: expected a sequence of one or more values; got {values!r}")

    @property
    def kind(self) -> Contract:
        """The contract itself."""
        return CONTRACTS[self.contract]

    @property
    def missing(self) -> str | None:
        """What has to be installed before it can be built, in one line; None if nothing."""
        return None if self.extra is None else self.extra.missing

    @property
    def drawn_sizes(self) -> Sizes:
        """The sizes that cases are drawn from."""
        return self.sizes or (Sizes() if self.kind.is_function else _MODULE_SIZES)

    @cached_property
    def accepted(self) -> frozenset[str]:
        """The features of this subject, declared or read off the signature of what it calls."""
        if self.features is not None:
            return frozenset(self.features)
        called = self.call or self.build_smallest()
        return _keywords(called) & frozenset(self.kind.features)

    @cached_property
    def has_parameters(self) -> bool:
        """Whether what it builds has parameters to train."""
        built = None if self.build is None else self.build_smallest()
        return isinstance(built, torch.nn.Module) and any(p.requires_grad for p in built.parameters())

    def options_on(self, path: Mapping[str, str]) -> Mapping[str, str]:
        """This subject's own options and paths at ``path``."""
        own = {**self.options, **self.paths}
        return MappingProxyType({name: path.get(name, own[name][0]) for name in own})

    def positions_on(self, path: Mapping[str, str]) -> str:
        """How positions are encoded on ``path``; "none" if they are not."""
        return path.get("positions", self.positions)

    def norm_on(self, path: Mapping[str, str]) -> str | None:
        """Where LayerNorm stands on ``path``, "pre" or "post"; None if it is not told."""
        return path.get("norm", self.norm)

    def make(self, config: Config) -> Any:
        """What is called: ``call`` itself, or a module built for ``config``."""
        return self.call if self.build is None else self.build(config)

    def build_smallest(self) -> Any:
        """A module of the smallest size that this subject allows."""
        sizes = self.drawn_sizes
        n_heads = min(sizes.n_heads)
        d_model = n_heads * min(sizes.d_k)
        config = Config(d_model, n_heads, n_heads, 1, 2 * d_model, options=self.options_on({}))
        try:
            return self.make(config)
        except Exception as error:
            raise SubjectError(f"{self.name}: build({config}) raised {type(error).__name__}: {error}") from error

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """The implementation itself, so that a decorated function can still be used."""
        return (self.call or self.build)(*args, **keywords)  # type: ignore[misc]


def _keywords(called: Any) -> frozenset[str]:
    """Names of the parameters of a function, or of a module's ``forward``."""
    function = called.forward if isinstance(called, torch.nn.Module) else called
    try:
        return frozenset(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # built-in functions have no readable signature
        return frozenset()


def subject(contract: str, **declared: Any) -> Callable[[Callable[..., Any]], Subject]:
    """Declare the decorated kernel, or factory of modules, as a subject of ``contract``.

    Keywords are those of :class:`Subject`. Raises :class:`SubjectError` where they do not fit.
    """

    def declare(function: Callable[..., Any]) -> Subject:
        role = "call" if CONTRACTS.get(contract) is None or CONTRACTS[contract].is_function else "build"
        name = declared.pop("name", getattr(function, "__name__", type(function).__name__))
        return Subject(name=name, contract=contract, **{role: function}, **declared)

    return declare
