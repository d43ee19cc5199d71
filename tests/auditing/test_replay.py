"""The evaluation run again: the same model gives the same scores, a changed score or model is named."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kdgov.auditing.registry.snapshot import VersionShown
from kdgov.evidence.release_statement import VersionFacts
from kdgov.items import ItemTable, read_items, write_items
from tests.conftest import ROOT

TEACHER = ROOT / "registry" / "models" / "miniature-teacher"
FACTS = VersionFacts(name="m", version=1, creation_timestamp=1, source="models:/m-1", workspace="default", run_id="r")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> VersionShown:
    """The shipped miniature teacher, really asked 12 questions of each capability task."""
    if not (TEACHER / "model.safetensors").is_file():
        pytest.skip("the miniature teacher is not in this checkout")
    from kdgov.checkpoints.identity import model_identity
    from kdgov.evaluation.backends.settings import BackendSettings
    from kdgov.evaluation.plan.build import build_plan, read_suites
    from kdgov.evaluation.plan.request import Plan
    from kdgov.evaluation.results.evaluation_run import evaluate

    root = tmp_path_factory.mktemp("replay")
    whole = build_plan(read_suites(["capability"]))
    plan = Plan(tasks=tuple(replace(t, items=tuple(sorted(t.items, key=lambda i: i.leaf)[:12])) for t in whole.tasks))
    bundle = root / "run" / "evidence"
    evaluate(plan, TEACHER, bundle / "student", cache=root / "cache", how=BackendSettings())
    # The sealed plan holds every item, of which a replay draws its own sample.
    (bundle / "plan.json").write_text(json.dumps(whole.as_json()))
    (bundle / "release.json").write_text(json.dumps({"suites": ["capability"]}))
    (bundle / "student" / "identity.json").write_text(json.dumps(model_identity(TEACHER).as_json()))
    return VersionShown(facts=FACTS, files=root / "run")


def replayed(shown: VersionShown, sample: int = 4, weights: Path = TEACHER) -> list[tuple[str, str]]:
    from kdgov.auditing.review.replay import replay_findings

    return [(f.subject, f.standing) for f in replay_findings(shown, weights, sample=sample)]


def test_the_same_model_gives_the_same_scores(evaluated: VersionShown) -> None:
    found = replayed(evaluated)
    assert len(found) >= 2
    assert {standing for _, standing in found} == {"verified"}


def test_one_changed_score_is_named_by_its_task(evaluated: VersionShown) -> None:
    path = evaluated.evidence / "student" / "items.parquet"  # type: ignore[operator]
    before = path.read_bytes()
    rows = read_items(path).data.to_pylist()
    rows = sorted(rows, key=lambda row: (row["suite"], row["task"]))
    task = f"{rows[0]['suite']}/{rows[0]['task']}"
    changed = [{**row, "score": 1.0 - row["score"]} if f"{row['suite']}/{row['task']}" == task else row for row in rows]
    try:
        write_items(ItemTable.from_rows([{k: v for k, v in row.items() if v is not None} for row in changed]), path)
        found = dict(replayed(evaluated))
    finally:
        path.write_bytes(before)
    assert found[task] == "violated"
    assert {standing for name, standing in found.items() if name != task} == {"verified"}


def test_other_weights_are_refused_before_anything_is_asked(evaluated: VersionShown, tmp_path: Path) -> None:
    from tests.auditing.small_release import checkpoint

    assert replayed(evaluated, weights=checkpoint(tmp_path / "other", 5)) == [("evaluation", "violated")]


def test_a_suite_that_is_gone_leaves_the_replay_open(evaluated: VersionShown) -> None:
    path = evaluated.evidence / "release.json"  # type: ignore[operator]
    before = path.read_text()
    try:
        path.write_text(json.dumps({"suites": ["no-such-suite"]}))
        assert replayed(evaluated) == [("evaluation", "not_verifiable")]
    finally:
        path.write_text(before)


def test_a_suite_of_somebody_else_is_replayed_in_a_process_without_keys(
    evaluated: VersionShown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The auditor's key attests what was found; what the suite's file renders must not reach it."""
    from kdgov.pipeline import audit
    from kdgov.pipeline.confined import confined_process
    from kdgov.resources import data_folder

    own = shutil.copytree(data_folder("evalsuites") / "capability", tmp_path / "capability")
    started: list[object] = []
    begin = confined_process.ConfinedProcess.__init__
    monkeypatch.setattr(confined_process.ConfinedProcess, "__init__", lambda self, *a, **k: (started.append(self), begin(self, *a, **k))[1])
    monkeypatch.setattr(audit, "places_of", lambda *_: [("weights", TEACHER)])
    path = evaluated.evidence / "release.json"  # type: ignore[operator]
    before = path.read_text()
    try:
        path.write_text(json.dumps({"suites": [str(own)]}))
        found = audit._replayed(evaluated, audit.AuditRequest(store=tmp_path / "store", replay=2), lambda *_: None)
    finally:
        path.write_text(before)
    assert len(started) == 1
    assert {finding.standing for finding in found} == {"verified"}, found
    assert not (tmp_path / "store").exists()
