"""What the guard re-reads before it lets a version through: the evidence bundle, the card and, where reachable, the weights."""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

from kdgov.checkpoints.digests import remembered_digest
from kdgov.checkpoints.model_files import folder_fault
from kdgov.digest import digest_bytes
from kdgov.errors import KdgovError
from kdgov.evidence.artifact_places import WRITE_ONCE, folder_of
from kdgov.evidence.bundle_layout import BUNDLE_FOLDER, DECISION, MANIFEST
from kdgov.evidence.release_statement import Refusal
from kdgov.guard.digest_cache import Memory
from kdgov.safe_parse import json_file, json_value

DESTINATION_VARIABLE = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
PROXIED = "mlflow-artifacts:"

_MEMORY = Memory()


def evidence_refusals(predicate: Mapping[str, Any], artifact_uri: str) -> list[Refusal]:
    """Whether the bundle the decision names still lies, unchanged, in its run's artifacts.

    Every file is hashed, once as long as nothing in the place shows another stamp (`kdgov.guard.digest_cache`); of a store that is
    neither a folder nor S3-compatible the manifest and the decision are read, and the presence of every other file by its listing.
    """
    mend = "Record the release again; the evidence is never edited."
    local = local_path(artifact_uri)
    try:
        fault = _fault(predicate, local / BUNDLE_FOLDER) if local is not None else _remote_fault(predicate, artifact_uri)
    except (OSError, ValueError, KeyError, TypeError, MlflowException, KdgovError) as error:
        fault = f"the evidence cannot be read ({type(error).__name__})"
    return [Refusal(criterion="evidence", reason=fault, mend=mend)] if fault else []


def weights_refusals(predicate: Mapping[str, Any], *, required: bool) -> list[Refusal]:
    """Whether the model's folder is the one that was judged, file by file, where it can be read from here; every byte is read."""
    path = local_path(str(predicate.get("weights_uri", "")))
    if path is None or not path.exists():
        if not required:
            return []
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


def _fault(predicate: Mapping[str, Any], folder: Path) -> str:
    return _MEMORY.of_folder(folder, _question(predicate), lambda: _local_fault(predicate, folder))


def _question(predicate: Mapping[str, Any]) -> str:
    return f"{predicate['bundle']} {predicate['decision']}"


def _local_fault(predicate: Mapping[str, Any], folder: Path) -> str:
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return "the evidence is missing"
    if remembered_digest(manifest) != predicate["bundle"]:
        return "the evidence's manifest was changed"
    stated: Mapping[str, str] = json_file(manifest)["files"]
    if stated.get(DECISION) != predicate["decision"]:
        return "the evidence holds another decision"
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST}
    if odd := sorted(found ^ stated.keys()):
        return f"{odd[0]} was {'added to' if odd[0] in found else 'removed from'} the evidence"
    changed = next((path for path in sorted(stated) if remembered_digest(folder / path) != stated[path]), "")
    return f"{changed} was changed" if changed else ""


def _remote_fault(predicate: Mapping[str, Any], artifact_uri: str) -> str:
    uri = _resolved(artifact_uri)
    repository = get_artifact_repository(posixpath.join(uri.removeprefix(WRITE_ONCE), BUNDLE_FOLDER))
    if isinstance(repository, S3ArtifactRepository):
        return _MEMORY.of_prefix(repository, _question(predicate), lambda: _fetched_fault(predicate, repository))
    manifest = Path(repository.download_artifacts(MANIFEST)).read_bytes()
    if digest_bytes(manifest) != predicate["bundle"]:
        return "the evidence's manifest was changed"
    stated: Mapping[str, str] = json_value(manifest, where=MANIFEST)["files"]
    decision = Path(repository.download_artifacts(DECISION)).read_bytes()
    if not stated.get(DECISION) == predicate["decision"] == digest_bytes(decision):
        return "the evidence holds another decision"
    found = set(_listed(repository, "")) - {MANIFEST}
    if odd := sorted(found ^ stated.keys()):
        return f"{odd[0]} was {'added to' if odd[0] in found else 'removed from'} the evidence"
    return ""


def _fetched_fault(predicate: Mapping[str, Any], repository: Any) -> str:
    with tempfile.TemporaryDirectory(prefix="kdgov-") as folder:
        return _local_fault(predicate, Path(repository.download_artifacts("", dst_path=folder)))


def _resolved(artifact_uri: str) -> str:
    if not artifact_uri.startswith(PROXIED):
        return artifact_uri
    return posixpath.join(os.environ[DESTINATION_VARIABLE], urlparse(artifact_uri).path.lstrip("/"))


def _listed(repository: Any, folder: str) -> list[str]:
    names: list[str] = []
    for item in repository.list_artifacts(folder or None):
        names += _listed(repository, item.path) if item.is_dir else [item.path]
    return names
