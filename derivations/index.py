"""The index of the room: in what order to read the pages, what rests on what, and whether it holds; all of it computed.

`python -m veriformer.derivations.index` checks every page and writes what it finds into README.md, between two marks.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from .lemma import Lemma
from .page import HERE, Report, derivation

READING_ORDER = {
    "Scores and softmax": (
        *("score_variance", "score_law", "softmax_jacobian", "softmax_scale", "masked_softmax", "online_softmax"),
        *("additive_attention",),
    ),
    "Heads and projections": ("heads", "shared_query_key", "attention_to_itself"),
    "Order, masks and decoding": ("permutation_equivariance", "causality", "kv_cache"),
    "Positions": ("sinusoidal_positions", "adding_positions", "rotary_positions", "relative_positions"),
    "The rest of a block": (
        *("layer_norm", "batch_norm", "residual_path", "norm_placement", "relu_moments", "activation_slopes"),
        *("dropout", "block_cost"),
    ),
    "Embeddings and training": ("initialisation", "tied_embeddings", "learning_rate"),
    "Cheaper attention": ("linear_attention", "low_rank_attention"),
    "Arithmetic": ("rounding", "rounding_attention"),
}
MARKS = ("<!-- The index, written by `python -m veriformer.derivations.index` -->", "<!-- The index ends here -->")
COLUMNS = ("| page | what it shows | holds for | claims | checks |", "|---|---|---|---|---|")
LEGEND = (
    "A thick arrow leads from a page to one that quotes its steps, a thin one to one that refers to it on its way, and",
    "a dotted line to the laws of `properties/laws/` that rest on it. Green is a page on which every check holds, as",
    "found when this was written; the tests find it again.",
)
COLOURS = (
    "  classDef checked fill:#d5f0d5,stroke:#3a7d3a,color:#111",
    "  classDef fails fill:#f6d0d0,stroke:#a33333,color:#111",
)


def in_reading_order() -> Iterator[str]:
    """The names of all pages, in the order in which a newcomer may read them."""
    for pages in READING_ORDER.values():
        yield from pages


def reports(pages: Iterable[str]) -> Iterator[Report]:
    """What the checks of these pages give, in this order; the machine's cores share the work."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        yield from pool.map(_report, pages)


def _report(name: str) -> Report:
    return derivation(name).check()


def rests_on(name: str) -> dict[str, list[str]]:
    """The pages whose steps this page quotes, with the numbers of these steps."""
    found: dict[str, list[str]] = {}
    for check in derivation(name).checks.values():
        if isinstance(check, Lemma):
            found.setdefault(check.page, []).append(check.source.number)
    return found


def refers_to(name: str) -> list[str]:
    """The earlier pages to which this one links in its steps, without those whose steps it quotes."""
    text = (HERE / f"{name}.md").read_text(encoding="utf-8")
    steps = text[text.index("\n## Steps\n") : text.index("\n## Result\n")]
    order, linked = list(in_reading_order()), set(re.findall(r"\]\((\w+)\.md", steps))
    return [page for page in order[: order.index(name)] if page in linked - rests_on(name).keys()]


def index(holds: dict[str, bool]) -> str:
    """The index in Markdown; `holds` says for each page what its checks gave."""
    return "\n".join([MARKS[0], "", *_tables(holds), *_graph(holds), MARKS[1]])


def _tables(holds: dict[str, bool]) -> Iterator[str]:
    for heading, pages in READING_ORDER.items():
        yield from (f"### {heading}", "", *COLUMNS)
        for name in pages:
            page = derivation(name)
            status = f"{len(page.checks)} {'hold' if holds[name] else 'of which some FAIL'}"
            yield f"| [{name}]({name}.md) | {page.title} | {page.reach} | {', '.join(page.claims)} | {status} |"
        yield ""


def _graph(holds: dict[str, bool]) -> Iterator[str]:
    """Pages by section, what they quote of each other, and the laws that hold implementations to them."""
    yield from ("### What rests on what", "", *LEGEND, "", "```mermaid", "flowchart LR")
    for number, (heading, pages) in enumerate(READING_ORDER.items()):
        yield f'  subgraph s{number}["{heading}"]'
        yield from (f"    {name}:::{'checked' if holds[name] else 'fails'}" for name in pages)
        yield "  end"
    for name in in_reading_order():
        yield from (f'  {source} ==>|"{_steps(numbers)}"| {name}' for source, numbers in rests_on(name).items())
        yield from (f"  {source} --> {name}" for source in refers_to(name))
    for name in in_reading_order():
        yield from (f"  {name} -.-> {law}([{law}])" for law in derivation(name).properties)
    yield from (*COLOURS, "```", "")


def _steps(numbers: list[str]) -> str:
    return f"step{'s' if len(numbers) > 1 else ''} {', '.join(sorted(set(numbers), key=int))}"


def written(readme: str, holds: dict[str, bool]) -> str:
    """The text of the README with its index as it is now."""
    first, last = map(re.escape, MARKS)
    return re.sub(f"{first}.*{last}", lambda _: index(holds), readme, flags=re.S)


def main() -> int:
    """Check every page and write the index. Returns the exit status: 1 if a page fails."""
    holds = {report.name: report.ok for report in reports(in_reading_order())}
    readme = HERE / "README.md"
    readme.write_text(written(readme.read_text(encoding="utf-8"), holds), encoding="utf-8")
    return 0 if all(holds.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
