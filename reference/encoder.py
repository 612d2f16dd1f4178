"""The encoder: self-attention and feed-forward, over and over."""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .config import Config
from .feed_forward import FeedForward
from .kv_cache import KVCache, LayerCache
from .layer_norm import LayerNorm
from .multi_head import MultiHeadAttention
from .positions import Positions, resolve_position_ids
from .residual import Residual
from .schemes import build_positions


class EncoderLayer(nn.Module):
    """x -> Residual(self-attention) -> Residual(feed-forward).

    Source: Vaswani et al. 2017, §3.1 and figure 1, left.
    """

    def __init__(self, config: Config, positions: Positions) -> None:
        """Make both sub-layers; `positions` is the stack's, shared by its layers."""
        super().__init__()
        self.self_attention = MultiHeadAttention(
            config.d_model, config.n_heads, config.n_kv_heads, positions, dropout=config.attention_dropout
        )
        self.feed_forward = FeedForward(config.d_model, config.d_ff)
        self.self_attention_residual = Residual(config.d_model, config.norm, config.dropout)
        self.feed_forward_residual = Residual(config.d_model, config.norm, config.dropout)

    def forward(
        self,
        x: Float[Tensor, "batch length d_model"],
        *,
        key_padding_mask: Bool[Tensor, "batch length"] | None = None,
        mask: Bool[Tensor, "..."] | None = None,
        is_causal: bool = False,
        position_ids: Int[Tensor, "batch length"] | None = None,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "batch length d_model"]:
        """Run both sub-layers; the arguments are those of `MultiHeadAttention`."""

        def attend(x: Tensor) -> Tensor:
            output, _ = self.self_attention(
                x,
                key_padding_mask=key_padding_mask,
                mask=mask,
                is_causal=is_causal,
                position_ids=position_ids,
                cache=cache,
            )
            return output

        x = self.self_attention_residual(x, attend)
        return self.feed_forward_residual(x, self.feed_forward)


class Encoder(nn.Module):
    """x + positions -> n_layers × EncoderLayer -> LayerNorm, the last for pre-LN only.

    Under a causal mask the same stack is the decoder of a language model, which has nothing to cross-attend to.

    Source: Vaswani et al. 2017, §3.1; Xiong et al. 2020, table 1, for pre-LN's final LayerNorm.
    """

    def __init__(self, config: Config, *, bidirectional: bool = True) -> None:
        """Make the layers. `bidirectional=False` for a stack that only ever runs causally: see `build_positions`."""
        super().__init__()
        self.positions = build_positions(config, bidirectional=bidirectional)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList([EncoderLayer(config, self.positions) for _ in range(config.n_layers)])
        # Post-LN layers end in a LayerNorm already; a pre-LN stack would end in a bare sum.
        self.norm = LayerNorm(config.d_model) if config.norm == "pre" else nn.Identity()

    def forward(
        self,
        x: Float[Tensor, "batch length d_model"],
        *,
        key_padding_mask: Bool[Tensor, "batch length"] | None = None,
        mask: Bool[Tensor, "..."] | None = None,
        is_causal: bool = False,
        position_ids: Int[Tensor, "batch length"] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "batch length d_model"]:
        """Encode x.

        Args:
            x: embeddings, before any position is added.
            key_padding_mask: True = REAL token (PyTorch's own is the opposite). With a cache, of the new tokens only.
            mask: True = may attend; (length, length), or (batch, heads or 1, length, length).
            is_causal: hide from each token those after it.
            position_ids: 0, 1, … after the cache's length if None.
            cache: the past of every layer, for a causal stack; x then holds the new tokens only.

        Raises:
            ValueError: a mask or position_ids has the wrong shape or dtype.
        """
        n_past = 0 if cache is None else cache.length
        position_ids = resolve_position_ids(position_ids, x, n_past)
        x = self.dropout(self.positions.embed(x, position_ids))
        for i, layer in enumerate(self.layers):
            x = layer(
                x,
                key_padding_mask=key_padding_mask,
                mask=mask,
                is_causal=is_causal,
                position_ids=position_ids,
                cache=None if cache is None else cache.layers[i],
            )
        return self.norm(x)
