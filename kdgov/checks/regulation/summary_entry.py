"""The parts of a public summary, and the ways of reading cards that several laws share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from kdgov.declarations.cards import DatasetCard, ModelCard
from kdgov.declarations.data_origin import Generation, PersonalData

NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One answer about one card."""

    about: str
    """Name of the model or dataset."""
    text: str
    """What its card states, or that it states nothing."""
    is_stated: bool = True
    """Whether the card states it."""
    mend: str = ""
    """Where to state it; empty where it is stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One question of a law with its answers."""

    title: str
    """The question, in kdgov's own words."""
    entries: tuple[Entry, ...]
    """Answers, one per card it concerns."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        return {"title": self.title, "entries": [asdict(entry) for entry in self.entries]}


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryCards:
    """The cards of one model and of all data it was trained on."""

    model: ModelCard
    """The model."""
    model_file: str
    """File of its card."""
    datasets: tuple[tuple[str, DatasetCard], ...]
    """File and card of each dataset."""


def entry(name: str, file: str, parts: Iterable[str], keys: str) -> Entry:
    """What a card states, or the keys under which its file may state it."""
    told = "; ".join(part for part in parts if part)
    if told:
        return Entry(about=name, text=told)
    return Entry(about=name, text=NOT_STATED, is_stated=False, mend=f"write {keys} in {file}")


def said(card: ModelCard | DatasetCard, *keys: str) -> str:
    """What a card says under ``further``, the first key that is there; false and 0 are answers."""
    for key in keys:
        value = card.further.get(key)
        if isinstance(value, bool):
            return "yes" if value else "no"
        if value not in (None, "", [], {}):
            return ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)
    return ""


def labelled(label: str, value: object) -> str:
    """``label value``; empty where there is no value."""
    text = ", ".join(str(one) for one in value) if isinstance(value, (list, tuple)) else str(value or "")
    return f"{label} {text}" if text else ""


def generations(card: DatasetCard) -> list[Generation]:
    """Every record of generation: the card's own and those of its files."""
    own = [card.generation] if card.generation is not None else []
    return [*own, *(file.generation for file in card.files if file.generation is not None)]


def generators(card: DatasetCard) -> str:
    """What generated the data, each once; empty where no record says so."""
    return ", ".join(dict.fromkeys(f"{g.generator} ({g.kind})" for g in generations(card)))


def counts(card: DatasetCard) -> str:
    """Examples and bytes as far as files state them, with the number of files that do not."""
    rows, sizes = [f.rows for f in card.files if f.rows is not None], [f.size_bytes for f in card.files if f.size_bytes is not None]
    unsaid = len(card.files) - len(rows)
    told = [f"{sum(rows):,} examples" if rows else "", f"{sum(sizes):,} bytes" if sizes else ""]
    text = ", ".join(part for part in told if part)
    return f"{text} (files that state no number of examples: {unsaid})" if text and unsaid else text


def personal(card: DatasetCard) -> str:
    """Whether it holds personal data, and on which ground; empty where the card is silent."""
    record = card.personal_data
    if record is None:
        return ""
    if isinstance(record, PersonalData):
        basis = record.lawful_basis.replace("_", " ")
        return f"yes; lawful basis: {basis}" + (f"; made unrecognisable by {record.deidentification}" if record.deidentification else "")
    return "yes" if record else "no"
