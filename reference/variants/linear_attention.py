"""Linear attention: features in place of softmax, so that keys and values can be added up before any query asks."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


def elu_features(x: Float[Tensor, "*batch d_k"]) -> Float[Tensor, "*batch d_k"]:
    """φ(x) = elu(x) + 1, which is positive: x + 1 above 0, e^x below.

    Source: Katharopoulos et al. 2020, eq. 7.
    """
    return torch.where(x > 0, x + 1, x.clamp(max=0).exp())  # elu(x) + 1 would round away e^x for x far below 0


def attend_by_features(
    query_features: Float[Tensor, "batch heads query m"],
    key_features: Float[Tensor, "batch heads key m"],
    value: Float[Tensor, "batch heads key d_v"],
    *,
    key_padding_mask: Bool[Tensor, "batch key"] | None = None,
    is_causal: bool = False,
) -> Float[Tensor, "batch heads query d_v"]:
    """o_i = φ(q_i)ᵀ S / φ(q_i)ᵀ z, with the table S = Σ_j φ(k_j) v_jᵀ and the sum z = Σ_j φ(k_j).

    Sums run over the keys that query i may attend to: all real ones, or those with j ≤ i. z is the last column of the
    table, that of a value 1. No (query, key) table is ever made: 4·n·m·(d_v + 1) operations for n tokens.

    Args:
        query_features: φ(Q), not negative.
        key_features: φ(K), not negative.
        value: V.
        key_padding_mask: True = REAL token.
        is_causal: keys j ≤ i only; query and key are then of one length.

    A query without a key, or whose features are 0 throughout, gets exactly 0.

    Source: Katharopoulos et al. 2020, eqs. 4 to 6 (all keys) and 8 to 12 (causal).
    """
    key_features, counted = _table_sides(key_features, value, key_padding_mask)
    if is_causal:
        tables = (key_features.unsqueeze(-1) * counted.unsqueeze(-2)).cumsum(dim=-3)  # (batch, heads, key, m, d_v + 1)
        read = (query_features.unsqueeze(-2) @ tables).squeeze(-2)
    else:
        read = query_features @ (key_features.mT @ counted)
    return _divided(read)


def attend_by_recurrence(
    query_features: Float[Tensor, "batch heads length m"],
    key_features: Float[Tensor, "batch heads length m"],
    value: Float[Tensor, "batch heads length d_v"],
    *,
    key_padding_mask: Bool[Tensor, "batch length"] | None = None,
) -> Float[Tensor, "batch heads length d_v"]:
    """The causal case of `attend_by_features`, one token after the other: S_i = S_{i−1} + φ(k_i) v_iᵀ.

    The state is the table alone, of m · (d_v + 1) numbers a head, however long the past.

    Source: Katharopoulos et al. 2020, eqs. 18 to 20.
    """
    key_features, counted = _table_sides(key_features, value, key_padding_mask)
    table = torch.zeros_like(key_features[:, :, 0, :, None] * counted[:, :, 0, None, :])
    reads = []
    for i in range(query_features.shape[-2]):
        table = table + key_features[:, :, i, :, None] * counted[:, :, i, None, :]
        reads.append(query_features[:, :, i, None] @ table)
    return _divided(torch.cat(reads, dim=-2))


def linear_attention(
    query: Float[Tensor, "batch heads query d_k"],
    key: Float[Tensor, "batch heads key d_k"],
    value: Float[Tensor, "batch heads key d_v"],
    *,
    key_padding_mask: Bool[Tensor, "batch key"] | None = None,
    is_causal: bool = False,
) -> Float[Tensor, "batch heads query d_v"]:
    """`attend_by_features` with φ = `elu_features`."""
    return attend_by_features(
        elu_features(query), elu_features(key), value, key_padding_mask=key_padding_mask, is_causal=is_causal
    )


def _table_sides(key_features: Tensor, value: Tensor, key_padding_mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """φ(K), with 0 at padding, and (V, 1)."""
    counted = nn.functional.pad(value, (0, 1), value=1.0)
    if key_padding_mask is not None:
        padding = ~key_padding_mask[:, None, :, None]
        key_features = key_features.masked_fill(padding, 0.0)
        counted = counted.masked_fill(padding, 0.0)  # 0 · ∞ would not be 0
    return key_features, counted


def _divided(read: Tensor) -> Tensor:
    """The first columns over the last."""
    total = read[..., -1:]
    return read[..., :-1] / total.masked_fill(total == 0, 1.0)
