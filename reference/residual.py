"""The residual connection around each sub-layer, and where its LayerNorm stands."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from .config import Norm
from .layer_norm import LayerNorm


class Residual(nn.Module):
    """post-LN: LayerNorm(x + Dropout(f(x))).  pre-LN: x + Dropout(f(LayerNorm(x))).

    Source: post-LN is Vaswani et al. 2017, §3.1 and §5.4; pre-LN is Xiong et al. 2020, table 1.
    """

    def __init__(self, d_model: int, norm: Norm, dropout: float) -> None:
        """Make the LayerNorm, and choose its place."""
        super().__init__()
        self.norm_first = norm == "pre"
        self.norm = LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "batch length d_model"], sublayer: Callable[[Tensor], Tensor]
    ) -> Float[Tensor, "batch length d_model"]:
        """Apply the sub-layer f around, or inside of, the normalisation."""
        if self.norm_first:
            return x + self.dropout(sublayer(self.norm(x)))
        return self.norm(x + self.dropout(sublayer(x)))
