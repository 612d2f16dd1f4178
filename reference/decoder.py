"""The decoder: causal self-attention, attention to the encoder's output, and feed-forward."""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .config import Config
from .feed_forward import FeedForward
from .layer_norm import LayerNorm
from .multi_head import MultiHeadAttention
from .positions import Positions, resolve_position_ids
from .residual import Residual
from .schemes import build_positions


class DecoderLayer(nn.Module):
    """x -> Residual(causal self-attention) -> Residual(cross-attention) -> Residual(feed-forward).

    Source: Vaswani et al. 2017, §3.1 and figure 1, right.
    """

    def __init__(self, config: Config, positions: Positions) -> None:
        """Make the three sub-layers; `positions` is the stack's, shared by its layers."""
        super().__init__()
        self.self_attention = MultiHeadAttention(
            config.d_model, config.n_heads, config.n_kv_heads, positions, dropout=config.attention_dropout
        )
        # No relative positions here: a distance between tokens of two different sequences has no meaning.
        self.cross_attention = MultiHeadAttention(
            config.d_model, config.n_heads, config.n_kv_heads, dropout=config.attention_dropout
        )
        self.feed_forward = FeedForward(config.d_model, config.d_ff)
        self.self_attention_residual = Residual(config.d_model, config.norm, config.dropout)
        self.cross_attention_residual = Residual(config.d_model, config.norm, config.dropout)
        self.feed_forward_residual = Residual(config.d_model, config.norm, config.dropout)

    def forward(
        self,
        x: Float[Tensor, "batch target d_model"],
        memory: Float[Tensor, "batch source d_model"],
        *,
        key_padding_mask: Bool[Tensor, "batch target"] | None = None,
        memory_key_padding_mask: Bool[Tensor, "batch source"] | None = None,
        position_ids: Int[Tensor, "batch target"] | None = None,
    ) -> Float[Tensor, "batch target d_model"]:
        """Run the three sub-layers; the arguments are those of `Decoder`."""

        def attend_to_self(x: Tensor) -> Tensor:
            output, _ = self.self_attention(
                x, key_padding_mask=key_padding_mask, is_causal=True, position_ids=position_ids
            )
            return output

        def attend_to_memory(x: Tensor) -> Tensor:
            output, _ = self.cross_attention(x, memory, key_padding_mask=memory_key_padding_mask)
            return output

        x = self.self_attention_residual(x, attend_to_self)
        x = self.cross_attention_residual(x, attend_to_memory)
        return self.feed_forward_residual(x, self.feed_forward)


class Decoder(nn.Module):
    """x + positions -> n_layers × DecoderLayer(·, memory) -> LayerNorm, the last for pre-LN only.

    Source: Vaswani et al. 2017, §3.1; Xiong et al. 2020, table 1, for pre-LN's final LayerNorm.
    """

    def __init__(self, config: Config) -> None:
        """Make the layers."""
        super().__init__()
        self.positions = build_positions(config, bidirectional=False)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList([DecoderLayer(config, self.positions) for _ in range(config.n_layers)])
        # Post-LN layers end in a LayerNorm already; a pre-LN stack would end in a bare sum.
        self.norm = LayerNorm(config.d_model) if config.norm == "pre" else nn.Identity()

    def forward(
        self,
        x: Float[Tensor, "batch target d_model"],
        memory: Float[Tensor, "batch source d_model"],
        *,
        key_padding_mask: Bool[Tensor, "batch target"] | None = None,
        memory_key_padding_mask: Bool[Tensor, "batch source"] | None = None,
        position_ids: Int[Tensor, "batch target"] | None = None,
    ) -> Float[Tensor, "batch target d_model"]:
        """Decode x beside the memory.

        Args:
            x: embeddings of the target, before any position is added.
            memory: the encoder's output.
            key_padding_mask: of the target; True = REAL token (PyTorch's own is the opposite).
            memory_key_padding_mask: of the source; True = REAL token.
            position_ids: of the target; 0, 1, … if None.

        Raises:
            ValueError: a mask or position_ids has the wrong shape or dtype.
        """
        position_ids = resolve_position_ids(position_ids, x)
        x = self.dropout(self.positions.embed(x, position_ids))
        for layer in self.layers:
            x = layer(
                x,
                memory,
                key_padding_mask=key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                position_ids=position_ids,
            )
        return self.norm(x)
