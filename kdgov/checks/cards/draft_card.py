"""Cards made from what lies on disk, and checked against it."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from kdgov.checkpoints.identity import model_identity
from kdgov.checks.cards.beside.gguf_metadata import gguf_files, read_gguf
from kdgov.checks.cards.beside.readme_licence import licence_in_words
from kdgov.checks.cards.beside.statements import with_words
from kdgov.checks.cards.card_file import CardFile
from kdgov.checks.cards.croissant import read_croissant, to_croissant
from kdgov.checks.cards.hub_evidence import is_dataset_card
from kdgov.checks.cards.hub_identity import card_title, hub_identity
from kdgov.checks.cards.interchange import card_beside_model, dataset_card_from_hub, model_card_from_hub, name_of_folder
from kdgov.checks.cards.known_facts import filled
from kdgov.checks.cards.release_inputs import follow_cards
from kdgov.checks.scan.shards import read_rows
from kdgov.checks.scan.text_fields import Tally
from kdgov.declarations.cards import DATASET_CARD, MODEL_CARD, Card, DatasetCard, ModelCard, load_card
from kdgov.declarations.load import resolve
from kdgov.declarations.suite_parts.media_folders import as_data_file
from kdgov.digest import digest_file, digest_json
from kdgov.errors import Fault, InputError
from kdgov.hub.hub_front_matter import front_matter, split_card
from kdgov.quantities import quantity

_ROWS_LOOKED_AT = 1000
_KNOWN_TYPES: dict[type, str] = {str: "text", bool: "boolean", int: "integer", float: "number", list: "list", dict: "mapping"}


def new_model_card(folder: Path, *, beside: Path = Path()) -> ModelCard:
    """A card for a model folder: its identity, what a Hub card and texts beside the weights say, and what the fact files know.

    Args:
        folder: the model.
        beside: folder the card is for; the licence file is named from there.

    Raises:
        InputError: if the folder holds no model.
    """
    found = card_beside_model(folder)
    known = found.model_dump(mode="json", by_alias=True, exclude_defaults=True) if found is not None else {}
    if found is not None:
        # Dates and the like as they were written, not as JSON would have them.
        known["further"] = copy.deepcopy(found.further)
    if found is not None and found.license_text is not None:
        known["license_text"] = _relative(folder / found.license_text, beside)
    value = {
        "schema": MODEL_CARD,
        "name": name_of_folder(folder),
        **known,
        **(_packed_identity(folder) if _is_packed(folder) else _stored_identity(folder)),
        "access": "weights",
    }
    card = filled(ModelCard.model_validate(value))
    assert isinstance(card, ModelCard)
    return card


def _stored_identity(folder: Path) -> dict[str, Any]:
    identity = model_identity(folder)
    return {
        "digest": identity.weights,
        "tokenizer_digest": identity.tokenizer or None,
        "architecture": identity.architecture,
        "parameters": identity.parameters,
    }


def _is_packed(folder: Path) -> bool:
    return not (folder / "config.json").is_file() and bool(gguf_files(folder))


def _packed_identity(folder: Path) -> dict[str, Any]:
    """Identity of a folder that holds GGUF files alone: one model, in however many grades of rounding."""
    headers = [read_gguf(path) for path in gguf_files(folder)]
    digests = {path.name: digest_file(path) for path in sorted(folder.glob("*.gguf"))}
    architecture = headers[0].values.get("general.architecture")
    return {
        "digest": next(iter(digests.values())) if len(digests) == 1 else digest_json(digests),
        "architecture": architecture if isinstance(architecture, str) else None,
        "parameters": max(header.parameters for header in headers),
    }


def new_dataset_card(paths: Sequence[Path], *, beside: Path, name: str | None = None) -> DatasetCard:
    """A card for data files: each pinned and counted, its columns read from the first rows.

    Raises:
        InputError: if a file is absent or cannot be read.
    """
    files, columns = [], dict[str, dict[str, Any]]()
    for path in paths:
        listing = as_data_file(path)
        if not listing.is_file():
            raise InputError("there is no such file", where=str(path), mend="Name the data files.")
        tally = Tally()
        seen: list[Any] = []
        for row in read_rows(listing, tally):
            if len(seen) < _ROWS_LOOKED_AT:
                seen.append(row.value)
        for column in _columns(seen):
            columns.setdefault(column["name"], column)
        files.append(
            {"path": _relative(path, beside), "digest": digest_file(listing), "rows": tally.rows, "size_bytes": listing.stat().st_size}
        )
    value = {"schema": DATASET_CARD, "name": name or paths[0].stem, "files": files, "columns": list(columns.values())}
    return DatasetCard.model_validate(value)


def imported_card(path: Path) -> Card:
    """A card from a Hub card (``README.md``) or a Croissant file (``.json``).

    Whether a Hub card is a model's or a dataset's is told by all it says, what lies beside it and where it lies.

    Raises:
        InputError: if it is neither.
    """
    if path.suffix == ".json":
        return read_croissant(path)
    matter = front_matter(path)
    if not matter and not licence_in_words(split_card(path)[1], path.absolute().parent.name).licences:
        raise InputError(
            "has no front matter, and its words name no licence",
            where=str(path),
            mend="Name a Hub card (README.md) or a Croissant file (.json).",
        )
    identity = hub_identity(path.absolute().parent)
    name = card_title(path) or identity.name if identity.is_only_a_hash else identity.name
    if is_dataset_card(matter, path):
        return filled(with_words(dataset_card_from_hub(matter, name=name, file=str(path)), path))
    return filled(with_words(model_card_from_hub(matter, name=name, file=str(path)), path))


def card_yaml(card: Card) -> str:
    """A card as its author would write it: defaults left out, keys in the order of the schema."""
    value = card.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if card.further:
        # Dates and the like as they were written, not as JSON would have them.
        value["further"] = copy.deepcopy(card.further)
    ordered = {"schema": card.schema_, **{key: value[key] for key in value if key != "schema"}}
    return yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=120)


def card_faults(path: Path) -> list[Fault]:
    """Everything that is wrong with a card: against its schema, the files it names, and the lineage it opens.

    Raises:
        InputError: if it cannot be read or breaks its schema; then nothing further can be said.
    """
    card = load_card(path)
    file = CardFile(card=card, path=path, name=str(path), digest=digest_file(path))
    follow_cards({str(path): file}, lambda name: resolve(name, beside=path))
    faults = list(_text_faults(card, path))
    if isinstance(card, DatasetCard):
        faults += [
            fault for number, data in enumerate(card.files) for fault in _file_faults(card, number, resolve(data.path, beside=path), path)
        ]
    return faults


def _text_faults(card: Card, path: Path) -> Iterable[Fault]:
    if card.license_text is not None and not resolve(card.license_text, beside=path).is_file():
        what = f"names {card.license_text!r}, which does not exist"
        yield Fault(file=str(path), key="license_text", what=what, mend="Correct the path: it is relative to this file.")


def _file_faults(card: DatasetCard, number: int, data: Path, path: Path) -> Iterable[Fault]:
    declared, key = card.files[number], f"files[{number}]"
    data = as_data_file(data)
    if not data.is_file():
        what = f"names {declared.path!r}, which does not exist"
        yield Fault(file=str(path), key=f"{key}.path", what=what, mend="Correct the path: it is relative to this file.")
        return
    found = digest_file(data)
    if declared.digest is None:
        yield Fault(file=str(path), key=f"{key}.digest", what="is missing", mend=f"Write `digest: {found}`.")
    elif declared.digest != found:
        mend = f"Restore the file, or write `digest: {found}` and raise the version."
        yield Fault(file=str(path), key=f"{key}.digest", what=f"does not fit {declared.path!r}, whose digest is {found}", mend=mend)
    tally = Tally()
    for _ in read_rows(data, tally):
        pass
    if declared.rows is not None and tally.rows != declared.rows:
        yield Fault(
            file=str(path), key=f"{key}.rows", what=f"says {declared.rows}, the file has {tally.rows}", mend=f"Write `rows: {tally.rows}`."
        )
    if tally.unreadable_count:
        what = f"has {quantity(tally.unreadable_count, 'line that is', 'lines that are')} not JSON (first: line {tally.unreadable[0]})"
        yield Fault(file=str(data), key="", line=tally.unreadable[0], what=what, mend="Correct or remove those lines.")


def _columns(rows: list[Any]) -> list[dict[str, Any]]:
    mappings = [row for row in rows if isinstance(row, dict)]
    names = list(dict.fromkeys(str(key) for row in mappings for key in row))
    columns = []
    for name in names:
        values = [row[name] for row in mappings if row.get(name) is not None]
        kinds = {_KNOWN_TYPES.get(type(value), "text") for value in values}
        kind = "number" if kinds == {"integer", "number"} else kinds.pop() if len(kinds) == 1 else "text"
        columns.append({"name": name, "type": kind, "required": len(values) == len(mappings)})
    return columns


def _relative(path: Path, beside: Path) -> str:
    # Upwards too: a card must not name a place that only this machine has.
    return Path(os.path.relpath(path.resolve(), beside.resolve())).as_posix()


def croissant_json(card: DatasetCard) -> str:
    """A dataset card as Croissant text."""
    return json.dumps(to_croissant(card), indent=2, ensure_ascii=False) + "\n"
