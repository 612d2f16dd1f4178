"""Notable variants of the Transformer, one idea a file, each the smallest honest form of its paper.

| file               | in place of              | the idea                                                |
|--------------------|--------------------------|---------------------------------------------------------|
| `sliding_window`   | attention to every token | to neighbours only, or to every second one (Longformer) |
| `block_sparse`     | attention to every token | to a few blocks: global, near and random ones (BigBird) |
| `lsh_attention`    | attention to every token | to those in one bucket (Reformer)                       |
| `shared_query_key` | W_Q and W_K              | one matrix (Reformer)                                   |
| `linear_attention` | softmax                  | features, summed up before a query asks                 |
| `performer`        | softmax                  | random features that imitate it (FAVOR+)                |
| `linformer`        | n keys                   | k mixtures of them                                      |
| `nystromformer`    | n × n weights            | a few rows and columns of them                          |
| `synthesizer`      | scores of pairs          | scores of a token alone, or of none                     |
| `fnet`             | attention                | a Fourier transform                                     |
| `universal`        | n layers                 | one layer, n times                                      |
| `transformer_xl`   | one sequence at a time   | segments, and a memory of those before                  |

Grouped queries and the position schemes are in the reference itself: `multi_head`, `alibi`, `rotary`.
"""

from .block_sparse import block_layout, block_sparse_attention, layout_mask
from .fnet import FourierMixing
from .linear_attention import attend_by_features, attend_by_recurrence, elu_features, linear_attention
from .linformer import linformer_attention
from .lsh_attention import LSHAttention, bucket_order, lsh_attention, lsh_buckets
from .nystromformer import nystrom_attention, segment_means
from .performer import log_positive_features, orthogonal_gaussian, performer_attention
from .shared_query_key import SharedQueryKeyAttention, not_itself
from .sliding_window import sliding_window_attention, window_mask
from .synthesizer import Synthesizer
from .transformer_xl import RelativeAttention, TransformerXL
from .universal import UniversalEncoder, time_signal

__all__ = [
    "FourierMixing",
    "LSHAttention",
    "RelativeAttention",
    "SharedQueryKeyAttention",
    "Synthesizer",
    "TransformerXL",
    "UniversalEncoder",
    "attend_by_features",
    "attend_by_recurrence",
    "block_layout",
    "block_sparse_attention",
    "bucket_order",
    "elu_features",
    "layout_mask",
    "linear_attention",
    "linformer_attention",
    "log_positive_features",
    "lsh_attention",
    "lsh_buckets",
    "not_itself",
    "nystrom_attention",
    "orthogonal_gaussian",
    "performer_attention",
    "segment_means",
    "sliding_window_attention",
    "time_signal",
    "window_mask",
]
