"""Data sets of the Hub among the files that `kdgov init` is given: what the release says of each, and a card to complete."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdgov.checks.cards.hub_data_card import hub_data_card
from kdgov.declarations.cards import DatasetCard, load_dataset_card
from kdgov.declarations.data_parts.hub_data import SHORT, HubData, is_hub_address, named_by
from kdgov.errors import InputError

_OF_FILES = ("files", "license_text", "version", "location")


def parted(named: Sequence[str], *, option: str) -> tuple[tuple[Path, ...], tuple[HubData, ...]]:
    """Files, and data sets of the Hub (``owner/name@COMMIT`` or an ``hf://datasets/…`` address), as an option names them.

    Raises:
        InputError: if an address is none, or has no commit.
    """
    paths, sets = [], []
    for text in named:
        if not is_hub_address(text) and (Path(text).exists() or not SHORT.match(text)):
            paths.append(Path(text))
            continue
        try:
            found = named_by(text)
        except ValueError as error:
            what, _, mend = str(error).partition("\n")
            raise InputError(what, where=option, mend=mend) from None
        if not found.is_pinned:
            mend = f"Write {found.hub}@COMMIT with the 40 digits of the state that is meant."
            raise InputError(f"{text} has no commit", where=option, mend=mend)
        sets.append(found)
    return tuple(paths), tuple(sets)


def hub_card_name(item: HubData) -> str:
    """Path of its card below registry/."""
    return f"datasets/{str(item.hub).replace('/', '--')}.yaml"


def hub_card_to_complete(item: HubData, *, option: str) -> DatasetCard:
    """What the Hub says of it, to be completed by a person: the commit pins its files.

    Raises:
        InputError: if there is no such data set.
        UnavailableError: if it is not at hand and the hub cannot be reached.
    """
    card = load_dataset_card(hub_data_card(item, where=option))
    return card.model_copy(update={key: DatasetCard.model_fields[key].get_default(call_default_factory=True) for key in _OF_FILES})


def hub_entry(item: HubData) -> dict[str, Any]:
    """Its entry in the release."""
    return {**item.model_dump(exclude_none=True), "card": f"registry/{hub_card_name(item)}"}
