"""Waivers, approvals, licences, identities: each fault of the evidence's meaning is told even where every byte is as sealed."""

from __future__ import annotations

import datetime
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kdgov.auditing.review.audit_findings import outcome_of, violated, worst_first
from kdgov.auditing.review.decision_review import Rejudged, review_decision, review_identities, review_plan
from kdgov.auditing.review.licences import review_licences
from kdgov.auditing.review.practice_record import review_practice
from kdgov.auditing.review.signatures import Attested
from kdgov.auditing.review.waivers_and_approvals import permission_of, review_permission
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.resources import data_folder
from tests.auditing.conftest import Recorded

DAY = datetime.date(2026, 11, 22)


@pytest.fixture
def bundle(recorded: Recorded, tmp_path: Path) -> Path:
    """A copy whose documents a test may change; no manifest is looked at here."""
    return Path(shutil.copytree(recorded.shown.evidence, tmp_path / "bundle"))  # type: ignore[arg-type]


def changed(folder: Path, path: str, **change: Any) -> BundleReader:
    """The bundle with some keys of one document replaced."""
    file = folder / path
    file.write_text(json.dumps({**json.loads(file.read_bytes()), **change}))
    return BundleReader(folder)


def standings(recorded: Recorded, material: BundleReader, day: datetime.date = DAY) -> dict[str, str]:
    attested = Attested(predicate={"verdict": "pass", "expires": "2027-01-01T00:00:00Z"}, is_signed=True)
    found = review_permission(material, recorded.shown, attested, as_of=day, log=recorded.log)
    return {f.subject: f.standing for f in found}


def waiver(**change: Any) -> dict[str, Any]:
    return {
        "criterion": "refusal-retained", "owner": "Grace", "reason": "known", "expires": "2026-12-01", "issued": "2026-11-01",
        "state": "applied", **change,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "standing"),
    [
        (waiver(), "verified"),
        (waiver(expires="2026-11-22"), "verified"),
        (waiver(expires="2026-11-21"), "violated"),
        (waiver(expires="never"), "violated"),
        (waiver(owner=""), "violated"),
        (waiver(reason=""), "violated"),
        (waiver(state="expired", expires="2020-01-01"), "verified"),
    ],
)
def test_a_waiver_counts_on_its_last_day_and_no_longer(recorded: Recorded, bundle: Path, given: dict[str, Any], standing: str) -> None:
    found = standings(recorded, changed(bundle, "decision.json", waivers=[given]))
    assert found["waiver refusal-retained"] == standing


def test_a_pass_without_a_demanded_approval_is_a_violation(recorded: Recorded, bundle: Path) -> None:
    material = changed(bundle, "decision.json", approvals=[{"role": "risk", "state": "awaited"}, {"role": "product", "state": "given"}])
    found = standings(recorded, material)
    assert (found["approval risk"], found["approval product"]) == ("violated", "verified")


def test_free_aliases_are_left_alone_and_guarded_ones_need_a_living_pass(recorded: Recorded, bundle: Path) -> None:
    found = standings(recorded, BundleReader(bundle), day=datetime.date(2027, 2, 1))
    assert found == {"alias champion": "violated"}


def test_the_headline_is_cautious(recorded: Recorded, bundle: Path) -> None:
    """Not a pass, violated, ended, revoked: each says so in its first words; only the clean pass says it may be used."""
    material, shown = BundleReader(bundle), recorded.shown
    attested = Attested(predicate={"verdict": "pass", "expires": "2027-01-01T00:00:00Z"})

    def headline(outcome: Any = "clean", material: BundleReader = material, shown: Any = shown, day: datetime.date = DAY) -> str:
        return permission_of(material, shown, attested, outcome=outcome, as_of=day, findings=()).headline

    assert headline().startswith("It may be used: a passing decision covers it until 2027-01-01")
    assert headline("violated").startswith("Do not use it")
    assert headline("incomplete").startswith("It may be used once what is open below is settled")
    assert headline(day=datetime.date(2027, 3, 1)).startswith("The passing decision ended")
    assert headline(shown=replace(shown, tags={**shown.tags, "kdgov.revoked": "leaks"})).startswith("Nobody may use this version")
    assert headline(material=changed(bundle, "decision.json", verdict="fail")).startswith("Not released: its decision is fail")


def test_licences_that_became_stricter_since_are_told(bundle: Path) -> None:
    """The case now names a teacher whose licence forbids it: what was allowed on the day is blocked today."""
    case = json.loads((bundle / "licence-case.json").read_bytes())
    case["uses"][0] |= {"license": "CC-BY-NC-4.0", "use": "weights_init"}
    review, found = review_licences(changed(bundle, "licence-case.json", uses=case["uses"]), today=DAY)
    assert found[0].stops
    assert review.then.startswith("allow")
    assert not review.now.startswith("allow (promote)")
    assert any("support-teacher" in change for change in review.changes)


def test_the_same_licences_are_verified_and_a_missing_case_is_said(bundle: Path) -> None:
    review, found = review_licences(BundleReader(bundle), today=DAY)
    assert (found[0].standing, review.changes) == ("verified", ())
    assert review.then == review.now
    (bundle / "licence-case.json").unlink()
    assert review_licences(BundleReader(bundle), today=DAY)[1][0].standing == "not_verifiable"


def test_a_decision_that_does_not_follow_is_told_field_by_field(recorded: Recorded, bundle: Path) -> None:
    """Even signed and sealed: a changed bound, verdict or missing criterion is named."""
    again = recorded.reviewer.rejudge(bundle, recorded.reviewer.at)
    document = json.loads((bundle / "decision.json").read_bytes())
    rows = [{**document["criteria"][0], "bound": 0.5}, *document["criteria"][1:-1]]
    material = changed(bundle, "decision.json", criteria=rows, verdict="inconclusive")
    places = [f.subject for f in review_decision(material, again) if f.standing == "violated"]
    assert any("capability-retained" in place for place in places)
    assert any("refusal-retained" in place for place in places)
    assert "decision verdict" in places


def test_a_bundle_that_cannot_be_judged_is_incomplete_and_never_clean(bundle: Path) -> None:
    found = list(review_decision(BundleReader(bundle), Rejudged(fault="policy.yaml: is empty")))
    assert outcome_of(found) == "incomplete"
    assert outcome_of([]) == "incomplete"


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("teacher/evidence.json", {"plan": "sha256:" + "1" * 64}),
        ("student/evidence.json", {"items": "sha256:" + "1" * 64}),
        ("plan.json", {"root": "sha256:" + "1" * 64}),
    ],
)
def test_plans_and_tables_that_disagree_are_told(recorded: Recorded, bundle: Path, path: str, change: dict[str, str]) -> None:
    again = recorded.reviewer.rejudge(bundle, recorded.reviewer.at)
    assert all(f.standing == "verified" for f in review_plan(BundleReader(bundle), again))
    assert any(f.standing == "violated" for f in review_plan(changed(bundle, path, **change), again))


def test_another_student_than_the_one_evaluated_is_told(bundle: Path) -> None:
    assert all(f.standing == "verified" for f in review_identities(BundleReader(bundle)))
    material = changed(bundle, "student/identity.json", weights="sha256:" + "2" * 64)
    assert [f.standing for f in review_identities(material)] == ["verified", "violated"]


@pytest.mark.parametrize("policy", ["default", "edge-device", "strict"])
def test_the_shipped_policies_demand_note_roles_and_every_date(bundle: Path, policy: str) -> None:
    """Without any one of them the audit cannot end well; a waiver of the very rule sets one aside, as it does at the gate."""
    shutil.copyfile(data_folder("policies") / f"{policy}.yaml", bundle / "policy.yaml")
    accountable = json.loads((bundle / "release.json").read_bytes())["accountable"]
    assert outcome_of(list(review_practice(BundleReader(bundle)))) == "clean"
    undated = {**accountable, "informed": {k: v for k, v in accountable["informed"].items() if k != "risk"}}
    for part, change in (("trade-off note", {"trade_offs": ""}), ("roles informed", {"accountable": undated})):
        found = list(review_practice(changed(bundle, "release.json", **{"trade_offs": "A note.", "accountable": accountable, **change})))
        assert [f.subject for f in found if f.stops] == [part]
    assert "risk" in next(f.reason for f in found if f.stops)
    material = changed(bundle, "decision.json", waivers=[waiver(criterion="practice.not-informed")])
    assert outcome_of(list(review_practice(material))) == "clean"


def test_practice_is_required_exactly_where_the_policy_stops_on_it(bundle: Path) -> None:
    material = changed(bundle, "release.json", trade_offs="")
    assert [f.required for f in review_practice(material) if f.standing != "verified"] == [False]
    (bundle / "policy.yaml").write_text("findings: {practice.no-trade-off-note: block}\n")
    assert [f.required for f in review_practice(BundleReader(bundle)) if f.standing != "verified"] == [True]


def test_the_better_way_is_the_policys_then_the_suites_and_towards_an_ideal(bundle: Path) -> None:
    """At an even difference only the declaration tells which side of the teacher the limit lies on."""
    from kdgov.auditing.review.practice_record import measures_of

    assert {m.better for m in measures_of(BundleReader(bundle))} == {"higher"}
    criteria = "criteria: [{id: refusal-retained, kind: non_inferiority, direction: target, ideal: 0.5}]\n"
    (bundle / "policy.yaml").write_text(criteria)
    found = {m.id: m.better for m in measures_of(BundleReader(bundle))}
    assert found == {"refusal-retained": "lower", "capability-retained": "higher"}


def test_the_worst_is_said_first() -> None:
    from kdgov.auditing.review.audit_findings import unverifiable, verified

    found = [
        verified("log", "a", "x"),
        unverifiable("log", "b", "x"),
        unverifiable("log", "c", "x", required=True),
        violated("log", "d", "x"),
    ]
    assert [f.subject for f in worst_first(found)] == ["d", "c", "b", "a"]
    assert outcome_of(found[:2]) == "clean"
    assert outcome_of(found[:3]) == "incomplete"
    assert outcome_of(found) == "violated"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "Nothing matched."),
        ([("pass", "it holds")], "1 result: it holds."),
        ([("pass", "a"), ("pass", "b")], "2 results, all of them holding; the first: a."),
        ([("pass", "a"), ("fail", "b"), ("pass", "c")], "3 results, 1 of them failed; the first: b."),
    ],
)
def test_a_clause_counts_its_results_and_tells_the_worst(bundle: Path, rows: list[tuple[str, str]], says: str) -> None:
    from kdgov.auditing.review.practice_record import clauses_of

    results = [{"id": "refusal-retained", "kind": "non_inferiority", "verdict": verdict, "reason": reason} for verdict, reason in rows]
    clauses = {clause.id: clause for clause in clauses_of(changed(bundle, "decision.json", criteria=results))}
    assert clauses["refusal-retained"].reason == says
