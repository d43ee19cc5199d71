"""Several teachers are one distribution, the weighted mean of theirs; each is identified, licensed and only read."""

from __future__ import annotations

import json

import pytest
import torch
import yaml
from pydantic import ValidationError

from kdgov.declarations.effects.release_file import load_release
from kdgov.distillation import StudentStart, distill
from kdgov.distillation.mixture.mixed_distribution import Mixture, mean_distribution
from kdgov.errors import InputError
from kdgov.pipeline.context import open_release
from kdgov.pipeline.distill import step_key
from kdgov.pipeline.inputs.distill_inputs import distill_inputs
from tests.distillation import worlds
from tests.distillation.conftest import llama, write_tokenizer
from tests.distillation.test_run import recipe

SOFT = {"kind": "soft_targets", "temperature": 2.0}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_mixture_is_the_mean_of_the_distributions_at_the_terms_temperature(temperature):
    one, other = (torch.randn(6, 9, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
    expected = 0.25 * torch.softmax(one / temperature, -1) + 0.75 * torch.softmax(other / temperature, -1)
    torch.testing.assert_close(torch.softmax(mean_distribution([one, other], [0.25, 0.75], temperature) / temperature, -1), expected)


def test_labels_are_mixed_one_by_one_and_numbers_by_their_mean():
    one, other = torch.tensor([[0.0, 2.0, -1.0]]), torch.tensor([[1.0, -2.0, 0.5]])
    options = {"fused": False, "is_generative": False, "known": None}
    labels = Mixture([], [3.0], problem="multi_label", **options)
    torch.testing.assert_close(torch.sigmoid(labels.mixed([one, other], 1.0)), 0.25 * torch.sigmoid(one) + 0.75 * torch.sigmoid(other))
    torch.testing.assert_close(Mixture([], [3.0], problem="regression", **options).mean([one, other]), 0.25 * one + 0.75 * other)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two teachers of one tokenizer, the second with a padded output matrix."""
    folder = tmp_path_factory.mktemp("pair")
    for number, rows in enumerate((0, 8)):
        place = folder / "ab"[number]
        place.mkdir()
        llama(len(write_tokenizer(place)) + rows, layers=2, seed=number).save_pretrained(place)
    return folder


def _losses(folder):
    return [row["soft_targets"] for row in json.loads((folder / "losses.json").read_text())]


def _taught(pair, texts, output, *further, first="a", terms=(SOFT,), **changes):
    said = [{"model": name, "license": "MIT", "weight": weight} for name, weight in further]
    made = recipe(terms=list(terms), steps=3, checkpoint_every=100, further_teachers=said, **changes)
    start = StudentStart(model=pair / "a")
    return distill(made, pair / first, start, [texts], output, further_teachers=[pair / name for name, _ in further])


def test_weights_lead_from_one_teacher_to_the_other_whatever_the_padding(pair, texts, tmp_path):
    _taught(pair, texts, tmp_path / "b", first="b")
    record = _taught(pair, texts, tmp_path / "nearly-b", ("b", 1e7))
    _taught(pair, texts, tmp_path / "half", ("b", 1.0))
    assert _losses(tmp_path / "nearly-b") == pytest.approx(_losses(tmp_path / "b"), rel=1e-3)
    # The student is the first teacher: alone it has nothing to learn from it, half of the other one is less than all of it.
    assert 0.01 < _losses(tmp_path / "half")[0] < 0.6 * _losses(tmp_path / "b")[0]
    assert [one["weight"] for one in record.teacher["further"]] == [1e7]
    assert record.teacher["further"][0]["weights"] != record.teacher["weights"]


@pytest.mark.nightly
def test_samples_of_the_students_own_are_scored_by_all_teachers(pair, texts, tmp_path):
    own = {"kind": "on_policy", "fraction": 1.0, "max_new_tokens": 3}
    _taught(pair, texts, tmp_path / "b", first="b", terms=[own])
    _taught(pair, texts, tmp_path / "nearly-b", ("b", 1e7), terms=[own])
    assert _losses(tmp_path / "nearly-b") == pytest.approx(_losses(tmp_path / "b"), rel=1e-3)


def test_a_teacher_of_other_tokens_or_of_another_task_is_refused(pair, texts, tmp_path):
    worlds.stranger(pair / "stranger")
    with pytest.raises(InputError, match="the tokenizers differ"):
        _taught(pair, texts, tmp_path / "out", ("stranger", 1.0))
    worlds.bert(pair / "bert")
    with pytest.raises(InputError, match="bert is of the task text_classification, the teacher of causal_lm"):
        _taught(pair, texts, tmp_path / "out", ("bert", 1.0))


def test_a_classifier_learns_from_two_of_its_kind_and_from_none_of_other_classes(tmp_path):
    data = worlds.labelled_texts(tmp_path / "labelled.jsonl")
    first, second = (worlds.bert(tmp_path / name, seed=seed) for name, seed in (("first", 0), ("second", 5)))
    wider = worlds.bert(tmp_path / "wider", labels=4)
    said = recipe(terms=[SOFT], steps=2, further_teachers=[{"model": "second", "license": "MIT"}])
    record = distill(said, first, StudentStart(keep_layers=[0]), [data], tmp_path / "out", further_teachers=[second])
    assert record.teacher["further"][0]["weight"] == 1.0
    with pytest.raises(InputError, match="answers over 4 classes, the student over 3"):
        distill(said, first, StudentStart(keep_layers=[0]), [data], tmp_path / "no", further_teachers=[wider])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"cache": {"k": 4}}, "a cache holds the distribution of one"),
        ({"terms": [{"kind": "hard_labels"}]}, "has no soft_targets or on_policy term"),
        ({"terms": [{"kind": "universal_logits"}, {"kind": "on_policy"}]}, "universal_logits cannot"),
    ],
)
def test_what_cannot_mix_teachers_is_refused_where_it_is_declared(changes, why):
    with pytest.raises(ValidationError, match=why):
        recipe(**{"terms": [SOFT], **changes}, further_teachers=[{"model": "b", "license": "MIT"}])


def test_every_teacher_is_part_of_the_licence_case_and_of_what_decides_the_student(pair, texts, tmp_path):
    said = {
        "schema": "kdgov.release/1", "name": "r", "teacher": {"model": str(pair / "a")}, "student": {"keep_layers": [0]},
        "data": [str(texts)],
        "distillation": {"steps": 2, "further_teachers": [{"model": str(pair / "b"), "license": "CC-BY-NC-4.0", "weight": 0.5}]},
    }  # fmt: skip
    keys = []
    for weight in (0.5, 0.6):
        said["distillation"]["further_teachers"][0]["weight"] = weight
        (tmp_path / "r.yaml").write_text(yaml.safe_dump(said))
        context = open_release(tmp_path / "r.yaml", store=tmp_path / "store")
        keys.append(step_key(context, distill_inputs(context)))
    assert keys[0] != keys[1]
    assert load_release(tmp_path / "r.yaml").uses == [{"use": "logits", "name": str(pair / "b"), "license": "CC-BY-NC-4.0"}]


def _case_of(tmp_path, pair, texts, card, **further):
    from kdgov.pipeline.check import check_step

    if card is not None:
        (tmp_path / "b.yaml").write_text(yaml.safe_dump({"schema": "kdgov.model_card/1", "name": "medical", **card}))
        further = {"card": str(tmp_path / "b.yaml"), **further}
    said = {
        "schema": "kdgov.release/1", "name": "r", "teacher": {"model": str(pair / "a")}, "student": {"keep_layers": [0]},
        "data": [str(texts)],
        "distillation": {"steps": 2, "further_teachers": [{"model": str(pair / "b"), "license": "Apache-2.0", **further}]},
    }  # fmt: skip
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(said))
    made = check_step(open_release(tmp_path / "r.yaml", store=tmp_path / "store"))
    case, findings = (json.loads((made.folder / name).read_bytes()) for name in ("licence-case.json", "findings.json"))
    return [use for use in case["uses"] if use["use"] == "logits"], findings, made


def test_what_a_further_teacher_was_made_from_is_part_of_the_licence_case(pair, texts, tmp_path):
    """A licence that its own upstream brings reaches the student, as the first teacher's does."""
    lineage = [{"use": "generated_text", "name": "closed", "license": "CC-BY-NC-4.0"}]
    uses, findings, made = _case_of(tmp_path, pair, texts, {"license": "Apache-2.0", "lineage": lineage})
    (own,) = [use for use in uses if use["name"] == "medical"]
    assert (own["license"], own["made_by"][0]["license"]) == ("Apache-2.0", "CC-BY-NC-4.0")
    assert len(uses) == 2, "the use that the recipe states is the one of its card"
    assert any(f["check"] == "licence" and f["verdict"] in ("block", "review") and "CC-BY-NC" in json.dumps(f) for f in findings)
    assert {"teacher-2.weights", "teacher-2.card"} <= made.digests.keys()
    assert (made.folder / "cards" / "teacher-2.yaml").is_file()


def test_a_card_of_another_licence_or_other_weights_is_no_way_around(pair, texts, tmp_path):
    uses, _, _ = _case_of(tmp_path, pair, texts, {"license": "CC-BY-NC-4.0"})
    assert {use["license"] for use in uses if use["name"] in ("medical", str(pair / "b"))} == {"Apache-2.0", "CC-BY-NC-4.0"}
    _, findings, _ = _case_of(tmp_path, pair, texts, {"license": "Apache-2.0", "digest": "sha256:" + "0" * 64})
    assert any(f["rule"] == "provenance.model-changed" and "teacher" in f["subject"] for f in findings)
    _, findings, _ = _case_of(tmp_path, pair, texts, None)
    assert any(f["rule"] == "provenance.card-missing" and str(pair / "b") in f["subject"] for f in findings)
