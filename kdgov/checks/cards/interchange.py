"""Cards to and from the world outside: Hub model and dataset cards, and Croissant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from kdgov.declarations.cards import DATASET_CARD, MODEL_CARD, DatasetCard, ModelCard
from kdgov.declarations.load import parse_yaml, validate
from kdgov.errors import InputError

_RELATION_USES = {"finetune": "weights_init", "adapter": "weights_init", "merge": "weights_init", "quantized": "weights_init"}
LICENSE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "COPYING")
"""Names under which a model's licence lies beside its weights."""
_DISTILLED = ("distill", "distillation", "distilled")


def card_beside_model(folder: Path) -> ModelCard | None:
    """What lies beside a model's weights, as a model card: ``README.md`` with front matter, and the licence file.

    None where there is neither. The licence file is named as ``license_text``: a text that contradicts the tag goes to review.
    """
    readme = folder / "README.md"
    matter = front_matter(readme) if readme.is_file() else {}
    text = next((name for name in LICENSE_FILES if (folder / name).is_file()), None)
    if not matter and text is None:
        return None
    card = model_card_from_hub(matter, name=folder.name, file=str(readme))
    return card if text is None else card.model_copy(update={"license_text": text})


def front_matter(readme: Path) -> dict[str, Any]:
    """The YAML between the first two ``---`` lines of a Hub card; empty where there is none.

    Raises:
        InputError: if it is not UTF-8 or not YAML.
    """
    try:
        text = readme.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", where=str(readme), mend="Save the file as UTF-8.") from error
    lines = text.splitlines()
    if not lines or lines[0].strip() != "---":
        return {}
    end = next((n for n, line in enumerate(lines[1:], 1) if line.strip() == "---"), None)
    if end is None:
        return {}
    value, _ = parse_yaml("\n".join(lines[1:end]), file=str(readme))
    return value if isinstance(value, dict) else {}


def model_card_from_hub(matter: dict[str, Any], *, name: str, file: str) -> ModelCard:
    """A Hub model card's front matter as a model card; what has no field of its own is kept under ``further``.

    Raises:
        DeclarationError: if a field has a type no Hub card may have.
    """
    bases, datasets = _names(matter.get("base_model")), _names(matter.get("datasets"))
    relation = str(matter.get("base_model_relation") or "")
    use = "generated_text" if any(word in relation.lower() for word in _DISTILLED) else _RELATION_USES.get(relation, "weights_init")
    value = {
        "schema": MODEL_CARD,
        "name": name,
        **_common(matter),
        "base_model": bases,
        "base_model_relation": relation or None,
        "datasets": datasets,
        "lineage": [{"use": use, "name": base} for base in bases] + [{"use": "dataset_train", "name": data} for data in datasets],
        "further": _rest(matter, {"base_model", "base_model_relation", "datasets"}),
    }
    return validate(value, ModelCard, file=file)


def dataset_card_from_hub(matter: dict[str, Any], *, name: str, file: str) -> DatasetCard:
    """A Hub dataset card's front matter as a dataset card.

    Raises:
        DeclarationError: if a field has a type no Hub card may have.
    """
    sources = _names(matter.get("source_datasets"))
    value = {
        "schema": DATASET_CARD,
        "name": str(matter.get("pretty_name") or name),
        **_common(matter),
        "origin": ", ".join(sources),
        "lineage": [{"use": "dataset_train", "name": source} for source in sources if source not in ("original", "extended")],
        "generation_method": ", ".join(_names(matter.get("annotations_creators")) + _names(matter.get("language_creators"))),
        "further": _rest(matter, {"pretty_name", "source_datasets", "annotations_creators", "language_creators"}),
    }
    return validate(value, DatasetCard, file=file)


def _common(matter: dict[str, Any]) -> dict[str, Any]:
    return {"license": _license(matter), "license_url": _text(matter.get("license_link")), "language": _names(matter.get("language"))} | {
        "tags": _names(matter.get("tags"))
    }


def _license(matter: dict[str, Any]) -> str | None:
    # Several licences on a Hub card all apply to some part of it; which part is not said, so all of them are taken.
    names = _names(matter.get("license"))
    if names == ["other"] or not names:
        return _text(matter.get("license_name")) or (names[0] if names else None)
    return " AND ".join(names)


def _rest(matter: dict[str, Any], used: set[str]) -> dict[str, Any]:
    used = used | {"license", "license_name", "license_link", "language", "tags"}
    return {str(key): yaml.safe_load(yaml.safe_dump(value)) for key, value in matter.items() if key not in used}


def _names(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
