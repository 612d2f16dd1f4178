"""Code paths: which ways through a subject a law is tried on.

Real bugs live on the paths nobody chose, and in pairs of options rather than in single ones. So the axes are
enumerated, never drawn, and every *pair* of values of two axes occurs on at least one path (a covering array of
strength 2); all combinations would be a hundred times as many. Strength 3, every triple, costs about three times that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import combinations, product
from types import MappingProxyType

from .law import Law
from .subjects import Subject

Axes = Mapping[str, Sequence[str]]


def axes_of(subject: Subject) -> dict[str, tuple[str, ...]]:
    """Every axis of this subject with the values that it offers; the first value is the plainest."""
    contract, accepted = subject.kind, subject.accepted
    masks = [f for over in contract.overs if (f := contract.padding_feature(over)) in accepted]
    causal: tuple[str, ...] = {"always": ("always",), "never": ("off",), "optional": ("off",)}[contract.causal]
    if contract.causal == "optional":
        causal += (*(["flag"] if "is_causal" in accepted else []), *(["mask"] if "mask" in accepted else []))
    axes = {
        "over": contract.overs,
        "padding": ("absent", *(["all-true", "right", "left", "scattered"] if masks else [])),
        "causal": causal,
        "weights": ("no", *(["yes"] if "need_weights" in accepted else [])),
        "mode": ("eval",) if contract.is_function else ("eval", "train"),
        "grad": ("on", "off") if contract.takes_inputs else ("on",),
        "scale": ("default", *(["one"] if "scale" in accepted else [])),
    }
    own = {name: tuple(values) for name, values in {**subject.options, **subject.paths}.items()}
    return {**axes, **own}


_DEFAULT = {"padding": ("absent", "all-true", "right"), "scale": ("default",)}

_LACKS = {
    "padding": "it takes no padding mask",
    "causal": "it has no causal attention",
    "over": "it has no second sequence",
    "weights": "it does not return weights",
    "mode": "it is a function: it has no training mode",
}


def impossible(subject: Subject, path: Mapping[str, str]) -> str | None:
    """Why there is no such path through ``subject``; None if there is."""
    contract = subject.kind
    if path["over"] == "memory" and contract.causal == "optional" and path["causal"] != "off":
        return "causal attention is defined for one sequence"
    if path["padding"] != "absent" and contract.padding_feature(path["over"]) not in subject.accepted:
        return f"it takes no padding mask for {path['over']}"
    if path["padding"] in ("left", "scattered"):
        moved = subject.positions_on(path) != "none"
        if moved and contract.position_feature(path["over"]) not in subject.accepted:
            return f"padding on the {path['padding']} moves positions, and it takes no position ids"
    return None


def paths_for(subject: Subject, law: Law, device: str, strength: int) -> tuple[list[Mapping[str, str]], set[str]]:
    """The paths on which ``law`` is tried on ``subject``, and why others are left out."""
    if subject.contract not in law.contracts:
        return [], {f"it is a law of {', '.join(law.contracts)}"}
    if missing := sorted(law.needs - subject.accepted):
        return [], {f"it {'takes' if subject.kind.takes_inputs else 'offers'} no {', '.join(missing)}"}
    axes = axes_of(subject)
    for name, wanted in _restricted(law).items():
        axes[name] = tuple(v for v in axes.get(name, wanted[:1]) if v in wanted)
        if not axes[name]:
            return [], {_LACKS.get(name, f"it offers no {name} out of {', '.join(wanted)}")}
    return _cover(subject, law, axes, device, strength)


def _restricted(law: Law) -> dict[str, Sequence[str]]:
    return {**_DEFAULT, **law.paths}


def _cover(
    subject: Subject, law: Law, axes: Axes, device: str, strength: int
) -> tuple[list[Mapping[str, str]], set[str]]:
    names = tuple(axes)
    rows: list[tuple[str, ...]] = []
    impossible_for: set[str] = set()
    beside_the_point: set[str] = set()
    refused: set[str] = set()
    for values in product(*axes.values()):
        path = dict(zip(names, values, strict=True))
        if why := impossible(subject, path):
            impossible_for.add(why)
        elif why := law.applies(subject, path):
            beside_the_point.add(why)
        elif why := subject.refuses(path, device):
            refused.add(why)
        else:
            rows.append(values)
    chosen = covering(tuple(rows), min(strength, len(names)))
    paths: list[Mapping[str, str]] = [MappingProxyType(dict(zip(names, row, strict=True))) for row in chosen]
    return paths, refused if rows else beside_the_point | refused or impossible_for


def allows(law: Law, subject: Subject, path: Mapping[str, str], device: str) -> bool:
    """Whether ``path`` is one that ``law`` may be tried on."""
    axes = axes_of(subject)
    for name, wanted in _restricted(law).items():
        axes[name] = tuple(v for v in axes.get(name, wanted[:1]) if v in wanted)
    known = path.keys() == axes.keys() and all(value in axes[name] for name, value in path.items())
    offered = impossible(subject, path) is None and subject.refuses(path, device) is None
    return known and offered and law.applies(subject, path) is None


@lru_cache(maxsize=256)
def covering(rows: tuple[tuple[str, ...], ...], strength: int) -> tuple[tuple[str, ...], ...]:
    """A few of ``rows`` in which whatever ``strength`` columns take together occurs (greedy, deterministic)."""
    bit: dict[tuple[tuple[int, str], ...], int] = {}
    covers = []
    for row in rows:
        covers.append(sum(1 << bit.setdefault(some, len(bit)) for some in combinations(enumerate(row), strength)))
    missing, chosen = (1 << len(bit)) - 1, []
    while missing:
        best = max(range(len(rows)), key=lambda r: (covers[r] & missing).bit_count())
        chosen.append(best)
        missing &= ~covers[best]
    return tuple(rows[r] for r in sorted(chosen))
