"""The Transformer: encoder, decoder, and one embedding table."""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .config import Config
from .decoder import Decoder
from .embedding import Embedding, output_layer
from .encoder import Encoder


class Transformer(nn.Module):
    """logits = Decoder(embed(target), Encoder(embed(source))) Eᵀ.

    Source and target share one embedding table; the output layer shares it, too, if `config.tie_embeddings`.

    Source: Vaswani et al. 2017, figure 1 and §3.4.
    """

    def __init__(self, config: Config) -> None:
        """Make the parts."""
        super().__init__()
        self.config = config
        self.embedding = Embedding(config.vocab_size, config.d_model)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.output = output_layer(self.embedding, tied=config.tie_embeddings)

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        target: Int[Tensor, "batch target"],
        *,
        source_key_padding_mask: Bool[Tensor, "batch source"] | None = None,
        target_key_padding_mask: Bool[Tensor, "batch target"] | None = None,
        source_position_ids: Int[Tensor, "batch source"] | None = None,
        target_position_ids: Int[Tensor, "batch target"] | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        """Return, for each target token, the logits of the one after it.

        Both padding masks are True = REAL token (PyTorch's own are the opposite); position ids are 0, 1, … if None.

        Raises:
            ValueError: a mask or position ids have the wrong shape or dtype.
        """
        memory = self.encoder(
            self.embedding(source), key_padding_mask=source_key_padding_mask, position_ids=source_position_ids
        )
        x = self.decoder(
            self.embedding(target),
            memory,
            key_padding_mask=target_key_padding_mask,
            memory_key_padding_mask=source_key_padding_mask,
            position_ids=target_position_ids,
        )
        return self.output(x)
