"""The table of trade-offs between the positional encodings, read off the stored record of their experiment.

`python -m veriformer.claims.experiments.position_encodings_page` writes it into results/position_encodings.md. The
tests find both again: that the page says what is stored, and that the record bears it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from textwrap import fill

from .experiment import Figure
from .position_costs import SCHEMES
from .position_encodings import POSITION_ENCODINGS, SIZES
from .record import RESULTS, Record, stored

PAGE = RESULTS / "position_encodings.md"
HEAD = """\
# What each positional encoding gives, and what it costs

{method}

Made on {made} by `{command}`. In brackets: 95 % intervals; what has none is
counted, or the mean over seeds.

<!-- Written by `python -m veriformer.claims.experiments.position_encodings_page` -->
"""
CAPTIONS = """\
- *Loss*: in nats a character, on the last {last} characters of held-out texts of {length}, the length of training.
- *Rise*: by how much more is lost on the same characters when twice or four times as much text is read.
- *Shift*: the largest change of a predicted probability when all positions grow by {half}.
- *Size* is, as the row says, ‖x + p‖/‖x‖ where positions are added to the embedding, ‖R q‖/‖q‖ where they turn queries,
  and where they are added to scores how far they spread those within a row, as a standard deviation.
- *Weights*, *operations* in products of matrices and *memory* held at once are counted, in a forward pass of {n}
  tokens with d_model = {d_model}, {n_heads} heads and {n_layers} layers; *time* is CPU time. All but weights are
  ratios to the model without positions.
- A learned table has a row for each position that it is built for: {length} of them in training, {n} for the costs.
"""


@dataclass(frozen=True)
class Column:
    """A column of the table: the figures whose name ends in ``figure``, as ``tell`` words them."""

    heading: str
    figure: str
    tell: Callable[[Figure], str]
    absent: str = ""


def _with_interval(figure: Figure) -> str:
    value, low, high = (round(number, 2) + 0.0 for number in (figure.value, figure.low, figure.high))  # no −0.00
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _mean(figure: Figure) -> str:
    return f"{figure.value:.2g}"


def _whole(figure: Figure) -> str:
    return f"{figure.value:,.0f}"


def _ratio(figure: Figure) -> str:
    return f"{figure.value:.2f}"


GIVES = (
    Column("longest text read", "reads", _whole),
    Column("loss", "loss", _with_interval),
    Column("rise at 2×", "rise_2x", _with_interval, "refused"),
    Column("rise at 4×", "rise_4x", _with_interval, "refused"),
    Column("shift", "shift", _mean),
)
COSTS = (
    Column("weights", "weights", _whole),
    Column("operations", "flops", _ratio),
    Column("memory", "memory", _ratio),
    Column("time", "time", _with_interval),
)
SIZE = Column("size", "size", _with_interval)


def page(record: Record) -> str:
    """The page in Markdown."""
    figures, budget = {figure.name: figure for figure in record.outcome.figures}, record.budget
    captions = CAPTIONS.format(
        last=budget["length"] // 4,
        length=budget["length"],
        half=budget["length"] // 2,
        n=max(budget["cost_lengths"]),
        d_model=budget["cost_d_model"],
        n_heads=budget["cost_n_heads"],
        n_layers=budget["n_layers"],
    )
    shown = [
        f"- {'✗' if expected.text in POSITION_ENCODINGS.disappointed(record.outcome) else '✓'} {expected.text}"
        for expected in POSITION_ENCODINGS.expectations
    ]
    lines = [
        HEAD.format(method=fill(POSITION_ENCODINGS.method, 120), made=record.made, command=record.command),
        *("## What it gives", "", *_table(GIVES, figures), ""),
        *("## What it costs", "", *_table(COSTS, figures), ""),
        *("## How much it does where it enters", "", "| encoding | of | size |", "|---" * 3 + "|"),
        *(f"| {name} | {of} | {_cell(SIZE, name, figures)} |" for name, of in SIZES.items()),
        *("", "## How to read it", "", captions),
        *("## What was expected beforehand, and is borne out (✓) or not (✗)", "", *shown, ""),
        "![Two charts: the loss over the length of the text, and the time over that without positions]"
        "(position_encodings.svg)",
    ]
    return "\n".join(lines) + "\n"


def _table(columns: tuple[Column, ...], figures: Mapping[str, Figure]) -> Iterator[str]:
    yield f"| encoding | {' | '.join(column.heading for column in columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for scheme in SCHEMES:
        yield f"| {scheme} | {' | '.join(_cell(column, scheme, figures) for column in columns)} |"


def _cell(column: Column, scheme: str, figures: Mapping[str, Figure]) -> str:
    figure = figures.get(f"{scheme}_{column.figure}")
    return column.absent if figure is None else column.tell(figure)


if __name__ == "__main__":
    record = stored(POSITION_ENCODINGS.name)
    if record is None:
        raise SystemExit(f"expected a stored result, and there is none; run `{POSITION_ENCODINGS.command}`")
    PAGE.write_text(page(record), encoding="utf-8")
