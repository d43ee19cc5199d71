"""A pinned model or data set of the Hub as a folder on disk."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from kdgov.digest import is_dry
from kdgov.errors import InputError, UnavailableError

Kind = Literal["model", "dataset"]
_FLAG: dict[Kind, str] = {"model": "", "dataset": " --repo-type dataset"}


def hub_snapshot(name: str, revision: str, beside: Path | str, *, files: Sequence[str], kind: Kind = "model") -> Path:
    """The folder of a snapshot: from the local hub cache where it is, else downloaded.

    Args:
        name: hub id, such as ``org/name``.
        revision: commit.
        beside: the file that names it, for messages.
        files: patterns of the files that are wanted.
        kind: model or data set.

    Raises:
        InputError: if the hub knows no such repository or revision.
        UnavailableError: if it is not in the cache and the hub cannot be reached.
    """
    if (found := cached_snapshot(name, revision, files=files, kind=kind)) is not None:
        return found
    return fetched_snapshot(name, revision, beside, files=files, kind=kind)


def cached_snapshot(name: str, revision: str, *, files: Sequence[str] | None = None, kind: Kind = "model") -> Path | None:
    """The folder of a snapshot as far as the local cache holds it; None where it holds none. It asks no network."""
    hub, errors = _client()
    try:
        patterns = list(files) if files is not None else None
        return Path(hub.snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=patterns, local_files_only=True))
    except (errors.LocalEntryNotFoundError, errors.HFValidationError):
        return None


def repository_folder(name: str, kind: Kind) -> Path:
    """Where the local cache keeps a repository, whether it does or not."""
    constants = importlib.import_module("huggingface_hub.constants")
    return Path(constants.HF_HUB_CACHE) / f"{kind}s--{name.replace('/', '--')}"


def fetched_snapshot(name: str, revision: str, beside: Path | str, *, files: Sequence[str], kind: Kind = "model") -> Path:
    """The folder of a snapshot with every wanted file; what the cache lacks is downloaded.

    Raises:
        InputError: if the hub knows no such repository or revision.
        UnavailableError: if the hub cannot be reached, or this is a dry run.
    """
    hub, _ = _client()
    if is_dry():
        raise UnavailableError(
            f"{called(kind)} {name!r} at revision {revision!r} is not in the local hub cache: a run would download it first",
            where=str(beside),
            mend=f"Fetch it before a dry run: {download_command(name, revision, kind)}.",
        )
    return Path(
        asked(
            lambda: hub.snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=list(files)),
            name=name,
            revision=revision,
            beside=beside,
            kind=kind,
        )
    )


def asked(question: Any, *, name: str, revision: str | None, beside: Path | str, kind: Kind) -> Any:
    """What the hub answers to a call of its client, its refusals in one wording.

    Raises:
        InputError: if the hub knows no such repository or revision, or does not let this machine read it.
        UnavailableError: if it cannot be reached.
    """
    _, errors = _client()
    at = f" at revision {revision!r}" if revision else ""
    try:
        return question()
    except (
        errors.RepositoryNotFoundError,
        errors.RevisionNotFoundError,
        errors.RemoteEntryNotFoundError,
        errors.HFValidationError,
    ) as error:
        raise InputError(
            f"the hub has no {called(kind)} {name!r}{at} (and there is no such folder)",
            where=str(beside),
            mend=f"Correct the name or the revision; a gated {called(kind)} needs HF_TOKEN.",
        ) from error
    except (*errors.HfHubHTTPError.__bases__, errors.LocalEntryNotFoundError) as error:
        # OSError, and the HTTP client's own base of every failed request.
        raise unreachable(name, revision, beside, kind=kind) from error


def unreachable(name: str, revision: str | None, beside: Path | str, *, kind: Kind, lacks: str = "") -> UnavailableError:
    """The fault of a repository that is neither at hand nor to be fetched; ``lacks`` names files where the cache holds others of it."""
    at = f" at revision {revision!r}" if revision else ""
    if kind == "dataset":
        command = download_command(name, revision or "COMMIT", kind)
        missing = f" (it lacks {lacks})" if lacks else ""
        return UnavailableError(
            f"{called(kind)} {name!r}{at} is not whole in the local hub cache{missing}, and the hub cannot be reached",
            where=str(beside),
            mend=f"Connect to the hub, or run `{command}` on a connected machine and bring its HF_HOME here.",
        )
    return UnavailableError(
        f"{called(kind)} {name!r}{at} is not a folder, not in the local hub cache, and the hub cannot be reached",
        where=str(beside),
        mend="Correct the path if a folder was meant; otherwise connect to the hub, or download the snapshot on a connected machine.",
    )


def called(kind: Kind) -> str:
    """The word for it in messages."""
    return "data set" if kind == "dataset" else "model"


def download_command(name: str, revision: str, kind: Kind) -> str:
    """What a person types to fetch it."""
    return f"hf download {name}{_FLAG[kind]} --revision {revision}"


def _client() -> tuple[Any, Any]:
    # Only what is named on the hub needs its client: whoever works on local folders has none installed.
    return importlib.import_module("huggingface_hub"), importlib.import_module("huggingface_hub.errors")
