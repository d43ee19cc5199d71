"""Cards of what is named by its Hub id alone: among the local cards, and in the Hub's cache on this machine."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from kdgov.checks.cards.beside.statements import with_words
from kdgov.checks.cards.card_file import CardFile
from kdgov.checks.cards.interchange import card_beside_model, dataset_card_from_hub
from kdgov.declarations.cards import Card, ModelCard, load_card
from kdgov.declarations.data_origin import Lineage
from kdgov.digest import digest_file
from kdgov.errors import InputError
from kdgov.hub.hub_front_matter import front_matter

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
_NAMED = re.compile(r"^(?:name|id):\s*[\"']?(?P<name>[^\"'\n#]+?)[\"']?\s*$", re.MULTILINE)
_MOST_CARDS = 500


def named_without_card(card: Card) -> list[str]:
    """Hub ids that a card names without pointing to their cards: its lineage, base models and datasets."""

    def walk(entries: list[Lineage]) -> Iterator[str]:
        for entry in entries:
            if entry.card is None:
                yield entry.name
            yield from walk(entry.made_by)

    names = [*walk(card.lineage), *([*card.base_model, *card.datasets] if isinstance(card, ModelCard) else [])]
    return [name for name in dict.fromkeys(names) if _HUB_ID.match(name)]


def find_named_card(name: str, *, near: Path) -> CardFile | None:
    """The card of a model or dataset that is named and not pointed to; None where none is at hand."""
    found = named_card(name, near=near)
    if found is None:
        return None
    card, path = found
    return CardFile(card=card, path=path, name=name, digest=digest_file(path))


def named_card(name: str, *, near: Path) -> tuple[Card, Path] | None:
    """The card of a Hub id with its file: a local card of that name or id first, then what the Hub's cache holds of it.

    A local card that cannot be read is passed over: `kdgov card check` tells of it.
    """
    for path in _local_cards(near):
        if name.lower() in {found["name"].strip().lower() for found in _NAMED.finditer(_head(path))}:
            try:
                return load_card(path), path
            except InputError:
                continue
    return _cached("models", name) or _cached("datasets", name)


def _local_cards(near: Path) -> list[Path]:
    """Card files beside a card, and in the sibling folders where models' and datasets' cards lie."""
    folders = [near.parent, *(near.parent.parent / kind for kind in ("models", "datasets"))]
    found = [path for folder in dict.fromkeys(folders) if folder.is_dir() for path in sorted(folder.glob("*.y*ml"))]
    return [path for path in found if path != near][:_MOST_CARDS]


def _head(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(4096)
    except OSError:
        return ""


def cache_folder() -> Path:
    """Where the Hub's cache lies on this machine."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub")


def _newest_first(folder: Path) -> list[Path]:
    found = {}
    # Whoever tidies the cache up takes folders away while they are listed.
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                found[path] = path.stat().st_mtime
    return sorted(found, key=lambda path: -found[path])


def _cached(kind: str, name: str) -> tuple[Card, Path] | None:
    snapshots = cache_folder() / f"{kind}--{name.replace('/', '--')}" / "snapshots"
    for folder in _newest_first(snapshots):
        readme = folder / "README.md"
        if not readme.is_file():
            continue
        try:
            if kind == "models":
                card: Card | None = card_beside_model(folder)
            else:
                card = with_words(dataset_card_from_hub(front_matter(readme), name=name, file=str(readme)), readme)
        except InputError:
            continue
        if card is not None:
            return card, readme
    return None
