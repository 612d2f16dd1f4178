"""Kernels that are a product of features: linear attention, and Performer's estimate of softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from veriformer.properties import Config, Subject

from .declared import WIDE, Kernel, key_padding, linear, named, no_mask_of_pairs

FEATURES = 64
"""Random features for each entry of a query: enough blocks for the test of their law."""


def subjects(variants: Any) -> dict[str, Subject]:
    """Linear attention and Performer, by name, out of the package given."""

    def parallel_or_recurrent(config: Config) -> Callable[..., Tensor]:
        def attend(
            query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None, is_causal: bool = False
        ) -> Tensor:
            real = key_padding(mask)
            if config.options["form"] == "recurrent" and is_causal:
                features = variants.elu_features(query), variants.elu_features(key)
                return variants.attend_by_recurrence(*features, value, key_padding_mask=real)
            return variants.linear_attention(query, key, value, key_padding_mask=real, is_causal=is_causal)

        return attend

    def performer(config: Config) -> nn.Module:
        projection = variants.orthogonal_gaussian(FEATURES * config.d_k, config.d_k)
        return Kernel(variants.performer_attention, trained=False, projection=projection)

    def log_features(built: Any) -> Callable[[Tensor], Tensor]:
        return lambda x: variants.log_positive_features(x, built.projection)

    def by_pairs(features: Callable[[Tensor], Tensor]) -> Any:
        """The table of all pairs that linear attention never makes."""

        def attend(
            query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None, is_causal: bool = False
        ) -> Tensor:
            fit = features(query) @ features(key).mT
            fit = fit if mask is None else fit.masked_fill(~mask, 0.0)
            fit = fit.tril() if is_causal else fit
            return fit / fit.sum(-1, keepdim=True) @ value

        return attend

    def plain_performer(built: Any) -> Any:
        def features(x: Tensor) -> Tensor:
            return variants.log_positive_features(x * x.shape[-1] ** -0.25, built.projection).exp()

        return by_pairs(features)

    def plain_linear(built: Any) -> Any:
        return by_pairs(variants.elu_features)

    common: dict[str, Any] = {
        "contract": "attention",
        "features": {"mask", "is_causal"},
        "refuses": no_mask_of_pairs,
        "fully_masked": "zero",
        "growth": linear,
    }
    return {
        **named(
            "linear_attention",
            build=parallel_or_recurrent,
            paths={"form": ("parallel", "recurrent")},
            plain=plain_linear,
            dot_product=False,
            **common,
        ),
        **named(
            "performer",
            build=performer,
            plain=plain_performer,
            random_features=log_features,
            dtypes=WIDE,
            **common,
        ),
    }
