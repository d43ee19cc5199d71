"""What the guard re-reads before it lets a version through: the evidence bundle, the card and, where reachable, the weights."""

from __future__ import annotations

import os
import posixpath
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from kdgov.checkpoints.model_files import folder_fault
from kdgov.digest import digest_bytes
from kdgov.errors import KdgovError
from kdgov.evidence.artifact_places import WRITE_ONCE, folder_of, is_web_address
from kdgov.evidence.bundle_layout import BUNDLE_FOLDER, MANIFEST
from kdgov.evidence.derivation.derive import Asker, Derivation, RememberedDerivations, derive, question_of, seal_fault
from kdgov.evidence.release_statement import Refusal

DESTINATION_VARIABLE = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
PROXIED = "mlflow-artifacts:"

_JUDGED = RememberedDerivations()


def derive_stored(predicate: Mapping[str, Any], artifact_uri: str, asker: Asker) -> Derivation:
    """Whether the statement follows from the bundle that lies in its run's artifacts.

    The bundle is copied into a folder of the server's own, every byte of the copy is hashed, and the decision is judged again from it.
    Only the judgement, a pure function of those bytes, of the statement and of what the asker believes, is remembered.
    """
    mend = "Record the release again; the evidence is never edited."
    with tempfile.TemporaryDirectory(prefix="kdgov-evidence-") as kept:
        try:
            folder = copied_evidence(artifact_uri, Path(kept) / BUNDLE_FOLDER)
            fault = seal_fault(folder, predicate) if (folder / MANIFEST).is_file() else "the evidence is missing"
        except (OSError, ValueError, KeyError, TypeError, MlflowException, KdgovError) as error:
            fault = f"the evidence cannot be read ({getattr(error, 'what', type(error).__name__)})"
        if fault:
            return Derivation(refusals=(Refusal(criterion="evidence", reason=fault, mend=mend),))
        return _JUDGED.of(question_of(predicate, asker), lambda: derive(folder, predicate, asker))


def copied_evidence(artifact_uri: str, into: Path) -> Path:
    """The bundle of a run's artifacts, copied into a folder of one's own; the folder lacks a manifest where there is none."""
    local = local_path(artifact_uri)
    if local is not None:
        # Links are copied as links, and a manifest takes none that leaves its folder.
        source = local / BUNDLE_FOLDER
        return Path(shutil.copytree(source, into, symlinks=True)) if source.is_dir() else into
    repository = get_artifact_repository(posixpath.join(_resolved(artifact_uri).removeprefix(WRITE_ONCE), BUNDLE_FOLDER))
    into.mkdir()
    return Path(repository.download_artifacts("", dst_path=str(into)))


def weights_refusals(predicate: Mapping[str, Any], *, required: bool) -> list[Refusal]:
    """Whether the model's folder is the one that was judged, file by file, where it can be read from here; every byte is read."""
    path = local_path(str(predicate.get("weights_uri", "")))
    if path is None or not path.exists():
        if not required:
            return []
        place = str(predicate.get("weights_uri", ""))
        if is_web_address(place):
            told = f"the student can only be asked, at {place}, and this registry demands weights that it can read"
            return [Refusal(criterion="weights", reason=told, mend="Release the checkpoint under `student.model`.")]
        reason = "the weights cannot be read from this server to compare them with those judged"
        return [Refusal(criterion="weights", reason=reason, mend="Put them where the server reads them, or upload them with the release.")]
    fault = folder_fault(path, model=predicate["model"], judged=predicate["model_files"])
    if not fault:
        return []
    reason = f"this is not the model that was judged: {fault}"
    return [Refusal(criterion="weights", reason=reason, mend="Restore the checkpoint that was judged, or judge the new one.")]


def card_refusals(predicate: Mapping[str, Any], description: str) -> list[Refusal]:
    """Whether the version still shows the card that was signed."""
    if digest_bytes(description.encode()) == predicate["card"]:
        return []
    return [
        Refusal(
            criterion="card", reason="the description is not the card that was signed", mend="Restore it from card/short.md of the run."
        )
    ]


def local_path(uri: str) -> Path | None:
    """Folder of a URI when this machine can open it directly; None for object stores and the like."""
    inner = uri.removeprefix(WRITE_ONCE)
    if inner.startswith(PROXIED):
        destination = os.environ.get(DESTINATION_VARIABLE, "")
        root = local_path(destination) if destination else None
        return root / urlparse(inner).path.lstrip("/") if root is not None else None
    return folder_of(inner)


def _resolved(artifact_uri: str) -> str:
    if not artifact_uri.startswith(PROXIED):
        return artifact_uri
    return posixpath.join(os.environ[DESTINATION_VARIABLE], urlparse(artifact_uri).path.lstrip("/"))
