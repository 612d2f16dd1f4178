"""The Universal Transformer: one layer, applied over and over."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..config import Config
from ..encoder import EncoderLayer
from ..layer_norm import LayerNorm
from ..positions import resolve_position_ids
from ..schemes import build_positions
from ..sinusoidal import sinusoidal_encoding


class UniversalEncoder(nn.Module):
    """x^t = Layer(x^{t−1} + positions + time(t)) for t = 1 … n_layers, with the same Layer at every step.

    time(t) is the sinusoidal encoding of t, the same at every place. The depth costs no parameters. The paper's
    optional rule of when to stop, at each place for itself, is left out.

    Source: Dehghani et al. 2019 (Universal Transformers), §2.1, eqs. 4 to 7.
    """

    def __init__(self, config: Config) -> None:
        """Make the one layer."""
        super().__init__()
        self.n_steps = config.n_layers
        self.positions = build_positions(config, bidirectional=True)
        self.layer = EncoderLayer(config, self.positions)
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
    ) -> Float[Tensor, "batch length d_model"]:
        """Encode x; the arguments are those of `Encoder`."""
        position_ids = resolve_position_ids(position_ids, x)
        for t in range(1, self.n_steps + 1):
            x = self.positions.embed(x, position_ids) + time_signal(t, x)
            x = self.layer(
                x, key_padding_mask=key_padding_mask, mask=mask, is_causal=is_causal, position_ids=position_ids
            )
        return self.norm(x)


def time_signal(t: int, x: Float[Tensor, "batch length d_model"]) -> Float[Tensor, "1 1 d_model"]:
    """The sinusoidal encoding of step t, for every place."""
    step = torch.full((1, 1), t, device=x.device)
    return sinusoidal_encoding(step, x.shape[-1], x.dtype)
