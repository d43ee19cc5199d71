"""What every step of one release shares: the declaration, where it lies, the store, and how progress is told."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from kdgov.declarations.data_parts.hub_data import is_hub_address, named_by
from kdgov.declarations.effects.release_file import load_release
from kdgov.declarations.load import resolve
from kdgov.declarations.release import Release
from kdgov.errors import InputError
from kdgov.pipeline.finished_work.store import Store
from kdgov.progress import Progress, silent
from kdgov.resources import DataFolder, data_folder

STORE_VARIABLE = "KDGOV_STORE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseContext:
    """One release on its way."""

    release: Release
    """The declaration with every default filled in."""
    path: Path
    """The file it was read from."""
    store: Store
    """Finished work."""
    progress: Progress = field(default=silent)
    """Where progress is told."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the release that were set on the command line, with their values."""

    def wait(self, sentence: str) -> None:
        """Tell that another run has to be waited for; an empty sentence tells that the wait is over."""
        if sentence:
            self.progress(sentence, 0, 0)

    def path_of(self, name: str) -> Path:
        """A path the release names: relative to its file, then to the working folder, then among the shipped data; or a file of the Hub.

        Raises:
            InputError: if it names a data set of the Hub that has no such file.
            UnavailableError: if that is not at hand and the hub cannot be reached.
        """
        if is_hub_address(name):
            return cast("Path", importlib.import_module("kdgov.hub.data_set").one_file(named_by(name), where=str(self.path)))
        found = resolve(name, beside=self.path)
        if found.exists():
            return found
        first, _, rest = name.partition("/")
        if first in ("policies", "evalsuites", "registry") and rest:
            folder: DataFolder = first  # type: ignore[assignment]
            shipped = data_folder(folder) / rest
            if shipped.exists():
                return shipped
        return found

    def policy_path(self) -> Path:
        """The policy file; a bare name such as ``strict`` means the shipped one."""
        name = self.release.policy
        path = self.path_of(name)
        if path.is_file():
            return path
        shipped = data_folder("policies") / f"{name.removesuffix('.yaml')}.yaml"
        if shipped.is_file():
            return shipped
        known = ", ".join(sorted(p.stem for p in data_folder("policies").glob("*.yaml")))
        raise InputError(
            f"policy: names {name!r}, which does not exist", where=str(self.path), mend=f"Name a policy file, or a shipped one: {known}."
        )


def open_release(
    path: Path, *, store: Path | None = None, progress: Progress = silent, settings: Mapping[str, Any] | None = None
) -> ReleaseContext:
    """Read a release, with keys that were set on the command line, and find its store.

    The store is ``--store``, else KDGOV_STORE, else the ``registry/store`` the file lies under, else the working folder's.

    Raises:
        InputError: if the declaration is at fault.
    """
    release = load_release(path, settings=settings)
    place = Store(store or default_store(path))
    return ReleaseContext(release=release, path=path, store=place, progress=progress, settings=dict(settings or {}))


def default_store(path: Path) -> Path:
    """The store of a release file where none is named."""
    if named := os.environ.get(STORE_VARIABLE):
        return Path(named)
    for folder in path.resolve().parents:
        if folder.name == "registry" and os.access(folder, os.W_OK):
            return folder / "store"
    return Path("registry") / "store"
