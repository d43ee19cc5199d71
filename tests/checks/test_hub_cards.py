"""Cards in the shape the Hub has them: their kind, their names, and the way there and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kdgov.checks.cards.draft_card import card_yaml, imported_card, new_model_card
from kdgov.checks.cards.hub_export import hub_front_matter, hub_readme
from kdgov.checks.cards.hub_identity import hub_identity
from kdgov.checks.cards.interchange import card_beside_model, dataset_card_from_hub, license_of
from kdgov.declarations.cards import DatasetCard, ModelCard, load_card
from kdgov.hub.hub_front_matter import front_matter
from kdgov.license.catalogue.named_licences import named_licenses
from tests.conftest import real_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOTICE_31 = "Llama 3.1 is licensed under the Llama 3.1 Community License, Copyright © Meta Platforms, Inc. All Rights Reserved.\n"

MODELS: dict[str, str] = {
    "plain": "license: apache-2.0\nlanguage:\n- en\npipeline_tag: text-generation\nlibrary_name: transformers\n",
    "norwegian": "license: mit\nlanguage: no\nbase_model: org/base\npipeline_tag: fill-mask\n",
    "norwegian-list": "license: mit\nlanguage:\n- no\n- sv\n- da\nlibrary_name: transformers\n",
    "with-size-categories": "license: mit\nsize_categories:\n- 1K<n<10K\nbase_model: org/base\ndatasets:\n- org/data\n",
    "gguf": (
        "license: llama3.1\nbase_model: meta-llama/Llama-3.1-8B-Instruct\nbase_model_relation: quantized\nquantized_by: somebody\n"
        "tags:\n- gguf\n- llama-3\nlanguage: [en, de, fr]\n"
    ),
    "adapter": "base_model: mistralai/Mistral-7B-v0.1\nlibrary_name: peft\ntags:\n- lora\nlicense: apache-2.0\n",
    "merge": "base_model:\n- org/one\n- org/two\nlibrary_name: transformers\ntags:\n- mergekit\n- merge\nlicense: cc-by-nc-4.0\n",
    "other": (
        "license: other\nlicense_name: qwen-research\n"
        "license_link: https://huggingface.co/Qwen/Qwen2.5-3B/blob/main/LICENSE\nlanguage:\n- en\n"
    ),
    "other-local-link": "license: other\nlicense_name: my-terms\nlicense_link: LICENSE\npipeline_tag: text-generation\n",
    "several-licences": "license:\n- mit\n- cc-by-sa-4.0\npipeline_tag: translation\n",
    "model-index": (
        "license: apache-2.0\ntags:\n- generated_from_trainer\nmodel-index:\n- name: x\n  results:\n  - task: {type: text-generation}\n"
        "    metrics:\n    - {type: acc, value: 0.5}\nmetrics:\n- accuracy\n"
    ),
    "widget": "license: mit\nwidget:\n- text: 'Paris is the [MASK] of France.'\ninference: false\nthumbnail: https://x/y.png\n",
    "gated": (
        "license: gemma\nlibrary_name: transformers\nextra_gated_heading: Access Gemma\nextra_gated_prompt: >-\n  To access Gemma\n"
        "extra_gated_fields:\n  First Name: text\n  Date of birth: date_picker\n  I accept: checkbox\n"
    ),
    "distilled": "license: mit\nbase_model: org/teacher\nbase_model_relation: distillation\ndatasets: org/data\n",
    "dated": (
        "license: mit\npipeline_tag: text-generation\nnew_version: org/next\n"
        "last_updated: 2024-05-01\nco2_eq_emissions:\n  emissions: 12.5\n"
    ),
    "tag-only-pretty": "license: mit\nlibrary_name: sentence-transformers\npretty_name: Not a dataset\nbase_model: org/base\n",
    "number-tags": "license: mit\ntags:\n- 8bit\n- 4-bit\nbase_model: org/base\nmodel_creator: Org\nmodel_name: Base 7B\n",
    "empty-lists": "license: mit\nlanguage: []\ndatasets: []\npipeline_tag: text-generation\n",
}
DATASETS: dict[str, str] = {
    "pretty-name-alone": "license: cc-by-4.0\npretty_name: My Data\n",
    "old-plural": "licenses:\n- cc-by-sa-4-0\nlanguages:\n- en\npretty_name: Old\ntask_categories:\n- question-answering\n",
    "old-plural-other": "licenses:\n- other-my-agreement\nlanguages:\n- de\nsize_categories:\n- 10K<n<100K\n",
    "configs": (
        "license: odc-by\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/*.parquet\nlanguage:\n- en\n"
    ),
    "info": (
        "license: mit\ndataset_info:\n  features:\n  - name: text\n    dtype: string\n  splits:\n  - name: train\n    num_examples: 10\n"
    ),
    "annotators": (
        "annotations_creators:\n- crowdsourced\nlanguage_creators:\n- found\nlanguage:\n- en\nlicense:\n- cc-by-sa-3.0\nmultilinguality:\n"
        "- monolingual\nsource_datasets:\n- original\ntask_ids:\n- extractive-qa\npaperswithcode_id: squad\npretty_name: SQuAD\n"
    ),
    "extended": "license: mit\nsource_datasets:\n- extended|squad\n- original\nannotations_creators: [found]\nlanguage: [en]\n",
    "synthetic": "license: mit\ntags:\n- synthetic\n- distilabel\ntask_categories:\n- text-generation\nsize_categories:\n- n<1K\n",
    "gated": "license: other\nlicense_name: lmsys\nextra_gated_prompt: You agree\nviewer: false\ntask_categories: [other]\n",
    "norwegian": "license: cc0-1.0\nlanguage:\n- no\n- nb\n- nn\ntask_categories: [text-generation]\n",
    "unknown": "license: unknown\nlanguage: en\npretty_name: Found\nsize_categories: [1M<n<10M]\ntask_categories: [text-classification]\n",
    "train-eval": "license: afl-3.0\ntrain-eval-index:\n- config: x\n  task: text-classification\ndataset_info: []\n",
}


def unusual(kind: str) -> dict[str, str]:
    """Cards of a kind in ``unusual_cards.txt`` by name."""
    text = (Path(__file__).parent / "unusual_cards.txt").read_text(encoding="utf-8")
    parts = (part.partition("\n") for part in text.split("%% ")[1:])
    return {head[2:]: matter for head, _, matter in parts if head.startswith(kind)}


@pytest.fixture
def real_model() -> Path:
    return real_folder("models") / "stories260k"


def written(folder: Path, matter: str, body: str = "\n# A title\n\nSome words, über alles.\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    readme = folder / "README.md"
    readme.write_text(f"---\n{matter}---\n{body}", encoding="utf-8")
    return readme


def plain(matter: dict[str, Any]) -> dict[str, Any]:
    """Front matter with the forms that say the same brought together: one name alone or in a list, ``no`` read as false."""
    lists = ("license", "language", "languages", "licenses", "tags", "base_model", "datasets", "source_datasets")

    def items(value: Any) -> list[Any]:
        return ["no" if item is False else item for item in (value if isinstance(value, list) else [value])]

    return {key: items(value) if key in lists else value for key, value in matter.items()}


@pytest.mark.parametrize(("name", "matter"), [*MODELS.items(), *unusual("M").items()])
def test_a_model_card_goes_there_and_back_without_a_lost_field(name: str, matter: str, tmp_path: Path) -> None:
    assert_round_trip(tmp_path / name, matter, ModelCard)


@pytest.mark.parametrize(("name", "matter"), [*DATASETS.items(), *unusual("D").items()])
def test_a_dataset_card_goes_there_and_back_without_a_lost_field(name: str, matter: str, tmp_path: Path) -> None:
    assert_round_trip(tmp_path / name, matter, DatasetCard)


def assert_round_trip(folder: Path, matter: str, kind: type) -> None:
    readme = written(folder, matter)
    card = imported_card(readme)
    assert isinstance(card, kind)
    ours = folder / "card.yaml"
    ours.write_text(card_yaml(card), encoding="utf-8")
    again = folder / "back.md"
    again.write_text(hub_readme(load_card(ours), readme), encoding="utf-8")
    assert plain(front_matter(again)) == plain(front_matter(readme))
    assert again.read_text(encoding="utf-8").split("---\n", 2)[2] == readme.read_text(encoding="utf-8").split("---\n", 2)[2]
    assert "False" not in str(card.language)


def test_there_are_thirty_cards() -> None:
    assert len(MODELS) + len(DATASETS) >= 30


def test_a_field_changed_here_reaches_the_hub(tmp_path: Path) -> None:
    card = imported_card(written(tmp_path, MODELS["other"]))
    changed = card.model_copy(update={"license": "apache-2.0", "license_url": None})
    matter = hub_front_matter(changed)
    assert matter["license"] == "apache-2.0"


def test_a_hub_snapshot_is_called_by_owner_and_name(tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "models--deepseek-ai--DeepSeek-R1-Distill-Llama-8B" / "snapshots" / COMMIT
    written(folder, "license: mit\nlibrary_name: transformers\n")
    found = hub_identity(folder)
    assert (found.name, found.revision, found.kind) == ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", COMMIT, "model")
    card = card_beside_model(folder)
    assert card is not None
    assert (card.name, card.id, card.revision) == (found.name, found.name, COMMIT)


def test_a_snapshot_out_of_its_cache_is_called_by_its_configuration_or_title(tmp_path: Path) -> None:
    folder = tmp_path / COMMIT
    written(folder, "license: mit\n", "\n# Model Card for Tiny-Student\n")
    assert hub_identity(folder).name == "Tiny-Student"
    (folder / "config.json").write_text('{"_name_or_path": "acme/tiny-student"}')
    assert hub_identity(folder).name == "acme/tiny-student"
    (tmp_path / "bare" / COMMIT).mkdir(parents=True)
    assert hub_identity(tmp_path / "bare" / COMMIT).is_only_a_hash


def test_what_a_notice_beside_the_weights_names_joins_the_lineage(tmp_path: Path) -> None:
    written(tmp_path, "license: other\nlicense_name: nvidia-open-model-license\nlibrary_name: transformers\n")
    (tmp_path / "NOTICE").write_text(NOTICE_31, encoding="utf-8")
    card = card_beside_model(tmp_path)
    assert card is not None
    assert [(entry.use, entry.license) for entry in card.lineage] == [("weights_init", "LicenseRef-scancode-llama-3.1-license-2024")]
    assert card.lineage[0].name.startswith("NOTICE beside ")


@pytest.mark.parametrize("file", ["USE_POLICY.md", "Llama_Use_Policy.txt"])
def test_a_use_policy_beside_the_weights_joins_the_lineage(file: str, tmp_path: Path) -> None:
    written(tmp_path, "license: mit\nlibrary_name: transformers\n")
    (tmp_path / file).write_text("# Llama 3.2 Acceptable Use Policy\n\nMeta is committed to safe use.\n", encoding="utf-8")
    card = card_beside_model(tmp_path)
    assert card is not None
    assert [entry.license for entry in card.lineage] == ["LicenseRef-scancode-llama-3.2-license-2024"]


def test_the_file_of_license_link_is_the_text(tmp_path: Path) -> None:
    written(tmp_path, "license: other\nlicense_name: my-terms\nlicense_link: TERMS.md\nlibrary_name: transformers\n")
    (tmp_path / "TERMS.md").write_text("You may.", encoding="utf-8")
    (tmp_path / "LICENSE").write_text("You may not.", encoding="utf-8")
    card = card_beside_model(tmp_path)
    assert card is not None
    assert card.license_text == "TERMS.md"


def test_an_adapter_and_a_merge_name_their_bases(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text('{"base_model_name_or_path": "meta-llama/Llama-3.1-8B"}')
    card = card_beside_model(tmp_path / "adapter")
    assert card is not None
    assert [(entry.use, entry.name) for entry in card.lineage] == [("weights_init", "meta-llama/Llama-3.1-8B")]
    merge = tmp_path / "merge"
    merge.mkdir()
    (merge / "mergekit_config.yml").write_text(
        "models:\n  - model: org/one\n  - model: org/two\nbase_model: org/base\nmerge_method: ties\n"
    )
    card = card_beside_model(merge)
    assert card is not None
    assert [entry.name for entry in card.lineage] == ["org/one", "org/two", "org/base"]


def test_what_the_facts_know_is_filled_in_and_says_where_from(tmp_path: Path) -> None:
    readme = written(tmp_path, "license: mit\nbase_model: mistralai/Mistral-7B-v0.1\nlibrary_name: transformers\n")
    card = imported_card(readme)
    assert card.lineage[0].license == "apache-2.0"
    told = card.further["filled_from_facts"]
    assert "mistral-7b" in told["lineage[0].license"]
    assert "to be confirmed" in told["lineage[0].license"]
    assert yaml.safe_load(card_yaml(card))["further"]["filled_from_facts"] == told


def test_a_snapshots_new_card_goes_back_as_it_came(tmp_path: Path, real_model: Path) -> None:
    folder = tmp_path / "models--acme--Tiny" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    for file in real_model.iterdir():
        (folder / file.name).symlink_to(file.resolve())
    (folder / "README.md").unlink(missing_ok=True)
    readme = written(folder, "license: mit\nlanguage: no\nlibrary_name: transformers\ndate: 2024-05-01\n")
    card = new_model_card(folder)
    assert (card.name, card.revision) == ("acme/Tiny", COMMIT)
    ours = tmp_path / "card.yaml"
    ours.write_text(card_yaml(card), encoding="utf-8")
    assert plain(hub_front_matter(load_card(ours))) == plain(front_matter(readme))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("This model derives from Meta Llama 3.1 and is subject to the Llama 3.1 Community License.", ["llama-3.1"]),
        (
            "GOVERNING TERMS: NVIDIA Open Model License. ADDITIONAL INFORMATION: Llama 3.1 Community License Agreement.",
            ["nvidia", "llama-3.1"],
        ),
        ("Use is governed by the Llama 4 Community License Agreement.", ["llama-4"]),
        ("Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms", ["gemma"]),
        ("Weights: https://www.llama.com/llama3_1/license/ applies.", ["llama-3.1"]),
        ("The base model is released under CC-BY-NC-4.0.", ["CC-BY-NC-4.0"]),
        ("Built with Llama", ["llama"]),
        ("Improved using Qwen", ["qwen"]),
        ("Copyright 2024 Acme. Licensed under the Apache License, Version 2.0.", ["Apache-2.0"]),
        ("Our thanks go to everybody who wrote to us.", []),
    ],
)
def test_a_notice_names_its_licences_in_whatever_words(words: str, named: list[str]) -> None:
    found = named_licenses(words)
    assert len(found) == len(named)
    assert all(part in whole for part, whole in zip(named, found, strict=True)), found


@pytest.mark.parametrize("file", ["LICENSE.pdf", "Community License for Baichuan2 Model.pdf", "NOTICE.docx"])
def test_a_licence_file_that_is_not_read_leaves_its_terms_open(file: str, tmp_path: Path) -> None:
    written(tmp_path, MODELS["plain"])
    (tmp_path / file).write_bytes(b"%PDF-1.7 ...")
    card = card_beside_model(tmp_path)
    assert card is not None
    assert [(entry.license, file in entry.name) for entry in card.lineage] == [(None, True)]


@pytest.mark.parametrize("file", ["META_LICENSE", "Llama-3.1-LICENSE.txt", "model_license.md", "LICENSES.txt"])
def test_a_licence_file_is_found_under_any_of_its_names(file: str, tmp_path: Path) -> None:
    written(tmp_path, MODELS["plain"])
    (tmp_path / file).write_text("Llama 3.1 Community License Agreement\n", encoding="utf-8")
    card = card_beside_model(tmp_path)
    assert card is not None
    assert card.license_text == file


@pytest.mark.parametrize(
    ("matter", "licence"),
    [
        ("license: mit\nlicense_name: cc-by-nc-4.0", "mit AND cc-by-nc-4.0"),
        ("license: mit\nlicense_name: MIT License", "mit"),
        (
            "license: apache-2.0\nlicense_link: https://www.llama.com/llama3_1/license/",
            "apache-2.0 AND LicenseRef-scancode-llama-3.1-license-2024",
        ),
        ("license: other\nlicense_link: https://ai.google.dev/gemma/terms", "LicenseRef-scancode-gemma-tou-2025-03-24"),
        ("license: gemma\nlicense_name: gemma\nlicense_link: https://ai.google.dev/gemma/terms", "gemma"),
        ("license: [other, mit]\nlicense_name: acme-terms", "mit AND acme-terms"),
        ("license: bsd\nlicense_name: bsd-3-clause", "bsd-3-clause"),
        ("license: [mit, 'apache-2.0 OR gpl-3.0']", "mit AND (apache-2.0 OR gpl-3.0)"),
        ("licenses:\n  de: [cc-by-4-0]\n  en: [unknown]", "cc-by-4.0 AND unknown"),
        ("license: other\nlicense_name: N/A", "other"),
        ("license: no", None),
    ],
)
def test_a_name_or_an_address_that_says_another_licence_than_the_tag_joins_it(matter: str, licence: str | None) -> None:
    assert license_of(yaml.safe_load(matter)) == licence


def test_languages_by_configuration_are_each_named_once() -> None:
    card = dataset_card_from_hub(yaml.safe_load("languages:\n  one: [de, en]\n  two: [en]"), name="org/data", file="README.md")
    assert card.language == ["de", "en"]
