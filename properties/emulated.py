"""Kernels with one rounding for every operation, in a stated precision, and inputs that make it matter.

What the bounds of `tolerance.py` are held against, beside PyTorch's own kernels: those are often far more precise than
a bound must allow, and here the order of all operations is known. A sum runs from first to last. Elementwise operations
of PyTorch round once, also in half types: they compute in float32, whose 24 digits are enough for two numbers of 11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from . import tolerance

Inputs = tuple[Tensor, ...]  # float64, exact in the dtype that is stored; cases first


def running_sum(terms: Tensor, dtype: torch.dtype) -> Tensor:
    """Σ over the last axis, from first to last, every addition rounded to ``dtype``."""
    total = torch.zeros_like(terms[..., 0], dtype=dtype)
    for term in terms.to(dtype).unbind(-1):
        total = total + term
    return total


def dot_product(x: Tensor, y: Tensor, dtype: torch.dtype, accumulate: torch.dtype) -> Tensor:
    """Σ x_i y_i over the last axis: products and sums in ``accumulate``, the result in ``dtype``."""
    return running_sum(x.to(accumulate) * y.to(accumulate), accumulate).to(dtype)


def softmax(logits: Tensor, dtype: torch.dtype, accumulate: torch.dtype) -> Tensor:
    """Softmax over the last axis in ``accumulate``, the weights stored in ``dtype``."""
    wide = logits.to(accumulate)
    exponentials = (wide - wide.amax(-1, keepdim=True)).exp()
    return (exponentials / running_sum(exponentials, accumulate)[..., None]).to(dtype)


def attention(
    query: Tensor, key: Tensor, value: Tensor, dtype: torch.dtype, accumulate: torch.dtype, scale: float
) -> Tensor:
    """softmax(scale · QKᵀ)V, the scores and the weights stored in ``dtype``: (…, n_q, d), (…, n, d), (…, n, d)."""
    scores = dot_product(query[..., :, None, :], key[..., None, :, :], dtype, accumulate) * scale
    weights = softmax(scores, dtype, accumulate)
    return dot_product(weights[..., :, None, :], value.mT[..., None, :, :], dtype, accumulate)


@dataclass(frozen=True)
class Experiment:
    """A kernel, what it should compute, and the bound that its error must not exceed.

    Args:
        computed: the kernel's result for inputs in float64 that are exact in ``dtype``.
        exact: the same in float64.
        bound: the largest error allowed.
        families: inputs by the name of what is hard about them, from the number of cases and a generator.
        dtype: what inputs and results are stored in.
    """

    computed: Callable[..., Tensor]
    exact: Callable[..., Tensor]
    bound: Callable[..., Tensor]
    families: Mapping[str, Callable[[int, torch.Generator], Inputs]]
    dtype: torch.dtype

    def ratios(self, inputs: Inputs) -> Tensor:
        """Error over bound, the largest of each case; NaN counts as infinite."""
        error = (self.computed(*inputs).double() - self.exact(*inputs)).abs()
        ratio = torch.where(error > 0, error / self.bound(*inputs), 0.0)
        return ratio.nan_to_num(nan=torch.inf).flatten(1).amax(1)

    def inputs(self, family: str, cases: int, generator: torch.Generator) -> Inputs:
        """Cases of one family, rounded to the dtype."""
        return tuple(x.to(self.dtype).double() for x in self.families[family](cases, generator))

    def climbed(self, inputs: Inputs, rounds: int, generator: torch.Generator) -> Inputs:
        """The inputs after a search that changes entries at random, and keeps what makes error over bound larger.

        A change that makes something overflow is not kept: no bound speaks of it.
        """
        best = self.ratios(inputs)
        for _ in range(rounds):
            changed = tuple(self._changed(x, generator) for x in inputs)
            found = self.ratios(changed)
            better = (found > best) & found.isfinite()
            best = torch.where(better, found, best)
            inputs = tuple(
                torch.where(better.reshape(-1, *(1,) * (x.ndim - 1)), new, x)
                for new, x in zip(changed, inputs, strict=True)
            )
        return inputs

    def worst(self, *, cases: int, rounds: int, seed: int = 0) -> dict[str, float]:
        """The largest error over bound in each family, and after a search that starts from the worst of them."""
        generator = torch.Generator().manual_seed(seed)
        drawn = {family: self.inputs(family, cases, generator) for family in self.families}
        found = {family: float(self.ratios(inputs).max()) for family, inputs in drawn.items()}
        start = drawn[max(found, key=lambda family: found[family])]
        return found | {"search": float(self.ratios(self.climbed(start, rounds, generator)).max())}

    def _changed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A few entries of each case nudged, negated, or replaced by another entry of the case."""
        flat = x.flatten(1)
        share = 10 ** (-2 * torch.rand(len(flat), 1, generator=generator, dtype=torch.float64))
        chosen = torch.rand(flat.shape, generator=generator, dtype=torch.float64) < share
        kind = torch.randint(3, (len(flat), 1), generator=generator)
        elsewhere = torch.randint(flat.shape[1], flat.shape, generator=generator)
        nudged = flat * (1 + torch.randn(flat.shape, generator=generator, dtype=torch.float64) / 4)
        new = torch.where(kind == 0, nudged, torch.where(kind == 1, -flat, flat.gather(1, elsewhere)))
        return torch.where(chosen, new, flat).reshape(x.shape).to(self.dtype).double()


# --- inputs ---


def normal(*shape: int, generator: torch.Generator) -> Tensor:
    """Standard normal numbers in float64."""
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def vectors(n: int, u: float) -> dict[str, Callable[[int, torch.Generator], Inputs]]:
    """Pairs of vectors of length n for a dot product that is accumulated with unit roundoff u."""

    def pair(make: Callable[[int, torch.Generator], Tensor]) -> Callable[[int, torch.Generator], Inputs]:
        return lambda cases, generator: (make(cases, generator), torch.ones(cases, n, dtype=torch.float64))

    def cancelling(cases: int, generator: torch.Generator) -> Inputs:
        x, y = normal(cases, n, generator=generator), normal(cases, n, generator=generator)
        half = n // 2
        x[:, half : 2 * half], y[:, half : 2 * half] = -x[:, :half].flip(1), y[:, :half].flip(1)
        return x, y

    def swallowed(cases: int, generator: torch.Generator) -> Tensor:
        x = u * (1 - 2 * torch.rand(cases, n, generator=generator, dtype=torch.float64) / n)
        x[: cases // 2] = u
        x[:, 0] = 1.0
        return x

    def spread(cases: int, generator: torch.Generator) -> Tensor:
        return normal(cases, n, generator=generator) * 2.0 ** (
            -8 * torch.rand(cases, n, generator=generator, dtype=torch.float64)
        )

    return {
        "random": lambda cases, generator: (
            normal(cases, n, generator=generator),
            normal(cases, n, generator=generator),
        ),
        "one sign": lambda cases, g: (normal(cases, n, generator=g).abs(), normal(cases, n, generator=g).abs()),
        "cancelling": cancelling,
        "ascending": pair(lambda cases, g: spread(cases, g).sort(-1).values),
        "descending": pair(lambda cases, g: spread(cases, g).abs().sort(-1, descending=True).values),
        "below a power of 2": pair(lambda cases, g: torch.full((cases, n), 2 - 2 * u, dtype=torch.float64)),
        "swallowed": pair(swallowed),
    }


def logits(n: int, u: float) -> dict[str, Callable[[int, torch.Generator], Inputs]]:
    """Logits of n keys for a softmax that is accumulated with unit roundoff u."""

    def swallowed(cases: int, generator: torch.Generator) -> Inputs:
        z = torch.full((cases, n), u, dtype=torch.float64).log()
        z -= torch.rand(cases, 1, generator=generator, dtype=torch.float64) / 2
        z[:, 0] = 0.0
        return (z,)

    def led(cases: int, generator: torch.Generator) -> Inputs:
        z = -12 * torch.rand(cases, n, generator=generator, dtype=torch.float64)
        z[:, 0] = 1.0
        return (z,)

    return {
        "random": lambda cases, generator: (normal(cases, n, generator=generator),),
        "large": lambda cases, generator: (10 * normal(cases, n, generator=generator),),
        "ties": lambda cases, generator: (normal(cases, 1, generator=generator).expand(cases, n).clone(),),
        "near ties": lambda cases, generator: (3 + u * 8 * normal(cases, n, generator=generator),),
        "one leads": led,
        "swallowed": swallowed,
    }


def keys_and_values(n: int, d: int, u: float) -> dict[str, Callable[[int, torch.Generator], Inputs]]:
    """One query of length d, n keys and n values of length 1, for attention accumulated with unit roundoff u."""

    def any_of(size: float) -> Callable[[int, torch.Generator], Inputs]:
        def make(cases: int, g: torch.Generator) -> Inputs:
            query, key = size * normal(cases, 1, d, generator=g), normal(cases, n, d, generator=g)
            return query, key, normal(cases, n, 1, generator=g)

        return make

    def opposed(cases: int, generator: torch.Generator) -> Inputs:
        """Half of the keys lose their small products, the others have none to lose; the values tell them apart."""
        query, key = torch.ones(cases, 1, d, dtype=torch.float64), torch.zeros(cases, n, d, dtype=torch.float64)
        size = 2 * torch.rand(cases, 1, generator=generator, dtype=torch.float64)
        key[..., 0] = 1.0
        key[:, : n // 2, 1:] = u * (1 - torch.rand(cases, 1, 1, generator=generator, dtype=torch.float64) / 8)
        value = torch.ones(cases, n, 1, dtype=torch.float64)
        value[:, n // 2 :] = -1.0
        return query * 4 ** size[..., None], key, value

    def few_values(cases: int, generator: torch.Generator) -> Inputs:
        query, key = normal(cases, 1, d, generator=generator), torch.zeros(cases, n, d, dtype=torch.float64)
        value = torch.zeros(cases, n, 1, dtype=torch.float64)
        value[:, : max(1, n // 16)] = 1.0
        return query, key, value

    return {
        "random": any_of(1.0),
        "large": any_of(6.0),
        "small": any_of(0.1),
        "one sign": lambda cases, generator: tuple(x.abs() for x in any_of(1.0)(cases, generator)),
        "opposed": opposed,
        "few values": few_values,
    }


# --- experiments ---


def of_dot_product(n: int, dtype: torch.dtype, accumulate: torch.dtype, *, torchs_own: bool = False) -> Experiment:
    """A dot product of length n: emulated, or PyTorch's matrix product."""

    def computed(x: Tensor, y: Tensor) -> Tensor:
        if torchs_own:
            return (x.to(dtype)[:, None, :] @ y.to(dtype)[:, :, None])[:, 0]
        return dot_product(x, y, dtype, accumulate)[:, None]

    return Experiment(
        computed,
        lambda x, y: (x * y).sum(-1, keepdim=True),
        lambda x, y: tolerance.dot_product_error_bound(x, y, dtype=dtype, accumulate=accumulate)[:, None],
        vectors(n, tolerance.unit_roundoff(accumulate)),
        dtype,
    )


def of_softmax(n: int, dtype: torch.dtype, accumulate: torch.dtype, *, torchs_own: bool = False) -> Experiment:
    """Softmax over n keys: emulated, or PyTorch's."""

    def computed(z: Tensor) -> Tensor:
        return z.to(dtype).softmax(-1) if torchs_own else softmax(z, dtype, accumulate)

    return Experiment(
        computed,
        lambda z: z.softmax(-1),
        lambda z: tolerance.softmax_error_bound(z, dtype=dtype, accumulate=accumulate),
        logits(n, tolerance.unit_roundoff(accumulate)),
        dtype,
    )


def of_attention(
    n: int, d: int, dtype: torch.dtype, accumulate: torch.dtype, *, torchs_own: bool = False
) -> Experiment:
    """Attention over n keys of length d: emulated, or PyTorch's fused kernel."""
    scale = d**-0.5

    def computed(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if torchs_own:
            value = value.expand(*value.shape[:-1], d)  # the fused kernel wants values as long as keys
            q, k, v = (x.to(dtype)[:, None] for x in (query, key, value))
            return torch.nn.functional.scaled_dot_product_attention(q, k, v)[:, 0, :, :1]
        return attention(query, key, value, dtype, accumulate, scale)

    return Experiment(
        computed,
        lambda query, key, value: (query @ key.mT * scale).softmax(-1) @ value,
        lambda query, key, value: tolerance.attention_error_bound(
            query, key, value, mask=None, scale=scale, dtype=dtype, accumulate=accumulate
        ),
        keys_and_values(n, d, tolerance.unit_roundoff(accumulate)),
        dtype,
    )
