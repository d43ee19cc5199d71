"""Licences that GGUF metadata and the words of a README state, joined to what a card says."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from kdgov.checks.cards.beside.gguf_metadata import GgufMetadata
from kdgov.checks.cards.beside.readme_licence import licence_in_words
from kdgov.checks.cards.hub_identity import card_title
from kdgov.declarations.cards import DatasetCard, ModelCard
from kdgov.declarations.data_origin import Lineage
from kdgov.hub.hub_front_matter import split_card
from kdgov.license.catalogue.expression import joined_by_and, ones, parse
from kdgov.license.catalogue.facts import facts

_Card = TypeVar("_Card", ModelCard, DatasetCard)


def with_packed(card: ModelCard, packed: dict[str, GgufMetadata]) -> ModelCard:
    """The card with the licence and the data that GGUF files beside it state; another licence than the card's joins the lineage."""
    said = {entry.name.lower() for entry in card.lineage}
    data = dict.fromkeys(name for header in packed.values() for name in header.datasets if name.lower() not in said)
    lineage: list[Lineage] = [Lineage(use="dataset_train", name=name) for name in data]
    told = {name: header.license for name, header in packed.items() if header.license}
    license_ = card.license or joined_by_and(list(dict.fromkeys(told.values()))) or None
    if card.license:
        lineage += [
            Lineage(use="weights_init", name=f"metadata of {file}", license=name)
            for file, name in told.items()
            if not is_said(name, _names_in(card.license))
        ]
    return card.model_copy(update={"lineage": [*card.lineage, *lineage], "license": license_})


def with_words(card: _Card, readme: Path) -> _Card:
    """The card with what its README's words say of the licence: in the place of an absent tag, else beside a tag that says another."""
    names = [name for name in (card.id, card.name, card_title(readme)) if name]
    words = licence_in_words(split_card(readme)[1], *names) if readme.is_file() else None
    if words is None or not (words.licences or words.bars):
        return card
    known = facts().licenses
    if not card.license and words.is_plain and len(words.licences) == 1 and words.licences[0] in known:
        return card.model_copy(update={"license": words.licences[0]})
    # That a README says MIT where the tag says Apache takes nothing away: what binds nobody further is left out.
    binding = [name for name in words.licences if name not in known or set(known[name].traits) != {"unrestricted"}]
    use: Literal["dataset_train", "weights_init"] = "dataset_train" if isinstance(card, DatasetCard) else "weights_init"
    unsaid = [name for name in binding if not card.license or not is_said(name, _names_in(card.license))]
    told: list[Lineage] = [Lineage(use=use, name=f"what README.md says of {card.name}", license=name) for name in unsaid]
    # "For research only" is no licence that anybody knows: open, unless the tag bars as much.
    is_barred = any(entry is not None and "non_commercial" in entry.traits for entry in map(facts().find, _names_in(card.license or "")))
    if not is_barred and not any("non_commercial" in known[name].traits for name in unsaid if name in known):
        told += [Lineage(use=use, name=f"README.md: {sentence}") for sentence in words.bars[:1]]
    return card.model_copy(update={"lineage": [*card.lineage, *told]})


def narrows(name: str, tag: str) -> bool:
    """Whether a name is one of the licences that a tag stands for: ``bsd-3-clause`` beside ``bsd``."""
    known = facts()
    entry, family = known.find(name), known.family(tag) if known.find(tag) is None else None
    return (
        entry is not None
        and family is not None
        and (entry.id in known.members.get(family, ()) or entry.id.lower().startswith(f"{family}-"))
    )


def is_said(name: str, names: list[str]) -> bool:
    """Whether a licence is among the names already stated: itself, another edition of it, or a member of its family."""
    known = facts()
    entry, family = known.find(name), known.family(name)
    stated = [known.find(one) for one in names]
    if name.lower() in {one.lower() for one in names} or (entry is not None and entry in stated):
        return True
    editions = {one.edition_of for one in stated if one is not None and one.edition_of}
    members = known.members.get(family, ()) if family else ()
    return (entry is not None and entry.edition_of in editions) or any(one is not None and one.id in members for one in stated)


def _names_in(expression: str) -> list[str]:
    parsed = parse(expression)
    return [] if isinstance(parsed, str) else [one.name for one in ones(parsed)]
