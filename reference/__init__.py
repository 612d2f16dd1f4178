"""A minimal Transformer to read beside the papers, and to check others against.

A tour, one idea a file:

1. `attention`: softmax(QKᵀ/√d_k) V; then `masks`, who may attend to whom; `additive_attention`, the older score.
2. `multi_head`: several attentions side by side, over oneself, a memory, or a cache (`kv_cache`).
3. `positions`: the four places where position can enter; then the schemes: `sinusoidal`, `learned` (on the
   embedding), `rotary` (on queries and keys), `t5_bias`, `alibi` (on the scores), `shaw` (on keys and values).
4. `layer_norm`, `feed_forward`, `residual`, `embedding`: the rest of a layer; `batch_norm`, what it does without.
5. `encoder`, `decoder`, and what they make: `transformer`, `causal_lm`. `config` names every choice.
6. How text becomes tokens in the first place: `byte_pair`, `wordpiece`, `unigram`.
7. `schedule`: the learning rate of each step of training.
8. `variants`: what others have put in place of one part or another.

Conventions: batch first; masks are boolean and True means "may attend" or "real token"; a query that may attend to
nothing gets exactly 0; any dtype and device, taken from the inputs and parameters.
"""

from .additive_attention import AdditiveAttention
from .alibi import ALiBi, alibi_slopes
from .attention import masked_softmax, repeat_heads, scaled_dot_product_attention
from .batch_norm import BatchNorm
from .byte_pair import BytePair, train_byte_pair
from .causal_lm import CausalLM
from .config import Config
from .decoder import Decoder, DecoderLayer
from .embedding import Embedding, output_layer
from .encoder import Encoder, EncoderLayer
from .feed_forward import FeedForward
from .kv_cache import KVCache, LayerCache
from .layer_norm import LayerNorm
from .learned import LearnedPositions
from .masks import causal_mask, combine_masks, key_padding_to_mask, padding_mask
from .multi_head import MultiHeadAttention, merge_heads, split_heads
from .positions import Positions
from .residual import Residual
from .rotary import Rotary, rotate_pairs
from .schedule import learning_rate
from .schemes import build_positions
from .shaw import ShawPositions
from .sinusoidal import SinusoidalPositions, sinusoidal_encoding
from .t5_bias import T5Bias, t5_bucket
from .transformer import Transformer
from .unigram import Unigram, train_unigram
from .wordpiece import WordPiece, train_wordpiece

__all__ = [
    "ALiBi",
    "AdditiveAttention",
    "BatchNorm",
    "BytePair",
    "CausalLM",
    "Config",
    "Decoder",
    "DecoderLayer",
    "Embedding",
    "Encoder",
    "EncoderLayer",
    "FeedForward",
    "KVCache",
    "LayerCache",
    "LayerNorm",
    "LearnedPositions",
    "MultiHeadAttention",
    "Positions",
    "Residual",
    "Rotary",
    "ShawPositions",
    "SinusoidalPositions",
    "T5Bias",
    "Transformer",
    "Unigram",
    "WordPiece",
    "alibi_slopes",
    "build_positions",
    "causal_mask",
    "combine_masks",
    "key_padding_to_mask",
    "learning_rate",
    "masked_softmax",
    "merge_heads",
    "output_layer",
    "padding_mask",
    "repeat_heads",
    "rotate_pairs",
    "scaled_dot_product_attention",
    "sinusoidal_encoding",
    "split_heads",
    "t5_bucket",
    "train_byte_pair",
    "train_unigram",
    "train_wordpiece",
]
