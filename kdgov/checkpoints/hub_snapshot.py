"""A pinned model of the hub as a folder on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import huggingface_hub
from huggingface_hub import errors as hub_errors

from kdgov.digest import is_dry
from kdgov.errors import InputError, UnavailableError


def hub_snapshot(name: str, revision: str, beside: Path, *, files: Sequence[str]) -> Path:
    """The folder of a model's snapshot: from the local hub cache where it is, else downloaded.

    Args:
        name: hub id, such as ``org/name``.
        revision: commit.
        beside: the file that names it, for messages.
        files: patterns of the files that are wanted.

    Raises:
        InputError: if the hub knows no such model or revision.
        UnavailableError: if it is not in the cache and the hub cannot be reached.
    """
    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=list(files), local_files_only=True))
    except (hub_errors.LocalEntryNotFoundError, hub_errors.HFValidationError):
        # Not at hand: ask the hub. The first try spares an offline machine the hub's retries.
        if is_dry():
            raise UnavailableError(
                f"model {name!r} at revision {revision!r} is not in the local hub cache: a run would download it first",
                where=str(beside),
                mend=f"Fetch it before a dry run: hf download {name} --revision {revision}.",
            ) from None
    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=list(files)))
    except (hub_errors.RepositoryNotFoundError, hub_errors.RevisionNotFoundError, hub_errors.HFValidationError) as error:
        raise InputError(
            f"the hub has no model {name!r} at revision {revision!r} (and there is no such folder)",
            where=str(beside),
            mend="Correct the name or the revision; a gated model needs HF_TOKEN.",
        ) from error
    except (hub_errors.HfHubHTTPError, hub_errors.LocalEntryNotFoundError, hub_errors.OfflineModeIsEnabled, OSError) as error:
        raise UnavailableError(
            f"model {name!r} at revision {revision!r} is not a folder, not in the local hub cache, and the hub cannot be reached",
            where=str(beside),
            mend="Correct the path if a folder was meant; otherwise connect to the hub, or download the snapshot on a connected machine.",
        ) from error
