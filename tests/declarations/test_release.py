"""The release declaration: the contract's shape loads, contradictions are refused, the small one has sound defaults."""

from __future__ import annotations

import pytest
import yaml

from kdgov.declarations.effects.release_file import load_release
from kdgov.declarations.load import validate
from kdgov.declarations.release import Release
from kdgov.errors import DeclarationError

SMALL = {
    "schema": "kdgov.release/1",
    "name": "small",
    "teacher": {"model": "teacher"},
    "student": {"keep_layers": [0, 2]},
    "data": ["texts.txt"],
    "distillation": {"terms": [{"kind": "soft_targets"}], "steps": 10},
}

CONTRACT = """
schema: kdgov.release/1
name: support-student
teacher: {model: ../models/teacher, revision: null, card: registry/models/teacher.yaml}
student: {keep_layers: [0, 2, 4]}
data: [{card: registry/datasets/support.yaml}]
distillation:
  terms:
    - {kind: soft_targets, loss: forward_kl, temperature: 2.0, weight: 0.7}
    - {kind: hard_labels, weight: 0.3}
  steps: 800
  batch_size: 16
  learning_rate: 1.0e-3
  seed: 0
suites: [capability, safety, bias, privacy]
policy: policies/default.yaml
release: {distribution: weights, commercial: true, research: false}
organization: {kind: company, principal_place: DE}
accountable: {model_owner: a, risk: b, product: c, informed: {product: 2026-11-20}}
trade_offs: "One paragraph for product and policy partners."
"""


def faults(change):
    value = {**SMALL, **change}
    with pytest.raises(DeclarationError) as caught:
        validate(value, Release, file="r.yaml")
    return {f.key: f for f in caught.value.faults}


def test_the_shape_of_the_contract_loads_as_it_stands():
    release = validate(yaml.safe_load(CONTRACT), Release, file="r.yaml")
    assert release.accountable.informed == {"product": "2026-11-20"}
    assert [t.kind for t in release.distillation.terms] == ["soft_targets", "hard_labels"]


def test_a_path_layers_and_text_files_are_enough():
    release = validate(SMALL, Release, file="r.yaml")
    assert release.suites == ["capability", "safety", "bias", "privacy"]
    assert release.policy == "policies/default.yaml"
    assert release.data[0].path == "texts.txt"


@pytest.mark.parametrize(
    ("change", "key", "says"),
    [
        ({"student": {}}, "student", "exactly one of keep_layers, config, model"),
        ({"student": {"keep_layers": [0], "model": "m"}}, "student", "keep_layers and model"),
        ({"student": {"keep_layers": [0], "adapter": {"r": 4}}}, "student", "no `model`"),
        ({"data": [{"card": "a", "path": "b"}]}, "data[0]", "exactly one of card and path"),
        ({"data": []}, "", "no data"),
        ({"distillation": None}, "", "not a finished model"),
        ({"name": "a/b"}, "name", "pattern"),
        ({"release": {"distribution": "everyone"}}, "release.distribution", "not one of the allowed"),
        ({"organization": {"principal_place": "Paris"}}, "organization.principal_place", "not a country"),
    ],
)
def test_a_contradiction_is_named_at_its_key(change, key, says):
    found = faults(change)
    assert says in found[key].what, found


@pytest.mark.parametrize(("written", "code"), [("Deutschland", "DE"), ("deu", "DE"), (False, "NO"), ("", None), (None, None)])
def test_a_seat_is_kept_as_its_code(written, code):
    release = validate({**SMALL, "organization": {"principal_place": written}}, Release, file="r.yaml")
    assert release.organization.principal_place == code


def test_every_file_a_release_names_must_exist_and_all_absent_ones_are_named(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump({**SMALL, "teacher": {"model": "t", "card": "card.yaml"}}))
    with pytest.raises(DeclarationError) as caught:
        load_release(path)
    assert {f.key for f in caught.value.faults} == {"teacher.card", "data[0].path"}


def test_a_dataset_of_the_hub_in_the_place_of_a_file_is_told_how_to_be_fetched(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump({**SMALL, "data": [{"path": "nyu-mll/blimp"}, {"path": "data/absent.jsonl"}]}))
    with pytest.raises(DeclarationError) as caught:
        load_release(path)
    told = {f.key: f.mend for f in caught.value.faults}
    assert "`{hub: nyu-mll/blimp, revision: COMMIT}`" in told["data[0].path"]
    assert "hf download" not in told["data[1].path"]
