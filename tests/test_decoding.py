"""Decoders that offer less than everything, or something else than their contract says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from veriformer.properties import CachedDecoder, PaddedDecoder, Status, Subject, check_subject
from veriformer.properties.loading import load


class Plain(CachedDecoder):
    """The reference's cache, without padding."""

    def __init__(self, model: Any) -> None:
        self.model, self.cache = model, model.new_cache()

    def append(self, tokens: Tensor) -> Tensor:
        return self.model(tokens, cache=self.cache)

    def reorder(self, rows: Tensor) -> None:
        self.cache.reorder(rows)

    def crop(self, length: int) -> None:
        self.cache.crop(length)


class LastAlone(Plain, PaddedDecoder):
    """Gives the logits of the last token where those of all new tokens are due."""

    def append_padded(self, tokens: Tensor, *, key_padding_mask: Tensor, position_ids: Tensor) -> Tensor:
        masks = {"key_padding_mask": key_padding_mask, "position_ids": position_ids}
        return self.model(tokens, **masks, cache=self.cache)[:, -1:]


def reference_with(decoder: type[CachedDecoder]) -> Subject:
    (reference,) = load("reference", contract="causal_lm")
    return replace(reference, name=decoder.__name__, decoder=lambda model, batch: decoder(model), options={})  # type: ignore[call-arg]


def test_decoder_without_padding_is_held_to_the_rest() -> None:
    results = check_subject(reference_with(Plain), properties="decoding.*")
    statuses = {r.law: r.status for r in results}
    assert statuses.pop("decoding.padded_prompts") is Status.NOT_APPLICABLE
    assert set(statuses.values()) == {Status.HELD}
    reasons = {r.message for r in results if r.law == "decoding.padded_prompts"}
    assert reasons == {"its cached decoding takes no padding (append_padded)"}


def test_logits_of_another_shape() -> None:
    results = check_subject(reference_with(LastAlone), properties="decoding.padded_prompts")
    assert {r.status for r in results} == {Status.CRASHED}
    assert all("append_padded: expected logits (batch, n, vocabulary) of the " in r.message for r in results)
