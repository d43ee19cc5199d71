"""Whether a Hub card is a model's or a dataset's: by everything it says, never by one key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdgov.checks.cards.hub_identity import hub_identity

# How strongly a key speaks. Keys that both kinds of card carry (license, language, tags, datasets' metrics …) speak for neither.
_OF_MODELS: Mapping[str, int] = {
    "base_model": 4, "base_model_relation": 4, "model-index": 4, "pipeline_tag": 4, "library_name": 3, "inference": 3, "widget": 3,
    "quantized_by": 3, "model_creator": 3, "model_name": 3, "model_type": 3, "datasets": 3, "mask_token": 3, "new_version": 3,
    "prompt_template": 2, "co2_eq_emissions": 2, "metrics": 1, "thumbnail": 1,
}  # fmt: skip
_OF_DATASETS: Mapping[str, int] = {
    "dataset_info": 4, "configs": 4, "task_ids": 4, "annotations_creators": 4, "language_creators": 4, "source_datasets": 4,
    "multilinguality": 3, "paperswithcode_id": 3, "viewer": 3, "train-eval-index": 3, "task_categories": 2, "size_categories": 1,
    "pretty_name": 1, "licenses": 1, "languages": 1,
}  # fmt: skip
_MODEL_TAGS = frozenset(
    ["transformers", "pytorch", "safetensors", "gguf", "peft", "lora", "sentence-transformers", "diffusers", "text-generation-inference"]
    + ["mergekit", "merge", "conversational", "finetuned", "quantized", "trl", "unsloth"]
)
_MODEL_FILES = ("config.json", "adapter_config.json", "model_index.json", "tokenizer.json", "mergekit_config.yml")
_WEIGHTS = (".safetensors", ".gguf", ".bin", ".pt", ".onnx", ".h5")
_TABLES = (".parquet", ".jsonl", ".arrow", ".csv", ".tsv", ".jsonl.gz", ".json.gz")


def is_dataset_card(matter: Mapping[str, Any], readme: Path) -> bool:
    """Whether front matter, the files beside it, its place and its words speak for a dataset more than for a model."""
    model = sum(weight for key, weight in _OF_MODELS.items() if key in matter)
    dataset = sum(weight for key, weight in _OF_DATASETS.items() if key in matter)
    tags = matter.get("tags")
    model += 2 * bool(_MODEL_TAGS & {str(tag).lower() for tag in tags if tag} if isinstance(tags, list) else set())
    for speaks in (_by_place(readme), _by_files(readme.parent), _by_words(readme)):
        model += max(0, -speaks)
        dataset += max(0, speaks)
    return dataset > model


def _by_place(readme: Path) -> int:
    kind = hub_identity(readme.parent).kind
    return 0 if kind is None else 12 if kind == "dataset" else -12


def _by_files(folder: Path) -> int:
    names = [path.name.lower() for path in folder.iterdir()] if folder.is_dir() else []
    if any(name in _MODEL_FILES or name.endswith(_WEIGHTS) for name in names):
        return -6
    return 6 if any(name.endswith(_TABLES) for name in names) or "dataset_infos.json" in names else 0


_DATASET_HEADING = re.compile(r"^#+\s*(dataset card|dataset (description|summary|structure)|data (fields|splits|instances))", re.MULTILINE)
_MODEL_HEADING = re.compile(r"^#+\s*(model card|model (description|details|summary)|intended uses|training procedure)", re.MULTILINE)


def _by_words(readme: Path) -> int:
    text = readme.read_text(encoding="utf-8-sig", errors="replace")[:20_000].lower() if readme.is_file() else ""
    for_dataset = 2 * bool(_DATASET_HEADING.search(text)) + bool(re.search(r"load_dataset\(|\bthis dataset\b", text))
    for_model = 2 * bool(_MODEL_HEADING.search(text)) + bool(re.search(r"from_pretrained\(|\bthis model\b", text))
    return for_dataset - for_model
