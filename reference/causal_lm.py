"""The causal language model: each token predicts the next."""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .config import Config
from .embedding import Embedding, output_layer
from .encoder import Encoder
from .kv_cache import KVCache


class CausalLM(nn.Module):
    """logits = CausalStack(embed(tokens)) Eᵀ: logits at t depend on tokens 0 … t alone, and predict token t + 1.

    A decoder with no encoder to attend to is an encoder under a causal mask, so the stack is `Encoder`.

    Source: Radford et al. 2018, §3.1, eq. 2, but for the choices in `Config`.
    """

    def __init__(self, config: Config) -> None:
        """Make the parts."""
        super().__init__()
        self.config = config
        self.embedding = Embedding(config.vocab_size, config.d_model)
        self.stack = Encoder(config, bidirectional=False)
        self.output = output_layer(self.embedding, tied=config.tie_embeddings)

    def new_cache(self) -> KVCache:
        """Return an empty cache for this model."""
        return KVCache(self.config.n_layers)

    def forward(
        self,
        tokens: Int[Tensor, "batch length"] | None = None,
        *,
        inputs_embeds: Float[Tensor, "batch length d_model"] | None = None,
        key_padding_mask: Bool[Tensor, "batch length"] | None = None,
        position_ids: Int[Tensor, "batch length"] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "batch length vocab"]:
        """Return the logits of every token given.

        Args:
            tokens: token ids; with a cache, only those that it does not hold yet.
            inputs_embeds: what `embedding(tokens)` would return, in their stead: scaled, before any position is added.
            key_padding_mask: True = REAL token (PyTorch's own is the opposite). With a cache, of the new tokens only.
            position_ids: 0, 1, … after the cache's length if None. With padding on the left, give them.
            cache: the past, from `new_cache`; the new tokens are added to it.

        Raises:
            ValueError: not exactly one of tokens and inputs_embeds, or a mask or position_ids of the wrong shape.
        """
        if (tokens is None) == (inputs_embeds is None):
            given = "neither" if tokens is None else "both"
            raise ValueError(f"expected exactly one of tokens and inputs_embeds, got {given}; drop or add one")
        x = self.embedding(tokens) if inputs_embeds is None else inputs_embeds
        x = self.stack(x, key_padding_mask=key_padding_mask, is_causal=True, position_ids=position_ids, cache=cache)
        return self.output(x)
