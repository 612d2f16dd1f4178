"""The variants: each keeps the laws that its table says it keeps, and breaks the others on the pinned cases."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from hypothesis import settings

from veriformer.claims.evidence import Gatherer
from veriformer.claims.variants import VARIANTS, evidence
from veriformer.claims.variants.by_features import FEATURES
from veriformer.claims.variants.evidence import OnVariant, pinned_in, planned
from veriformer.claims.variants.low_rank import MIXED
from veriformer.claims.variants.page import BREAKS, KEEPS, PAGE, marks, page, subjects
from veriformer.properties import LAWS, Config, Status
from veriformer.properties.counting import flops_of
from veriformer.properties.engine import run, settings_for
from veriformer.properties.expected import match
from veriformer.properties.formulas import linear_attention_flops, linformer_flops
from veriformer.properties.loading import BUILT_IN, load

USING = settings_for(settings(), max_examples=3)
HELD_TO = [(name, law) for name, subject in subjects().items() for law, mark in marks(subject).items() if mark]


@pytest.mark.parametrize(("name", "law"), HELD_TO, ids=[f"{name}-{law}" for name, law in HELD_TO])
def test_variant_keeps_or_breaks_the_law(name: str, law: str) -> None:
    subject = subjects()[name]
    known = [entry for entry in pinned_in(subject) if entry.law == law]
    checks = [check for check in planned(subject, known) if check.law.name == law]
    results = [run(check, using=USING, seed=0, expected=match(check, known)) for check in checks]
    wrong = [r.message for r in results if r.status not in (Status.HELD, Status.EXPECTED, Status.NOT_APPLICABLE)]
    assert wrong == []
    seen = Counter(r.status for r in results)
    assert seen[Status.EXPECTED if marks(subject)[law] == BREAKS else Status.HELD] > 0


def test_page_is_in_step() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m veriformer.claims.variants.page`"


def test_every_variant_is_a_built_in_subject() -> None:
    names = {name.removeprefix("reference.variants.") for name in BUILT_IN if name.startswith("reference.variants.")}
    assert names == set(vars(VARIANTS))
    for name in names:
        (subject,) = load(f"reference.variants.{name}")
        assert subject.name == f"reference.variants.{name}"


def test_break_that_does_not_come_speaks_against_a_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "VARIANTS", SimpleNamespace(fnet=VARIANTS.fnet))
    found = OnVariant("fnet").gather(Gatherer(profile="ci"))
    assert all(finding.stands for finding in found)
    assert {f.kind for f in found} == {"holds", "breaks", "bites"}
    mended = type(VARIANTS)(
        fnet=__import__("dataclasses").replace(VARIANTS.fnet, build=lambda config: torch.nn.Identity())
    )
    monkeypatch.setattr(evidence, "VARIANTS", mended)
    found = OnVariant("fnet").gather(Gatherer(profile="ci"))
    assert not any(finding.stands for finding in found if finding.kind in ("holds", "breaks"))


@pytest.mark.parametrize("n", [1, 7, 20])
def test_cost_is_the_derived_polynomial(n: int) -> None:
    batch, heads, d_k = 2, 3, 4
    query, key, value = torch.randn(3, batch, heads, n, d_k).unbind(0)
    config = Config(heads * d_k, heads, heads, 1, 16, options={"form": "parallel", "mixed": "few"})
    linear = VARIANTS.linear_attention.make(config)
    assert flops_of(lambda: linear(query, key, value)) == batch * heads * linear_attention_flops(n, d_k, d_k)
    performer = VARIANTS.performer.make(config)
    features, projections = FEATURES * d_k, 2 * 2 * n * d_k * FEATURES * d_k
    due = batch * heads * (linear_attention_flops(n, features, d_k) + projections)
    assert flops_of(lambda: performer(query, key, value)) == due
    linformer = VARIANTS.linformer.make(config)
    assert flops_of(lambda: linformer(query, key, value)) == batch * heads * linformer_flops(n, MIXED, d_k)


def test_depth_of_the_universal_transformer_costs_no_parameters() -> None:
    def parameters(n_layers: int) -> int:
        config = Config(8, 2, 2, n_layers, 16, options={"norm": "pre", "positions": "none"})
        return sum(p.numel() for p in VARIANTS.universal.make(config).parameters())

    assert parameters(1) == parameters(3)


def test_every_law_of_variants_is_kept_by_one() -> None:
    kept = {law for subject in subjects().values() for law, mark in marks(subject).items() if mark == KEEPS}
    assert {law for law in LAWS if law.startswith("variants.")} <= kept
