"""The formulas that the derivations prove, as functions of tensors: what is proved is what is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import sympy as sp
import torch
from torch import Tensor

from veriformer.derivations import derivation


def _of_torch(function: Callable[[Tensor], Tensor]) -> Callable[[Any], Tensor]:
    """``function`` for plain numbers as well: in double precision, where PyTorch would take single."""
    return lambda x: function(x if isinstance(x, Tensor) else torch.as_tensor(x, dtype=torch.float64))


@cache
def _proved(page: str, result: str, *arguments: str) -> Callable[..., Any]:
    """The result of a derivation as a function of ``arguments``, its symbols by name."""
    proved = derivation(page)
    functions = {"abs": abs, **{name: _of_torch(getattr(torch, name)) for name in ("exp", "cos", "sin", "sqrt")}}
    symbols = [proved.symbols[name] for name in arguments]
    return sp.lambdify(symbols, proved.results[result], modules=[functions, "numpy"])


def score_variance(d_k: int, *, scale: float) -> float:
    """Variance of scale · q·k over independent standard normal q and k in ℝ^{d_k} (dimensionless; claim Q06.2)."""
    of_moments = _proved("score_variance", "scaled_variance", "d_k", "s", "mu_q", "mu_k", "sigma_q", "sigma_k")
    return float(of_moments(d_k, scale, 0, 0, 1, 1))


def conditional_score_variance(query: Tensor, *, scale: float) -> Tensor:
    """Variance of scale · q·k over standard normal k, given q: query (…, d_k) → (…)."""
    given_q = _proved("score_variance", "conditional_variance", "s", "sigma_k", "q", "d_k")
    return given_q(scale, 1, query.movedim(-1, 0), query.shape[-1])


def softmax_jacobian(p: Tensor) -> Tensor:
    """∂p_i/∂z_j of p = softmax(z): p (…, n) → (…, n, n), row i and column j (claim Q06.1)."""
    entry = _proved("softmax_jacobian", "jacobian", "p_i", "p_j", "delta_ij")
    identity = torch.eye(p.shape[-1], dtype=p.dtype, device=p.device)
    return entry(p[..., :, None], p[..., None, :], identity)


def softmax_norm_bound() -> float:
    """Largest spectral norm that a softmax Jacobian can have (dimensionless)."""
    return float(derivation("softmax_jacobian").results["norm_bound"])


def weight_ratio(z_i: Tensor, z_j: Tensor, *, scale: float) -> Tensor:
    """p_i/p_j of p = softmax(scale · z) (claim Q03.3)."""
    return _proved("softmax_scale", "ratio", "z_i", "z_j", "c")(z_i, z_j, scale)


def equal_gaps(n: int, lead: float) -> float:
    """What n − 1 equal logits have of the weights together, where one leads them by ``lead`` (claim Q06.3)."""
    others = _proved("softmax_scale", "equal_gaps", "n", "c", "g")
    return float(others(n, 1, torch.tensor(lead, dtype=torch.float64)))


def softmax_bound(z: Tensor) -> Tensor:
    """The most that each weight of softmax(z) can be, given the smallest logit: z (…, n) → (…, n) (claim Q06.3)."""
    bound = _proved("softmax_scale", "weight_bound", "n", "c", "z_i", "b")
    return bound(z.shape[-1], 1, z, z.amin(-1, keepdim=True))


def entropy_slope(variance: Tensor, *, scale: float) -> Tensor:
    """dH/dc of the weights softmax(c · z) at c = ``scale``, where z has this variance under them (claim Q03.3)."""
    return _proved("softmax_scale", "entropy_slope", "V", "c")(variance, scale)


def zero_share(n_padding: int, real: Tensor) -> Tensor:
    """Share of ``n_padding`` keys with a score of 0, where the numerators of the others sum to ``real`` (Q07.1)."""
    return _proved("masked_softmax", "zero_share", "N", "Z")(n_padding, real)


def replaced_share(n_padding: int, filler: Tensor, real: Tensor) -> Tensor:
    """Share of ``n_padding`` keys whose scores are ``filler``, where the others' numerators sum to ``real`` (Q07.2)."""
    return _proved("masked_softmax", "replaced_share", "N", "f", "Z")(n_padding, filler, real)


def replaced_share_bound(n_padding: int, filler: Tensor, score: Tensor) -> Tensor:
    """The most that :func:`replaced_share` can be, where another key has this ``score``."""
    return _proved("masked_softmax", "replaced_bound", "N", "f", "s_k")(n_padding, filler, score)


def dot_product_error(
    exact: Tensor,
    absolute: Tensor,
    terms: int,
    *,
    products: float,
    sums: float,
    stored: float,
    underflow: float | Tensor,
    stored_underflow: float | Tensor,
) -> Tensor:
    """Largest error of a stored dot product Σx_i y_i = ``exact``, where Σ|x_i y_i| = ``absolute``.

    ``products``, ``sums`` and ``stored`` are relative errors of a rounding; the underflows are absolute.
    """
    names = ("s_t", "A_t", "t", "u_p", "u_a", "u", "eta", "nu")
    bound = _proved("rounding", "stored_dot_product", *names)
    return bound(exact, absolute, terms, products, sums, stored, underflow, stored_underflow)


def dot_product_factor(terms: int, *, products: float, sums: float, stored: float) -> float:
    """κ: the largest error of a stored dot product, as a multiple of Σ|x_i y_i| (dimensionless; without underflow)."""
    of_magnitude = _proved("rounding", "factors", "A_t", "t", "u_p", "u_a", "u", "eta", "nu")
    return float(of_magnitude(1, terms, products, sums, stored, 0, 0))


def dot_product_underflow(terms: int, *, sums: float, stored: float, underflow: float) -> float:
    """The largest error that underflow makes in a stored dot product, in the units of its result."""
    of_magnitude = _proved("rounding", "factors", "A_t", "t", "u_p", "u_a", "u", "eta", "nu")
    return float(of_magnitude(0, terms, 0, sums, stored, underflow, underflow))


def positive_sum_factor(terms: int, *, sums: float) -> float:
    """σ: the largest error of a sum of positive terms, relative to the sum as computed (dimensionless)."""
    of_result = _proved("rounding", "sum_of_one_sign", "t", "v", "S_t")
    return float(of_result(terms, sums / (1 - sums), 1))


def log_error(logit: Tensor, difference: Tensor, *, shift: float, exponential: float) -> Tensor:
    """h: the largest error in the exponent of softmax, for logits that are off by at most ``logit``.

    ``difference`` bounds the size of the logits less their largest, ``exponential`` is the accuracy of the library.
    """
    bound = _proved("rounding_attention", "log_error", "eta_j", "u_a", "R_j", "tau")
    return bound(logit, shift, difference, exponential)


def weight_factor(p: Tensor, h: Tensor) -> Tensor:
    """W: the factor by which errors h in the exponent move the weights p of softmax, both (…, n) → (…, n)."""
    factor = _proved("rounding_attention", "factor", "h_j", "p", "h", "n")
    return factor(h, p.movedim(-1, 0)[..., None], h.movedim(-1, 0)[..., None], p.shape[-1])


def contribution(
    p: Tensor,
    factor: Tensor,
    *,
    weights: float,
    sums: float,
    average: float,
    exponential_underflow: float,
    weight_underflow: float,
) -> Tensor:
    """C: what each key contributes to the error of attention, for a value of size 1; p and W are (…, n)."""
    names = ("p_j", "W_j", "n", "u", "sigma", "kappa", "omega", "nu")
    of_key = _proved("rounding_attention", "contribution", *names)
    return of_key(p, factor, p.shape[-1], weights, sums, average, exponential_underflow, weight_underflow)


def attention_ceiling(
    largest: Tensor,
    keys: int,
    *,
    weights: float,
    sums: float,
    average: float,
    weight_underflow: float,
    average_underflow: float,
) -> Tensor:
    """Largest error of attention, whatever the errors of the logits, where no value is larger than ``largest``."""
    ceiling = _proved("rounding_attention", "ceiling", "B", "n", "u", "sigma", "kappa", "nu", "mu")
    return ceiling(largest, keys, weights, sums, average, weight_underflow, average_underflow)


def uniform_variance(limit: float) -> float:
    """Variance of a weight that is uniform on [−limit, limit] (claim Q19.1)."""
    return float(_proved("initialisation", "uniform_variance", "a")(limit))


def glorot_variance(n_in: int, n_out: int) -> float:
    """Variance of the weights of a layer with these fans after Glorot and Bengio 2010 (claim Q19.1)."""
    return float(_proved("initialisation", "glorot_variance", "n", "m")(n_in, n_out))


def scaled_variance(variance: float, d: int) -> float:
    """Variance of √d times an entry of an embedding of width d, which has this ``variance`` itself (claim Q19.1)."""
    return float(_proved("initialisation", "scaled_embedding", "v", "d")(variance, d))


def normalised(x: Tensor, mean: Tensor, variance: Tensor, *, eps: float, scale: float = 1.0) -> Tensor:
    """What normalisation makes of ``scale`` · x, with ε in the root, from mean and variance of x itself (claim Q08.1).

    All three tensors broadcast; the variance is that over all entries, not over one less. ``scale`` is positive.
    """
    return _proved("layer_norm", "rescaled", "x_i", "mu", "v", "varepsilon_tilde", "a")(x, mean, variance, eps, scale)


def mean_square(entries: int, variance: Tensor, *, eps: float) -> Tensor:
    """Mean square of normalised entries, 1 but for ε, from the variance that they had (claim Q24.1)."""
    root = (variance + eps).sqrt()
    return _proved("layer_norm", "length", "d", "varepsilon", "sigma")(entries, eps, root) / entries


def crosstalk(z_i: Tensor, z_j: Tensor, samples: int, root: Tensor) -> Tensor:
    """∂z_i/∂x_j of BatchNorm for two samples i ≠ j of ``samples``, normalised by ``root`` = √(B + ε) (claim Q08.1)."""
    slope = _proved("batch_norm", "crosstalk", "z_i", "z_j", "m", "R", "delta_ij")
    return slope(z_i, z_j, samples, root, 0)


def farthest_from_bias(samples: int, gain: Tensor) -> Tensor:
    """The farthest that BatchNorm's output can be from β with this many samples, |γ| √(m − 1) (claim Q24.4)."""
    return _proved("batch_norm", "bound", "gamma", "m")(gain, samples) ** 0.5


def biased_share(samples: int) -> float:
    """E[B]/σ² of the variance B over ``samples`` independent samples, (m − 1)/m (dimensionless; claim Q24.3)."""
    return float(_proved("batch_norm", "mean_variance", "sigma", "m")(1, samples))


def at_test(x: Tensor, *, shift: float | Tensor, mean: Tensor, root: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """What BatchNorm makes of ``x`` moved by ``shift``, with a running mean and the root of a running variance (Q24.5).

    Of a mean of samples it makes the mean of their outputs: it is linear.
    """
    moved = _proved("batch_norm", "test_mean", "mu", "Delta", "mu_r", "sigma_r", "gamma", "beta")
    return moved(x, shift, mean, root, gain, bias)


def scale_at_test(variance: Tensor, *, factor: float, root: Tensor, gain: Tensor) -> Tensor:
    """Variance of BatchNorm's output at test time, for data whose spread has grown by ``factor`` (claim Q24.5)."""
    scaled = _proved("batch_norm", "test_variance", "sigma", "tau", "sigma_r", "gamma")
    return scaled(variance.sqrt(), factor, root, gain)


def steepest_sigmoid() -> float:
    """The largest slope of the logistic sigmoid (dimensionless; claims Q24.2 and Q25.2)."""
    return float(derivation("activation_slopes").results["sigmoid_bound"])


def attention_flops(n: int, d: int) -> int:
    """Operations in the matrix products of self-attention over n tokens of width d (claims Q04.1, Q16.1)."""
    return int(_proved("block_cost", "attention_flops", "n", "d")(n, d))


def softmax_exponentials(n: int, heads: int) -> int:
    """Exponentials in the softmax of self-attention over n tokens (claims Q04.1, Q16.1, Q16.2)."""
    return int(_proved("block_cost", "softmax_exponentials", "h", "n")(heads, n))


def feed_forward_flops(n: int, d: int, d_ff: int) -> int:
    """Operations in the matrix products of a feed-forward layer over n tokens (claim Q13.1)."""
    return int(_proved("block_cost", "feed_forward_flops", "n", "d", "d_ff")(n, d, d_ff))


def feed_forward_lead(n: int, d: int, d_ff: int) -> int:
    """By how many operations a feed-forward layer costs more than the attention beside it (claim Q13.1)."""
    return int(_proved("block_cost", "lead", "n", "d", "d_ff")(n, d, d_ff))


def feed_forward_weights(d: int, d_ff: int) -> int:
    """Entries of the two matrices of a feed-forward layer (claim Q13.1)."""
    return int(_proved("block_cost", "feed_forward_weights", "d", "d_ff")(d, d_ff))


def feed_forward_share() -> Fraction:
    """Share of the weights of a block that is in its feed-forward layer, at d_ff = 4·d_model (claim Q13.1)."""
    share = derivation("block_cost").results["feed_forward_share"]
    return Fraction(int(share.p), int(share.q))


def attention_weights(d: int, heads: int, d_k: int) -> int:
    """Entries of W_Q, W_K, W_V and W_O together (claims Q01.3, Q04.1)."""
    return int(_proved("heads", "parameters", "d", "h", "d_k")(d, heads, d_k))


def weights_of_a_head(d: int, d_k: int) -> int:
    """Entries of W_Q, W_K, W_V and W_O that belong to one head (claim Q01.3)."""
    return int(_proved("heads", "parameters_of_a_head", "d", "d_k")(d, d_k))


def least_distance(d: int) -> float:
    """What one head misses at least, of two independent standardised tokens of width d (squared; claim Q01.1)."""
    return float(_proved("heads", "least_distance", "d")(d))


def lead_among_equals(x: Tensor) -> Tensor:
    """s_ii − s_ij of tokens of one length, without projections: x (…, n, d) → (…, n, n) (claim Q15.1)."""
    n, d = x.shape[-2:]
    i = torch.arange(n, device=x.device)
    margin = _proved("attention_to_itself", "margin", "x", "i", "j", "d")
    return margin(x.movedim((-2, -1), (0, 1)), i[:, None], i[None, :], d).movedim((0, 1), (-2, -1))


def weight_of_others(n: int, lead: Tensor) -> Tensor:
    """The most that a token gives to n − 1 others, over which its score with itself has this ``lead`` (Q03.4)."""
    return _proved("attention_to_itself", "weight_of_others", "n", "g")(n, lead)


def distance_to_own_value(weights: Tensor, value: Tensor) -> Tensor:
    """Largest squared distance of an output from its token's own value (claim Q03.4).

    Weights (…, n, n), value (…, n, d) → (…, n).
    """
    n = weights.shape[-1]
    i = torch.arange(n, device=weights.device)
    off = weights * (i[:, None] != i)
    apart = (value[..., None, :, :] - value[..., :, None, :]).square().sum(-1)
    bound = _proved("attention_to_itself", "distance", "alpha_ii", "Delta", "theta", "i", "n")
    first = [table.movedim((-2, -1), (0, 1)) for table in (apart, off)]
    # 1 − α_ii as the sum of the others: the subtraction would lose what is small
    return bound(1 - off.sum(-1).movedim(-1, 0), *first, i, n).movedim(0, -1)


def distance_of_one_head(maps: Tensor, first: float, second: float, squares: float) -> float:
    """What linear maps (d, 2d) of one head's output miss of two independent standardised tokens (squared; Q01.1).

    The head gives them the weights ``first`` and ``second``; ``squares`` is the sum of the squares of all its weights.
    """
    d = maps.shape[0]
    missed = _proved("heads", "distance", "d", "nu", "M", "N", "rho", "tau")
    return float(missed(d, squares, maps[:, :d], maps[:, d:], first, second))


def relu_normal_mean(sigma: float) -> float:
    """Mean of max(0, x) for x of N(0, σ²), in the unit of σ (claim Q25.3)."""
    return float(_proved("relu_moments", "normal_mean", "sigma")(sigma))


def relu_layer_factor(n: int, variance: float) -> float:
    """By what n ReLU units multiply a squared length, in the mean over weights of this variance (claim Q25.5)."""
    after = _proved("relu_moments", "depth", "n", "omega", "t", "v")
    return float(after(n, variance**0.5, 1, 1))


def feature_product_mean(query: Tensor, key: Tensor) -> Tensor:
    """Mean over w of N(0, I) of the product of two positive random features: (…, d) twice → (…) (claim Q31.6)."""
    mean = _proved("linear_attention", "kernel_mean", "q", "k", "d")
    return mean(query.movedim(-1, 0), key.movedim(-1, 0), query.shape[-1])


def feature_product_variance(query: Tensor, key: Tensor) -> Tensor:
    """Variance of the same product, for one draw: (…, d) twice → (…) (claim Q31.6)."""
    variance = _proved("linear_attention", "kernel_variance", "q", "k", "d")
    return variance(query.movedim(-1, 0), key.movedim(-1, 0), query.shape[-1])


def linear_attention_flops(n: int, features: int, d_v: int) -> int:
    """Operations in the matrix products of linear attention, one head: n tokens, values of width d_v (claim Q31.5)."""
    return int(_proved("linear_attention", "linear_flops", "n", "m", "d_v")(n, features, d_v))


def linformer_flops(n: int, k: int, d: int) -> int:
    """Operations in the matrix products of Linformer, one head of width d: n tokens, k mixed places (claim Q31.7)."""
    return int(_proved("low_rank_attention", "flops", "n", "k", "d", "d_v")(n, k, d, d))


def rate_while_rising(step: int, d_model: int, warmup: int) -> float:
    """The learning rate at ``step`` ≤ ``warmup``, dimensionless (claim Q30.1)."""
    return float(_proved("learning_rate", "warm_up", "t", "w", "d")(step, warmup, d_model))


def rate_while_falling(step: int, d_model: int) -> float:
    """The learning rate at ``step`` ≥ ``warmup``, dimensionless (claim Q30.1)."""
    return float(_proved("learning_rate", "decay", "t", "d")(step, d_model))


def highest_rate(d_model: int, warmup: int) -> float:
    """The learning rate at ``step`` = ``warmup``, dimensionless (claim Q30.1)."""
    return float(_proved("learning_rate", "peak", "w", "d")(warmup, d_model))


def rise_of_the_rate(d_model: int, warmup: int) -> float:
    """By how much the learning rate grows a step, up to ``warmup`` (claim Q30.1)."""
    return float(_proved("learning_rate", "warm_up_slope", "w", "d")(warmup, d_model))


def fall_of_the_rate(step: int, d_model: int) -> float:
    """How fast the learning rate falls at ``step`` ≥ ``warmup``, per step, above 0 (claim Q30.1)."""
    return -float(_proved("learning_rate", "decay_slope", "t", "d")(step, d_model))


def dropout_mean(x: Tensor) -> Tensor:
    """Mean of what dropout makes of each unit of x, any shape (claim Q30.2)."""
    return _proved("dropout", "mean", "x_i")(x)


def dropout_variance(x: Tensor, p: float) -> Tensor:
    """Variance of what dropout at rate p makes of each unit of x, any shape (claim Q30.2)."""
    return _proved("dropout", "variance", "x_i", "p")(x, p)


def frequencies(width: int) -> Tensor:
    """ω_i = 10000^(−2i/width): radians per position of each pair, (width/2,) float64 (Vaswani et al. 2017, §3.5)."""
    return 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)


def turned(sine: Tensor, cosine: Tensor, omega: Tensor, *, shift: float) -> tuple[Tensor, Tensor]:
    """The pairs of a sinusoidal position, ``shift`` places on: (…, pairs) each, ``omega`` (pairs,) (claim Q20.1)."""
    names = ("s_i", "c_i", "omega_i", "k")
    parts = (_proved("sinusoidal_positions", result, *names) for result in ("turned_sine", "turned_cosine"))
    return tuple(part(sine, cosine, omega, shift) for part in parts)  # type: ignore[return-value]


def sinusoidal_product(width: int, *, offset: float) -> float:
    """PE(p)·PE(p + offset), dimensionless (claim Q20.3)."""
    return float(
        _proved("sinusoidal_positions", "inner_product", "omega", "k", "m")(frequencies(width), offset, width // 2)
    )


def sinusoidal_distance(width: int, *, offset: float) -> float:
    """‖PE(p + offset) − PE(p)‖², dimensionless (claim Q20.2)."""
    return float(_proved("sinusoidal_positions", "distance", "omega", "k", "m")(frequencies(width), offset, width // 2))


def logit_lead(length: Tensor, lengths: Tensor, distance: Tensor, distances: Tensor) -> Tensor:
    """z_t − z_v of a tied layer, from the squared lengths of rows and their squared distances from x (claim Q12.3).

    ``length`` and ``distance`` are those of row t, the others (V,) of every row.
    """
    return _proved("tied_embeddings", "lead", "N_t", "N_v", "Q_t", "Q_v")(length, lengths, distance, distances)


def logit_error(coherence: Tensor) -> Tensor:
    """How far the logits of an embedded token are from 1 and 0, at most, where its row has this coherence (Q12.4)."""
    return _proved("tied_embeddings", "coherence_bound", "rho")(coherence)


def tied_gradient(occurs: Tensor, arriving: Tensor, output: Tensor, p: Tensor, right: Tensor) -> Tensor:
    """Gradient of the loss to a table that is embedding and output layer, (V, d) (claim Q12.1).

    ``occurs`` (n, V) is 1 where a token stands, ``arriving`` (n, d) the gradient to the vectors read; ``output`` (d,),
    ``p`` and ``right`` (V,) are the last vector, the probabilities made of it, and 1 for the right token.
    """
    (n, V), d = occurs.shape, output.shape[0]
    token, feature = torch.arange(V, device=p.device)[:, None], torch.arange(d, device=p.device)
    gradient = _proved("tied_embeddings", "tied_gradient", "T", "g", "x_q", "p_w", "delta_wy", "w", "q", "n")
    return gradient(occurs, arriving, output, p[:, None], right[:, None], token, feature, n)


def logit_flops(n: int, d: int, vocab_size: int) -> int:
    """Operations of the output layer over n tokens of width d (claim Q12.2)."""
    return int(_proved("tied_embeddings", "output_flops", "n", "d", "V")(n, d, vocab_size))


def weights_saved(vocab_size: int, d: int) -> int:
    """Parameters that an output layer shares with the table of embeddings (claim Q12.5)."""
    return int(_proved("tied_embeddings", "weights_saved", "V", "d")(vocab_size, d))


def added_unit(x: Tensor, position: Tensor, weights: Tensor) -> Tensor:
    """What the units of a layer make of embedding and position, which meet the same weights (claim Q14.1).

    x and position (…, d), weights (d, units) → (…, units).
    """
    unit = _proved("adding_positions", "shared_weights", "x", "p", "A", "d")
    return unit(x.movedim(-1, 0)[..., None], position.movedim(-1, 0)[..., None], weights, x.shape[-1])


def chance_overlap(d: int) -> float:
    """Mean of the squared cosine of two directions, one of them drawn at random (dimensionless; claim Q14.1)."""
    return float(_proved("adding_positions", "cosine", "d")(d))


def rotary_score(q: Tensor, r: Tensor, k: Tensor, l: Tensor, *, offsets: Tensor) -> Tensor:  # noqa: E741
    """q·k, both turned, of pairs (q, r) (…, n, d_k/2) and (k, l) (…, m, d_k/2) at ``offsets`` (n, m) (claim Q21.6)."""
    score = _proved("rotary_positions", "score", "q", "r", "k", "l", "theta", "p", "s", "m")
    query, key = (t.movedim(-1, 0)[..., :, None] for t in (q, r)), (t.movedim(-1, 0)[..., None, :] for t in (k, l))
    n_pairs = q.shape[-1]
    return score(*query, *key, frequencies(2 * n_pairs).to(q.device), 0, offsets, n_pairs)


def alibi_slopes(n_heads: int) -> list[float]:
    """The slope of each head, per place: a series for the next lower power of two, and others between (claim Q21.5)."""
    power = 1 << (n_heads.bit_length() - 1)
    next_slope = _proved("relative_positions", "next_slope", "mu_a", "h")
    between = _proved("relative_positions", "slope_between", "mu_a", "h")
    slopes = [1.0]  # what stands before the first
    for _ in range(power):
        slopes.append(float(next_slope(slopes[-1], power)))
    return [*slopes[1:], *(float(between(slope, power)) for slope in slopes[: n_heads - power])]


@cache
def _over_branches(result: str, count: int) -> Callable[[Sequence[float], Sequence[float]], Any]:
    """A result of the page on residuals for ``count`` branches, as a function of κ (count,) and N (1,)."""
    proved = derivation("residual_path")
    product = proved.results[result].subs(proved.symbols["t"], count).doit()
    return sp.lambdify([proved.symbols["kappa"], proved.symbols["N"]], product)


def residual_share(norms: Sequence[float]) -> float:
    """Share of a gradient's length that arrives below residual branches of these norms, or more (claim Q22.1).

    A norm is the largest factor by which a branch stretches, at most 1; all is dimensionless.
    """
    return float(_over_branches("kept", len(norms))(norms, [1.0]))


def residual_growth(norms: Sequence[float]) -> float:
    """The largest factor by which residual branches of these norms can stretch a gradient (claim Q22.1)."""
    return float(_over_branches("grown", len(norms))(norms, [1.0])) ** 0.5
