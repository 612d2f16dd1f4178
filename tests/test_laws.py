"""The laws, held against the reference and against every other built-in subject, on every device present."""

from __future__ import annotations

from veriformer.properties import parametrize_with_properties
from veriformer.properties.loading import BUILT_IN


@parametrize_with_properties(["reference", "reference.additive_attention", "reference.bahdanau"])
def test_reference(check) -> None:
    check()


@parametrize_with_properties([name for name in BUILT_IN if not name.startswith("reference")])
def test_pytorch(check) -> None:
    check()


@parametrize_with_properties(
    ["torch.nn.functional.scaled_dot_product_attention", "torch.nn.MultiheadAttention"],
    dtypes=["float32", "bfloat16", "float16"],
)
def test_lower_precision(check) -> None:
    check()
