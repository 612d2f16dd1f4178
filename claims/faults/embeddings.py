"""Faults of the two ends of a model: the table of embeddings, and the output layer."""

from __future__ import annotations

from .fault import Fault

_LOOKED_UP = "x = nn.functional.embedding(tokens, self.weight)"
_SCALED = "return x * math.sqrt(d_model)"
_LAYER = "output = nn.Linear(d_model, vocab_size, bias=False)"
_TIED = "output.weight = embedding.weight"
_DRAWN = "nn.init.normal_(self.weight, std=d_model**-0.5)"

TABLE = (
    Fault(
        "token_ids_from_one",
        "embedding.py",
        _LOOKED_UP,
        "x = nn.functional.embedding((tokens + 1) % len(self.weight), self.weight)",
        "ids of a tokeniser that counts from 1",
        {"embedding": ("embedding.rows_of_tokens", "embedding.inverse")},
    ),
    Fault(
        "embeddings_normalised",
        "embedding.py",
        _SCALED,
        "return x / x.norm(dim=-1, keepdim=True) * math.sqrt(d_model)",
        "every embedding is brought to one length on its way in",
        {"embedding": ("embedding.rows_of_tokens",)},
    ),
    Fault(
        "first_place_not_scaled",
        "embedding.py",
        _SCALED,
        "return torch.cat([x[:, :1], x[:, 1:] * math.sqrt(d_model)], dim=1)",
        "the start of the sequence is looked up by itself, without the factor",
        {"embedding": ("embedding.rows_of_tokens",)},
    ),
    Fault(
        "token_zero_is_padding",
        "embedding.py",
        _SCALED,
        "return x * math.sqrt(d_model) * (tokens != 0)[..., None]",
        "padding is told by its id, which is a word of the vocabulary",
        {"embedding": ("embedding.rows_of_tokens", "embedding.inverse")},
    ),
    Fault(
        "table_centred",
        "embedding.py",
        "nn.functional.embedding(tokens, self.weight)",
        "nn.functional.embedding(tokens, self.weight - self.weight.mean(0))",
        "the mean over the vocabulary is taken off: it hangs on every row",
        {"embedding": ("embedding.absent_rows_rest", "embedding.rows_of_tokens")},
    ),
    Fault(
        "table_of_norm_one",
        "embedding.py",
        "nn.functional.embedding(tokens, self.weight)",
        "nn.functional.embedding(tokens, self.weight / self.weight.norm())",
        "weight normalisation over the whole table",
        {"embedding": ("embedding.absent_rows_rest",)},
    ),
    Fault(
        "embedding_detached",
        "embedding.py",
        "nn.functional.embedding(tokens, self.weight)",
        "nn.functional.embedding(tokens, self.weight.detach())",
        "the table is trained through the output layer alone",
        {"embedding": ("embedding.tied_rows_all_move", "embedding.absent_rows_rest")},
    ),
    Fault(
        "embedding_by_one_hot",
        "embedding.py",
        _LOOKED_UP,
        "x = nn.functional.one_hot(tokens, len(self.weight)).to(self.weight) @ self.weight",
        "a look-up written as a product: right, and as dear as the output layer",
        {"embedding": ("embedding.logit_operations",)},
    ),
    Fault(
        "table_drawn_positive",
        "embedding.py",
        _DRAWN,
        "nn.init.uniform_(self.weight, 0, d_model**-0.5)",
        "uniform from 0 on, not from −a to a: all rows share a direction",
        {"embedding": ("adding.chance_overlap",)},
    ),
    Fault(
        "table_one_number_a_row",
        "embedding.py",
        _DRAWN,
        "self.weight = nn.Parameter(torch.randn(vocab_size, 1).expand(-1, d_model) * d_model**-0.5)",
        "a number is drawn for each word and broadcast over the width",
        {"embedding": ("adding.chance_overlap",)},
    ),
    Fault(
        "table_begins_as_positions",
        "embedding.py",
        _DRAWN,
        "angle = torch.arange(vocab_size)[:, None] * 10000.0 ** (-torch.arange(0, d_model, 2) / d_model)\n"
        "        self.weight = nn.Parameter(torch.stack([angle.sin(), angle.cos()], -1).flatten(1) * d_model**-0.5)",
        "the sinusoidal table is written into the wrong parameter",
        {"embedding": ("adding.chance_overlap",)},
    ),
)

OUTPUT = (
    Fault(
        "tied_whatever_is_asked",
        "embedding.py",
        "if tied:",
        "if True:",
        "the choice to tie does not arrive",
        {"embedding": ("embedding.absent_rows_rest",)},
    ),
    Fault(
        "never_tied",
        "embedding.py",
        "if tied:",
        "if False:",
        "the choice to tie does not arrive, as when a checkpoint is loaded under another default",
        {
            "embedding": (
                "embedding.one_tensor",
                "embedding.tied_rows_all_move",
                "embedding.likest_row_wins",
                "embedding.inverse",
            )
        },
    ),
    Fault(
        "tied_by_a_copy",
        "embedding.py",
        _TIED,
        "output.weight = nn.Parameter(embedding.weight.detach().clone())",
        "alike at first, and two from the first step of training on",
        {"embedding": ("embedding.one_tensor", "embedding.tied_rows_all_move", "embedding.inverse")},
    ),
    Fault(
        "tied_in_memory_alone",
        "embedding.py",
        _TIED,
        "output.weight.data = embedding.weight.data",
        "two parameters over one memory: an optimiser takes two steps with it, and a checkpoint stores it twice",
        {"embedding": ("embedding.one_tensor",)},
    ),
    Fault(
        "output_layer_detached",
        "embedding.py",
        _TIED,
        "output.weight = embedding.weight\n"
        "        output.forward = lambda x: nn.functional.linear(x, embedding.weight.detach())",
        "the table is trained through the input alone",
        {"embedding": ("embedding.tied_rows_all_move",)},
    ),
    Fault(
        "output_stored_in_by_out",
        "embedding.py",
        f"{_LAYER}\n    if tied:\n        {_TIED}\n",
        "output = nn.Linear(vocab_size, d_model, bias=False)\n"
        "    output.forward = lambda x: x @ output.weight\n"
        "    if tied:\n"
        "        output.weight = nn.Parameter(embedding.weight.detach().T)\n",
        "the kernel of a dense layer as Keras and Flax have it, (d_model, V): tied by a transpose",
        {"embedding": ("embedding.stored_like_the_table", "embedding.one_tensor")},
    ),
    Fault(
        "output_with_a_bias",
        "embedding.py",
        "bias=False",
        "bias=True",
        "the layer's default: a frequent word wins whatever x is",
        {
            "embedding": (
                "embedding.stored_like_the_table",
                "embedding.likest_row_wins",
                "embedding.inverse",
            )
        },
    ),
    Fault(
        "logits_capped",
        "embedding.py",
        "    return output\n",
        "    output.register_forward_hook(lambda layer, x, z: 5 * torch.tanh(z / 5))\n    return output\n",
        "a soft cap as in Gemma 2, in a model that has none",
        {"embedding": ("embedding.stored_like_the_table", "embedding.likest_row_wins")},
    ),
    Fault(
        "tied_logits_scaled",
        "embedding.py",
        "    return output\n",
        "    output.register_forward_hook(lambda layer, x, z: z * layer.weight.shape[1] ** -0.5)\n    return output\n",
        "T5's factor 1/√d_model before the tied layer, in a model without it",
        {"embedding": ("embedding.stored_like_the_table", "embedding.inverse", "embedding.tied_rows_all_move")},
    ),
    Fault(
        "vector_centred_before_the_output",
        "embedding.py",
        "    return output\n",
        "    output.register_forward_pre_hook(lambda layer, x: (x[0] - x[0].mean(-1, keepdim=True),))\n"
        "    return output\n",
        "a last LayerNorm inside the layer: the angle is that of another vector",
        {"embedding": ("embedding.likest_row_wins", "embedding.stored_like_the_table")},
    ),
    Fault(
        "vocabulary_padded",
        "embedding.py",
        "    return output\n",
        "    output.forward = lambda x: nn.functional.linear(\n"
        "        x, nn.functional.pad(output.weight, (0, 0, 0, -vocab_size % 64))\n"
        "    )[..., :vocab_size]\n"
        "    return output\n",
        "rows up to a multiple of 64, for the sake of speed: paid for, and cut off",
        {"embedding": ("embedding.logit_operations",)},
    ),
    Fault(
        "logits_computed_twice",
        "embedding.py",
        "    return output\n",
        "    output.register_forward_hook(lambda layer, x, z: (z + nn.functional.linear(x[0], layer.weight)) / 2)\n"
        "    return output\n",
        "once for the loss and once for what is returned",
        {"embedding": ("embedding.logit_operations",)},
    ),
)

ADDING = (
    Fault(
        "sum_normalised",
        "sinusoidal.py",
        "return x + sinusoidal_encoding(position_ids, d_model, x.dtype)",
        "return torch.nn.functional.layer_norm(x + sinusoidal_encoding(position_ids, d_model, x.dtype), (d_model,))",
        "BERT's LayerNorm behind the sum, in a model that has none",
        {"absolute_positions": ("adding.is_concatenating",)},
    ),
    Fault(
        "embedding_scaled_twice",
        "sinusoidal.py",
        "return x + sinusoidal_encoding(position_ids, d_model, x.dtype)",
        "return x * d_model**0.5 + sinusoidal_encoding(position_ids, d_model, x.dtype)",
        "the factor √d_model again, where the positions are added",
        {"absolute_positions": ("adding.is_concatenating",)},
    ),
    Fault(
        "position_multiplied",
        "sinusoidal.py",
        "return x + sinusoidal_encoding(position_ids, d_model, x.dtype)",
        "return x * (1 + sinusoidal_encoding(position_ids, d_model, x.dtype))",
        "a position as a gain, not as a summand",
        {"absolute_positions": ("adding.is_concatenating",)},
    ),
    Fault(
        "position_takes_half_the_width",
        "learned.py",
        "return x + self.table[position_ids]",
        "half = x.shape[-1] // 2\n"
        "        return torch.cat([x[..., :half], self.table[position_ids][..., half:]], dim=-1)",
        "embedding and position share the width: half of each is thrown away",
        {"absolute_positions": ("adding.is_concatenating",)},
    ),
)
