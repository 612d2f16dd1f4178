"""Kernels that shorten the list of keys: Linformer and Nyströmformer."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from veriformer.properties import Config, Subject, Unsupported
from veriformer.properties.subjects import MAX_LENGTH

from .declared import WIDE, Kernel, full_attention, key_padding, named, no_mask_of_pairs, one_sequence

MIXED, LANDMARKS = 3, 2


def subjects(reference: Any, variants: Any) -> dict[str, Subject]:
    """Linformer and Nyströmformer, by name, out of the packages given."""

    def linformer(config: Config) -> nn.Module:
        mixers = {name: torch.randn(MIXED, MAX_LENGTH) for name in ("E", "F")}
        if config.options["mixed"] == "few":
            return Kernel(variants.linformer_attention, trained=True, **mixers)

        def attend(query: Tensor, key: Tensor, value: Tensor, **masks: Any) -> Tensor:
            identity = torch.eye(key.shape[-2], dtype=key.dtype, device=key.device)
            return variants.linformer_attention(query, key, value, E=identity, F=identity, **masks)

        return Kernel(attend, trained=False)

    def plain_linformer(built: Kernel) -> Any:
        """Full attention where nothing is mixed; else the table of what every token has in every output."""

        def attend(query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None) -> Tensor:
            real = key_padding(mask)
            if not built.names:
                if real is not None and not bool(real.all()):
                    raise Unsupported("a key of padding is mixed as a zero, which takes e⁰ of the weights")
                return full_attention(reference, query, key, value)
            key, value = (x if real is None else x * real[:, None, :, None] for x in (key, value))
            E, F = (mixer[:, : key.shape[-2]] for mixer in built.tensors.values())
            scores = query @ (E @ key).mT / key.shape[-1] ** 0.5
            return (scores.softmax(-1) @ F) @ value

        return attend

    def nystrom(config: Config) -> partial[Tensor]:
        few = config.options["landmarks"] == "few"
        return partial(variants.nystrom_attention, n_landmarks=LANDMARKS if few else MAX_LENGTH + 2)

    def plain_nystrom(built: partial[Tensor]) -> Any:
        """Full attention where all tokens are landmarks; else the table of weights that is never made."""

        def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            n, n_landmarks = query.shape[-2], built.keywords["n_landmarks"]
            if n <= n_landmarks:
                return full_attention(reference, query, key, value)
            few_queries, few_keys = (variants.segment_means(x, n_landmarks) for x in (query, key))
            scale = query.shape[-1] ** -0.5
            pairs = ((query, few_keys), (few_queries, few_keys), (few_queries, key))
            left, middle, right = ((scale * q @ k.mT).softmax(-1) for q, k in pairs)
            return (left @ torch.linalg.pinv(middle) @ right) @ value

        return attend

    return {
        **named(
            "linformer",
            contract="attention",
            build=linformer,
            features={"mask"},
            options={"mixed": ("few", "none")},
            plain=plain_linformer,
            refuses=no_mask_of_pairs,
            dtypes=WIDE,
            growth=lambda path: 1 if path["mixed"] == "few" else 2,
        ),
        **named(
            "nystromformer",
            contract="attention",
            build=nystrom,
            features=(),
            options={"landmarks": ("few", "all")},
            plain=plain_nystrom,
            refuses=one_sequence,
            dtypes=WIDE,
            growth=lambda path: 1 if path["landmarks"] == "few" else 2,
        ),
    }
