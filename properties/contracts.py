"""Contracts: what an implementation may offer, and how the suite calls it.

Every contract is seen through one window, :class:`Inputs`: a sequence ``x``, for some contracts a second sequence
``memory``, which of their positions are real, and whether attention is causal. A law is a statement about Inputs and
outputs, so it is written once and holds for a bare kernel, a layer and a whole model alike. A kernel fits the same
window because q, k and v are one sequence whose items happen to be split in three. A tokenizer or a schedule has no
such window: its laws call it themselves, on what they draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from numbers import Real
from typing import Any

import torch
from torch import Tensor

Path = Mapping[str, str]
"""One code path: the value of every axis, such as ``{"padding": "right", "causal": "flag", "grad": "off"}``."""


class Unsupported(Exception):
    """A subject does not offer this path, size or dtype. The message says why; the check counts as not applicable."""


class SubjectError(Exception):
    """A subject cannot be used as its contract says: one line with what was expected, what came, and what to do."""


@dataclass(frozen=True)
class Inputs:
    """One call's arguments, in the suite's own conventions.

    ``x`` is (batch, length, width) floating, or (batch, length) integer tokens; ``memory`` likewise, or None.
    ``x_real`` and ``memory_real`` are boolean (batch, length), True = a real token, or None where no mask is given.
    Position ids are integer (batch, length), or None for the subject's default. ``x_documents`` is integer (batch,
    length): which of several packed documents a token belongs to, none of which may attend to another; or None.
    """

    x: Tensor
    memory: Tensor | None = None
    x_real: Tensor | None = None
    memory_real: Tensor | None = None
    x_positions: Tensor | None = None
    memory_positions: Tensor | None = None
    x_documents: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Inputs:
        """The same inputs with ``change`` applied to every tensor."""
        return replace(self, **{name: change(t) for name, t in vars(self).items() if t is not None})

    def rows(self, index: Any) -> Inputs:
        """The rows of the batch that ``index`` (a slice or integer tensor) selects."""
        return self.map(lambda t: t[index])

    def along(self, over: str, index: Any) -> Inputs:
        """Positions ``index`` of sequence ``over`` ("x" or "memory"), and what is said of them."""
        changes = {f: t[:, index] for f, t in vars(self).items() if f.partition("_")[0] == over and t is not None}
        return replace(self, **changes)


@dataclass(frozen=True)
class Contract:
    """One kind of implementation: how it is called, what it may offer, and what a law may vary about it.

    ``call(built, inputs, path, config)`` translates Inputs into the documented call and returns the output,
    (batch, length, width). A contract without Inputs has ``plainly(built)`` instead: one call of everything that it
    promises, which raises :class:`SubjectError` where a promise is not kept.
    ``mode_matters`` where training computes another function than evaluation, even without dropout. ``offers`` names
    what a module has beside its own call.
    """

    name: str
    signature: str
    features: Mapping[str, str] = field(default_factory=dict)
    overs: tuple[str, ...] = ("x",)
    causal: str = "never"  # or "always", or "optional"
    tokens: bool = False
    is_function: bool = False
    call: Callable[[Any, Inputs, Path, Any], Tensor] | None = None
    plainly: Callable[[Any], None] | None = None
    mode_matters: bool = False
    offers: tuple[str, ...] = ()

    @property
    def takes_inputs(self) -> bool:
        """Whether it computes with tensors, and so has a dtype, a device, sizes and gradients."""
        return self.plainly is None

    def width(self, inputs: Inputs, config: Any) -> int | None:
        """The width of the output for ``inputs``; None where it is the subject's own choice (a vocabulary)."""
        if self.tokens:
            return None
        if self.name == "relative_positions" and inputs.memory is not None:
            return config.n_heads * inputs.memory.shape[1]
        return config.d_model

    def padding_feature(self, over: str) -> str | None:
        """The keyword that tells this contract which positions of ``over`` are real; None if it has none."""
        if self.name == "attention":
            return "mask"
        if self.name == "seq2seq":
            return {"x": "target_key_padding_mask", "memory": "source_key_padding_mask"}[over]
        return "key_padding_mask" if "key_padding_mask" in self.features else None

    def position_feature(self, over: str) -> str | None:
        """The keyword that takes position ids for ``over``; None if the contract has none."""
        if self.name == "seq2seq":
            return {"x": "target_position_ids", "memory": "source_position_ids"}[over]
        return "position_ids" if "position_ids" in self.features and over == "x" else None


def _causal(length: int, device: torch.device) -> Tensor:
    """Boolean (length, length), True where key j ≤ query i."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def _weights(path: Path) -> dict[str, bool]:
    return {"need_weights": True} if path.get("weights") == "yes" else {}


def _output(result: Any, path: Path, what: str) -> Tensor:
    """The output tensor of a call: first of the pair when weights were asked for."""
    if path.get("weights") == "yes":
        if not (isinstance(result, tuple) and len(result) == 2):
            raise SubjectError(
                f"{what} with need_weights=True: expected a pair (output, weights), got {type(result).__name__}"
            )
        result = result[0]
    if not isinstance(result, Tensor):
        hint = "; return the output alone unless need_weights=True" if isinstance(result, tuple) else ""
        raise SubjectError(f"{what}: expected a torch.Tensor, got {type(result).__name__}{hint}")
    return result


def split_heads(x: Tensor, n_heads: int) -> Tensor:
    """(batch, length, heads · d) → (batch, heads, length, d)."""
    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(batch, heads, length, d) → (batch, length, heads · d)."""
    return x.transpose(1, 2).flatten(2)


def kernel_arguments(inputs: Inputs, config: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Query (batch, heads, length, d_k), key and value (batch, n_kv_heads, length, d_k) of a kernel call."""
    q_width, kv_width = config.n_heads * config.d_k, config.n_kv_heads * config.d_k
    if inputs.memory is None:
        query, key, value = inputs.x.split([q_width, kv_width, kv_width], dim=-1)
    else:
        query, (key, value) = inputs.x, inputs.memory.split(kv_width, dim=-1)
    return (
        split_heads(query, config.n_heads),
        split_heads(key, config.n_kv_heads),
        split_heads(value, config.n_kv_heads),
    )


def kernel_mask(inputs: Inputs, path: Path) -> Tensor | None:
    """Boolean (batch, 1, query, key), True = may attend; None where this path passes no mask."""
    real = inputs.x_real if inputs.memory is None else inputs.memory_real
    n_queries = inputs.x.shape[1]
    mask = None if real is None else real[:, None, None, :].expand(-1, 1, n_queries, -1)
    if path["causal"] == "mask":
        causal = _causal(n_queries, inputs.x.device).expand(inputs.x.shape[0], 1, -1, -1)
        mask = causal if mask is None else mask & causal
    if inputs.x_documents is not None:
        within = same_document(inputs.x_documents)[:, None]
        mask = within if mask is None else mask & within
    return mask


def same_document(documents: Tensor) -> Tensor:
    """Boolean (batch, length, length), True where both tokens are of one document: a block-diagonal mask."""
    return documents[:, :, None] == documents[:, None, :]


def explicit_mask(inputs: Inputs, path: Path) -> Tensor | None:
    """As :func:`kernel_mask`, with the causal mask written out where this path only raises a flag for it."""
    return kernel_mask(inputs, path if path["causal"] == "off" else {**path, "causal": "mask"})


def _call_attention(kernel: Any, inputs: Inputs, path: Path, config: Any) -> Tensor:
    keywords: dict[str, Any] = _weights(path)
    if (mask := kernel_mask(inputs, path)) is not None:
        keywords["mask"] = mask
    if path["causal"] == "flag":
        keywords["is_causal"] = True
    if path["scale"] == "one":
        keywords["scale"] = 1.0
    output = _output(kernel(*kernel_arguments(inputs, config), **keywords), path, "the kernel")
    expected = (inputs.x.shape[0], config.n_heads, inputs.x.shape[1], config.d_k)
    if tuple(output.shape) != expected:
        raise SubjectError(
            f"the kernel: expected an output (batch, heads, query, d_k) of shape {expected}, got {tuple(output.shape)}"
        )
    return merge_heads(output)


def _present(**keywords: Any) -> dict[str, Any]:
    return {name: value for name, value in keywords.items() if value is not None}


def _masks(inputs: Inputs, path: Path) -> dict[str, Any]:
    mask = _causal(inputs.x.shape[1], inputs.x.device) if path["causal"] == "mask" else None
    if inputs.x_documents is not None:
        (within,) = same_document(inputs.x_documents)  # one mask for the whole batch is all that this contract takes
        mask = within if mask is None else mask & within
    return _present(
        mask=mask,
        is_causal=True if path["causal"] == "flag" else None,
    )


def _call_self(module: Any, inputs: Inputs, path: Path, config: Any) -> Tensor:
    keywords = _present(key_padding_mask=inputs.x_real, position_ids=inputs.x_positions)
    return _output(module(inputs.x, **keywords, **_masks(inputs, path), **_weights(path)), path, "the module")


def _call_cross(module: Any, inputs: Inputs, path: Path, config: Any) -> Tensor:
    keywords = _present(key_padding_mask=inputs.memory_real)
    return _output(module(inputs.x, inputs.memory, **keywords, **_weights(path)), path, "the module")


def _call_causal_lm(module: Any, inputs: Inputs, path: Path, config: Any) -> Tensor:
    keywords = _present(key_padding_mask=inputs.x_real, position_ids=inputs.x_positions)
    if inputs.x.is_floating_point():
        return _output(module(inputs_embeds=inputs.x, **keywords), path, "the model")
    return _output(module(inputs.x, **keywords), path, "the model")


def _call_seq2seq(module: Any, inputs: Inputs, path: Path, config: Any) -> Tensor:
    keywords = _present(
        source_key_padding_mask=inputs.memory_real,
        target_key_padding_mask=inputs.x_real,
        source_position_ids=inputs.memory_positions,
        target_position_ids=inputs.x_positions,
    )
    return _output(module(inputs.memory, inputs.x, **keywords), path, "the model")


def _call_pointwise(module: Any, inputs: Inputs, path: Path, config: Any) -> Tensor:
    return _output(module(inputs.x), path, "the module")


def _train_plainly(*promised: str) -> Callable[[Any], None]:
    """Train a tokenizer on a few words and use all that it promises."""

    def plainly(train: Any) -> None:
        tokenizer = train(["low lower lowest", "new newer newest"], 300)
        if lacking := [name for name in ("encode", "decode", "vocabulary", *promised) if not hasattr(tokenizer, name)]:
            raise SubjectError(
                f"train(texts, vocab_size): expected a tokenizer with {lacking[0]}, got a {type(tokenizer).__name__} "
                "without it"
            )
        ids, vocabulary = list(tokenizer.encode("lower")), dict(tokenizer.vocabulary)
        if not ids or not all(isinstance(i, int) for i in ids):
            raise SubjectError(f"encode(text): expected a list of one or more int, got {ids!r}")
        if not all(isinstance(i, int) for i in vocabulary.values()):
            raise SubjectError(f"vocabulary: expected a mapping of tokens to int, got {vocabulary!r:.80}")
        if not isinstance(text := tokenizer.decode(ids), str):
            raise SubjectError(f"decode(ids): expected a str, got {type(text).__name__}")

    return plainly


def _draw_plainly(draw: Any) -> None:
    table = draw(6, 4, 0)
    if not isinstance(table, Tensor) or not table.is_floating_point() or tuple(table.shape) != (6, 4):
        came = f"{table.dtype} of shape {tuple(table.shape)}" if isinstance(table, Tensor) else type(table).__name__
        raise SubjectError(f"f(6, 4, 0): expected a floating torch.Tensor of shape (6, 4), got {came}")


def _schedule_plainly(schedule: Any) -> None:
    """Ask for the rates of a few steps, before the end of a warm-up and after it."""
    for step in (1, 2, 3):
        rate = schedule(step, 8, 2)
        if not isinstance(rate, Real) or not isfinite(rate):
            told = f"{rate!r:.80}, a {type(rate).__name__}"
            raise SubjectError(f"f(step={step}, d_model=8, warmup=2): expected a finite number, a float; got {told}")


def _ids(given: Tensor | None, sequence: Tensor) -> Tensor:
    """The position ids given, or 0, 1, … for every row."""
    batch, length = sequence.shape[:2]
    return torch.arange(length, device=sequence.device).expand(batch, length) if given is None else given


def _call_absolute(scheme: Any, inputs: Inputs, path: Path, config: Any) -> Tensor:
    return _output(scheme(inputs.x, _ids(inputs.x_positions, inputs.x)), path, "the encoding")


def _call_relative(scheme: Any, inputs: Inputs, path: Path, config: Any) -> Tensor:
    if inputs.memory is None:
        raise TypeError("the contract relative_positions takes queries and keys; mend the law: it acts on memory")
    query, key = split_heads(inputs.x, config.n_heads), split_heads(inputs.memory, config.n_heads)
    ids = _ids(inputs.x_positions, inputs.x), _ids(inputs.memory_positions, inputs.memory)
    scores = _output(scheme(query, key, *ids), path, "the encoding")
    expected = (*query.shape[:3], key.shape[2])
    if tuple(scores.shape) != expected:
        raise SubjectError(
            f"the encoding: expected scores (batch, heads, query, key) of shape {expected}, got {tuple(scores.shape)}"
        )
    return merge_heads(scores)


_PADDING = "boolean (batch, length), True = real token (PyTorch's own modules mean the opposite)"
_MASK = "boolean (length, length), True = may attend"
_CAUSAL = "bool: query i may attend to keys 0…i only"
_WEIGHTS = "bool: return (output, weights)"
_POSITIONS = "integer (batch, length): the position of each token"

CONTRACTS: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        Contract(
            name="attention",
            signature="f(query, key, value) → output; (batch, heads, n, d_k), twice (batch, heads, m, d_k)",
            features={
                "mask": "boolean (batch, 1, n, m), True = may attend",
                "is_causal": _CAUSAL,
                "need_weights": _WEIGHTS,
                "scale": "float: factor on the scores in place of 1/√d_k",
            },
            overs=("x", "memory"),
            causal="optional",
            is_function=True,
            call=_call_attention,
        ),
        Contract(
            name="self_attention",
            signature="build(config) → m; m(x) → output; both (batch, length, d_model)",
            features={
                "key_padding_mask": _PADDING,
                "mask": _MASK,
                "is_causal": _CAUSAL,
                "need_weights": _WEIGHTS,
                "position_ids": _POSITIONS,
            },
            causal="optional",
            call=_call_self,
        ),
        Contract(
            name="cross_attention",
            signature="build(config) → m; m(x, memory) → output; (batch, n, d_model), (batch, m, d_model)",
            features={"key_padding_mask": f"of memory: {_PADDING}", "need_weights": _WEIGHTS},
            overs=("x", "memory"),
            call=_call_cross,
        ),
        Contract(
            name="encoder",
            signature="build(config) → m; m(x) → output; both (batch, length, d_model)",
            features={
                "key_padding_mask": _PADDING,
                "mask": _MASK,
                "is_causal": _CAUSAL,
                "position_ids": _POSITIONS,
            },
            causal="optional",
            call=_call_self,
        ),
        Contract(
            name="causal_lm",
            signature="build(config) → m; m(tokens) → logits; (batch, length) → (batch, length, vocabulary)",
            features={
                "key_padding_mask": _PADDING,
                "position_ids": _POSITIONS,
                "inputs_embeds": "floating (batch, length, d_model), in place of the tokens",
            },
            causal="always",
            tokens=True,
            call=_call_causal_lm,
        ),
        Contract(
            name="seq2seq",
            signature="build(config) → m; m(source, target) → logits; (batch, m), (batch, n) → (batch, n, vocabulary)",
            features={
                "source_key_padding_mask": _PADDING,
                "target_key_padding_mask": _PADDING,
                "source_position_ids": _POSITIONS,
                "target_position_ids": _POSITIONS,
            },
            overs=("x", "memory"),
            causal="always",
            tokens=True,
            call=_call_seq2seq,
        ),
        Contract(
            name="feed_forward",
            signature="build(config) → m; m(x) → output; both (batch, length, d_model)",
            call=_call_pointwise,
        ),
        Contract(
            name="normalization",
            signature="build(config) → m; m(x) → output; both (batch, length, d_model)",
            call=_call_pointwise,
        ),
        Contract(
            name="batch_norm",
            signature="build(config) → m; m(x) → output; both (batch, length, d_model), where each of the d_model "
            "features has its statistics over batch and length; raise Unsupported where it refuses a single value",
            call=_call_pointwise,
            mode_matters=True,
        ),
        Contract(
            name="embedding",
            signature="build(config) → m; m(tokens) = m.logits(m.embed(tokens)); m.embed: (batch, length) → (batch, "
            "length, d_model); m.logits: (batch, length, d_model) → (batch, length, vocab_size); m.table, (vocab_size, "
            "d_model), and m.output, the weights of the output layer as it stores them; one tensor on the path "
            "tied=yes, two on tied=no: options={'tied': ('yes', 'no')}",
            tokens=True,
            call=_call_pointwise,
            offers=("embed", "logits", "table", "output"),
        ),
        Contract(
            name="dropout",
            signature="build(config) → m; m(x) → x, in training with units dropped at the rate config.dropout; both "
            "(batch, length, d_model)",
            call=_call_pointwise,
        ),
        Contract(
            name="bpe_tokenizer",
            signature="train(texts, vocab_size) → t; t.encode(text) → ids; t.decode(ids) → text; "
            "t.vocabulary: {token: id}, tokens as bytes; t.merges: pairs of tokens in the order of learning",
            tokens=True,
            is_function=True,
            plainly=_train_plainly("merges"),
        ),
        Contract(
            name="wordpiece_tokenizer",
            signature="train(texts, vocab_size) → t; t.encode(text) → ids; t.decode(ids) → text; "
            "t.vocabulary: {token: id}, tokens as str; t.continuation, before what goes on inside a word (“##”); "
            "t.unknown, the token for what cannot be spelled (“[UNK]”)",
            features={"joins": "pairs of tokens, in the order in which training joined them"},
            tokens=True,
            is_function=True,
            plainly=_train_plainly("continuation", "unknown"),
        ),
        Contract(
            name="unigram_tokenizer",
            signature="train(texts, vocab_size) → t; t.encode(text) → ids; t.decode(ids) → text; "
            "t.vocabulary: {token: id}, tokens as str; t.scores: {token: log p}, in nats, without the unknown token",
            features={"em_step": "em_step(scores, {word: count}) → scores: one step of EM, the vocabulary as it is"},
            tokens=True,
            is_function=True,
            plainly=_train_plainly("scores"),
        ),
        Contract(
            name="initializer",
            signature="f(rows, columns, seed) → first weights, floating (rows, columns); of an embedding, rows are "
            "tokens and columns features",
            tokens=True,
            is_function=True,
            plainly=_draw_plainly,
        ),
        Contract(
            name="schedule",
            signature="f(step, d_model, warmup) → the learning rate of that step, a float; steps count from 1",
            is_function=True,
            plainly=_schedule_plainly,
        ),
        Contract(
            name="absolute_positions",
            signature="build(config) → f; f(x, position_ids) → x with its positions; (batch, length, d_model), "
            "integer (batch, length) → (batch, length, d_model)",
            call=_call_absolute,
        ),
        Contract(
            name="relative_positions",
            signature="build(config) → f; f(query, key, query_position_ids, key_position_ids) → scores as they enter "
            "the softmax; (batch, heads, n, d_k), (batch, heads, m, d_k), integer (batch, n) and (batch, m) → "
            "(batch, heads, n, m)",
            overs=("memory",),
            call=_call_relative,
        ),
    )
}
