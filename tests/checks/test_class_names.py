"""A label means one class to both models, by name; what it cannot mean is refused before anything is asked."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from kdgov.checkpoints.class_names import is_class, label_fault, order_fault, positive_fault
from kdgov.cli.app import app

CATS, DOGS = ("cat", "dog", "bird"), ("dog", "cat", "bird")


@pytest.mark.parametrize("label", ["dog", "0", "2", "LABEL_1"])
def test_a_class_may_be_written_in_each_form(label):
    assert is_class(label, CATS)


@pytest.mark.parametrize("label", ["wolf", "Dog", "3", "-1", "LABEL_3", "1.0", "", "cat ", "²"])
def test_what_is_no_class_is_none(label):
    assert not is_class(label, CATS)


def test_digits_that_are_names_stay_names():
    assert is_class("7", ("5", "6", "7"))
    assert not is_class("0", ("5", "6", "7"))
    assert is_class("LABEL_1", ("0", "1")), "where both readings agree"


def test_the_fault_counts_and_names_the_classes():
    what, mend = label_fault([("a", "dog"), ("b", "wolf"), ("c", "fox")], CATS, whose="the teacher") or ("", "")
    assert "item b" in what
    assert "2 such items" in what
    assert "cat, dog, bird" in mend
    assert label_fault([("a", "wolf")], (), whose="the teacher") is None, "of an endpoint nothing is known"


@pytest.mark.parametrize(
    ("other", "fault"),
    [(CATS, False), (DOGS, True), (("CAT", "Dog", "bird"), False), (("cat", "bird", "fox"), True), (("LABEL_0", "LABEL_1"), False),
     (("wolf", "fox", "owl"), False)],
)  # fmt: skip
def test_a_name_in_another_place_is_another_class(other, fault):
    assert order_fault(CATS, other) is fault


def test_a_positive_class_in_another_form_than_the_labels_is_told():
    assert positive_fault(["dog"], "1", ["selected"]) is not None
    assert positive_fault(["dog"], "dog", ["selected"]) is None
    assert positive_fault(["dog"], "1", ["correct"]) is None


@pytest.fixture
def release(tmp_path):
    def write(labels, *, teacher=CATS, student=DOGS, **changes):
        for role, names in (("teacher", teacher), ("student", student)):
            folder = tmp_path / role
            folder.mkdir(exist_ok=True)
            config = {"architectures": ["BertForSequenceClassification"], "model_type": "bert", "id2label": dict(enumerate(names))}
            (folder / "config.json").write_text(json.dumps(config))
            (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
        suite = tmp_path / "own"
        suite.mkdir(exist_ok=True)
        rows = [{"id": f"i{n}", "text": f"text {n}", "label": label} for n, label in enumerate(labels)]
        (suite / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        task = {"task": "kinds", "kind": "classification", "data": {"path": "rows.jsonl"}}
        task["metrics"] = [{"metric": "correct", "direction": "higher"}]
        said = {"schema": "kdgov.suite/1", "name": "own", "tasks": [task]}
        (suite / "suite.yaml").write_text(yaml.safe_dump(said))
        path = tmp_path / "release.yaml"
        given = {"schema": "kdgov.release/1", "name": "r", "teacher": {"model": "teacher"}, "student": {"model": "student"}}
        path.write_text(yaml.safe_dump({**given, "suites": ["own"], **changes}))
        told = CliRunner().invoke(app, ["check", str(path), "--store", str(tmp_path / "store")])
        return told.exit_code, " ".join((told.output + (told.stderr or "")).split())

    return write


def test_a_label_that_is_no_class_is_refused_at_check(release):
    code, told = release(["cat", "wolf"])
    assert code == 2
    assert "item i1 has the label 'wolf', which is no class of the teacher" in told
    assert "no class of the student" in told


def test_labels_by_number_are_refused_where_the_models_order_their_classes_differently(release):
    code, told = release([0, 1])
    assert code == 2
    assert "0 is 'cat' to the teacher and 'dog' to the student" in told
    assert "Write the labels by name" in told


@pytest.mark.parametrize(("labels", "student"), [(["cat", "dog"], DOGS), ([0, 1], CATS)], ids=["by name", "one order"])
def test_labels_by_name_are_compared_by_name_and_one_order_may_be_numbered(labels, student, release):
    assert release(labels, student=student)[0] != 2


def test_names_are_no_classes_of_a_model_that_names_none(release):
    code, told = release(["cat", "dog"], student=("LABEL_0", "LABEL_1", "LABEL_2"))
    assert code == 2
    assert "no class of the student" in told


def test_a_student_that_starts_from_another_order_is_refused_before_training(release, tmp_path):
    (tmp_path / "d.jsonl").write_text('{"text": "a cat", "label": "cat"}\n')
    code, told = release(["cat"], data=["d.jsonl"], distillation={"terms": [{"kind": "soft_targets"}], "steps": 4})
    assert code == 2
    assert "class 0 is 'cat' to the teacher and 'dog' to the student" in told
