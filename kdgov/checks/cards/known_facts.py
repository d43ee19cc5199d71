"""What the fact files know of the models and datasets a card names, filled in with where it is from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from kdgov.declarations.cards import Card, DatasetCard
from kdgov.declarations.data_origin import Lineage
from kdgov.license.catalogue.facts import Facts, facts
from kdgov.license.catalogue.known_ids import KnownId

FILLED = "filled_from_facts"
"""Key of ``further`` that says which fields were filled from kdgov's facts, and from where."""
UNCONFIRMED = "to be confirmed: a licence check takes it as not stated until this line is removed"
"""Said of every field that was filled in."""
_SILENT = frozenset({"NOASSERTION", "other", "unknown"})


def known_license(name: str, kind: Literal["model", "dataset"], known: Facts | None = None) -> tuple[str, KnownId] | None:
    """The one licence a published id was ever given, with the row that says so; None where it is unknown or was given several."""
    found = (known or facts()).known_ids.find(name, kind)
    if found is None or len(found.licenses) != 1 or found.licenses[0] in _SILENT:
        return None
    return found.licenses[0], found


def filled(card: Card) -> Card:
    """The card with licences and upstreams that the fact files know of what it names and that it does not state itself."""
    known = facts()
    told: dict[str, str] = {}
    lineage = [_filled_entry(entry, f"lineage[{number}]", told, known) for number, entry in enumerate(card.lineage)]
    kind: Literal["model", "dataset"] = "dataset" if isinstance(card, DatasetCard) else "model"
    own = known_license(card.id or card.name, kind, known)
    update: dict[str, Any] = {"lineage": lineage}
    if not card.license and own is not None:
        update["license"] = own[0]
        told["license"] = _from(own[1])
    row = known.known_ids.find(card.id or card.name, kind)
    said = {entry.name.casefold().rpartition("/")[2] for entry in card.lineage}
    for use, name, licence in row.made_by if row is not None else ():
        if name.casefold().rpartition("/")[2] not in said:
            told[f"lineage[{len(lineage)}]"] = _from(row)  # type: ignore[arg-type]
            lineage.append(Lineage(use=use, name=name, license=None if licence in _SILENT else licence))  # type: ignore[arg-type]
    return card.model_copy(update={**update, "further": card.further | {FILLED: told}}) if told else card


def is_from_memory(card: Card, key: str) -> bool:
    """Whether a field of a drafted card still rests on kdgov's memory of an id alone: nobody has confirmed it by removing its line."""
    told = card.further.get(FILLED)
    return isinstance(told, Mapping) and key in told


def _filled_entry(entry: Lineage, key: str, told: dict[str, str], known: Facts) -> Lineage:
    if entry.license or entry.card:
        return entry
    found = known_license(entry.name, "dataset" if entry.use.startswith("dataset") else "model", known)
    if found is None:
        return entry
    told[f"{key}.license"] = _from(found[1])
    return entry.model_copy(update={"license": found[0]})


def _from(row: KnownId) -> str:
    note = f"; {row.note}" if row.note else ""
    return f"kdgov facts on {row.pattern}, {row.seen} ({row.source}){note}; {UNCONFIRMED}"
