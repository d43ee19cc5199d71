"""A start that is not there is told by `kdgov check`, before a first stage is paid for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from kdgov.checkpoints.layer_choice import refuse_absent_starts
from kdgov.declarations.effects.release_file import load_release
from kdgov.errors import DeclarationError
from tests.conftest import ROOT

MINIATURE = ROOT / "registry/releases/miniature.yaml"
ONE, TWO = {"": 5}, {"encoder": 4, "decoder": 2}
SOFT = "{steps: 1, terms: [{kind: soft_targets}]}"


def refused(tmp_path: Path, stages: str, keep: str, depths: Mapping[str, int] = ONE) -> list[tuple[str, str]]:
    file = tmp_path / "release.yaml"
    own = MINIATURE.read_text(encoding="utf-8").replace("keep_layers: [0, 4]", f"keep_layers: {keep}").replace("../", f"{ROOT}/registry/")
    file.write_text(f"{own}\n{stages}", encoding="utf-8")
    try:
        refuse_absent_starts(load_release(file), depths, lambda name: tmp_path / name, file="release.yaml")
    except DeclarationError as error:
        return [(fault.key, fault.what) for fault in error.faults]
    return []


@pytest.mark.parametrize("keep", ["[0, 4]", "every_second", "first_and_last"])
def test_layers_that_are_there_pass(tmp_path, keep):
    assert refused(tmp_path, "", keep) == []


@pytest.mark.parametrize(("keep", "said"), [("[0, 5]", "layer 5"), ("[-1, 2]", "layer -1"), ("[2, 1]", "rising"), ("[1, 1]", "rising")])
def test_layers_that_are_not_there_are_told(tmp_path, keep, said):
    ((key, what),) = refused(tmp_path, "", keep)
    assert key == "student.keep_layers"
    assert said in what


def test_a_later_stage_counts_the_layers_of_the_assistant(tmp_path):
    stages = f"stages: [{{name: assistant, student: {{keep_layers: [0, 2, 4]}}, distillation: {SOFT}}}]"
    assert refused(tmp_path, stages, "[0, 2]") == []
    ((key, what),) = refused(tmp_path, stages, "[0, 3]")
    assert key == "student.keep_layers"
    assert "layers 0 to 2" in what


def test_every_stage_that_cannot_start_is_named_at_once(tmp_path):
    stages = (
        f"stages: [{{student: {{keep_layers: [0, 7]}}, distillation: {SOFT}}}, "
        f"{{student: {{model: ./absent, license: MIT}}, distillation: {SOFT}}}]"
    )
    assert [key for key, _ in refused(tmp_path, stages, "[0, 4]")] == ["stages[0].student.keep_layers", "stages[1].student.model"]


def test_unknown_layers_are_left_to_the_stage(tmp_path):
    assert refused(tmp_path, "", "[0, 99]", depths={}) == []


def test_a_student_that_is_trained_on_keeps_its_own_layers(tmp_path):
    stages = f"stages: [{{student: {{keep_layers: [0, 2]}}, distillation: {SOFT}}}]\nprevious: student"
    assert refused(tmp_path, stages, "[0, 4]") == []


@pytest.mark.parametrize("keep", ["{decoder: [0]}", "{encoder: [0, 3], decoder: every_second}", "[0, 1]", "every_second"])
def test_layers_of_each_side_that_are_there_pass(tmp_path, keep):
    assert refused(tmp_path, "", keep, TWO) == []


@pytest.mark.parametrize(
    ("keep", "depths", "said"),
    [
        ("{decoder: [0, 2]}", TWO, "layer 2; the teacher's decoder has layers 0 to 1"),
        ("{encoder: [4]}", TWO, "layer 4; the teacher's encoder has layers 0 to 3"),
        ("[0, 3]", TWO, "layer 3; the teacher's decoder has layers 0 to 1"),
        ("{decoder: [0]}", ONE, "one stack"),
    ],
)
def test_layers_that_a_side_does_not_have_are_told_before_any_compute(tmp_path, keep, depths, said):
    ((key, what),) = refused(tmp_path, "", keep, depths)
    assert key == "student.keep_layers"
    assert said in what


def test_a_later_stage_counts_each_side_of_the_assistant(tmp_path):
    stages = f"stages: [{{name: assistant, student: {{keep_layers: {{encoder: [0, 2, 3]}}}}, distillation: {SOFT}}}]"
    assert refused(tmp_path, stages, "{encoder: [2], decoder: [1]}", TWO) == []
    ((_, what),) = refused(tmp_path, stages, "{encoder: [3]}", TWO)
    assert "encoder has layers 0 to 2" in what
