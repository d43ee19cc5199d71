"""Which recorded releases hold a person's text: in their sealed evidence, or in the training data they name by digest."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from kdgov.auditing.registry.registry_page import registry_page
from kdgov.checkpoints.digests import remembered_digest
from kdgov.checks.scan.shards import read_rows
from kdgov.checks.scan.text_fields import Tally
from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import INPUTS
from kdgov.evidence.registry_query import asked
from kdgov.items.text_digest import hidden_name, text_digest
from kdgov.recording.client.fetch_bundle import fetch_bundle
from kdgov.recording.client.target import RegistryTarget
from kdgov.safe_parse import json_file

LEAST_CHARACTERS = 4
_TEXT_COLUMNS = ("text", "prediction", "label")
_NAME_COLUMNS = ("item_id", "cluster", "group")
"""Columns that may hold what somebody is called, as it is or, in tasks with personal data, as a digest."""
_INPUT = "input/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place of one recorded version that holds the text."""

    model: str
    """Registered model."""
    version: str
    """Its version."""
    where: str
    """File of the evidence, or training file, with row or column."""
    readable: bool
    """Whether the text itself stands there; False where only its digest does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFound:
    """What a search came to."""

    places: tuple[Place, ...]
    """Every place, by model and version."""
    versions: int
    """Versions searched."""
    not_at_hand: tuple[str, ...] = field(default=())
    """``model version: file`` of data that no file here matches by digest."""
    unreadable: tuple[str, ...] = field(default=())
    """Versions without readable evidence."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        return asdict(self)


def find_text(text: str, target: RegistryTarget, *, data: Sequence[Path] = ()) -> TextFound:
    """Every recorded version whose evidence or training data holds a text; spaces and capitals do not count.

    Args:
        text: what the person wrote, or a part of it (name, address). Tasks with personal data keep only digests of whole texts: there a
            part is not found.
        target: the registry.
        data: files and folders in which training data is looked for, by digest.

    Raises:
        InputError: if the text is too short to mean anybody.
        UnavailableError: if the registry cannot be reached.
    """
    plain = _plain(text)
    if len(plain) < LEAST_CHARACTERS:
        raise InputError(f"{text!r} is too short to be found", where="find-text", mend=f"Give at least {LEAST_CHARACTERS} characters.")
    at_hand = {remembered_digest(file): file for file in _files(data)}
    rows_of: dict[str, tuple[int, ...]] = {}
    places: list[Place] = []
    absent: list[str] = []
    unreadable: list[str] = []
    versions = 0
    for name, version in _versions(target):
        versions += 1
        with tempfile.TemporaryDirectory(prefix="kdgov-find-") as scratch:
            try:
                folder = fetch_bundle(name, version, target, into=Path(scratch))
                named = json_file(folder / INPUTS)["digests"]
            except (InputError, KeyError, TypeError) as error:
                unreadable.append(f"{name} {version}: {error}")
                continue
            places += [Place(model=name, version=version, where=w, readable=r) for w, r in _in_bundle(folder, text)]
        for key, digest in sorted(named.items()):
            if not key.startswith((f"{_INPUT}data", f"{_INPUT}production_inputs", f"{_INPUT}distillation")) or key.endswith(".card"):
                continue
            if digest not in at_hand:
                absent.append(f"{name} {version}: {key.removeprefix(_INPUT)}")
                continue
            if digest not in rows_of:
                rows_of[digest] = tuple(_rows(at_hand[digest], plain))
            places += [
                Place(model=name, version=version, where=f"{key.removeprefix(_INPUT)} row {row}", readable=True) for row in rows_of[digest]
            ]
    return TextFound(places=tuple(places), versions=versions, not_at_hand=tuple(absent), unreadable=tuple(unreadable))


def _versions(target: RegistryTarget) -> Iterator[tuple[str, str]]:
    token = ""
    while True:
        page = registry_page(target, asked(limit=100, token=token))
        yield from ((row.name, str(row.version)) for row in page.rows)
        token = page.token
        if not token:
            return


def _files(data: Iterable[Path]) -> Iterator[Path]:
    for place in data:
        yield from (file for file in (sorted(place.rglob("*")) if place.is_dir() else [place]) if file.is_file())


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _in_bundle(folder: Path, text: str) -> Iterator[tuple[str, bool]]:
    plain, hidden = _plain(text), hidden_name(text.strip())
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.suffix == ".parquet":
            yield from ((f"{name} column {column}", readable) for column, readable in _in_table(file, text))
        elif file.is_file():
            content = file.read_bytes().decode("utf-8", "replace")
            if plain in _plain(content):
                yield name, True
            elif hidden in content and hidden.startswith("id-"):
                yield name, False


def _in_table(file: Path, text: str) -> Iterator[tuple[str, bool]]:
    plain, digest, hidden = _plain(text), text_digest(text).partition(" ")[0], hidden_name(text.strip())
    table = pq.read_table(file)
    for column in (name for name in (*_TEXT_COLUMNS, *_NAME_COLUMNS) if name in table.column_names):
        values = {str(value) for value in table.column(column).to_pylist() if value is not None}
        if any(plain in _plain(value) for value in values):
            yield column, True
        elif column in _NAME_COLUMNS:
            if hidden.startswith("id-") and any(hidden in value for value in values):
                yield column, False
        elif digest in {value.partition(" ")[0] for value in values}:
            yield column, False


def _rows(file: Path, plain: str) -> Iterator[int]:
    for row in read_rows(file, Tally(repeated=[])):
        if any(plain in _plain(piece.text) for piece in row.pieces):
            yield row.number
