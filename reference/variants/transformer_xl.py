"""Transformer-XL: a language model that reads segment by segment, and remembers the states of those before."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..attention import masked_softmax
from ..config import Config, check_heads
from ..embedding import Embedding, output_layer
from ..feed_forward import FeedForward
from ..masks import causal_mask
from ..multi_head import merge_heads, split_heads
from ..residual import Residual
from ..sinusoidal import sinusoidal_encoding

Memory = list[Float[Tensor, "batch past d_model"]]
"""For each layer, what went into it at the places before: states, not tokens."""


class RelativeAttention(nn.Module):
    """s_ij = ((q_i + u) · k_j + (q_i + v) · W_R R_{i−j}) / √d_k: the distance i − j in place of two positions.

    R_{i−j} is the sinusoidal encoding of the distance; u and v are two vectors a head, in place of a query's own
    position. The distances of all pairs are encoded one by one; the paper shifts one table instead.

    Source: Dai et al. 2019 (Transformer-XL), §3.3.
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        """Draw the five projections, and u and v."""
        super().__init__()
        check_heads(d_model, n_heads, None)
        self.n_heads = n_heads
        d_k = d_model // n_heads
        self.W_Q = nn.Linear(d_model, d_model, bias=False)
        self.W_K = nn.Linear(d_model, d_model, bias=False)
        self.W_V = nn.Linear(d_model, d_model, bias=False)
        self.W_R = nn.Linear(d_model, d_model, bias=False)
        self.W_O = nn.Linear(d_model, d_model, bias=False)
        self.u = nn.Parameter(torch.randn(n_heads, d_k))
        self.v = nn.Parameter(torch.randn(n_heads, d_k))

    def forward(
        self,
        x: Float[Tensor, "batch query d_model"],
        past: Float[Tensor, "batch past d_model"],
        *,
        mask: Bool[Tensor, "query past+query"],
    ) -> Float[Tensor, "batch query d_model"]:
        """Queries of x, keys and values of the past and x. The mask (True = may attend) is (query, past + query)."""
        context = torch.cat([past, x], dim=1)
        n, m = x.shape[1], context.shape[1]
        query = split_heads(self.W_Q(x), self.n_heads)  # (batch, heads, query, d_k)
        key = split_heads(self.W_K(context), self.n_heads)
        value = split_heads(self.W_V(context), self.n_heads)
        place = torch.arange(m, device=x.device)
        distance = place[m - n :, None] - place[None, :]
        relative = split_heads(self.W_R(sinusoidal_encoding(distance, x.shape[-1], x.dtype)), self.n_heads)

        content = (query + self.u[:, None]) @ key.mT
        by_distance = (query + self.v[:, None]).unsqueeze(-2) @ relative.transpose(0, 1).mT  # (…, query, 1, key)
        scores = (content + by_distance.squeeze(-2)) / query.shape[-1] ** 0.5
        return self.W_O(merge_heads(masked_softmax(scores, mask) @ value))


class TransformerXLLayer(nn.Module):
    """LayerNorm(x + attention to (past, x)), then LayerNorm(x + feed-forward)."""

    def __init__(self, config: Config) -> None:
        """Make both sub-layers, in post-LN order as in the paper."""
        super().__init__()
        self.attention = RelativeAttention(config.d_model, config.n_heads)
        self.feed_forward = FeedForward(config.d_model, config.d_ff)
        self.attention_residual = Residual(config.d_model, "post", config.dropout)
        self.feed_forward_residual = Residual(config.d_model, "post", config.dropout)

    def forward(self, x: Tensor, past: Tensor, *, mask: Tensor) -> Tensor:
        """Run both sub-layers; the arguments are those of `RelativeAttention`."""
        x = self.attention_residual(x, lambda x: self.attention(x, past, mask=mask))
        return self.feed_forward_residual(x, self.feed_forward)


class TransformerXL(nn.Module):
    """logits of a sequence that is read in segments, each of which attends to itself and to the memory.

    The memory of a layer holds what went into it at the last `n_remembered` places (None: at all of them), without a
    graph: no gradient runs into an earlier segment.

    Source: Dai et al. 2019 (Transformer-XL), §3.2 and §3.3.
    """

    def __init__(self, config: Config, *, segment: int, n_remembered: int | None) -> None:
        """Make the parts; `segment` is the number of tokens read at once."""
        super().__init__()
        self.segment, self.n_remembered = segment, n_remembered
        self.embedding = Embedding(config.vocab_size, config.d_model)
        self.layers = nn.ModuleList([TransformerXLLayer(config) for _ in range(config.n_layers)])
        self.output = output_layer(self.embedding, tied=config.tie_embeddings)

    def forward(
        self,
        tokens: Int[Tensor, "batch length"] | None = None,
        *,
        inputs_embeds: Float[Tensor, "batch length d_model"] | None = None,
    ) -> Float[Tensor, "batch length vocab"]:
        """Return the logits of every token. `inputs_embeds` is what `embedding(tokens)` would return, in their stead.

        Raises:
            ValueError: not exactly one of tokens and inputs_embeds.
        """
        if (tokens is None) == (inputs_embeds is None):
            given = "neither" if tokens is None else "both"
            raise ValueError(f"expected exactly one of tokens and inputs_embeds, got {given}; drop or add one")
        x = self.embedding(tokens) if inputs_embeds is None else inputs_embeds
        memory = self.new_memory(x.shape[0])
        states = []
        for segment in x.split(self.segment, dim=1):
            state, memory = self.read(segment, memory)
            states.append(state)
        return self.output(torch.cat(states, dim=1))

    def new_memory(self, batch: int) -> Memory:
        """An empty memory."""
        table = self.embedding.weight
        return [table.new_zeros(batch, 0, table.shape[1]) for _ in self.layers]

    def read(
        self, x: Float[Tensor, "batch segment d_model"], memory: Memory
    ) -> tuple[Float[Tensor, "batch segment d_model"], Memory]:
        """Run one segment after the memory, and return its states and the memory for the next."""
        mask = causal_mask(x.shape[1], memory[0].shape[1] + x.shape[1], device=x.device)
        remembered = []
        for layer, past in zip(self.layers, memory, strict=True):
            everything = torch.cat([past, x.detach()], dim=1)
            kept = everything.shape[1] if self.n_remembered is None else self.n_remembered
            remembered.append(everything[:, max(0, everything.shape[1] - kept) :])
            x = layer(x, past, mask=mask)
        return x, remembered
