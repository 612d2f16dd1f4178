"""The laws, one file a family. Importing this registers them all."""

from . import causality, consistency, decoding, heads, order, padding, scaling, softmax

__all__ = ["causality", "consistency", "decoding", "heads", "order", "padding", "scaling", "softmax"]
