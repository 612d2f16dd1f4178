"""A trial: one subject, built for one case, on one code path. What a law gets to work with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from . import tolerance
from .case import Case
from .contracts import Inputs, Path, SubjectError, Unsupported
from .subjects import DTYPES, VOCABULARY, Config, Subject

T = TypeVar("T")


class SubjectCrash(Exception):
    """A subject raised an exception of its own: which, and on what case."""

    case: Case | None = None


class Trial:
    """``subject`` built for ``case`` on ``path``; call it with Inputs to get the output, (batch, length, width)."""

    def __init__(self, subject: Subject, case: Case, path: Path, *, device: str, dtype: str, **changes: Any) -> None:
        """Nothing is built until it is used. ``changes`` are fields of the Config that are not the case's."""
        self.subject, self.case, self.path, self._changes = subject, case, path, changes
        self.device, self.dtype = torch.device(device), dtype
        self.notes: set[str] = set()
        self._noise = _Noise()

    def like(self, *, case: Case | None = None, path: Path | None = None, **changes: Any) -> Trial:
        """The same trial built again from nothing, with what is given in place of its own; perturbed together with it.

        ``changes`` are fields of the Config: ``d_ff``, say, or ``dropout``.
        """
        case, path, changes = case or self.case, path or self.path, {**self._changes, **changes}
        trial = Trial(self.subject, case, path, device=str(self.device), dtype=self.dtype, **changes)
        trial._noise = self._noise
        return trial

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype in which the subject computes."""
        return DTYPES[self.dtype]

    @property
    def over(self) -> str:
        """Which sequence the law acts on: "x" or "memory"."""
        return self.path["over"]

    @cached_property
    def config(self) -> Config:
        """What the subject was built from."""
        return replace(self.case.config(self.subject, self.path), **self._changes)

    @cached_property
    def built(self) -> Any:
        """The kernel, or the module with its parameters filled from the case's seed."""
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would queue a stack trace for each absent kind of accelerator: a millisecond a call
            torch.default_generator.manual_seed(self.case.seed)
            built = guarded(self.subject.make, self.config)
        if isinstance(built, torch.nn.Module):
            built = built.to(device=self.device, dtype=self.torch_dtype)
            self._fill(built)
            built.train(self.path["mode"] == "train")
        return built

    def _fill(self, module: torch.nn.Module) -> None:
        """Matrices N(0, gain²/fan_in); vectors (gains, biases) what they were plus N(0, 0.3²): nothing is left at 0."""
        rng = self.case.rng("parameters")
        with torch.no_grad():
            for parameter in module.parameters():
                noise = torch.from_numpy(rng.standard_normal(tuple(parameter.shape)))
                if parameter.dim() < 2:
                    parameter.add_(0.3 * noise.to(parameter))
                else:
                    parameter.copy_(noise * self.case.gain / parameter.shape[-1] ** 0.5)

    def numbers(self, stream: str, *shape: int) -> Tensor:
        """Contents of the case's kind, in the working dtype: standard normal, or small integers."""
        rng = self.case.rng(stream)
        integers = self.case.contents == "integers"
        array = rng.integers(-2, 3, size=shape).astype(float) if integers else rng.standard_normal(shape)
        return torch.from_numpy(array).to(self.device, self.torch_dtype)

    def tokens(self, stream: str, *shape: int) -> Tensor:
        """Random tokens, integer."""
        return torch.from_numpy(self.case.rng(stream).integers(0, VOCABULARY, size=shape)).to(self.device)

    def _sequence(self, stream: str, length: int, parts: int) -> Tensor:
        if self.subject.kind.tokens:
            return self.tokens(stream, self.case.batch, length)
        if not self.subject.kind.is_function:
            return self.numbers(stream, self.case.batch, length, self.config.d_model)
        kv = self.config.n_kv_heads * self.config.d_k
        width = {1: self.config.d_model, 2: 2 * kv, 3: self.config.d_model + 2 * kv}[parts]
        return self.numbers(stream, self.case.batch, length, width)

    @cached_property
    def inputs(self) -> Inputs:
        """The case's inputs on this path."""
        both = self.over == "memory" or self.subject.contract in ("cross_attention", "seq2seq")
        inputs = Inputs(
            x=self._sequence("x", self.case.length, 1 if both else 3),
            memory=self._sequence("memory", self.case.memory_length, 2) if both else None,
        )
        if self.path["padding"] == "absent":
            return inputs
        content = getattr(inputs, self.over)
        real = torch.ones(content.shape[:2], dtype=torch.bool, device=self.device)
        if self.path["padding"] != "all-true":
            real = torch.tensor([[c == "1" for c in row] for row in self.case.real], device=self.device)
        return self.with_positions(replace(inputs, **{f"{self.over}_real": real}))

    def with_positions(self, inputs: Inputs) -> Inputs:
        """``inputs`` with position ids that count real tokens only, if the subject takes any."""
        keyword = self.subject.kind.position_feature(self.over)
        real = getattr(inputs, f"{self.over}_real")
        if real is None or keyword not in self.subject.accepted:
            return inputs
        return replace(inputs, **{f"{self.over}_positions": (real.cumsum(1) - 1).clamp(min=0)})

    def content(self, inputs: Inputs) -> Tensor:
        """The sequence that the law acts on."""
        return getattr(inputs, self.over)

    def with_content(self, inputs: Inputs, content: Tensor) -> Inputs:
        """``inputs`` with another sequence in its place."""
        return replace(inputs, **{self.over: content})

    def real(self, inputs: Inputs) -> Tensor:
        """Boolean (batch, length): which positions of the sequence that the law acts on are real."""
        real = getattr(inputs, f"{self.over}_real")
        return (
            torch.ones(self.content(inputs).shape[:2], dtype=torch.bool, device=self.device) if real is None else real
        )

    def comparable(self, inputs: Inputs) -> Tensor:
        """Boolean (batch, length): which outputs mean anything: those of real tokens of ``x``."""
        if inputs.x_real is None:
            return torch.ones(inputs.x.shape[:2], dtype=torch.bool, device=self.device)
        return inputs.x_real

    def other_content(self, stream: str, like: Tensor) -> Tensor:
        """Other contents of the same shape: large, but so that their squares stay finite; or other tokens."""
        if not like.is_floating_point():
            shift = self.case.rng(stream).integers(1, VOCABULARY, size=tuple(like.shape))
            return (like + torch.from_numpy(shift).to(like)) % VOCABULARY
        size = min(1e4, torch.finfo(like.dtype).max ** 0.5 / 64)
        noise = torch.from_numpy(self.case.rng(stream).standard_normal(tuple(like.shape)))
        return (size * noise.sign() * (0.1 + noise.abs().clamp(max=1.0))).to(like)

    def __call__(self, inputs: Inputs) -> Tensor:
        """The output for ``inputs``, detached: (batch, length, width).

        Raises :class:`SubjectError` where shape or dtype are not what the contract says.
        """
        with torch.set_grad_enabled(self.path["grad"] == "on"):
            inputs = inputs.map(_copied)  # a subject that writes on its inputs spoils them for this call alone
            if self.path["grad"] == "on":
                inputs = inputs.map(lambda t: t.requires_grad_() if t.is_floating_point() else t)
            return self.run(inputs).detach()

    def run(self, inputs: Inputs, parameters: Mapping[str, Tensor] | None = None) -> Tensor:
        """As :meth:`__call__`, but with the graph, for gradients; optionally with other parameters."""
        if self._noise.rng is not None:
            inputs = inputs.map(self._jittered)
            parameters = parameters or self.parameters()
        called = self.built
        if parameters:
            called = partial(_with_parameters, self.built, dict(parameters))
        return self._call(called, inputs)

    def _call(self, called: Any, inputs: Inputs) -> Tensor:
        call = self.subject.kind.call
        if call is None:
            raise TypeError(f"the contract {self.subject.contract} takes no Inputs; mend the law: it calls trial.built")
        return self._checked(guarded(call, called, inputs, self.path, self.config), inputs)

    def plainly(self, inputs: Inputs) -> Tensor:
        """As :meth:`__call__`, by the plain computation that the subject declares (``plain``), on the same weights."""
        with torch.no_grad():
            plain = guarded(self.subject.plain, self.built)  # type: ignore[arg-type]
            return self._call(plain, inputs)

    def parameters(self) -> dict[str, Tensor]:
        """The trainable parameters by name, each as a leaf; perturbed while :meth:`jitter` is active."""
        if not isinstance(self.built, torch.nn.Module):
            return {}
        named = {name: p for name, p in self.built.named_parameters() if p.requires_grad}
        return {name: self._jittered(p.detach()).requires_grad_() for name, p in named.items()}

    def _checked(self, output: Tensor, inputs: Inputs) -> Tensor:
        wrong = output.dim() != 3 or output.shape[:2] != inputs.x.shape[:2]
        width = self.subject.kind.width(inputs, self.config)
        if wrong or (width is not None and output.shape[-1] != width):
            raise SubjectError(
                f"{self.subject.name}: expected an output of shape (batch, length, width) = "
                f"({inputs.x.shape[0]}, {inputs.x.shape[1]}, {width or 'vocabulary'}), got {tuple(output.shape)}"
            )
        if output.dtype != self.torch_dtype:
            raise SubjectError(
                f"{self.subject.name}: expected an output of {self.torch_dtype}, got {output.dtype}; compute in "
                "the dtype of the inputs, or declare dtypes="
            )
        return output

    def gradients(self, inputs: Inputs, *, outputs: Tensor, wrt: str | None = None) -> Tensor:
        """Gradient of a random combination of the outputs at ``outputs`` (boolean) to the content of ``wrt``."""
        wrt = wrt or self.over
        inputs = inputs.map(_copied)
        content = getattr(inputs, wrt).requires_grad_()
        with torch.enable_grad():
            return gradient_of(self._mixed(self.run(inputs), outputs), [content])[0]

    def parameter_gradients(self, inputs: Inputs, *, outputs: Tensor) -> dict[str, Tensor]:
        """Gradients of a random combination of the outputs at ``outputs`` to every trainable parameter, by name."""
        named = self.parameters()
        with torch.enable_grad():
            loss = self._mixed(self.run(inputs.map(_copied), named), outputs)
            return dict(zip(named, gradient_of(loss, list(named.values())), strict=True))

    def _mixed(self, output: Tensor, outputs: Tensor) -> Tensor:
        """A combination of the outputs with random weights that depend on the *rank* of a position among those kept.

        So a padded row and the same row unpadded give the same loss.
        """
        table = torch.from_numpy(self.case.rng("mixing").standard_normal(tuple(output.shape[1:]))).to(output)
        rank = (outputs.cumsum(1) - 1).clamp(min=0)
        return (output * table[rank])[outputs].sum()

    @contextmanager
    def jitter(self, k: int) -> Iterator[None]:
        """While active, every call sees inputs and parameters that are off by up to two roundings, at random."""
        self._noise.rng = np.random.default_rng([self.case.seed, k])
        try:
            yield
        finally:
            self._noise.rng = None

    def _jittered(self, t: Tensor) -> Tensor:
        if not t.is_floating_point() or self._noise.rng is None:
            return t
        step = 2 * tolerance.unit_roundoff(t.dtype)
        factor = 1 + step * torch.from_numpy(self._noise.rng.uniform(-1, 1, tuple(t.shape)))
        return (t.double() * factor.to(t.device)).to(t.dtype)


def guarded(function: Callable[..., T], *args: Any) -> T:
    """``function(*args)``, an implementation's own code, with what it raises told apart from what the suite raises."""
    try:
        return function(*args)
    except (Unsupported, SubjectError, SubjectCrash):
        raise
    except Exception as error:
        how = "ran out of memory:" if _is_memory(error) else "raised"
        raise SubjectCrash(f"{how} {type(error).__name__}: {first_line(error)}") from error


def _is_memory(error: Exception) -> bool:
    """PyTorch reports a failed allocation as a RuntimeError, in other words on a CPU than on a GPU."""
    words = ("out of memory", "allocate memory")
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(w in str(error) for w in words))


def first_line(error: BaseException) -> str:
    """The first line of what an exception says, cut to a readable length."""
    text = str(error).strip().partition("\n")[0] or "no message"
    return text if len(text) <= 300 else f"{text[:300]}…"


@dataclass
class _Noise:
    """The source of perturbations that a trial and those made from it share; None while there are none."""

    rng: np.random.Generator | None = None


def gradient_of(scalar: Tensor, inputs: Sequence[Tensor], *, keep: bool = False) -> list[Tensor]:
    """The gradient of ``scalar`` to each of ``inputs``; 0 where there is no path to it (``keep`` the graph)."""
    if not scalar.requires_grad:
        return [torch.zeros_like(x) for x in inputs]
    found = torch.autograd.grad(scalar, list(inputs), allow_unused=True, retain_graph=keep)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]


def _copied(t: Tensor) -> Tensor:
    """Equal values in memory of its own, laid out in the same way."""
    if t.is_contiguous() or 0 in t.stride():
        return t.detach().clone()
    reach = 1 + sum((size - 1) * stride for size, stride in zip(t.shape, t.stride(), strict=True))
    memory = torch.zeros(reach, dtype=t.dtype, device=t.device)  # no chance contents between the entries
    return memory.as_strided(t.shape, t.stride()).copy_(t.detach())


def _with_parameters(module: torch.nn.Module, parameters: dict[str, Tensor], *args: Any, **keywords: Any) -> Any:
    return torch.func.functional_call(module, parameters, args, keywords)
