"""The weight of a data entry: that weight on each of its lines, part of what identifies a result, refused where it reaches nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import yaml

from kdgov.declarations.data_parts.data_use import DataUse
from kdgov.declarations.distillation import OnPolicy
from kdgov.distillation import StudentStart, distill
from kdgov.distillation.data.examples import read_data, unique_names
from kdgov.distillation.data.tokenization import TokenCollator, TokenExample
from kdgov.distillation.inputs import gather_inputs
from kdgov.distillation.sampling import StudentSampler
from kdgov.errors import InputError
from kdgov.pipeline.context import open_release
from kdgov.pipeline.distill import step_key
from kdgov.pipeline.inputs.distill_inputs import distill_inputs
from kdgov.progress import silent
from tests.distillation import worlds
from tests.distillation.test_run import recipe, same


def test_a_files_weight_is_that_weight_on_each_of_its_lines(teacher, texts, questions, tmp_path):
    rows = [json.loads(line) for line in questions.read_text().splitlines()]
    weighed = tmp_path / questions.name
    weighed.write_text("".join(json.dumps({**row, "weight": 0.25}) + "\n" for row in rows))
    short = recipe(steps=3, checkpoint_every=100)
    start = StudentStart(keep_layers=[0, 3])
    distill(short, teacher, start, [texts, questions], tmp_path / "file", data_uses=[DataUse(), DataUse(weight=0.25)])
    distill(short, teacher, start, [texts, weighed], tmp_path / "line")
    assert same(tmp_path / "file", tmp_path / "line")


def test_a_lines_own_weight_and_its_files_are_multiplied(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text('{"text": "one", "weight": 2.0}\n{"text": "two"}\n')
    assert [example.weight for example in read_data([path], uses=[DataUse(weight=0.5)]).examples] == [1.0, 0.5]


def test_a_weight_on_prompts_that_a_teacher_answers_is_refused(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"id": "p", "prompt": "Say one."}\n')
    with pytest.raises(InputError, match="item p awaits an answer") as caught:
        read_data([path], as_prompts=True, uses=[DataUse(weight=0.5)])
    assert "teacher_text" in caught.value.mend


def test_entries_of_a_release_are_weighed_and_their_weights_decide_the_result(teacher, texts, questions, tmp_path):
    said = {
        "schema": "kdgov.release/1", "name": "weighed", "teacher": {"model": str(teacher)}, "student": {"keep_layers": [0, 3]},
        "distillation": {"steps": 2},
    }  # fmt: skip
    keys = []
    for name, weight in (("a", None), ("b", 1.0), ("c", 0.25)):
        entry = {"path": str(questions)} if weight is None else {"path": str(questions), "weight": weight}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**said, "data": [str(texts), entry]}))
        context = open_release(path, store=tmp_path / "store")
        inputs = distill_inputs(context)
        keys.append(step_key(context, inputs))
    assert [use.weight for use in inputs.uses] == [1.0, 0.25]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("by_example", [False, True])
def test_a_sample_of_the_students_own_weighs_what_its_example_does(by_example):
    collate = TokenCollator(pad_id=0, by_example=by_example)
    rows = [
        TokenExample(item_id=str(n), ids=np.array([5, 6, 7, 8], np.int32), first_target=2, weight=w, content="")
        for n, w in enumerate((1.0, 0.25))
    ]
    sampler = StudentSampler(term=OnPolicy(kind="on_policy"), pad_id=0, end_id=2, seed=0, by_example=by_example)
    batch = collate(list(enumerate(rows)))
    prompts, _, lengths = sampler._left_padded(batch)
    written = torch.cat([prompts, torch.tensor([[9, 9, 9, 2], [9, 2, 0, 0]])], dim=1)
    weights = sampler._as_batch(batch, written, lengths, prompts.shape[1])["weights"]
    assert weights.sum(1).tolist() == ([1.0, 0.25] if by_example else [4.0, 0.5])


def test_files_of_one_name_are_all_recorded_and_all_decide_the_run(teacher, texts, questions, tmp_path):
    places = []
    for folder, source in (("a", texts), ("b", questions)):
        (tmp_path / folder).mkdir()
        places.append(tmp_path / folder / "train.jsonl")
        places[-1].write_bytes(source.read_bytes())
    assert unique_names([*places, texts]) == {"a/train.jsonl": places[0], "b/train.jsonl": places[1], texts.name: texts}
    options = {"prompt_files": (), "cache_root": tmp_path, "progress": silent}
    runs = []
    for _ in range(2):
        found = gather_inputs(recipe(steps=2), teacher, StudentStart(keep_layers=[0]), places, tmp_path / "out", **options)
        assert sorted(found.data) == ["a/train.jsonl", "b/train.jsonl"]
        runs.append(found.run)
        places[0].write_text('{"text": "another text"}\n')
    assert runs[0] != runs[1]


def test_another_image_is_another_student(tmp_path):
    listing = worlds.labelled_images(tmp_path / "images")
    said = {"schema": "kdgov.release/1", "name": "images", "teacher": {"model": str(worlds.vit(tmp_path / "vit"))}, "data": [str(listing)]}
    said |= {"student": {"keep_layers": [0, 2], "kind": "classifier"}, "distillation": {"steps": 2}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(said))
    context = open_release(tmp_path / "r.yaml", store=tmp_path / "store")
    options = {"prompt_files": (), "cache_root": tmp_path, "progress": silent}
    found = []
    for _ in range(2):
        inputs = distill_inputs(context)
        run = gather_inputs(recipe(steps=2), inputs.source, StudentStart(keep_layers=[0]), list(inputs.data), tmp_path / "out", **options)
        found.append((step_key(context, inputs), run.run, run.data["images and sounds"]))
        (tmp_path / "images" / "0.png").write_bytes((tmp_path / "images" / "1.png").read_bytes())
    assert all(first != second for first, second in zip(*found, strict=True))
