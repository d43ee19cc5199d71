"""A recorded version's evidence, fetched from the registry alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from kdgov.errors import InputError
from kdgov.evidence.bundle import read_manifest
from kdgov.evidence.bundle_layout import ATTESTATION_FOLDER, BUNDLE_FOLDER, MANIFEST
from kdgov.recording.client.client import registry_client
from kdgov.recording.client.target import STORE_VARIABLE, RegistryTarget, registry_target
from kdgov.safe_parse import json_file


def fetch_bundle(name: str, version: int | str, target: RegistryTarget | None = None, *, into: Path | None = None) -> Path:
    """Download a version's evidence bundle; returns its folder. Nothing is verified here.

    Args:
        name: registered model.
        version: number, or ``@alias``.
        target: which registry; KDGOV_REGISTRY or the embedded one of ``registry/store`` by default.
        into: folder to download to, created when absent; a new temporary one by default.

    Raises:
        InputError: if there is no such version, or it has no evidence.
        UnavailableError: if the registry cannot be reached.
    """
    where = target or registry_target(Path(os.environ.get(STORE_VARIABLE) or Path("registry") / "store"))
    with registry_client(where) as client:
        return download_bundle(client, find_version(client, name, version), into=into or Path(tempfile.mkdtemp(prefix="kdgov-evidence-")))


def find_version(client: MlflowClient, name: str, version: int | str) -> ModelVersion:
    """The registered version of a number or ``@alias``.

    Raises:
        InputError: if there is none.
    """
    text = str(version)
    try:
        if text.startswith("@"):
            return client.get_model_version_by_alias(name, text[1:])
        return client.get_model_version(name, text)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        mend = "List what there is with `kdgov registry list`."
        raise InputError(f"the registry has no {name} {'' if text.startswith('@') else 'version '}{text}", mend=mend) from error


def download_bundle(client: MlflowClient, version: ModelVersion, *, into: Path) -> Path:
    """As `fetch_bundle`, with a client at hand.

    Raises:
        InputError: if the version has no evidence.
    """
    into.mkdir(parents=True, exist_ok=True)
    if not version.run_id or MANIFEST not in {Path(f.path).name for f in _listed(client, version.run_id, BUNDLE_FOLDER)}:
        raise InputError(
            f"{version.name} version {version.version} has no evidence", mend="It was not recorded by kdgov; record its release first."
        )
    return Path(client.download_artifacts(version.run_id, BUNDLE_FOLDER, str(into)))


def attestations(client: MlflowClient, version: ModelVersion) -> list[Mapping[str, Any]]:
    """Signed envelopes lying beside a version's evidence, newest file name last; unverified."""
    names = sorted(item.path for item in _listed(client, version.run_id or "", ATTESTATION_FOLDER))
    values = (json_artifact(client, version.run_id or "", name) for name in names)
    return [value for value in values if isinstance(value, dict)]


def json_artifact(client: MlflowClient, run_id: str, path: str) -> Any:
    """What an artifact of a run holds as JSON; None where it holds none. No copy of it is left behind."""
    with tempfile.TemporaryDirectory(prefix="kdgov-") as folder:
        try:
            return json_file(Path(client.download_artifacts(run_id, path, folder)))
        except InputError:
            return None


def missing_files(folder: Path) -> list[str]:
    """Files a fetched bundle's manifest names that were not in the registry."""
    return [path for path in read_manifest(folder) if not (folder / path).is_file()]


def _listed(client: MlflowClient, run_id: str, folder: str) -> list[Any]:
    try:
        return list(client.list_artifacts(run_id, folder)) if run_id else []
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return []
        raise
