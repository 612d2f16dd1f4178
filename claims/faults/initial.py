"""Faults of first weights: another law, another spread, or tables that are less random than they look."""

from __future__ import annotations

from .fault import Fault

_FILE, _DRAW = "embedding.py", "nn.init.normal_(self.weight, std=d_model**-0.5)"
_LAW = {"initializer": ("initial.distribution", "initial.scaled_variance")}

INITIAL = (
    Fault(
        "initial_variance_for_std",
        _FILE,
        _DRAW,
        "nn.init.normal_(self.weight, std=1 / d_model)",
        "the variance that the paper gives, handed over as the standard deviation",
        _LAW,
    ),
    Fault(
        "initial_default_kept",
        _FILE,
        _DRAW,
        "nn.init.normal_(self.weight)",
        "PyTorch's default, N(0, 1), under a factor of √d that wants N(0, 1/d)",
        _LAW,
    ),
    Fault(
        "initial_xavier",
        _FILE,
        _DRAW,
        "nn.init.xavier_normal_(self.weight)",
        "every parameter of two dimensions gets Glorot's rule, the table of embeddings too: its fan-in is no fan-in",
        _LAW,
    ),
    Fault(
        "initial_uniform_of_the_same_variance",
        _FILE,
        _DRAW,
        "nn.init.uniform_(self.weight, -((3 / d_model) ** 0.5), (3 / d_model) ** 0.5)",
        "another law with the right variance",
        {"initializer": ("initial.distribution",)},
    ),
    Fault(
        "initial_cut_at_two_without_the_factor",
        _FILE,
        _DRAW,
        "nn.init.trunc_normal_(self.weight, std=d_model**-0.5, a=-2 * d_model**-0.5, b=2 * d_model**-0.5)",
        "a normal law cut off at two standard deviations keeps 77 % of its variance, which nobody makes up for",
        {"initializer": ("initial.scaled_variance",)},
    ),
    Fault(
        "initial_one_seed_for_each_shard",
        _FILE,
        _DRAW,
        f"{_DRAW}\n        self.weight.data[vocab_size // 2 :] = self.weight.data[: vocab_size - vocab_size // 2]",
        "a table in two shards, each drawn on a rank of its own from one and the same seed",
        {"initializer": ("initial.rows_differ",)},
    ),
    Fault(
        "initial_one_row_for_all_tokens",
        _FILE,
        _DRAW,
        f"{_DRAW}\n        self.weight.data[:] = self.weight.data[0].clone()",
        "one row is drawn and broadcast to all",
        {"initializer": ("initial.rows_differ",)},
    ),
    Fault(
        "initial_shared_part_in_every_row",
        _FILE,
        _DRAW,
        f"{_DRAW}\n        self.weight.data.add_(torch.randn(d_model) * d_model**-0.5).div_(2**0.5)",
        "the embedding of the token type is merged into the table, and the sum brought back to scale",
        {"initializer": ("initial.rows_differ",)},
    ),
    Fault(
        "initial_seed_of_its_own",
        _FILE,
        _DRAW,
        "nn.init.normal_(self.weight, std=d_model**-0.5, generator=torch.Generator().manual_seed(0))",
        "a fixed seed inside: all members of an ensemble begin alike",
        {"initializer": ("initial.follows_the_seed",)},
    ),
    Fault(
        "initial_from_the_clock",
        _FILE,
        _DRAW,
        "generator = torch.Generator()\n        generator.seed()\n"
        "        nn.init.normal_(self.weight, std=d_model**-0.5, generator=generator)",
        "a generator of its own, seeded by the operating system: no run can be repeated",
        {"initializer": ("initial.follows_the_seed",)},
    ),
    Fault(
        "initial_zero",
        _FILE,
        _DRAW,
        "nn.init.zeros_(self.weight)",
        "memory that is set to zero, for weights to be loaded that never are",
        {"initializer": ("initial.follows_the_seed",)},
    ),
)
