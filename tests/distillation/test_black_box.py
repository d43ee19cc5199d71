"""A teacher that can only be asked: no weights, no logits, an OpenAI-compatible endpoint on loopback."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

import kdgov
from kdgov.checkpoints.identity import model_identity
from kdgov.cli.app import app
from kdgov.declarations.distillation import Distillation
from kdgov.declarations.effects.release_file import load_release
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.distillation import StudentStart, distill
from kdgov.errors import BlockedError, DeclarationError, InputError
from kdgov.pipeline.check import check_step
from kdgov.pipeline.context import open_release
from kdgov.pipeline.distill import distill_step
from kdgov.pipeline.run import resolve
from tests.distillation.conftest import llama, write_tokenizer

TERMS = "LicenseRef-OpenAI-Services-Agreement-2026-01-01"


@pytest.fixture
def base(tmp_path):
    """The checkpoint the student starts from: all the weights there are."""
    folder = tmp_path / "base"
    folder.mkdir()
    llama(len(write_tokenizer(folder)), layers=2, seed=5).save_pretrained(folder)
    return folder


def endpoint(server):
    return {"base_url": f"http://127.0.0.1:{server.server_port}/v1", "model": "big-model", "terms": TERMS, "retries": 0}


def release(folder, server, questions, **changes):
    said = {
        "schema": "kdgov.release/1",
        "name": "black-box",
        "teacher": {"endpoint": endpoint(server)},
        "student": {"model": "base"},
        "data": [str(questions)],
        "distillation": {"terms": [{"kind": "teacher_text", "max_new_tokens": 5}], "steps": 6, "batch_size": 8, "learning_rate": 3e-3},
    }
    path = folder / "release.yaml"
    path.write_text(yaml.safe_dump({**said, **changes}))
    return path


def test_a_student_learns_from_a_teacher_without_weights_and_the_record_says_what_is_not_known(server, questions, base, tmp_path):
    context = open_release(release(tmp_path, server, questions), store=tmp_path / "store")
    finished = distill_step(context)
    assert len(server.asked) == 20
    assert {body["model"] for _, _, body in server.asked} == {"big-model"}
    record = json.loads((finished.folder / "distillation.json").read_text())
    assert record["teacher"]["generator"] == "big-model"
    assert record["teacher"]["terms"] == TERMS
    assert {"weights", "logits"} <= set(record["teacher"]["not_available"])
    assert record["student"] == model_identity(finished.folder / "student").as_json()
    assert record["student_start"]["model"]["weights"] == model_identity(base).weights
    (shard,) = record["teacher_text"]
    assert (shard["access"], shard["generator"], shard["terms"], shard["rows"]) == ("api", "big-model", TERMS, 20)
    assert len(shard["date"]) == 10
    assert any("not available and were not checked" in warning for warning in finished.facts["warnings"])
    assert distill_step(context).reused
    assert len(server.asked) == 20


def test_the_check_holds_it_for_review_and_stops_under_a_policy_that_does_not_allow_it(server, questions, base, tmp_path):
    context = open_release(release(tmp_path, server, questions), store=tmp_path / "store")
    checked = check_step(context)
    found = json.loads((checked.folder / "findings.json").read_text())
    told = [finding for finding in found if finding["rule"] == "provenance.teacher-endpoint"]
    assert [finding["verdict"] for finding in told] == ["review"]
    assert "weights" in told[0]["details"]["not_available"]
    assert any(finding["rule"].startswith("licence.") and "big-model" in finding["subject"] for finding in found)
    assert checked.stops
    assert "evidence.backend" in checked.facts["stopped_by"]


def test_a_credential_in_what_the_teacher_wrote_stops_every_door_before_training(server, base, tmp_path):
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"prompt": "What opens the door?"}) + "\n")
    server.says = "AKIA" + "Q3EGRIFYB5XK7WZA"
    path, store = release(tmp_path, server, questions), tmp_path / "store"
    for command in ("generate", "distill"):
        done = CliRunner().invoke(app, [command, str(path), "--store", str(store)])
        assert done.exit_code == 1, done.output
        assert "blocked before training: 1 finding on the teacher's text" in " ".join(done.stdout.split())
        assert "privacy block" in done.stdout
    with pytest.raises(InputError, match="nothing was trained"):
        kdgov.distill(path, store=store)
    with pytest.raises(BlockedError, match="nothing was trained"):
        resolve(open_release(path, store=store), until="evaluate")
    assert not (store / "steps" / "distill").exists()
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"distillation": {"terms": [{"kind": "soft_targets"}]}}, "learns from soft_targets"),
        ({"student": {"keep_layers": [0]}}, "without weights or tokenizer of its own"),
        (
            {"teacher": {"model": "x", "endpoint": {"base_url": "http://x", "model": "y", "terms": "MIT"}}},
            "exactly one of model and endpoint",
        ),
        ({"teacher": {"card": "x.yaml"}}, "exactly one of model and endpoint"),
    ],
)
def test_what_an_endpoint_cannot_give_is_refused_where_it_is_declared(changes, said, server, questions, tmp_path):
    with pytest.raises(DeclarationError, match=said):
        load_release(release(tmp_path, server, questions, **changes))


def test_a_recipe_from_code_is_refused_alike(server, questions, base, tmp_path):
    asked = Endpoint.model_validate(endpoint(server))
    soft = Distillation.model_validate({"terms": [{"kind": "soft_targets"}]})
    with pytest.raises(InputError, match="soft_targets needs the teacher's logits"):
        distill(soft, asked, StudentStart(model=base), [questions], tmp_path / "a")
    text = Distillation.model_validate({"terms": [{"kind": "teacher_text"}]})
    with pytest.raises(InputError, match="has no tokenizer"):
        distill(text, asked, StudentStart(keep_layers=[0]), [questions], tmp_path / "b")
