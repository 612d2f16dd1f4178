"""Charts of a record, drawn with matplotlib: curves with their intervals, and the places that a derivation names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from .experiment import Chart

FORMATS = (".svg", ".png", ".pdf")


def draw(charts: Sequence[Chart], file: Path) -> None:
    """Write the charts below each other to ``file``, in the format that its suffix names."""
    # The same record gives the same bytes: no date, no random ids.
    with mpl.rc_context({"svg.hashsalt": "veriformer", "svg.fonttype": "none"}):
        canvas = Canvas(figsize=(7.0, 4.2 * len(charts)), layout="constrained")
        for axes, chart in zip(canvas.subplots(len(charts), squeeze=False)[:, 0], charts, strict=True):
            _draw_one(axes, chart)
        canvas.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _draw_one(axes, chart: Chart) -> None:
    for curve in chart.curves:
        (line,) = axes.plot(curve.x, curve.value, marker="o", markersize=3, label=curve.label)
        axes.fill_between(curve.x, curve.low, curve.high, color=line.get_color(), alpha=0.2, linewidth=0)
    for name, x in chart.marks.items():
        axes.axvline(x, color="0.4", linestyle=":", linewidth=1)
        axes.annotate(
            name,
            (x, 1.0),
            xycoords=("data", "axes fraction"),
            rotation=90,
            va="top",
            ha="right",
            fontsize=8,
            color="0.3",
        )
    if chart.log_x:
        axes.set_xscale("log", base=2)
    if chart.log_y:
        axes.set_yscale("log")
    axes.set(title=chart.title, xlabel=chart.x_label, ylabel=chart.y_label)
    axes.legend(frameon=False)
