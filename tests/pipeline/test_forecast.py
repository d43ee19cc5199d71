"""A dry run writes nothing and says what a run then does; an estimate tries a little and leaves the store alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from kdgov.declarations.suite_judge import JUDGES, JudgeInSuite
from kdgov.pipeline.confined import suite_calls
from kdgov.pipeline.context import ReleaseContext, open_release
from kdgov.pipeline.forecast.dry_run import dry_run
from kdgov.pipeline.forecast.machine_needs import MachineNeeds, machine_needs
from kdgov.pipeline.forecast.trial_run import may_cost, trial_run
from kdgov.pipeline.run import resolve
from kdgov.quantities import duration_text, size_text
from tests.evaluation.conftest import student, teacher, tiny_suite, write_suite
from tests.pipeline.test_run import context
from tests.steps import evaluated

__all__ = ["context", "student", "teacher", "tiny_suite", "write_suite"]


def files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def woulds(context: ReleaseContext) -> dict[str, str]:
    return {one.step: one.would for one in dry_run(context).steps}


def test_a_dry_run_of_nothing_writes_nothing(context, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = files(tmp_path)
    assert woulds(context) == dict.fromkeys(("check", "distill", "evaluate", "gate", "record", "promote"), "make")
    assert files(tmp_path) == before


@pytest.mark.nightly
@pytest.mark.ci
def test_a_dry_run_says_what_a_run_reuses(context, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    resolve(context, until="gate")
    made = files(tmp_path)
    planned = dry_run(context)
    # Models of unknown origin: the finished check stops the release, as the run itself would.
    assert [(one.step, one.would, bool(one.folder)) for one in planned.steps] == [("check", "reuse", True)]
    assert planned.stopped_by == "check"
    declared = yaml.safe_load(context.path.read_text())
    declared["student"]["model"] = declared["teacher"]["model"]
    context.path.write_text(yaml.safe_dump(declared))
    other = open_release(context.path, store=context.store.root)
    planned = dry_run(other, until="evaluate")
    assert [(one.step, one.would) for one in planned.steps] == [("check", "make"), ("distill", "make"), ("evaluate", "make")]
    said = planned.steps[-1].said
    # The same weights give the same answers; only what is drawn beside another student is new.
    assert said.startswith("control asked on ")
    assert said.endswith("; answers of teacher, student reused")
    context.path.write_text(context.path.read_text() + "# nothing else\n")
    assert {path for path in files(tmp_path) if path not in made} == set()


@pytest.mark.nightly
@pytest.mark.ci
def test_two_releases_in_one_process_are_asked_each_its_own_plan(context, monkeypatch):
    # As suites that come with kdgov are: in this very process, which keeps the plan for all models of a release.
    monkeypatch.setattr(suite_calls, "_is_shipped", lambda suite: True)
    few = replace(
        context, release=context.release.model_copy(update={"evaluation": context.release.evaluation.model_copy(update={"limit": 1})})
    )
    assert evaluated(few).items < evaluated(context).items


@pytest.fixture
def trained(context: ReleaseContext) -> ReleaseContext:
    """The release with a student to be trained."""
    declared = yaml.safe_load(context.path.read_text())
    lines = [json.dumps({"text": f"the cat number {n} sat on the mat"}) + "\n" for n in range(400)]
    context.path.with_name("data.jsonl").write_text("".join(lines))
    distillation = {"terms": [{"kind": "soft_targets"}], "steps": 400, "batch_size": 2, "checkpoint_every": 100}
    declared |= {"student": {"keep_layers": [0]}, "data": ["data.jsonl"], "distillation": distillation}
    context.path.write_text(yaml.safe_dump(declared))
    return open_release(context.path, store=context.store.root)


@pytest.mark.nightly
@pytest.mark.ci
def test_an_estimate_tries_twenty_steps_and_leaves_the_store_alone(trained, tmp_path):
    told = []
    before = files(tmp_path)
    estimate = trial_run(replace(trained, progress=lambda label, done, total: told.append((label, done, total))))
    assert files(tmp_path) == before
    assert ("trial: distilling", 20, 20) in told
    assert "training, 400 steps" in estimate.parts
    # The trial's own twenty steps are the measure of all four hundred.
    assert estimate.parts["training, 400 steps"] > 0
    assert any(name.startswith("asking the models") for name in estimate.parts)
    assert estimate.seconds == pytest.approx(sum(estimate.parts.values()))
    assert estimate.disk_bytes > 0
    assert estimate.lines[0].startswith("about ")


def test_an_endpoint_is_never_asked_for_an_estimate(context):
    endpoint = {"base_url": "http://127.0.0.1:9/v1", "model": "large", "terms": "LicenseRef-FirstParty"}
    declared = yaml.safe_load(context.path.read_text()) | {"teacher": {"endpoint": endpoint}}
    context.path.write_text(yaml.safe_dump(declared))
    estimate = trial_run(open_release(context.path, store=context.store.root))
    assert any("costs money" in one or "cost money" in one for one in estimate.not_tried)
    assert not any(name.startswith("asking") for name in estimate.parts)


def test_rules_and_local_judges_cost_nothing():
    costs = {kind: may_cost(JudgeInSuite.model_construct(kind=kind)) for kind in (*JUDGES, "of-a-package")}
    assert {kind for kind, does in costs.items() if does} == {"openai", "of-a-package"}


def test_needs_grow_with_the_student_and_shortages_are_named(trained):
    needs = machine_needs(trained)
    assert needs is not None
    assert needs.is_upper_bound
    assert not needs.shortages
    short = MachineNeeds(
        disk_bytes=2_000_000_000,
        memory_bytes=9_000_000_000,
        disk_free_bytes=1_000_000_000,
        memory_free_bytes=8_000_000_000,
        is_upper_bound=False,
    )
    assert short.shortages == ("2 GB of disk are needed, 1 GB are free", "9 GB of memory are needed, 8 GB are free")


def test_bytes_and_seconds_read_as_people_say_them():
    assert (size_text(999), size_text(45_300_000), size_text(123e9)) == ("999 bytes", "45 MB", "123 GB")
    assert (duration_text(0.5), duration_text(89), duration_text(5400)) == ("0.5 s", "89 s", "1.5 hours")
