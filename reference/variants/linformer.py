"""Linformer: the list of keys is mixed down to a fixed number before any query sees it."""

from jaxtyping import Bool, Float
from torch import Tensor

from ..attention import scaled_dot_product_attention


def linformer_attention(
    query: Float[Tensor, "batch heads query d_k"],
    key: Float[Tensor, "batch heads key d_k"],
    value: Float[Tensor, "batch heads key d_v"],
    *,
    E: Float[Tensor, "k max_length"],
    F: Float[Tensor, "k max_length"],
    key_padding_mask: Bool[Tensor, "batch key"] | None = None,
) -> Float[Tensor, "batch heads query d_v"]:
    """softmax(Q(EK)ᵀ/√d_k) FV: E mixes the n keys into k, F the values. 4·n·k·(d_k + d_v) operations.

    Column j of E and F belongs to place j, so sequences are at most `max_length` long, and order is seen. Padded keys
    and values are mixed as zeros.

    Source: Wang et al. 2020 (Linformer), eq. 7, with one E and one F for all heads (their "headwise sharing").
    """
    n = key.shape[-2]
    if key_padding_mask is not None:
        padding = ~key_padding_mask[:, None, :, None]
        key, value = key.masked_fill(padding, 0.0), value.masked_fill(padding, 0.0)
    output, _ = scaled_dot_product_attention(query, E[:, :n] @ key, F[:, :n] @ value)
    return output
