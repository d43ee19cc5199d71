"""From the folder that MLflow downloaded to the version that may be loaded: which release, in which registry, verified."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlparse

import mlflow
import yaml
from mlflow.models.model import MLMODEL_FILE_NAME

from kdgov.errors import InputError
from kdgov.recording.client.client import registry_client
from kdgov.recording.client.target import REGISTRY_VARIABLE, STORE_VARIABLE, RegistryTarget, registry_target
from kdgov.recording.client.version_facts import RECORDING_TAG
from kdgov.recording.flavors.model_reference import refers_to
from kdgov.recording.verified_loading import LoadedModel, load_version

_MEND = "Load it from the registry that recorded it: models:/name@alias or models:/name/7."


def load_verified(folder: Path) -> LoadedModel:
    """Model and tokenizer of the version that a logged model's folder belongs to, verified first.

    The registry is the one MLflow is set to (MLFLOW_TRACKING_URI), or KDGOV_REGISTRY; the trust store that counts is that of KDGOV_STORE,
    KDGOV_TRUST, or of the store that an embedded registry lies in.

    Raises:
        NotReleasedError: if the version may not be used; the message says why.
        InputError: if the folder names no recorded version.
    """
    name, recording = refers_to(folder)
    if not name:
        raise InputError("the folder does not say which release it belongs to", where=str(folder), mend=_MEND)
    target = serving_target()
    return load_version(name, _version_of(target, name, recording, f"models:/{_model_id(folder)}"), target)


def serving_target() -> RegistryTarget:
    """The registry that MLflow is set to, with the store whose trust counts.

    Raises:
        InputError: if MLflow is set to something that is no registry.
    """
    named = os.environ.get(REGISTRY_VARIABLE) or mlflow.get_registry_uri() or ""
    if not os.environ.get(REGISTRY_VARIABLE) and not named.startswith(("http://", "https://", "kdgov:", "sqlite:", "postgresql")):
        named = ""
    return registry_target(_store_of(named), named or None)


def _store_of(uri: str) -> Path:
    if declared := os.environ.get(STORE_VARIABLE):
        return Path(declared)
    parsed = urlparse(uri.removeprefix("kdgov:"))
    # sqlite:////srv/store/mlflow.db: the keys of an embedded registry lie beside its database.
    beside = Path(parsed.path[1:]).parent if parsed.scheme.startswith("sqlite") and parsed.path.strip("/") else None
    return beside if beside is not None and (beside / "keys").is_dir() else Path("registry") / "store"


def _model_id(folder: Path) -> str:
    try:
        return str(yaml.safe_load((folder / MLMODEL_FILE_NAME).read_text(encoding="utf-8"))["model_id"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError("its MLmodel cannot be read", where=str(folder), mend=_MEND) from error


def _version_of(target: RegistryTarget, name: str, recording: str, source: str) -> int:
    with registry_client(target) as client:
        quoted = name.replace("'", "")
        found = client.search_model_versions(f"name = '{quoted}' AND tags.`{RECORDING_TAG}` = '{recording.replace(chr(39), '')}'")
    numbers = sorted(int(version.version) for version in found if version.source == source)
    if not numbers:
        raise InputError(f"{target.name} has no version of {name} that this model belongs to", mend=_MEND)
    return numbers[0]
