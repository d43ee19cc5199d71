"""Names of people and places: counted where a model is installed, said to be uncovered where none is."""

from __future__ import annotations

import datetime
import json
from importlib.metadata import entry_points
from importlib.util import find_spec

import pytest
import yaml

from kdgov.checks.pii import person_names as names
from kdgov.checks.pii.person_names import MODEL_VARIABLE, NameCount, NamesModel, count_names, names_model
from kdgov.errors import UnavailableError
from tests.checks.conftest import world_policy

TODAY = datetime.date(2026, 11, 22)
MODEL = NamesModel(name="rules", language="en", version="1")
needs_presidio = pytest.mark.skipif(find_spec("presidio_analyzer") is None, reason="presidio is not installed (extra `names`)")


@pytest.fixture
def no_model(monkeypatch):
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    monkeypatch.setattr(names, "entry_points", lambda group: ())


def test_without_a_model_names_are_said_to_be_uncovered(world, no_model):
    assert names_model() is None
    told = [f for f in world.findings(today=TODAY) if f.rule == "privacy.scanned"]
    assert told
    assert "Not covered: names of people and places (no model" in told[0].reason


def test_presidio_without_a_model_covers_nothing_and_fetches_nothing(no_model, monkeypatch):
    """Installed but without weights, presidio would download: it is not even loaded."""
    monkeypatch.setattr(names.importlib, "import_module", lambda name: pytest.fail(f"loaded {name}"))
    assert names_model() is None


def test_a_named_model_that_is_not_there_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv(MODEL_VARIABLE, str(tmp_path))
    monkeypatch.setattr(names.importlib.util, "find_spec", lambda name: object())
    with pytest.raises(UnavailableError, match="not a spaCy model"):
        names_model()
    monkeypatch.setattr(names.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match="presidio is not installed"):
        names_model()


def _counting(monkeypatch, tmp_path, person: int = 2, place: int = 1) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "meta.json").write_text(json.dumps({"lang": "en", "version": "1"}))
    monkeypatch.setenv(MODEL_VARIABLE, str(tmp_path / "rules"))
    monkeypatch.setattr(names.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(names, "_analyzer", lambda model: lambda text: ["PERSON"] * person + ["LOCATION"] * place)


def test_names_are_counted_and_stop_nothing_where_the_policy_sets_no_limit(world, monkeypatch, tmp_path):
    _counting(monkeypatch, tmp_path)
    told = next(f for f in world.findings(today=TODAY) if f.rule == "privacy.names-counted")
    assert told.verdict == "pass"
    assert told.details["counts"] == {"person": 160, "place": 80}
    assert told.details["model"] == ["rules", "1"]
    assert "Not covered: names" not in json.dumps([f.as_json() for f in world.findings(today=TODAY)])


def test_a_policy_may_limit_names_by_release_intent(world, monkeypatch, tmp_path):
    _counting(monkeypatch, tmp_path)
    own = {**world_policy(), "data": {"personal_per_mb": {"weights": {"person": 10}}}}
    (world.folder / "policy.yaml").write_text(yaml.safe_dump(own))
    world.release["policy"] = "policy.yaml"
    found = world.rules(today=TODAY)["privacy.names-found"]
    assert found.verdict == "review"
    assert "person names per MB where 10 may be" in found.reason
    assert "place" not in found.reason.split(":")[0]


def test_the_rest_of_a_large_corpus_is_left_out_evenly(tmp_path, monkeypatch):
    monkeypatch.setattr(names, "_analyzer", lambda model: lambda text: ["PERSON"])
    monkeypatch.setattr(names, "SAMPLE_BYTES", 1000)
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"text": f"row {n:04d} " + "x" * 91}) + "\n" for n in range(400)))
    counted = count_names([file], text_bytes=40_000, model=MODEL)
    assert counted.text_bytes == pytest.approx(1000, abs=100)
    assert counted.per_megabyte["person"] == pytest.approx(1e6 / 100)
    assert NameCount(model=MODEL, counts={"person": 0}, text_bytes=0).per_megabyte == {"person": 0.0}


@needs_presidio
@pytest.mark.nightly
def test_presidio_finds_what_an_installed_model_knows(tmp_path):
    """A real spaCy pipeline (rules instead of weights, which no index ships) behind the real presidio, without any network."""
    import spacy

    pipeline = spacy.blank("en")
    rules = pipeline.add_pipe("entity_ruler")
    rules.add_patterns([{"label": "PERSON", "pattern": "Jane Roe"}, {"label": "GPE", "pattern": "Bonn"}])
    pipeline.to_disk(tmp_path / "rules")
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"text": "Jane Roe moved from Bonn to the coast."}) + "\n" + json.dumps({"text": "Nobody moved."}) + "\n")
    model = NamesModel(name=str(tmp_path / "rules"), language="en", version="0")
    assert count_names([file], text_bytes=60, model=model).counts == {"person": 1, "place": 1}


@needs_presidio
def test_no_model_is_installed_here_unless_it_is_named():
    """What CI covers: the honest statement, not the names."""
    assert (names_model() is None) == (not entry_points(group="spacy_models"))
