"""Sentences on positions."""

from __future__ import annotations

from dataclasses import replace

from veriformer.properties.laws import LAWS

ORDER_INVISIBLE = replace(
    LAWS["order.permutation_equivariance"],
    name="literal.order_is_invisible",
    statement="Without positional encoding order is invisible: permuting the tokens permutes the outputs.",
    contracts=("encoder",),
    paths={"causal": ("off", "flag"), "over": ("x",), "padding": ("absent",), "grad": ("off",), "mode": ("eval",)},
)
