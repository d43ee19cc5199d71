"""A card as front matter for the Hugging Face Hub; what was read from there comes back as it was written."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from kdgov.checks.cards.hub_fields import AS_WRITTEN, hub_fields
from kdgov.checks.cards.interchange import dataset_card_from_hub, model_card_from_hub
from kdgov.checks.cards.known_facts import FILLED
from kdgov.declarations.cards import Card, ModelCard
from kdgov.hub.hub_front_matter import split_card


def hub_front_matter(card: Card) -> dict[str, Any]:
    """Front matter of a card: fields that still say what was read are given as they were written, changed ones anew."""
    shown = hub_fields(card)
    further = dict(card.further)
    record = further.pop(AS_WRITTEN, {})
    written = record.get("keys", {}) if isinstance(record, dict) else {}
    absent = set(record.get("absent", ())) if isinstance(record, dict) else set()
    further.pop(FILLED, None)
    kept = {key: value for key, value in further.items() if key not in shown}
    read = model_card_from_hub if isinstance(card, ModelCard) else dataset_card_from_hub
    original = {**{key: value for key, value in shown.items() if key not in absent}, **written, **kept}
    before = read(copy.deepcopy(original), name=card.name, file="(as written)")
    is_as_read = all(getattr(before, name) == getattr(card, name) for name in _READ_FIELDS if hasattr(card, name))
    return original if is_as_read else {**{key: value for key, value in written.items() if key not in shown}, **shown, **kept}


_READ_FIELDS = (
    "license",
    "license_url",
    "language",
    "tags",
    "base_model",
    "base_model_relation",
    "datasets",
    "origin",
    "generation_method",
)


def hub_readme(card: Card, readme: Path | None = None) -> str:
    """The text of a Hub card: front matter, and the body of an existing ``README.md`` as it stands, or title and description.

    Raises:
        InputError: if the file is not UTF-8.
    """
    matter = yaml.safe_dump(hub_front_matter(card), sort_keys=False, allow_unicode=True, width=10_000)
    body = split_card(readme)[1] if readme is not None else f"\n# {card.name}\n\n{card.description}\n"
    return f"---\n{matter}---\n{body}"
