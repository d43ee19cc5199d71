"""Cards: a small honest card loads, an unknown field does not, and every fault is named at once."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from kdgov.declarations.cards import DatasetCard, ModelCard, load_card, load_dataset_card, load_model_card
from kdgov.declarations.data_origin import PersonalData
from kdgov.errors import DeclarationError

DIGEST = "sha256:" + "0a" * 32


def written(folder: Path, text: str) -> Path:
    path = folder / "card.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_name_is_all_a_card_needs(tmp_path: Path) -> None:
    card = load_model_card(written(tmp_path, "schema: kdgov.model_card/1\nname: small\n"))
    assert card.name == "small"
    assert card.license is None
    assert card.personal_data is None


def test_lineage_nests_as_deep_as_it_goes(tmp_path: Path) -> None:
    card = load_dataset_card(
        written(
            tmp_path,
            """
schema: kdgov.dataset_card/1
name: synthetic
lineage:
  - use: generated_text
    name: m1
    license: MIT
    made_by: [{use: weights_init, name: m2, license: llama3, made_by: [{use: dataset_train, name: d}]}]
""",
        )
    )
    assert card.lineage[0].made_by[0].made_by[0].name == "d"


def test_bare_hexadecimal_digits_become_a_digest(tmp_path: Path) -> None:
    card = load_dataset_card(
        written(tmp_path, f"schema: kdgov.dataset_card/1\nname: d\nfiles:\n  - {{path: a.txt, digest: '{DIGEST[7:].upper()}'}}\n")
    )
    assert card.files[0].digest == DIGEST


def test_personal_data_is_no_or_a_record_or_unsaid(tmp_path: Path) -> None:
    head = "schema: kdgov.dataset_card/1\nname: d\n"
    assert load_dataset_card(written(tmp_path, head + "personal_data: false\n")).personal_data is False
    record = load_dataset_card(
        written(tmp_path, head + "personal_data: {lawful_basis: consent, purposes: model_training, retention_until: 2027-01-31}\n")
    ).personal_data
    assert isinstance(record, PersonalData)
    assert record.purposes == ["model_training"]
    assert record.retention_until == datetime.date(2027, 1, 31)


def test_every_fault_is_named_at_once_with_line_and_mend(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "schema: kdgov.dataset_card/1\nname: d\nlicence: MIT\nfiles:\n  - {path: a, digest: abc}\nlineage:\n  - {use: stolen, name: x}\n",
    )
    with pytest.raises(DeclarationError) as caught:
        load_dataset_card(path)
    keys = {fault.key: fault for fault in caught.value.faults}
    assert keys["licence"].line == 3
    assert "`license`" in keys["licence"].mend
    assert "files[0].digest" in keys
    assert "lineage[0].use" in keys


def test_a_file_named_twice_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="more than once"):
        load_dataset_card(written(tmp_path, "schema: kdgov.dataset_card/1\nname: d\nfiles: [{path: a}, {path: a}]\n"))


def test_the_schema_says_which_kind_of_card_it_is(tmp_path: Path) -> None:
    assert isinstance(load_card(written(tmp_path, "schema: kdgov.model_card/1\nname: m\n")), ModelCard)
    assert isinstance(load_card(written(tmp_path, "schema: kdgov.dataset_card/1\nname: m\n")), DatasetCard)
    with pytest.raises(DeclarationError, match="not a kind of card"):
        load_card(written(tmp_path, "schema: kdgov.card/9\nname: m\n"))
