"""The ledger is complete, and its verdicts follow from evidence alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings

from veriformer.claims import claims_command
from veriformer.claims.claim import Claim
from veriformer.claims.command_line import main
from veriformer.claims.evidence import Falsified, Finding, Gatherer, Holds, Proved, verdict
from veriformer.claims.ledger import CLAIMS, claims_matching
from veriformer.claims.literal import LITERAL
from veriformer.claims.literal.attention import UNIT_VARIANCE
from veriformer.claims.literal.positions import ORDER_INVISIBLE
from veriformer.claims.reference_subject import REFERENCE
from veriformer.derivations import derivation, names
from veriformer.properties import LAWS, Status
from veriformer.properties.engine import plan, replay, run, settings_for
from veriformer.properties.law import Law
from veriformer.properties.loading import load
from veriformer.properties.violation import Token

HOLDS, PROVED = Holds("padding.content"), Proved("score_variance")
REFUTED = Falsified(UNIT_VARIANCE, token="")
CONDITIONAL = replace(REFUTED, condition="q and k are standard", under=LAWS["scaling.logit_variance"])
STANDS, FALLS = Finding("holds", "x", True, ""), Finding("holds", "x", False, "")


def test_every_question_has_a_claim() -> None:
    assert {claim.question for claim in CLAIMS} == set(range(32))  # 0: the systems that the sheet leans on
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)


def test_evidence_exists() -> None:
    pieces = [piece for claim in CLAIMS for piece in claim.evidence]
    assert {piece.law for piece in pieces if isinstance(piece, Holds)} <= set(LAWS)
    assert {piece.page for piece in pieces if isinstance(piece, Proved)} <= set(names())
    assert all(claim.found for claim in CLAIMS if claim.evidence)


def test_links_between_rooms_lead_somewhere() -> None:
    ids = {claim.id for claim in CLAIMS}
    for law in LAWS.values():
        assert set(law.claims) <= ids, law.name
        assert law.twin is None or law.twin in LAWS, law.name
    for name in names():
        page = derivation(name)
        assert set(page.claims) <= ids, name
        assert set(page.properties) <= set(LAWS), name
    for claim in CLAIMS:
        for piece in claim.evidence:
            if isinstance(piece, Proved) and claim.id != "Q17.1":  # question 17 asks question 6 again
                assert claim.id in derivation(piece.page).claims


@pytest.mark.parametrize(
    ("evidence", "findings", "expected"),
    [
        ((), [], "open"),
        ((HOLDS,), [STANDS], "supported"),
        ((HOLDS, PROVED), [STANDS, FALLS], "open"),
        ((HOLDS, REFUTED), [STANDS], "refuted"),
        ((HOLDS, CONDITIONAL), [STANDS], "conditional"),
        ((HOLDS, CONDITIONAL, REFUTED), [STANDS], "refuted"),
    ],
)
def test_verdict(evidence: tuple, findings: list[Finding], expected: str) -> None:
    assert verdict(evidence, findings) == expected


def test_claim_with_evidence_missing_is_open() -> None:
    judged = claims_command.Judged(Claim("Q01.1", "…", "PD", (HOLDS,)), [STANDS])
    assert (judged.verdict, judged.lacking) == ("open", "derivation")


@pytest.mark.parametrize("law", LITERAL.values(), ids=LITERAL)
def test_literal_sentence_is_falsified_afresh(law: Law) -> None:
    using = settings_for(settings(), max_examples=60)
    pieces = [piece for claim in CLAIMS for piece in claim.evidence if isinstance(piece, Falsified)]
    said_of = {piece.on for piece in pieces if piece.literal is law}
    assert said_of
    for on in said_of:
        checks = [check for subject in load(on) for check in plan(subject, laws=[law]).checks]
        assert any(run(check, using=using, seed=7).status is Status.VIOLATED for check in checks), on


def _two_tokens() -> str:
    (token,) = [
        p.token for c in CLAIMS for p in c.evidence if isinstance(p, Falsified) and p.literal is ORDER_INVISIBLE
    ]
    return token


def test_counterexample_on_a_path_that_is_gone_is_no_counterexample() -> None:
    bidirectional = replace(ORDER_INVISIBLE, paths={**ORDER_INVISIBLE.paths, "causal": ("off",)})
    assert Gatherer().counterexample(ORDER_INVISIBLE, _two_tokens()).stands
    assert not Gatherer().counterexample(bidirectional, _two_tokens()).stands


def test_two_tokens_show_that_the_causal_mask_alone_shows_order() -> None:
    pinned = Token.decode(_two_tokens())
    assert (pinned.case.length, pinned.case.draws["order"]) == (2, (1, 0))
    (encoder,) = (subject for subject in REFERENCE if subject.contract == pinned.contract)
    for causal, status in (("flag", Status.VIOLATED), ("off", Status.HELD)):
        (check,) = (
            check
            for check in plan(encoder, laws=[ORDER_INVISIBLE]).checks
            if check.path == {**pinned.path, "causal": causal}
        )
        result = replay(check, pinned.case)
        assert result.status is status
        assert ("the first token sees itself alone" in result.message) == (causal == "flag")


def test_law_is_run_again_in_the_dtypes_that_another_claim_asks_for() -> None:
    gatherer, wanted = Gatherer(), LAWS["filler.finite_lets_through"]
    plain, half = gatherer.law(wanted), gatherer.law(wanted, ("float64", "float16"))
    assert "dtypes" not in plain.figures
    assert half.figures["dtypes"] == ["float64", "float16"]
    assert gatherer.law(wanted) is plain


def test_law_on_another_subject_is_a_finding_of_its_own() -> None:
    pieces = (Holds("padding.content"), Holds("padding.content", on="reference.bahdanau"))
    gatherer = Gatherer()
    found = [finding for piece in pieces for finding in piece.gather(gatherer)]
    assert [finding.kind for finding in found] == ["holds", "bites"] * 2
    assert all(finding.stands for finding in found)
    assert len({(finding.kind, finding.name) for finding in found}) == 4


def test_law_without_bite_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    toothless = replace(LAWS["softmax.saturation"], function=lambda trial: iter(()))
    monkeypatch.setitem(LAWS, "softmax.saturation", toothless)
    assert not Gatherer().bite("softmax.saturation").stands


def test_law_bites_on_the_reference_where_nothing_is_planted_in_the_subject() -> None:
    planted_there = Gatherer().bite("padding.content", "torch.nn.GRU")
    elsewhere = Gatherer().bite("padding.content", "torch.nn.TransformerEncoder")
    assert "rnn_" in planted_there.summary
    assert elsewhere.stands
    assert "rnn_" not in elsewhere.summary
    assert not Gatherer().bite("order.order_is_seen", "torch.nn.GRU").stands


def test_one_question_in_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "claims.json"
    assert main(["claims", "Q06", "--profile", "ci", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    verdicts = {claim["id"]: claim["verdict"] for claim in json.loads(file.read_text())["claims"]}
    assert verdicts == {"Q06.1": "supported", "Q06.2": "conditional", "Q06.3": "refuted"}


def test_question_by_number() -> None:
    assert claims_matching(question=7) == claims_matching(identifier="Q07") == claims_matching(identifier="q07")
    assert [claim.id for claim in claims_matching(identifier="Q07.2")] == ["Q07.2"]


@pytest.mark.parametrize("call", [["claims", "Q99"], ["claims", "--question", "32"], ["claims", "nonsense"]])
def test_unknown_claim(call: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(call) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
