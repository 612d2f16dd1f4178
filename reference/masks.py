"""Who may attend to whom. Every mask is boolean, and True means "may attend" or "is a real token".

PyTorch's own modules read a boolean `key_padding_mask` and `attn_mask` the other way round (True = hidden).
"""

from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def causal_mask(n_queries: int, n_keys: int, *, device: torch.device | str | None) -> Bool[Tensor, "n_queries n_keys"]:
    """M[i, j] = (j ≤ i + n_keys − n_queries): a query sees itself and what came before it.

    The diagonal ends in the bottom right corner, so that the last query sees every key: the keys of a KV cache come
    before the queries, and one new token must see all of them. For n_queries = n_keys this is the lower triangle.

    Source: Vaswani et al. 2017, §3.2.3, third item.
    """
    n_past = n_keys - n_queries
    query = torch.arange(n_queries, device=device)[:, None]
    key = torch.arange(n_keys, device=device)[None, :]
    return key <= query + n_past


def padding_mask(
    lengths: Int[Tensor, "batch"], n: int, side: Literal["left", "right"] = "right"
) -> Bool[Tensor, "batch n"]:
    """M[b, j] = (j < lengths[b]) for padding on the right, (j ≥ n − lengths[b]) on the left. True = REAL token.

    Raises:
        ValueError: `side` is neither "left" nor "right".
    """
    index = torch.arange(n, device=lengths.device)[None, :]
    length = lengths[:, None]
    if side == "right":
        return index < length
    if side == "left":
        return index >= n - length
    raise ValueError(f"side must be 'left' or 'right', got {side!r}; name the side on which the padding stands")


def key_padding_to_mask(key_padding_mask: Bool[Tensor, "batch key"]) -> Bool[Tensor, "batch 1 1 key"]:
    """Hide padded keys from every head and every query. True = REAL token."""
    return key_padding_mask[:, None, None, :]


def combine_masks(*masks: Bool[Tensor, "..."] | None) -> Bool[Tensor, "..."] | None:
    """M = M₁ ∧ M₂ ∧ …: a pair may attend only where every mask allows it. None allows everything.

    Each mask is (query, key) or (batch or 1, heads or 1, query or 1, key); the result broadcasts to
    (batch, heads, query, key).

    Raises:
        ValueError: a mask is not boolean, or has another number of dimensions: of three, the first could be the
            batch or the heads, and broadcasting would pick the heads without a word.
    """
    combined = None
    for mask in masks:
        if mask is None:
            continue
        check_boolean("mask", mask)
        if mask.ndim not in (2, 4):
            raise ValueError(
                f"a mask must be (query, key) or (batch, heads or 1, query, key), got shape {tuple(mask.shape)}; "
                "insert the missing axes, for instance mask[:, None] for one mask per sequence"
            )
        combined = mask if combined is None else combined & mask
    return combined


def check_boolean(name: str, mask: Tensor) -> None:
    """Raise ValueError unless the mask is boolean."""
    if mask.dtype != torch.bool:
        raise ValueError(
            f"{name} must be boolean with True = may attend, got dtype {mask.dtype}; "
            "convert a 0/1 mask with mask.bool() and an additive one with mask == 0"
        )


def check_key_padding_mask(key_padding_mask: Tensor, batch: int, length: int) -> None:
    """Raise ValueError unless the mask is boolean and (batch, length)."""
    check_boolean("key_padding_mask", key_padding_mask)
    if key_padding_mask.shape != (batch, length):
        raise ValueError(
            f"key_padding_mask must be (batch, length) = ({batch}, {length}), got {tuple(key_padding_mask.shape)}; "
            "give one entry per key of this call (with a cache: the new tokens only, the cache remembers the old)"
        )
