"""Contaminated items judged apart, limits by release intent, and text the teacher wrote after the check."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pytest
import yaml

from kdgov.checks.findings.rules import PERSONAL_PER_MB
from kdgov.checks.scan.contamination import seen_items
from kdgov.decision import judge
from kdgov.decision.criteria.split_items.contaminated_items import apart_findings, unseen
from kdgov.declarations.policy_file import load_policy, parse_policy
from kdgov.evidence.rejudge import rejudge
from kdgov.evidence.trust_store import load_trust, trust_path
from kdgov.items import ItemTable, MetricDeclaration
from kdgov.pipeline.check import check_step
from kdgov.pipeline.context import open_release
from kdgov.pipeline.scan_teacher_text import written_step
from tests.checks.conftest import POLICY, QUESTION, world_policy
from tests.decision import conftest as gate_world

TODAY = datetime.date(2026, 11, 22)
release = gate_world.release
"""A release whose earlier steps are finished."""
SUITE = {"suite": "s", "task": "t", "metric": "acc"}
DECLARED = (MetricDeclaration(suite="s", task="t", metric="acc", direction="higher", low=0.0, high=1.0),)
CRITERION = (
    "schema: kdgov.policy/1\nname: own\nversion: 1\ncriteria: [{id: a, kind: non_inferiority, suite: s, margin: 0.05, min_items: 100}]\n"
)


def table(scores) -> ItemTable:
    return ItemTable.from_rows([{**SUITE, "item_id": f"i{n}", "score": float(score)} for n, score in enumerate(scores)])


def leaked(n: int = 400, seen: int = 100) -> tuple[ItemTable, ItemTable, list[str]]:
    """A teacher right on every second item; a student right on all seen items and on a quarter of the others."""
    teacher = np.arange(n) % 2
    student = np.where(np.arange(n) < seen, 1, np.arange(n) % 4 == 1)
    return table(teacher), table(student), [f"s/t/i{k}" for k in range(seen)]


def test_unseen_items_alone_decide():
    teacher, student, seen = leaked()
    policy = parse_policy(CRITERION)
    whole = judge(teacher, student, policy, metrics=DECLARED)
    apart = judge(teacher, student, policy, metrics=DECLARED, seen_items=seen)
    assert whole.criteria[0].student == pytest.approx((100 + 75) / 400)
    assert (apart.criteria[0].n, apart.criteria[0].student) == (300, pytest.approx(75 / 300))
    assert apart.verdict == "fail"
    # What was judged is still named by the digest of all rows.
    assert apart.digests["student_items"] == whole.digests["student_items"]


def test_difference_in_differences_by_hand():
    teacher, student, seen = leaked()
    (finding,) = apart_findings(teacher, student, frozenset(seen), DECLARED)
    # Seen: 1.00 - 0.50 = +0.50. Unseen: 0.25 - 0.50 = -0.25. The difference of both: +0.75.
    assert finding.details["seen"]["difference"] == pytest.approx(0.5)
    assert finding.details["unseen"]["difference"] == pytest.approx(-0.25)
    assert finding.details["difference_in_differences"] == pytest.approx(0.75)
    # Variances by hand: half of the seen differ by one (0.25/100, k/(k-1)); a quarter of the unseen by minus one (0.1875/300).
    error = np.sqrt(0.25 / 99 + 0.1875 / 299)
    low, high = finding.details["bounds"]
    assert high - low == pytest.approx(2 * 1.975 * error, rel=0.01)
    assert (finding.rule, finding.verdict) == ("contamination.judged-apart", "warn")


def test_equal_gains_are_no_warning():
    teacher, _, seen = leaked()
    (finding,) = apart_findings(teacher, teacher, frozenset(seen), DECLARED)
    assert finding.verdict == "pass"
    assert finding.details["difference_in_differences"] == 0.0


def test_lower_is_better_turns_the_gain():
    teacher, student, seen = leaked()
    lower = (MetricDeclaration(suite="s", task="t", metric="acc", direction="lower", low=0.0, high=1.0),)
    (finding,) = apart_findings(teacher, student, frozenset(seen), lower)
    assert finding.details["difference_in_differences"] == pytest.approx(-0.75)
    assert finding.verdict == "pass"


def test_too_few_seen_items_get_no_interval():
    teacher, student, seen = leaked()
    (finding,) = apart_findings(teacher, student, frozenset(seen[:3]), DECLARED)
    assert finding.details["bounds"] == []
    assert "too few" in finding.reason


def test_items_of_one_cluster_count_once():
    teacher, student, seen = leaked()
    clustered = [ItemTable.from_rows([{**row, "cluster": f"c{n // 10}"} for n, row in enumerate(t.to_rows())]) for t in (teacher, student)]
    alone = apart_findings(teacher, student, frozenset(seen), DECLARED)[0].details["bounds"]
    (finding,) = apart_findings(*clustered, frozenset(seen), DECLARED)
    assert finding.details["bounds"] != alone


def test_a_metric_without_unseen_items_blocks():
    """Otherwise a task whose items were all seen would simply not be judged."""
    teacher, student, _ = leaked(n=200)
    decision = judge(teacher, student, parse_policy(CRITERION), metrics=DECLARED, seen_items=[f"s/t/i{k}" for k in range(200)])
    assert "contamination.not-apart" in {f.rule for f in decision.findings if f.stops}
    assert decision.verdict != "pass"


def test_seen_items_under_other_names_block():
    teacher, student, _ = leaked()
    decision = judge(teacher, teacher, parse_policy(CRITERION), metrics=DECLARED, seen_items=["s/t/4711"])
    assert decision.verdict != "pass"
    assert "4711" in next(f.reason for f in decision.findings if f.rule == "contamination.not-apart")
    assert unseen(student, ["s/t/4711"]) is student


def _policy(world, **data) -> None:
    (world.folder / "policy.yaml").write_text(yaml.safe_dump({**world_policy(), "data": data}))
    world.release["policy"] = "policy.yaml"


def test_a_policy_may_judge_contaminated_items_apart(world):
    world.rows[5]["prompt"] = f"Tell me this. {QUESTION}"
    _policy(world, contaminated_items="judge_apart")
    finished = check_step(open_release(world.write(), store=world.folder / "store"), today=TODAY)
    found = {f["rule"]: f for f in json.loads((finished.folder / "findings.json").read_bytes())}["contamination.verbatim"]
    assert finished.facts["stops"] is False
    assert found["verdict"] == "warn"
    assert "left out of the judgement" in found["mend"]
    assert seen_items(json.loads((finished.folder / "contamination.json").read_bytes())) == ("suite/asked/one",)


def test_items_are_named_as_the_item_table_names_them(world):
    """Items without an id go by their place, as wide as the last one's."""
    world.items = [{"question": f"What is the name of river number {n} that flows past the old mill?", "answer": "x"} for n in range(12)]
    world.rows[5]["prompt"] = world.items[3]["question"]
    finished = check_step(open_release(world.write(), store=world.folder / "store"), today=TODAY)
    assert "suite/asked/03" in json.loads((finished.folder / "contamination.json").read_bytes())


@pytest.mark.parametrize(
    ("intent", "limits", "rule"),
    [
        ("weights", {"weights": 1e6}, "privacy.pii-noted"),
        ("weights", {"hosted": 1e6}, "privacy.pii-contradicts-card"),
        ("hosted", {"hosted": 1e6}, "privacy.pii-noted"),
        ("hosted", {"hosted": {"all": 1e6, "email": 0}}, "privacy.pii-contradicts-card"),
        ("internal", {"internal": {"all": 1e6, "iban": 0}}, "privacy.pii-noted"),
        ("data", {}, "privacy.pii-contradicts-card"),
    ],
)
def test_limits_on_identifiers_are_the_policys_by_release_intent(world, intent, limits, rule):
    world.rows[3]["completion"] = "Write to jane.roe@mail.example.org about it."
    world.release["release"] = {"distribution": intent, "commercial": True}
    _policy(world, personal_per_mb=limits)
    assert rule in world.rules(today=TODAY)


def test_the_documented_limits_are_the_defaults(world):
    """docs/checks.md shows the section with the numbers that hold where a policy is silent."""
    page = (POLICY.parent.parent / "docs" / "checks.md").read_text()
    section = page[page.index("data:\n  personal_per_mb:") : page.index("```", page.index("data:\n  personal_per_mb:"))]
    own = load_policy(POLICY)
    shown = parse_policy(POLICY.read_text() + "\n" + section)
    limits = {intent: kinds["all"] for intent, kinds in shown.sections["data"]["personal_per_mb"].items()}
    assert limits == PERSONAL_PER_MB
    assert own.sections["data"] == {"personal_per_mb": {}, "contaminated_items": "block", "image_likeness": False, "retold_items": False}


def test_a_release_with_seen_items_is_judged_by_the_others_and_judged_again_alike(release):
    """Through the gate step: left out of the decision, kept in the bundle, left out again by whoever judges it anew."""
    policy = release.path.parent / "policy.yaml"
    policy.write_text(policy.read_text() + "data: {contaminated_items: judge_apart}\n")
    checked = gate_world.made(release).checked
    found = {f"capability/qa/i{n}": {"kind": "verbatim", "share": 1.0, "row": n, "roles": {"text": 1}} for n in range(50)}
    found["capability/qa/i60"] = {"kind": "overlap", "share": 0.1, "row": 1, "roles": {"text": 1}}
    (checked.folder / "contamination.json").write_text(json.dumps(found))
    finished = gate_world.gated(release)
    decision = json.loads((finished.folder / "decision.json").read_bytes())
    assert {result["n"] for result in decision["criteria"] if result["suite"]} == {450}
    told = next(finding for finding in decision["findings"] if finding["rule"] == "contamination.judged-apart")
    assert (told["details"]["seen"]["n"], told["details"]["unseen"]["n"]) == (50, 450)
    assert len(json.loads((finished.folder / "contamination.json").read_bytes())["data"]) == 51
    again, _ = rejudge(finished.folder, load_trust(trust_path()))
    assert again.canonical == (finished.folder / "decision.json").read_bytes()


def test_only_the_policy_may_leave_items_out(release):
    """A list of seen items smuggled into a bundle whose policy knows no judging apart changes nothing."""
    finished = gate_world.gated(release)
    inputs = finished.folder / "inputs.json"
    inputs.write_text(json.dumps({**json.loads(inputs.read_bytes()), "seen_items": ["capability/qa/i1"]}))
    again, _ = rejudge(finished.folder, load_trust(trust_path()))
    assert {result.n for result in again.criteria if result.suite} == {500}


def _wrote(world, rows) -> object:
    folder = world.folder / "distilled" / "teacher_text" / "0"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shard-0000.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return written_step(open_release(world.write(), store=world.folder / "store"), world.folder / "distilled")


def test_what_the_teacher_wrote_is_scanned_like_data(world):
    secret = "AKIA" + "QZ7RTW2MNB4KXC9D"
    rows = [
        {"id": "a", "prompt": "Ask me.", "completion": f"{QUESTION} Use {secret}."},
        {"id": "b", "prompt": "p", "completion": "x@mail.example.org"},
    ]
    finished = _wrote(world, rows)
    found = {f["rule"]: f for f in json.loads((finished.folder / "findings.json").read_bytes())}
    assert {"contamination.verbatim", "privacy.secret-found", "privacy.pii-found"} <= found.keys()
    assert finished.facts["stops"]
    assert found["contamination.verbatim"]["subject"].startswith("teacher-written text")
    assert "teacher outputs (1)" in found["contamination.verbatim"]["reason"]
    assert seen_items(json.loads((finished.folder / "contamination.json").read_bytes())) == ("suite/asked/one",)
    assert secret.encode() not in b"".join(p.read_bytes() for p in finished.folder.iterdir())
    assert _wrote(world, rows).reused
    assert not _wrote(world, rows[1:]).reused


def test_a_teacher_that_wrote_nothing_has_nothing_to_scan(world):
    (world.folder / "distilled").mkdir()
    assert written_step(open_release(world.write(), store=world.folder / "store"), world.folder / "distilled") is None
