"""The dataset card of a data set of the Hub: what its own card says, with the files that an entry means, each pinned by digest.

It is a file in the cache, beside links to the snapshot, so that everything that reads a dataset card reads it: one door for local and
Hub data. It holds no place of this machine: the same entry at the same commit gives the same bytes everywhere.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from kdgov.checkpoints.digests import cache_folder, remembered_digest
from kdgov.checks.cards.beside.statements import is_said, with_words
from kdgov.checks.cards.beside.texts_beside import license_texts
from kdgov.checks.cards.interchange import dataset_card_from_hub
from kdgov.checks.cards.known_facts import filled
from kdgov.declarations.cards import DATASET_CARD, DatasetCard, load_dataset_card
from kdgov.declarations.data_parts.hub_data import HubData
from kdgov.declarations.load import validate
from kdgov.declarations.suite_parts.media_folders import as_data_file
from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.digest import digest_json
from kdgov.errors import UnavailableError
from kdgov.hub.hub_front_matter import front_matter
from kdgov.license.catalogue.expression import joined_by_and, ones, parse

OWN = "said-here"
"""Link to the folder of the card that stands beside ``hub:``."""
_PLACES = ("card", "license_text", "withdrawn_file")


def hub_data_card(item: HubData, *, where: str, own: Path | None = None) -> Path:
    """The card's file; the data set is fetched where the Hub's cache does not hold it.

    Args:
        item: the entry that names the data set.
        where: file and key of the entry, for messages.
        own: a card that says what the Hub's leaves open; a licence that it states joins the Hub's own, and never replaces it.

    Raises:
        InputError: if the data set, its state, split or files do not exist, or a card is at fault.
        UnavailableError: if it is not whole in the cache and the hub cannot be reached.
    """
    found = importlib.import_module("kdgov.hub.data_set").hub_files(item, where=where)
    link = found.hub.rpartition("/")[2]
    value = _of_hub(found, link)
    if own is not None:
        value = _completed(value, load_dataset_card(own))
    card = validate(value, DatasetCard, file=where)
    written = yaml.safe_dump(
        json.loads(json.dumps(card.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {"schema": DATASET_CARD}, default=str)),
        sort_keys=True,
        allow_unicode=True,
        width=120,
    )
    tag = digest_json([found.commit, written]).removeprefix("sha256:")
    place = digest_json([tag, str(found.folder), str(own.resolve().parent) if own is not None else ""]).removeprefix("sha256:")
    home = cache_folder() / "hub-data" / "cards" / place[:24]
    file = home / f"{found.hub.replace('/', '--')}-{tag[:12]}.yaml"
    links = {link: found.folder, **({OWN: own.resolve().parent} if own is not None else {})}
    try:
        _keep(home, links, file, written)
    except OSError as error:
        mend = "Set KDGOV_CACHE to a folder of yours."
        raise UnavailableError(f"the card of {found.hub} cannot be written: {error.strerror}", where=str(home), mend=mend) from error
    return file


def items_license(task: TaskInSuite, *, where: str) -> str | None:
    """The licence of a task's items where it is not the suite's: as the suite states it, else their data set of the Hub."""
    stated = (task.data.license if task.data else None) or (task.hub.license if task.hub else None)
    if stated is not None or task.data is None or task.data.hub is None:
        return stated
    found = importlib.import_module("kdgov.hub.data_set").hub_files(task.data, where=f"{where}: tasks.{task.task}.data", default="")
    told: str | None = _of_hub(found, "items").get("license")
    return told


def _keep(home: Path, links: Mapping[str, Path], file: Path, text: str) -> None:
    home.mkdir(parents=True, exist_ok=True)
    for name, target in links.items():
        if not (home / name).exists():
            # Another process may make the same link at the same moment.
            with contextlib.suppress(FileExistsError):
                (home / name).unlink(missing_ok=True)
                (home / name).symlink_to(target.resolve(), target_is_directory=True)
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        # A name of its own: two processes that write the same would take the one file from each other.
        beside = home / f".{file.name}.{os.getpid()}.{threading.get_native_id()}.tmp"
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)


def _of_hub(found: Any, link: str) -> dict[str, Any]:
    """What the data set's own card says, and its files."""
    readme = found.folder / "README.md"
    matter = front_matter(readme) if readme.is_file() else {}
    card = filled(with_words(dataset_card_from_hub(matter, name=found.hub, file=f"{found.hub}: README.md"), readme))
    texts = license_texts(found.folder, None if matter.get("license_link") is None else str(matter["license_link"]))
    files = []
    for path in found.paths:
        listing = as_data_file(path)
        name = path.relative_to(found.folder).as_posix()
        files.append(
            {
                "path": link if name == "." else f"{link}/{name}",
                "digest": remembered_digest(listing),
                "size_bytes": listing.stat().st_size,
            }
        )
    value = card.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    owner = found.hub.rpartition("/")[0]
    return {
        **value,
        "schema": DATASET_CARD,
        "name": found.hub,
        "id": found.hub,
        "revision": found.commit,
        "version": value.get("version") or found.commit,
        "location": f"hf://datasets/{found.hub}@{found.commit}",
        **({"issuer": owner} if owner else {}),
        **({"license_text": f"{link}/{texts[0].relative_to(found.folder).as_posix()}"} if texts else {}),
        "files": files,
    }


def _completed(theirs: Mapping[str, Any], own: DatasetCard) -> dict[str, Any]:
    """The Hub's card with what the release's own card adds; what pins and what binds is kept from both."""
    ours = _beside_own(own.model_dump(mode="json", by_alias=True, exclude_defaults=True))
    value = {**theirs, **{key: one for key, one in ours.items() if key not in ("files", "lineage", "further", "license")}}
    value |= {key: theirs[key] for key in ("id", "revision", "location") if key in theirs}
    value["lineage"] = [*theirs.get("lineage", []), *(one for one in ours.get("lineage", []) if one not in theirs.get("lineage", []))]
    value["further"] = {**theirs.get("further", {}), **ours.get("further", {})}
    stated = [str(one) for one in (theirs.get("license"), own.license) if one]
    if len(stated) == 2:
        parsed = parse(stated[0])
        said = [stated[0]] if isinstance(parsed, str) else [one.name for one in ones(parsed)]
        stated = stated[:1] if is_said(stated[1], said) else stated
    if stated:
        value["license"] = joined_by_and(stated)
    if theirs.get("license_text") and own.license_text is None:
        value["license_text"] = theirs["license_text"]
    declared = {file.path.removeprefix("./"): file for file in own.files}
    value["files"] = [_pinned(entry, declared) for entry in theirs["files"]]
    return value


def _pinned(entry: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """A file with what the release's own card pins of it, under its name in the repository or with the repository's before it."""
    path = str(entry["path"])
    own = declared.get(path) or declared.get(path.partition("/")[2])
    if own is None:
        return dict(entry)
    said = own.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {**entry, **{key: value for key, value in said.items() if key != "path"}}


def _beside_own(value: Any) -> Any:
    """Names of files in a card, as they are from the card's place in the cache."""
    if isinstance(value, dict):
        return {key: _placed(one) if key in _PLACES and isinstance(one, str) else _beside_own(one) for key, one in value.items()}
    return [_beside_own(one) for one in value] if isinstance(value, list) else value


def _placed(name: str) -> str:
    return name if Path(name).expanduser().is_absolute() else f"{OWN}/{name}"
