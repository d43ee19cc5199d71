"""Distillation over several stages in one release: an assistant that teaches, a student taught twice; each stage with its own record."""

from __future__ import annotations

import json

import pytest
import yaml

from kdgov.checkpoints.identity import model_identity
from kdgov.declarations.effects.release_file import load_release
from kdgov.declarations.release import Release
from kdgov.errors import DeclarationError
from kdgov.pipeline.context import open_release
from kdgov.pipeline.distill import distill_step
from kdgov.quantities import percent

RECIPE = {"steps": 4, "batch_size": 8, "learning_rate": 3e-3}
SOFT = {**RECIPE, "terms": [{"kind": "soft_targets", "temperature": 2}]}


def write(folder, teacher, texts, **changes):
    said = {
        "schema": "kdgov.release/1",
        "name": "small",
        "teacher": {"model": str(teacher)},
        "student": {"keep_layers": [0, 1]},
        "data": [str(texts)],
        "suites": ["capability"],
        **changes,
    }
    path = folder / "release.yaml"
    path.write_text(yaml.safe_dump(said))
    return path


def test_an_assistant_teaches_the_student_and_every_stage_has_its_record(teacher, texts, tmp_path):
    stages = [{"name": "assistant", "student": {"keep_layers": [0, 1, 3]}, "distillation": SOFT}, {"distillation": {**SOFT, "steps": 5}}]
    path = write(tmp_path, teacher, texts, stages=stages)
    finished = distill_step(open_release(path, store=tmp_path / "store"))
    record = json.loads((finished.folder / "distillation.json").read_bytes())
    (assistant,) = record["stages"]
    assert assistant["name"] == "assistant"
    assert assistant["model"]["layers"] == 3
    assert assistant["record"]["teacher"]["weights"] == model_identity(teacher).weights
    assert record["taught_by"]["weights"] == assistant["model"]["weights"]
    assert record["teacher"]["weights"] == finished.facts["teacher"]["weights"] == model_identity(teacher).weights
    assert model_identity(finished.checkpoint).layers == 2
    assert finished.facts["identity"]["weights"] == model_identity(finished.checkpoint).weights
    share = model_identity(finished.checkpoint).parameters / model_identity(teacher).parameters
    assert f"{percent(share, 0)} of the teacher's; by way of assistant" in finished.summary
    again = distill_step(open_release(path, store=tmp_path / "store"))
    assert again.reused
    assert again.key == finished.key


def test_a_changed_last_stage_pays_nothing_for_the_first_again(teacher, texts, tmp_path, monkeypatch):
    stages = [{"student": {"keep_layers": [0, 1, 3]}, "distillation": SOFT}]
    path = write(tmp_path, teacher, texts, stages=stages, distillation=SOFT)
    distill_step(open_release(path, store=tmp_path / "store"))
    trained = []
    work = __import__("kdgov.distillation.make_student", fromlist=["make_student"])
    real = work.make_student
    monkeypatch.setattr(work, "make_student", lambda **given: trained.append(given["teacher"]) or real(**given))
    write(tmp_path, teacher, texts, stages=stages, distillation={**SOFT, "steps": 6})
    distill_step(open_release(path, store=tmp_path / "store"))
    assert len(trained) == 1


def test_a_student_is_taught_twice_by_one_teacher(teacher, texts, tmp_path):
    """`previous: student`: the second stage starts where the first ended, and the release's teacher teaches both."""
    stages = [{"name": "first", "distillation": SOFT}]
    path = write(tmp_path, teacher, texts, stages=stages, distillation=SOFT, previous="student")
    finished = distill_step(open_release(path, store=tmp_path / "store"))
    record = json.loads((finished.folder / "distillation.json").read_bytes())
    assert record["taught_by"]["weights"] == model_identity(teacher).weights
    assert finished.facts["identity"]["weights"] != record["stages"][0]["model"]["weights"]
    assert model_identity(finished.checkpoint).layers == 2


def test_self_distillation_keeps_the_size(teacher, texts, tmp_path):
    """The first student teaches a second of its own size, which starts from all of its layers."""
    stages = [{"name": "first", "student": {"keep_layers": [0, 3]}, "distillation": SOFT}]
    both = {**RECIPE, "terms": [{"kind": "soft_targets", "temperature": 2}, {"kind": "hard_labels"}]}
    path = write(tmp_path, teacher, texts, stages=stages, distillation=both)
    finished = distill_step(open_release(path, store=tmp_path / "store"))
    first = json.loads((finished.folder / "distillation.json").read_bytes())["stages"][0]["model"]
    assert finished.facts["identity"]["parameters"] == first["parameters"]


def test_all_stages_in_one_list_are_the_same_release(teacher, texts, tmp_path):
    first = {"name": "assistant", "student": {"keep_layers": [0, 1, 3]}, "distillation": SOFT}
    listed = load_release(write(tmp_path, teacher, texts, stages=[first, {"distillation": RECIPE, "student": {"keep_layers": [0, 2]}}]))
    apart = load_release(write(tmp_path, teacher, texts, stages=[first], distillation=RECIPE, student={"keep_layers": [0, 2]}))
    assert listed == apart
    assert Release.model_validate(listed.model_dump(by_alias=True)) == listed


def test_the_model_that_a_stage_starts_from_is_in_the_licence_case(teacher, texts, tmp_path):
    start = {"model": str(teacher), "license": "cc-by-nc-4.0"}
    release = load_release(write(tmp_path, teacher, texts, stages=[{"student": start, "distillation": SOFT}], distillation=SOFT))
    assert {"use": "weights_init", "name": str(teacher), "license": "cc-by-nc-4.0"} in release.uses


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({"student": {"keep_layers": [0], "config": "c.json"}, "distillation": SOFT}, "exactly one of keep_layers, config, model"),
        ({"student": {"model": "some/base"}, "distillation": SOFT}, "`model` and `license` together"),
        ({"distillation": {**RECIPE, "terms": [{"kind": "teacher_text"}]}}, "stage with teacher_text"),
        ({"previous": "student", "student": {"keep_layers": [0]}, "distillation": SOFT}, "names another start"),
        ({"previous": "judge", "distillation": SOFT}, "previous"),
        ({"student": {"keep_layers": [0]}}, "distillation"),
    ],
)
def test_a_stage_that_says_too_little_or_too_much_is_one_fault(teacher, texts, tmp_path, stage, said):
    with pytest.raises(DeclarationError) as caught:
        load_release(write(tmp_path, teacher, texts, stages=[stage], distillation=SOFT))
    assert said in " ".join(f"{fault.key} {fault.what} {fault.mend}" for fault in caught.value.faults)
