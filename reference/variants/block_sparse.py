"""Block-sparse attention: blocks of queries look at a few blocks of keys, chosen before any of them is seen."""

import random

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..attention import scaled_dot_product_attention


def block_layout(n_blocks: int, *, n_global: int, window: int, n_random: int, seed: int) -> list[list[int]]:
    """For each block of queries, the blocks of keys that it looks at, in order.

    The first `n_global` blocks look at everything and are looked at by everyone. Every other block also looks at
    itself, at `window` blocks on either side, and at `n_random` blocks out of the rest, whose draw depends on the
    block's place, on `seed`, and on how many blocks there are.

    Source: Zaheer et al. 2020 (BigBird), §2 and appendix D, the internal construction.
    """
    layout = []
    for block in range(n_blocks):
        if block < n_global:
            layout.append(list(range(n_blocks)))
            continue
        seen = {*range(n_global), *range(max(0, block - window), min(n_blocks, block + window + 1))}
        rest = [other for other in range(n_blocks) if other not in seen]
        drawn = random.Random(f"{seed} {block}").sample(rest, min(n_random, len(rest)))
        layout.append(sorted({*seen, *drawn}))
    return layout


def layout_mask(
    n: int, block: int, layout: list[list[int]], *, device: torch.device | str | None
) -> Bool[Tensor, "n n"]:
    """M[i, j]: whether the block of query i looks at the block of key j: what the layout means, pair by pair."""
    of_blocks = torch.zeros(len(layout), len(layout), dtype=torch.bool, device=device)
    for row, seen in enumerate(layout):
        of_blocks[row, seen] = True
    place = torch.arange(n, device=device) // block
    return of_blocks[place[:, None], place[None, :]]


def block_sparse_attention(
    query: Float[Tensor, "batch heads length d_k"],
    key: Float[Tensor, "batch heads length d_k"],
    value: Float[Tensor, "batch heads length d_v"],
    *,
    block: int,
    layout: list[list[int]],
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "batch heads length d_v"]:
    """softmax(QKᵀ/√d_k) V over the pairs of blocks in `layout`: full attention under `layout_mask`.

    Only these pairs are computed, so the cost is linear in the length as long as a block looks at a fixed number of
    others. The last block may be shorter.

    Args:
        query: Q.
        key: K, of the same sequence.
        value: V.
        block: tokens in a block.
        layout: from `block_layout`, for ⌈length / block⌉ blocks.
        mask: True = may attend; broadcasts to (batch, heads, length, length).

    Source: Zaheer et al. 2020 (BigBird), §2; before it Child et al. 2019 (Sparse Transformer), §4.
    """
    n = query.shape[-2]
    places = torch.arange(n, device=query.device).split(block)
    outputs = []
    for rows, seen in zip(places, layout, strict=True):
        columns = torch.cat([places[other] for other in seen])
        hidden = None if mask is None else mask.expand(*mask.shape[:-2], n, n)[..., rows, :][..., columns]
        output, _ = scaled_dot_product_attention(
            query[:, :, rows], key[:, :, columns], value[:, :, columns], mask=hidden
        )
        outputs.append(output)
    return torch.cat(outputs, dim=-2)
