"""A decision that an earlier kdgov made and that today's judges otherwise: refused as before, and told in one sentence with its mend."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from kdgov.auditing.review.decision_review import Rejudged, review_decision
from kdgov.digest import canonical_json, digest_file
from kdgov.evidence.bundle import bundle_digest, write_manifest
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.evidence.derivation.derive import OTHER_JUDGE, Asker, Derivation, derive
from kdgov.evidence.rejudge import judging_code, rejudge
from kdgov.evidence.trust_store import TrustStore
from tests.recording.evidence_bundle import bundle, checkpoint

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A bundle whose decision lacks a finding that today's kdgov has."""
    made = bundle(tmp_path / "bundle", weights=checkpoint(tmp_path / "weights"))
    decision = json.loads((made / "decision.json").read_bytes())
    decision["findings"] = decision["findings"][1:]
    return _sealed(made, decision)


def _sealed(folder: Path, decision: dict, judged_by: object = None) -> Path:
    (folder / "decision.json").write_bytes(canonical_json(decision))
    inputs = json.loads((folder / "inputs.json").read_bytes())
    (folder / "inputs.json").write_bytes(canonical_json(inputs | ({"judged_by": judged_by} if judged_by else {})))
    write_manifest(folder)
    return folder


def _decision(folder: Path) -> dict:
    return json.loads((folder / "decision.json").read_bytes())


def _derived(folder: Path) -> Derivation:
    identity = json.loads((folder / "student" / "identity.json").read_bytes())
    decision = _decision(folder)
    predicate = {
        **{key: identity[key] for key in ("weights", "model")},
        "model_files": {},
        "name": "support-student",
        "verdict": decision["verdict"],
        "policy": decision["policy"],
        "bundle": bundle_digest(folder),
        "decision": digest_file(folder / "decision.json"),
        "tags": {"kdgov.verdict": decision["verdict"].upper(), "kdgov.decision": digest_file(folder / "decision.json")},
    }
    return derive(folder, predicate, Asker(trust=TrustStore(), received=NOW, at=NOW))


def _reviewed(folder: Path) -> list:
    again, _ = rejudge(folder, TrustStore())
    document = json.loads(again.canonical)
    return list(review_decision(BundleReader(folder), Rejudged(document=document, canonical=again.canonical)))


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_what_a_limit_cut_short_follows_from_its_evidence_and_is_never_promoted(tmp_path: Path, role: str) -> None:
    made = bundle(tmp_path / "bundle", weights=checkpoint(tmp_path / "weights"))
    before = _derived(made)
    path = made / role / "evidence.json"
    evidence = json.loads(path.read_bytes())
    evidence["tasks"] = [{"suite": "safety", "task": "refusal", "items": 350, "of_suite": 400}]
    path.write_bytes(canonical_json(evidence))
    write_manifest(made)
    found = _derived(made)
    assert found.refusals == before.refusals
    (limited,) = [refusal for refusal in found.against_promotion if refusal not in before.against_promotion]
    assert str(limited).startswith("limited: only 350 of 400 items of safety/refusal were asked, by a limit")


def test_the_gate_names_the_code_that_judged():
    assert judging_code()["kdgov"]
    assert judging_code()["source"].startswith("sha256:")


@pytest.mark.parametrize(
    ("judged_by", "who"),
    [
        ({"kdgov": "0.1.0", "source": "sha256:0"}, "kdgov 0.1.0"),
        ({**judging_code(), "source": "sha256:0"}, f"another build of kdgov {judging_code()['kdgov']}"),
    ],
)
def test_it_is_refused_with_one_sentence_that_says_how_to_decide_again(sealed: Path, judged_by, who):
    _sealed(sealed, _decision(sealed), judged_by)
    derived = _derived(sealed)
    assert not derived.is_derived_pass
    (refusal,) = derived.refusals
    assert refusal.criterion == OTHER_JUDGE
    assert refusal.reason.startswith(f"recorded by {who}; kdgov {judging_code()['kdgov']} judges the same evidence otherwise")
    assert "kdgov run RELEASE" in refusal.mend
    (finding,) = _reviewed(sealed)
    assert finding.stops
    assert finding.standing == "not_verifiable"
    assert f"Recorded by {who}" in finding.reason
    assert "kdgov run RELEASE" in finding.mend


def test_the_same_code_excuses_nothing(sealed: Path):
    for judged_by in (None, judging_code()):
        _sealed(sealed, _decision(sealed), judged_by)
        assert [refusal.criterion for refusal in _derived(sealed).refusals] == ["decision"]
        assert {finding.standing for finding in _reviewed(sealed)} == {"violated"}


@pytest.mark.parametrize("field", ["difference", "verdict", "bound"])
def test_a_number_or_verdict_that_does_not_follow_stays_a_violation_whoever_judged(sealed: Path, field):
    decision = _decision(sealed)
    decision["criteria"][0][field] = "inconclusive" if field == "verdict" else 0.5
    _sealed(sealed, decision, {"kdgov": "0.1.0", "source": "sha256:0"})
    assert not _derived(sealed).is_derived_pass
    assert "violated" in {finding.standing for finding in _reviewed(sealed)}


OTHER = {"kdgov": "0.1.0", "source": "sha256:0"}


def _reworded(folder: Path, change) -> dict:
    """The bundle's own decision as today's code makes it, with one sentence put otherwise."""
    again, _ = rejudge(folder, TrustStore())
    decision = json.loads(again.canonical)
    decision["criteria"][0]["reason"] = change(decision["criteria"][0]["reason"])
    return decision


def test_sentences_put_otherwise_by_another_version_are_told_and_are_no_violation(sealed: Path):
    """A newer kdgov words a sentence anew, or writes its minus otherwise; verdict and every number follow from the tables."""
    decision = _reworded(sealed, lambda told: f"{told.replace('−', '-')} indeed")
    assert decision["criteria"][0]["difference"] is not None
    _sealed(sealed, decision, OTHER)
    (finding,) = _reviewed(sealed)
    assert (finding.standing, finding.stops) == ("not_verifiable", False)
    assert "Recorded by kdgov 0.1.0: 1 sentence differs" in finding.reason
    assert "all values agree" in finding.reason
    assert not [refusal for refusal in _derived(sealed).refusals if refusal.criterion == "decision"]
    # The same code excuses no other word.
    for judged_by in (None, judging_code()):
        folder = _sealed(sealed, decision, judged_by) if judged_by else sealed
        if judged_by is None:
            inputs = json.loads((folder / "inputs.json").read_bytes())
            (folder / "inputs.json").write_bytes(canonical_json({key: value for key, value in inputs.items() if key != "judged_by"}))
            write_manifest(folder)
        assert {found.standing for found in _reviewed(folder)} == {"violated"}


@pytest.mark.parametrize("lie", ["figure", "value", "details", "verdict"])
def test_a_claim_of_another_version_excuses_no_number(sealed: Path, lie):
    """Whoever seals a bundle can name any judge: a figure within a sentence, a value, a detail or a verdict must follow all the same."""
    decision = _reworded(sealed, (lambda told: f"{told} by 17 points") if lie == "figure" else (lambda told: f"{told} indeed"))
    row = decision["criteria"][0]
    if lie == "value":
        row["student"] += 0.001
    elif lie == "details":
        row["details"] = {**row["details"], "limit_kind": "floor"}
    elif lie == "verdict":
        row["verdict"] = "fail" if row["verdict"] == "pass" else "pass"
    _sealed(sealed, decision, OTHER)
    assert "violated" in {finding.standing for finding in _reviewed(sealed)}
