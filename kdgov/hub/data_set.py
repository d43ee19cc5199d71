"""A data set of the Hub as files on disk: its commit, the files an entry means, its card and licence texts."""

from __future__ import annotations

import contextlib
import glob
import importlib
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov.declarations.data_parts.hub_data import COMMIT, HubData
from kdgov.digest import is_dry, write_atomic
from kdgov.errors import InputError, UnavailableError
from kdgov.hub.data_layout import Chosen, LackingFileError, chosen_files
from kdgov.hub.hub_front_matter import front_matter
from kdgov.hub.hub_snapshot import asked, cached_snapshot, fetched_snapshot, repository_folder, unreachable
from kdgov.hub.joined_files import joined
from kdgov.resources import cache_folder

_CARD_FILES = ("README.md", "LICENSE*", "LICENCE*", "License*", "license*", "COPYING*", "NOTICE*")
_SHARD = re.compile(r"-(?P<number>\d{5})-of-(?P<count>\d{5})")
_ASK_S = 10.0
_known: dict[tuple[str, str, str], HubFiles] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFiles:
    """Files of a data set of the Hub, on this machine."""

    hub: str
    """``owner/name``."""
    commit: str
    """The state that was read."""
    folder: Path
    """Its snapshot folder."""
    chosen: Chosen
    """What of it is meant."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files; of images and sounds the one folder that holds them."""
        if self.chosen.folder is not None:
            return (self.folder / self.chosen.folder,)
        return tuple(self.folder / name for name in self.chosen.files)


def hub_files(wanted: HubData, *, where: str, default: str = "train") -> HubFiles:
    """The files an entry means: from the Hub's local cache where it holds them whole, else fetched.

    Args:
        wanted: the entry.
        where: file and key of the entry, for messages.
        default: split that is meant where none is named; empty: it has to be named where there are several.

    Raises:
        InputError: if the data set, its state, split or files do not exist, or it needs code to be read.
        UnavailableError: if it is not whole in the cache and the hub cannot be reached.
    """
    place = (str(cache_folder()), wanted.address, default)
    if (known := _known.get(place)) is not None and all(path.exists() for path in known.paths):
        return known
    where = f"{where} {wanted.hub}"
    hub, commit = str(wanted.hub), _commit(wanted, where)
    held = _listing(hub, commit)
    chosen = None if held is not None else _whole_in_cache(hub, commit, wanted, where, default)
    if chosen is None:
        held = held if held is not None else _listing(hub, commit)
        names = held if held is not None else _asked_names(hub, commit, where)
        card = _card_of(hub, commit, where, names)
        chosen = chosen_files(names, card, wanted, where=where, default=default)
    found = HubFiles(hub=hub, commit=commit, folder=_folder(hub, commit, chosen.files, where), chosen=chosen)
    _known[place] = found
    return found


def one_file(wanted: HubData, *, where: str, default: str = "train") -> Path:
    """What an entry means as one file, where only one can be read: several are put together in the cache.

    Raises:
        InputError: as `hub_files`; also if they do not fit together.
        UnavailableError: as `hub_files`.
    """
    return joined(hub_files(wanted, where=where, default=default).paths, where=f"{where} {wanted.hub}")


def _commit(wanted: HubData, where: str) -> str:
    """The commit that is meant; of a branch, or of nothing, the one that the cache knows, else the hub's own of today."""
    if wanted.revision is not None and COMMIT.match(wanted.revision):
        return wanted.revision
    hub, revision = str(wanted.hub), wanted.revision or "main"
    cached = cached_snapshot(hub, revision, files=["README.md"], kind="dataset")
    if cached is not None and COMMIT.match(cached.name):
        return cached.name
    if is_dry():
        raise unreachable(hub, revision, where, kind="dataset")
    return str(_info(hub, revision, where).sha)


def _info(hub: str, revision: str, where: str) -> Any:
    api = importlib.import_module("huggingface_hub").HfApi()
    return asked(
        lambda: api.dataset_info(hub, revision=revision, timeout=_ASK_S), name=hub, revision=revision, beside=where, kind="dataset"
    )


def _place(hub: str, commit: str) -> Path:
    return cache_folder() / "hub-data" / "listings" / f"{hub.replace('/', '--')}@{commit}.json"


def _listing(hub: str, commit: str) -> list[str] | None:
    """Names of every file at a commit, as the hub once told them, us or its own client: a commit never changes."""
    for place in (_place(hub, commit), repository_folder(hub, "dataset") / "trees" / f"{commit}.json"):
        try:
            value = json.loads(place.read_bytes())
        except (OSError, ValueError):
            continue
        names = value.get("files") if isinstance(value, dict) else value
        if isinstance(names, (list, dict)) and names:
            return sorted(str(name) for name in names)
    return None


def _asked_names(hub: str, commit: str, where: str) -> list[str]:
    if is_dry():
        raise unreachable(hub, commit, where, kind="dataset")
    info = _info(hub, commit, where)
    names = sorted(str(file.rfilename) for file in getattr(info, "siblings", None) or ())
    with contextlib.suppress(OSError):
        # Where it cannot be kept it is asked again.
        write_atomic(_place(hub, commit), json.dumps(names).encode())
    return names


def _card_of(hub: str, commit: str, where: str, names: Sequence[str]) -> dict[str, object]:
    if "README.md" not in names:
        return {}
    cached = cached_snapshot(hub, commit, files=["README.md"], kind="dataset")
    if cached is None or not (cached / "README.md").is_file():
        cached = fetched_snapshot(hub, commit, where, files=_CARD_FILES, kind="dataset")
    return front_matter(cached / "README.md")


def _whole_in_cache(hub: str, commit: str, wanted: HubData, where: str, default: str) -> Chosen | None:
    """What an entry means among the files of the cache; None where only the hub knows whether some are lacking.

    Names tell that none lacks where each is one of so many (``-00000-of-00003``), or where the entry names one file. Otherwise the hub is
    asked, and only where it cannot be reached the cache counts as it is: a person put it there.
    """
    cached = repository_folder(hub, "dataset") / "snapshots" / commit
    names = sorted(path.relative_to(cached).as_posix() for path in cached.rglob("*") if path.is_file())
    if not names:
        return None
    card = front_matter(cached / "README.md") if (cached / "README.md").is_file() else {}
    try:
        chosen = chosen_files(names, card, wanted, where=where, default=default)
    except LackingFileError as fault:
        return _unless_reachable(hub, commit, where, unreachable(hub, commit, where, kind="dataset", lacks=fault.pattern))
    except InputError as fault:
        # What the cache lacks the hub may have: its answer decides, or the fault where it cannot be reached.
        return _unless_reachable(hub, commit, where, fault)
    if lacking := _lacking_shards(chosen.files):
        return _unless_reachable(hub, commit, where, unreachable(hub, commit, where, kind="dataset", lacks=lacking))
    is_one = wanted.files is not None and not glob.has_magic(wanted.files)
    if is_one or all(_SHARD.search(name) for name in chosen.files):
        return chosen
    return _unless_reachable(hub, commit, where, chosen)


def _unless_reachable(hub: str, commit: str, where: str, otherwise: Chosen | InputError | UnavailableError) -> Chosen | None:
    """None where the hub tells the names of the commit; else what is known without it."""
    try:
        _asked_names(hub, commit, where)
    except UnavailableError:
        pass
    except InputError:
        # The hub is there and does not know the commit: a cache made elsewhere, or from another endpoint.
        pass
    else:
        return None
    if isinstance(otherwise, Chosen):
        return otherwise
    raise otherwise


def _lacking_shards(names: Sequence[str]) -> str:
    """The first shard that is not there, as names like ``-00001-of-00003`` tell; empty where none lacks."""
    held: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for name in names:
        if found := _SHARD.search(name):
            held[name[: found.start()], int(found["count"])].add(int(found["number"]))
    for (stem, count), numbers in held.items():
        for number in range(count):
            if number not in numbers:
                return f"{stem}-{number:05d}-of-{count:05d}"
    return ""


def _folder(hub: str, commit: str, names: Sequence[str], where: str) -> Path:
    patterns = [glob.escape(name) for name in names]
    cached = cached_snapshot(hub, commit, files=patterns, kind="dataset")
    if cached is not None and all((cached / name).is_file() for name in names):
        return cached
    found = fetched_snapshot(hub, commit, where, files=[*patterns, *_CARD_FILES], kind="dataset")
    if lacking := next((name for name in names if not (found / name).is_file()), None):
        raise unreachable(hub, commit, where, kind="dataset", lacks=lacking)
    return found
