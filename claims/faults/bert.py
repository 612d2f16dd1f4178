"""Faults of whoever calls a library's BERT: a configuration half carried over, and what masks and caches mean there."""

from __future__ import annotations

from .fault import Fault

_FILE, _ON = "huggingface_bert.py", "transformers.BertModel"

BERT = (
    Fault(
        "bert_heads_left_at_one",
        _FILE,
        "num_attention_heads=config.n_heads",
        "num_attention_heads=1",
        "the number of heads is lost on the way from one configuration to another: every shape still fits",
        {
            "self_attention": ("heads.loop_equivalence", "heads.removal_is_deletion", "cost.softmax_entries"),
            "cross_attention": ("heads.loop_equivalence",),
        },
        on=_ON,
    ),
    Fault(
        "bert_boolean_mask_is_added",
        _FILE,
        'if self.config._attn_implementation == "sdpa":',
        "if True:",
        "a boolean mask, where the attention of the library adds what it is given to the scores: 1 for what is allowed",
        {
            "self_attention": ("causality.no_future_influence", "consistency.paths_agree"),
            "encoder": ("causality.no_future_influence", "lengths.packing_agrees"),
        },
        on=_ON,
    ),
    Fault(
        "bert_padding_of_the_mask_lost",
        _FILE,
        "mask if key_padding_mask is None else mask & key_padding_mask[:, None, None, :]",
        "mask",
        "a mask of one's own takes the place of the padding mask, where both are due",
        {"self_attention": ("padding.content",), "encoder": ("padding.content", "padding.gradients")},
        on=_ON,
    ),
    Fault(
        "bert_mask_of_the_new_tokens",
        _FILE,
        "key_padding_mask=self.real,",
        "key_padding_mask=torch.cat([torch.ones_like(self.real), key_padding_mask], 1)[:, -self.real.shape[1] :],",
        "with a cache the mask is of all tokens so far: the padding before the new ones is forgotten",
        {"causal_lm": ("decoding.padded_prompts",)},
        on=_ON,
    ),
    Fault(
        "bert_cache_cropped_by_one_more",
        _FILE,
        "self.cache.crop(length - self.real.shape[1])",
        "self.cache.crop(length - self.real.shape[1] - 1)",
        "the cache is cut to the place of the last token, not behind it",
        {"causal_lm": ("decoding.cached_equals_full",)},
        on=_ON,
    ),
)
