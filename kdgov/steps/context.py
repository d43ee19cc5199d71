"""What every step of one release shares: the declaration, where it lies, the store, and how progress is told."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kdgov.declare.load import resolve
from kdgov.declare.release import Release, load_release
from kdgov.digest import digest_file, digest_json
from kdgov.errors import InputError
from kdgov.resources import DataFolder, data_folder
from kdgov.steps.store import Store

Progress = Callable[[str, int, int], None]
"""Called as ``progress(label, done, total)``; ``total`` 0 where it is not known."""

STORE_VARIABLE = "KDGOV_STORE"


def silent(label: str, done: int, total: int) -> None:
    """Progress for nobody."""


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

    def path_of(self, name: str) -> Path:
        """A path the release names: relative to its file, then to the working folder, then among the shipped data."""
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


def open_release(path: Path, *, store: Path | None = None, progress: Progress = silent) -> ReleaseContext:
    """Read a release and find its store.

    The store is ``--store``, else KDGOV_STORE, else the ``registry/store`` the file lies under, else the working folder's.

    Raises:
        InputError: if the declaration is at fault.
    """
    release = load_release(path)
    return ReleaseContext(release=release, path=path, store=Store(store or default_store(path)), progress=progress)


def default_store(path: Path) -> Path:
    """The store of a release file where none is named."""
    if named := os.environ.get(STORE_VARIABLE):
        return Path(named)
    for folder in path.resolve().parents:
        if folder.name == "registry" and os.access(folder, os.W_OK):
            return folder / "store"
    return Path("registry") / "store"


def code_digest(*packages: str) -> str:
    """Digest of the source of some of kdgov's packages: part of a step's key, so that changed code never serves old results."""
    here = Path(__file__).parent.parent
    return digest_json({name: _source_digest(here / name) for name in packages})


@functools.cache
def _source_digest(folder: Path) -> str:
    # Once per process: an upgrade in the middle of a run must not give its steps different keys.
    # Fact files decide as much as code does: a changed clause must not serve an old answer.
    kept = sorted(p for p in folder.rglob("*") if p.suffix in {".py", ".yaml"})
    return digest_json({p.relative_to(folder).as_posix(): digest_file(p) for p in kept})
