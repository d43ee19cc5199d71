"""One run takes each step once, hands on what it made, and needs no step that nobody asked for."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from kdgov.errors import InputError
from kdgov.pipeline.context import ReleaseContext, open_release
from kdgov.pipeline.run import NEEDS, PIPELINE, StepTaken, resolve, run_release
from tests.evaluation.conftest import student, teacher, tiny_suite, write_suite

__all__ = ["student", "teacher", "tiny_suite", "write_suite"]
STEPS = {f"{name}_step" for name in PIPELINE}


@contextmanager
def counted(*more: str) -> Iterator[Counter[str]]:
    """How often functions of kdgov were called, by name, however they were reached."""
    calls: Counter[str] = Counter()
    wanted = STEPS | set(more)

    def note(frame, event, _):
        code = frame.f_code
        if event == "call" and code.co_name in wanted and "kdgov" in code.co_filename:
            calls[code.co_name] += 1

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@pytest.fixture
def context(tiny_suite: Path, teacher: Path, student: Path, tmp_path: Path) -> ReleaseContext:
    path = tmp_path / "release.yaml"
    said = {
        "schema": "kdgov.release/1",
        "name": "tiny",
        "teacher": {"model": str(teacher)},
        "student": {"model": str(student)},
        "suites": [str(tiny_suite.parent)],
    }
    path.write_text(yaml.safe_dump(said))
    return open_release(path, store=tmp_path / "store")


def test_a_run_calls_each_step_once_and_a_rerun_writes_nothing(context: ReleaseContext) -> None:
    def tree() -> list[tuple]:
        return sorted((str(p), p.stat().st_mtime_ns, p.stat().st_ino) for p in context.store.root.rglob("*") if "mlflow.db" not in p.name)

    with counted() as first:
        resolve(context, until="gate")
    before = tree()
    with counted("load_suite") as again:
        outcome = resolve(context, until="gate")
    assert first == {"check_step": 1, "distill_step": 1, "evaluate_step": 1, "gate_step": 1}
    assert {name: again[name] for name in first} == dict(first)
    assert again["load_suite"] <= 5
    assert all(taken.finished.reused for taken in outcome.taken)
    assert tree() == before


@pytest.mark.parametrize("step", PIPELINE)
def test_a_step_is_handed_what_it_needs_and_nothing_else_is_done(step) -> None:
    order = list(PIPELINE)
    assert all(order.index(need) < order.index(step) for need in NEEDS[step])


def test_evaluate_alone_neither_checks_nor_judges(context: ReleaseContext) -> None:
    with counted() as calls:
        outcome = resolve(context, until="evaluate")
    assert [taken.step for taken in outcome.taken] == ["distill", "evaluate"]
    assert calls == {"distill_step": 1, "evaluate_step": 1}


def test_items_that_are_not_at_hand_are_told_before_a_student_is_trained_to_be_judged_on_them(context: ReleaseContext) -> None:
    folder, suite = context.path.parent, context.path.parent / "suite" / "suite.yaml"
    (folder / "texts.txt").write_text("".join(f"Line {n} of what the student reads, once.\n" for n in range(40)))
    recipe = {"terms": [{"kind": "soft_targets"}], "steps": 4, "batch_size": 4}
    made = {"student": {"keep_layers": [0]}, "data": ["texts.txt"], "distillation": recipe}
    context.path.write_text(yaml.safe_dump({**yaml.safe_load(context.path.read_text()), **made}))
    suite.write_text(suite.read_text().replace("path: choice.jsonl", "path: ${HOME}/no-such-folder/choice.jsonl"))
    context = open_release(context.path, store=context.store.root)
    with counted() as calls:
        for until in ("evaluate", "gate"):
            with pytest.raises(InputError, match="does not exist"):
                resolve(context, until=until)
    assert "distill_step" not in calls
    assert resolve(context, until="distill").taken, "what is not judged needs no items"


@pytest.mark.apart
def test_what_is_recorded_is_what_was_judged_though_the_policy_is_edited_meanwhile(context: ReleaseContext, monkeypatch) -> None:
    """The gate's own result is handed on: a policy edited between gate and record changes nothing, and a later record judges anew."""
    monkeypatch.setenv("KDGOV_REGISTRY", "")
    policy = context.path.with_name("policy.yaml")
    criterion = {"id": "kept", "kind": "non_inferiority", "suite": "*", "direction": "higher", "margin": 0.3, "min_items": 1}
    policy.write_text(yaml.safe_dump({**yaml.safe_load(context.policy_path().read_text()), "criteria": [criterion]}))
    context.path.write_text(context.path.read_text() + "policy: policy.yaml\n")
    context = open_release(context.path, store=context.store.root)

    def edit(taken: StepTaken) -> None:
        if taken.step == "gate":
            policy.write_text(policy.read_text() + "# edited\n" + "approvals: [risk]\n")

    outcome = run_release(context, on_step=edit)
    gate, record = outcome.result_of("gate"), outcome.result_of("record")
    assert gate.decision == record.decision
    later = resolve(context, until="record")
    assert later.result_of("record").judged_anew
    assert later.result_of("gate").policy != gate.policy
    assert "evidence.policy-newer" in (later.result_of("gate").folder / "decision.json").read_text()


def test_what_the_soft_labels_contributed_is_judged_after_training_as_the_policy_says(context: ReleaseContext) -> None:
    folder = context.path.parent
    (folder / "texts.txt").write_text("".join(f"Line {n} of what the student reads, once.\n" for n in range(40)))
    terms = [{"kind": "soft_targets", "weight": 1e-7}, {"kind": "hard_labels", "weight": 1.0}]
    made = {"student": {"keep_layers": [0]}, "data": ["texts.txt"], "distillation": {"terms": terms, "steps": 4, "batch_size": 4}}
    context.path.write_text(yaml.safe_dump({**yaml.safe_load(context.path.read_text()), **made, "policy": "policy.yaml"}))
    base = yaml.safe_load(context.policy_path().read_text())
    (folder / "policy.yaml").write_text(yaml.safe_dump({**base, "findings": {"practice.soft-share-low": "block"}}))
    gate = resolve(open_release(context.path, store=context.store.root), until="gate").result_of("gate")
    told = json.loads((gate.folder / "decision.json").read_text())["findings"]
    assert [(f["subject"], f["verdict"]) for f in told if f["rule"] == "practice.soft-share-low"] == [
        ("distillation.terms", "block"), ("distillation", "block"),
    ]  # fmt: skip
