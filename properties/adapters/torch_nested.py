"""PyTorch's nested tensors: a batch without padding, in which every sequence keeps its own length.

The layer is the usual one, with four projections around ``scaled_dot_product_attention``; what it works on is a jagged
tensor (``torch.nested``, ``layout=torch.jagged``) of the real tokens alone. Padding is taken out before it and put back
behind it. It has no causal attention: the math kernel, the only one on a CPU, takes no nested tensors with is_causal.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from ..contracts import Unsupported, split_heads
from ..subjects import Config, Projections, Subject


class _NestedAttention(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.w_q = nn.Linear(config.d_model, config.d_model)
        self.w_k = nn.Linear(config.d_model, config.d_model, bias=False)  # softmax would not see a bias here
        self.w_v = nn.Linear(config.d_model, config.d_model)
        self.w_o = nn.Linear(config.d_model, config.d_model)

    def forward(self, x: Tensor, *, key_padding_mask: Tensor | None = None) -> Tensor:
        if is_in_torch_dispatch_mode():
            raise Unsupported("nested tensors do not run under the dispatch modes that count operators")
        real = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        real = real if key_padding_mask is None else key_padding_mask
        offsets = nn.functional.pad(real.sum(1).cumsum(0), (1, 0))
        nested = torch.nested.nested_tensor_from_jagged(x[real], offsets)
        query, key, value = (split_heads(w(nested), self.n_heads) for w in (self.w_q, self.w_k, self.w_v))
        heads = nn.functional.scaled_dot_product_attention(query, key, value)
        output = self.w_o(heads.transpose(1, 2).flatten(-2)).values()
        return torch.zeros_like(x).index_put((real,), output)


def _projections(layer: _NestedAttention) -> Projections:
    q, k, v, o = layer.w_q, layer.w_k, layer.w_v, layer.w_o
    return Projections(q.weight, k.weight, v.weight, o.weight, b_q=q.bias, b_v=v.bias, b_o=o.bias)


NESTED = Subject(
    name="torch.nested",
    contract="self_attention",
    build=_NestedAttention,
    projections=_projections,
)
