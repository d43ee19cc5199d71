"""The law of passing findings: each counts only what was looked for, and names what was not; nothing looked at is never a pass."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

import kdgov
from kdgov.checks.pii import person_names
from kdgov.checks.scan import retold_items
from kdgov.decision.criteria.group_means import group_findings
from kdgov.decision.criteria.split_items.contaminated_items import apart_findings
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.errors import DeclarationError
from kdgov.evaluation.results import comparability
from kdgov.evaluation.results.endpoint_findings import endpoint_findings
from kdgov.finding import Finding
from kdgov.items import ItemTable, MetricDeclaration
from kdgov.license import case_from_json, check
from kdgov.license.answer_findings import findings as licence_findings
from kdgov.passing_rules import LOOKED_FOR, NOT_LOOKED_FOR, PASSING, passing
from kdgov.pipeline.asked_models import endpoint_plan
from tests.checks.conftest import World, world_policy
from tests.checks.test_violations import TODAY

PACKAGE = Path(kdgov.__file__).parent
Found = list[Finding]


def _calls() -> list[tuple[str, ast.Call, str]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                found.append((path.relative_to(PACKAGE).as_posix(), node, node.func.id))
    return found


@pytest.mark.slow
def test_only_one_function_makes_a_finding_that_passes():
    """A verdict written out is never "pass", and a verdict from elsewhere comes from one of these places, none of which says it."""
    computed = {
        "checks/findings/rules.py",  # a rule's own verdict; a policy may write warn, review or block only
        "items/reader.py",  # a rule's own verdict
        "pipeline/asked_models/endpoint_plan.py",  # a rule's own verdict
        "evaluation/results/endpoint_findings.py",  # block, review or warn, written out by its callers
        "license/answer_findings.py",  # block or review
        "decision/drill/tampering.py",  # what the drill plants
        "decision/unread_results.py",  # warn or review
        "evaluation/results/comparability.py",  # invalid or review
        "recording/rejudge_recorded.py",  # warn, block or invalid
        "evaluation/results/evidence_faults.py",  # warn or review
    }
    for path, call, name in _calls():
        verdict = next((k.value for k in call.keywords if k.arg == "verdict"), None)
        if name != "Finding" or verdict is None or path == "passing_rules.py":
            continue
        said = [node.value for node in ast.walk(verdict) if isinstance(node, ast.Constant)]
        assert "pass" not in said, f"{path}:{call.lineno} says pass by hand; use kdgov.passing_rules.passing"
        assert said or path in computed, f"{path}:{call.lineno} computes its verdict; nobody looked whether it may be a pass"


def test_no_rule_is_named_that_the_table_does_not_hold_and_none_is_left_unused():
    source = "\n".join(path.read_text() for path in sorted(PACKAGE.rglob("*.py")) if path.name != "passing_rules.py")
    for rule in PASSING:
        assert f'"{rule}"' in source or f'.{rule.partition(".")[2]}"' in source, rule
    with pytest.raises(KeyError):
        passing("privacy", "privacy.unheard-of", "x", "y", looked_for={"files": 1})


@pytest.mark.parametrize("counted", [{}, {"items": 0}, {"items": 0, "bytes": 0}])
def test_nothing_looked_at_is_no_pass(counted):
    with pytest.raises(ValueError, match="nothing was looked at"):
        passing("contamination", "contamination.scanned", "data", "None.", looked_for=counted)


def _world(change: Callable[[World], object]) -> Callable[[World, pytest.MonkeyPatch], Found]:
    def found(world: World, patch: pytest.MonkeyPatch) -> Found:
        change(world)
        return world.findings(today=TODAY)

    return found


def _half_unreadable(world: World) -> None:
    world.raw = b"".join(b'{"prompt": "How many are %d?"}\n' % n for n in range(40)) + b'{"prompt": \n'


def _short_items(world: World) -> None:
    world.items.append({"id": "two", "question": "How many?", "answer": "3"})
    task = {"task": "far", "lm_eval": "arc_easy", "metrics": [{"metric": "acc", "direction": "higher"}]}
    (world.folder / "hub").mkdir()
    suite = {"schema": "kdgov.suite/1", "name": "hub", "license": "CC0-1.0", "tasks": [task]}
    (world.folder / "hub" / "suite.yaml").write_text(yaml.safe_dump(suite))
    world.release["suites"] = ["suite", "hub"]


def _sent(world: World) -> None:
    world.release["teacher"] = {"endpoint": {"base_url": "https://a.example.com/v1", "model": "big", "terms": "MIT", "region": "DE"}}
    world.release["student"] = {"model": "teacher", "license": "MIT"}
    world.release["distillation"]["terms"] = [{"kind": "teacher_text"}]
    world.raw = b"".join(b'{"prompt": "How many are %d?"}\n' % n for n in range(40)) + b'{"prompt": "caf\xe9"}\n'


def _names(world: World, patch: pytest.MonkeyPatch) -> Found:
    (world.folder / "rules").mkdir()
    (world.folder / "rules" / "meta.json").write_text('{"lang": "en", "version": "1"}')
    patch.setenv(person_names.MODEL_VARIABLE, str(world.folder / "rules"))
    patch.setattr(person_names.importlib.util, "find_spec", lambda name: object())
    patch.setattr(person_names, "_analyzer", lambda model: lambda text: ["PERSON"])
    return world.findings(today=TODAY)


def _retold(world: World, patch: pytest.MonkeyPatch) -> Found:
    """An encoder to which no two texts are alike, and a draw of ten passages."""
    patch.setattr(retold_items, "encoder", lambda: lambda texts: np.zeros((len(texts), 2), dtype=np.float32))
    patch.setattr(retold_items, "MOST_PASSAGES", 10)
    world.rows = [{**row, "prompt": f"How many of them are there after day {n}?"} for n, row in enumerate(world.rows)]
    (world.folder / "policy.yaml").write_text(yaml.safe_dump({**world_policy(), "data": {"retold_items": True}}))
    world.release["policy"] = "policy.yaml"
    return world.findings(today=TODAY)


def _media(world: World, patch: pytest.MonkeyPatch) -> Found:
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    (world.folder / "suite").mkdir()
    for name in ("suite/asked.png", "taught.png"):
        image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(world.folder / name)
    shutil.copyfile(world.folder / "taught.png", world.folder / "cut.png")
    (world.folder / "cut.png").write_bytes((world.folder / "cut.png").read_bytes()[:20])
    world.rows += [{"file": "taught.png"}, {"file": "cut.png"}]
    (world.folder / "suite" / "pictures.jsonl").write_text('{"id": "p", "file": "asked.png", "label": 1}\n')
    task = {"task": "seen", "kind": "classification", "data": {"path": "pictures.jsonl"}, "label": "label", "options": {"file": "file"}}
    path = world.write()
    suite = yaml.safe_load((world.folder / "suite" / "suite.yaml").read_text())
    suite["tasks"].append({**task, "metrics": [{"metric": "correct", "direction": "higher"}]})
    (world.folder / "suite" / "suite.yaml").write_text(yaml.safe_dump(suite))
    patch.setattr(World, "write", lambda self: path)
    return world.findings(today=TODAY)


def _apart(world: World, patch: pytest.MonkeyPatch) -> Found:
    rows = [{"suite": "s", "task": "t", "item_id": str(n), "metric": "acc", "score": float(n % 2)} for n in range(200)]
    table = ItemTable.from_rows(rows)
    declared = (MetricDeclaration(suite="s", task="t", metric="acc", direction="higher", low=0.0, high=1.0),)
    few = apart_findings(table, table, frozenset(["s/t/1"]), declared)
    assert [f.verdict for f in few] == ["warn"], "three items cannot tell, and must not pass"
    return list(apart_findings(table, table, frozenset(f"s/t/{n}" for n in range(100)), declared))


def _licence(world: World, patch: pytest.MonkeyPatch) -> Found:
    case = {
        "student": {"name": "s", "license": "MIT", "kind": "generative"},
        "uses": [{"use": "weights_init", "license": "MIT", "name": "base"}],
        "release": {"distribution": "internal", "commercial": True, "research": False},
        "organization": {"kind": "company", "principal_place": "DE"},
    }
    with pytest.raises(DeclarationError):
        case_from_json({**case, "uses": []})
    return licence_findings(check(case_from_json(case)))


def _identical(world: World, patch: pytest.MonkeyPatch) -> Found:
    document = {"plan": "sha256:1", "tasks": [{"requests": 3}]}
    assert comparability._same({"plan": "p", "tasks": []}).verdict == "invalid"
    return [comparability._same(document)]


def _far(world: World, patch: pytest.MonkeyPatch) -> Found:
    def rows(metric: str, far: int) -> list[dict[str, object]]:
        marks = ['{"coverage": "far"}'] * far + ['{"coverage": "near"}'] * 200
        return [{"suite": "s", "task": "t", "item_id": str(n), "metric": metric, "score": 1.0, "group": m} for n, m in enumerate(marks)]

    table = ItemTable.from_rows(rows("many", 50) + rows("few", 5))
    criterion = {"id": "c", "kind": "non_inferiority", "direction": "higher", "margin": 0.1}
    return list(kdgov.gate(table, table, {"schema": "kdgov.policy/1", "name": "p", "version": "1", "criteria": [criterion]}).findings)


def _groups(world: World, patch: pytest.MonkeyPatch) -> Found:
    rows = [{"suite": "s", "task": t, "item_id": str(n), "metric": "acc", "score": float(n % 4 > 0)} for t in "ab" for n in range(200)]
    table = ItemTable.from_rows(rows)
    alone = [MetricDeclaration(suite="s", task=task, metric="acc", direction="higher", low=0.0, high=1.0) for task in "ab"]
    group = replace(alone[0], task="both", members=("a", "b"))
    assert group_findings([], alone, (table, table)) == [], "where there is no group, nothing is told of one"
    half = replace(alone[0], task="half", members=("a", "c"))
    return group_findings([], (*alone, group, half), (table, table))


def _endpoint(world: World, patch: pytest.MonkeyPatch) -> Found:
    seen = {
        "asked": "big-1", "answered": {"big-1": 12}, "fingerprints": ["fp"], "first_day": "2026-11-01", "last_day": "2026-11-01",
        "asked_again": 5, "changed": 0, "thoughts": {"unfinished": 0}, "usage": {"answers": 12},
    }  # fmt: skip
    document = {"model": {"weights": "sha256:1"}}
    unknown = endpoint_findings("teacher", {**document, "endpoint": {**seen, "answered": {"": 12}, "asked_again": 0}})
    assert "pass" not in {finding.verdict for finding in unknown}, "an endpoint that names no model, or was not asked again"
    return endpoint_findings("teacher", {"model": {"weights": ""}, "endpoint": seen})


def _plan(world: World, patch: pytest.MonkeyPatch) -> Found:
    endpoint = Endpoint(base_url="https://a.example.com/v1", model="b", terms="MIT", budget_usd=1.0, price={"input": 1.0, "output": 2.0})
    estimate = endpoint_plan.Estimate(requests=4, input_tokens=400, output_tokens=4000)
    dear = endpoint_plan.Estimate(requests=4, input_tokens=400, output_tokens=4_000_000)
    assert endpoint_plan._told("teacher", endpoint, dear, endpoint_plan.Estimate()).verdict == "review"
    return [endpoint_plan._told("teacher", endpoint, estimate, endpoint_plan.Estimate())]


PARTIAL: dict[str, tuple[Callable[[World, pytest.MonkeyPatch], Found], str, str]] = {
    "provenance.pinned": (_world(lambda w: w.teacher.pop("digest")), "models", "none is stated"),
    "privacy.scanned": (_world(_half_unreadable), "bytes", "1 line of data.jsonl that is not JSON"),
    "privacy.names-counted": (_names, "bytes", "outside the sample"),
    "privacy.sent": (_world(_sent), "bytes", "not UTF-8"),
    "contamination.scanned": (_world(_short_items), "items", "1 item with fewer than five words of text"),
    "contamination.media-compared": (_media, "items", "1 file that is absent or cannot be opened"),
    "contamination.retold-compared": (_retold, "passages", "passages beyond the 10 that were drawn"),
    "contamination.judged-apart": (_apart, "seen", ""),
    "coverage.covered": (_world(lambda w: w.rows.append({"pixels": 3})), "inputs", "1 row"),
    "coverage.near-and-far": (_far, "far", "s/t/few (5 far, 200 near items are too few)"),
    "licence.allow": (_licence, "uses", ""),
    "evidence.criterion-unfillable": (_world(lambda w: None), "criteria", "whose items the plan will count"),
    "evidence.group-means": (_groups, "groups", "s/half acc, of which a task has no rows"),
    "evidence.identical": (_identical, "requests", ""),
    "evidence.endpoint-identity": (_endpoint, "answers", "which weights lie behind the name"),
    "evidence.endpoint-drift": (_endpoint, "requests", ""),
    "evidence.endpoint-plan": (_plan, "requests", ""),
}


def test_every_passing_rule_is_walked():
    assert PARTIAL.keys() == PASSING.keys()


@pytest.mark.parametrize("rule", [pytest.param(rule, marks=pytest.mark.slow) if rule == "privacy.sent" else rule for rule in PARTIAL])
def test_a_pass_counts_what_was_looked_for_and_names_what_was_not(world: World, monkeypatch: pytest.MonkeyPatch, rule: str):
    find, counted, names = PARTIAL[rule]
    passes = [finding for finding in find(world, monkeypatch) if finding.verdict == "pass"]
    for finding in passes:
        assert finding.rule in PASSING
        assert sum(finding.details[LOOKED_FOR].values()) > 0
        assert set(PASSING[finding.rule].never) <= set(finding.details[NOT_LOOKED_FOR])
        assert all(part in finding.reason for part in finding.details[NOT_LOOKED_FOR])
    own = [finding for finding in passes if finding.rule == rule]
    assert own
    assert all(finding.details[LOOKED_FOR].get(counted, 0) > 0 or counted == "models" for finding in own)
    assert any(names in finding.reason for finding in own)


def test_a_file_without_text_is_not_said_to_be_clean(world: World):
    """An empty column, numbers, pictures: no identifier was found because nothing was read."""
    world.rows = [{"pixels": n} for n in range(40)]
    found = [f for f in world.findings(today=TODAY) if f.subject.startswith("data[0]")]
    assert "privacy.scanned" not in {f.rule for f in found}
    assert next(f for f in found if f.rule == "privacy.not-testable").verdict == "warn"


def test_what_was_not_looked_for_is_never_in_the_total(world: World):
    """One of one item looked for was found; the short ones are no clean ones."""
    world.items += [{"id": f"s{n}", "question": "How many?", "answer": "3"} for n in range(9)]
    world.rows[5]["prompt"] = world.items[0]["question"]
    assert "1 of 1 items occurs" in world.rules(today=TODAY)["contamination.verbatim"].reason


def test_the_docs_tell_how_far_each_pass_reaches():
    page = (PACKAGE.parent / "docs" / "checks.md").read_text()
    for rule, scope in PASSING.items():
        assert f"| `{rule}` | {scope.looks_for} | {'; '.join(scope.never) or '–'} |" in page
