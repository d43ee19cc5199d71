"""Cards from disk, from the Hub, to and from Croissant; their tables; the picture of a lineage."""

from __future__ import annotations

import json
import warnings
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from kdgov.checks.cards.card_columns import table_faults
from kdgov.checks.cards.croissant import read_croissant, to_croissant
from kdgov.checks.cards.draft_card import card_faults, card_yaml, imported_card, new_dataset_card, new_model_card
from kdgov.checks.cards.interchange import card_beside_model, dataset_card_from_hub, model_card_from_hub
from kdgov.declarations.cards import DatasetCard, load_dataset_card
from kdgov.errors import InputError
from kdgov.report.charts.licence_lineage import lineage_svg
from tests.checks.conftest import World
from tests.checks.test_violations import TODAY
from tests.command import kdgov

ROOT = Path(__file__).parent.parent.parent
HUB = """---
license: other
license_name: qwen-research
base_model: [org/first, org/second]
base_model_relation: distillation
datasets: org/data
language: en
tags: [small]
widget: {text: hello}
---
# A model
"""


def test_a_hub_model_card_keeps_licence_lineage_and_the_rest(tmp_path):
    (tmp_path / "README.md").write_text(HUB)
    card = card_beside_model(tmp_path)
    assert card.license == "qwen-research"
    assert [(e.use, e.name) for e in card.lineage] == [
        ("generated_text", "org/first"),
        ("generated_text", "org/second"),
        ("dataset_train", "org/data"),
    ]
    assert card.further == {"widget": {"text": "hello"}}


@pytest.mark.parametrize(("relation", "use"), [("finetune", "weights_init"), ("quantized", "weights_init"), (None, "weights_init")])
def test_what_a_base_model_was_used_for(relation, use):
    matter = {"base_model": "b"} | ({"base_model_relation": relation} if relation else {})
    assert model_card_from_hub(matter, name="m", file="README.md").lineage[0].use == use


def test_several_licences_of_a_hub_card_all_apply():
    assert dataset_card_from_hub({"license": ["mit", "cc-by-sa-4.0"]}, name="d", file="README.md").license == "mit AND cc-by-sa-4.0"


def test_a_readme_without_front_matter_says_nothing(tmp_path):
    (tmp_path / "README.md").write_text("# Just words\n")
    assert card_beside_model(tmp_path) is None
    with pytest.raises(InputError, match="no front matter"):
        imported_card(tmp_path / "README.md")


def test_a_model_without_a_card_takes_the_hub_card_beside_its_weights(world: World):
    world.release["teacher"].pop("card")
    (world.folder / "teacher" / "README.md").write_text("---\nlicense: llama3\n---\n")
    denied = [f for f in world.findings(today=TODAY) if f.check == "licence" and f.verdict == "block"]
    assert denied


FULL = DatasetCard.model_validate(
    {
        "schema": "kdgov.dataset_card/1",
        "name": "full",
        "version": "2.0",
        "id": "doi:10.1/x",
        "issuer": "An issuer",
        "description": "What it is.",
        "location": "https://example.org/d",
        "date": "2026-02-03",
        "license": "CC-BY-4.0",
        "copyright": "© An issuer",
        "language": ["en", "de"],
        "tags": ["a", "b"],
        "origin": "Forms filled in by hand",
        "generation_method": "collected",
        "intended_purpose": "Tests",
        "personal_data": False,
        "files": [{"path": "a.jsonl", "digest": "sha256:" + "1" * 64, "size_bytes": 12, "kind": "sums"}, {"path": "b.parquet"}],
        "columns": [
            {"name": "id", "type": "integer", "unique": True, "description": "number"},
            {"name": "when", "type": "date"},
            {"name": "words", "type": "list"},
        ],
    }
)


def test_croissant_round_trip_keeps_what_croissant_has_terms_for(tmp_path):
    path = tmp_path / "croissant.json"
    path.write_text(json.dumps(to_croissant(FULL)))
    back = read_croissant(path)
    for name in DatasetCard.model_fields:
        ours, theirs = getattr(FULL, name), getattr(back, name)
        if name == "columns":
            assert [(c.name, c.type, c.unique) for c in ours] == [(c.name, c.type, c.unique) for c in theirs]
        else:
            assert ours == theirs, name


def test_the_reference_reader_accepts_our_croissant(tmp_path):
    reference = pytest.importorskip("mlcroissant", reason="mlcroissant, the reference reader, is not installed")
    path = tmp_path / "croissant.json"
    path.write_text(json.dumps(to_croissant(load_dataset_card(ROOT / "registry" / "datasets" / "miniature.yaml"))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = reference.Dataset(jsonld=str(path))
    assert dataset.metadata.name == "miniature-distillation"
    assert not list(dataset.metadata.issues.errors)


def test_croissant_with_prefixed_keys_and_people(tmp_path):
    document = {
        "@context": {},
        "@type": "sc:Dataset",
        "dct:conformsTo": "http://mlcommons.org/croissant/1.0",
        "sc:name": "them",
        "sc:creator": [{"@type": "sc:Person", "sc:name": "One"}, {"@type": "sc:Person", "sc:name": "Two"}],
        "sc:license": "https://spdx.org/licenses/MIT.html",
        "rai:personalSensitiveInformation": "Names of patients",
        "cr:recordSet": {"cr:field": {"@id": "r/x", "cr:dataType": {"@id": "sc:Integer"}}},
    }
    (tmp_path / "c.json").write_text(json.dumps(document))
    card = read_croissant(tmp_path / "c.json")
    assert (card.name, card.issuer, card.license, card.personal_data) == ("them", "One, Two", "MIT", True)
    assert [(c.name, c.type) for c in card.columns] == [("x", "integer")]


@pytest.mark.parametrize("text", ["[]", "{}", "no json"])
def test_what_is_no_croissant_is_refused(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError):
        read_croissant(tmp_path / "c.json")


def test_a_new_card_checks_out_until_its_file_changes(tmp_path):
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"id": n, "text": f"row {n}", "score": n / 2}) + "\n" for n in range(5)))
    path = tmp_path / "card.yaml"
    path.write_text(card_yaml(new_dataset_card([data], beside=tmp_path)))
    card = load_dataset_card(path)
    assert [(c.name, c.type) for c in card.columns] == [("id", "integer"), ("text", "text"), ("score", "number")]
    assert card_faults(path) == []
    assert table_faults(path, card) == []
    data.write_text('{"id": "x", "text": 3}\n')
    assert {fault.key for fault in card_faults(path)} == {"files[0].digest", "files[0].rows"}
    said = {(fault.key, fault.what) for fault in table_faults(path, card)}
    assert ("id", "row 1: is not an integer") in said
    assert ("text", "row 1: is not text") in said
    assert any(key == "score" for key, _ in said)


@pytest.mark.parametrize(
    ("column", "rows", "what"),
    [
        ({"name": "a", "type": "integer", "minimum": 0}, [1, -1], "row 2: is below 0"),
        ({"name": "a", "type": "number", "maximum": 1}, [0.5, 2], "row 2: is above 1"),
        ({"name": "a", "allowed": ["x", "y"]}, ["x", "z"], "row 2: is not one of the allowed values"),
        ({"name": "a", "pattern": "[a-z]+"}, ["abc", "abc1"], "row 2: does not match [a-z]+"),
        ({"name": "a", "unique": True}, ["x", "y", "x"], "row 3: repeats a value that should be unique"),
        ({"name": "a"}, ["x", None], "row 2: is missing"),
        ({"name": "a", "type": "boolean"}, [True, 1], "row 2: is not a boolean"),
        ({"name": "a", "type": "integer"}, [1, True], "row 2: is not an integer"),
        ({"name": "a", "type": "date"}, ["2026-01-31", "2026-02-31"], "row 2: is not a date"),
        ({"name": "b", "required": False}, ["x"], "is a column the card does not name"),
    ],
)
def test_a_row_that_breaks_its_column_is_named(tmp_path, column, rows, what):
    (tmp_path / "d.jsonl").write_text("".join(json.dumps({"a": value}) + "\n" for value in rows))
    card = DatasetCard.model_validate({"schema": "kdgov.dataset_card/1", "name": "d", "files": [{"path": "d.jsonl"}], "columns": [column]})
    assert [fault.what for fault in table_faults(tmp_path / "card.yaml", card)] == [what]


def test_a_new_model_card_has_the_identity_of_the_weights():
    card = new_model_card(ROOT / "registry" / "models" / "miniature-teacher")
    assert card.digest is not None
    assert card.parameters == 1131264


def test_the_command_makes_checks_and_exports_cards(tmp_path):
    (tmp_path / "d.jsonl").write_text('{"text": "a"}\n')
    card = tmp_path / "d.yaml"
    assert kdgov("card", "new", tmp_path / "d.jsonl", "--out", card).code == 0
    assert kdgov("card", "new", tmp_path / "d.jsonl", "--out", card).code == 2
    assert kdgov("card", "check", card).code == 0
    assert kdgov("card", "export", card).document["@type"] == "sc:Dataset"
    card.write_text(card.read_text() + "licence: MIT\n")
    kdgov("card", "check", card).refuses(2, "licence", "Did you mean `license`")


# The picture


def drawing(name: str, verdict: str) -> ET.Element:
    edge = {"use": "logits", "name": name, "license": "MIT", "verdict": verdict, "clause": "1.b", "reason": "because", "made_by": []}
    text = lineage_svg(
        {"student": {"name": "s", "license": "MIT"}}, {"verdict": verdict, "gate": "hold", "uses": [{**edge, "made_by": [edge]}]}
    )
    return ET.fromstring(text)


@pytest.mark.parametrize("verdict", ["allow", "allow_with_obligations", "needs_review", "deny"])
def test_every_edge_of_the_picture_tells_its_verdict_in_words(verdict):
    words = {"allow": "allow", "allow_with_obligations": "allow, with obligations", "needs_review": "needs review", "deny": "deny"}
    told = [t.text for t in drawing("teacher", verdict).iter("{http://www.w3.org/2000/svg}text")]
    assert told.count(f"logits: {words[verdict]}") == 2


def test_names_cannot_break_out_of_the_picture():
    hostile = '"><script>alert(1)</script>&'
    tree = drawing(hostile, "deny")
    assert not list(tree.iter("{http://www.w3.org/2000/svg}script"))
    assert any(hostile[:20] in (t.text or "") for t in tree.iter())


def test_the_command_draws_the_release(world: World):
    picture = world.folder / "lineage.svg"
    answer = kdgov("check", world.write(), "--store", world.folder / "store", "--graph", picture, "--format", "json")
    assert answer.code == 0, answer.err
    assert answer.document["stops"] is False
    assert "teacher" in picture.read_text()


def test_parts_scanned_apart_are_put_together(world: World):
    world.data["files"] = [{"path": f"part-{n}.jsonl"} for n in range(3)]
    for n in range(3):
        (world.folder / f"part-{n}.jsonl").write_text(json.dumps({"prompt": f"How many are {n}?", "completion": "no"}) + "\n")
    release, folder = world.write(), world.folder / "shared"
    for part in ("1/2", "2/2"):
        assert kdgov("check", release, "--part", part, "--scan-folder", folder, "--store", world.folder / "store").code == 0
    assert len(list(folder.glob("scan-*.json"))) == 4  # the logged inputs too
    whole = kdgov("check", release, "--scan-folder", folder, "--store", world.folder / "store", "--format", "json").document
    alone = kdgov("check", release, "--store", world.folder / "other", "--format", "json").document
    assert whole["findings"] == alone["findings"]
    kdgov("check", release, "--part", "3/2", "--scan-folder", folder).refuses(2, "part 3 of 2")


def test_show_fills_in_every_default(world: World):
    shown = kdgov("check", world.write(), "--show")
    assert shown.code == 0
    assert "learning_rate" in shown.out
    assert "keep_layers" in shown.out


def test_rules_are_listed_with_their_sources():
    rows = kdgov("check", "--rules", "--format", "json").document
    assert {row["rule"] for row in rows} >= {"provenance.file-changed", "practice.benchmarks-only"}
    assert all(row["source"] for row in rows)


def test_prompts_of_the_recipe_are_scanned(world: World):
    question = world.items[0]["question"]
    (world.folder / "prompts.jsonl").write_text(json.dumps({"prompt": question}) + "\n")
    world.release["distillation"]["terms"] = [{"kind": "teacher_text", "prompts": "prompts.jsonl"}, {"kind": "soft_targets"}]
    finding = world.rules(today=TODAY)["contamination.verbatim"]
    assert "prompts.jsonl row 1" in finding.reason


def test_a_new_card_names_the_licence_file_beside_the_weights_from_where_it_lies(world, tmp_path):
    (world.folder / "teacher" / "LICENSE").write_text("You may.")
    cards = tmp_path / "cards"
    cards.mkdir()
    named = str(new_model_card(world.folder / "teacher", beside=cards).license_text)
    assert named == "../teacher/LICENSE"
    assert (cards / named).read_text() == "You may."
