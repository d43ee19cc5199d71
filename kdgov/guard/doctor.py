"""The canary: does this very server really refuse? Proven with a throw-away version, never read off a setting.

A server started without the guarded registry address is a plain registry and says nothing; only trying tells.
"""

from __future__ import annotations

import json
import secrets
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

CANARY_EXPERIMENT = "kdgov/canary"
SEALED_TAG = "kdgov.sealed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryCheck:
    """One thing that a guarded server refuses."""

    attempt: str
    """What was tried."""
    refused: bool
    """Whether the server refused."""
    detail: str
    """The server's words, or what it let through."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        return asdict(self)


def examine(client: MlflowClient, *, alias: str = "champion", artifact_root: str = "") -> tuple[CanaryCheck, ...]:
    """Try what a guarded server must refuse, on a canary model that is deleted afterwards.

    The seal and the write-once store are tried on one run of the experiment ``kdgov/canary``, which is kept.

    Args:
        client: of the server in question.
        alias: the guarded alias.
        artifact_root: where recordings put their artifacts; empty: the server decides.
    """
    name = f"kdgov-canary-{uuid.uuid4().hex[:8]}"
    client.create_registered_model(name)
    try:
        version = str(client.create_model_version(name, source="s3://kdgov-canary/nothing").version)
        found = [
            _try(f"set @{alias} without a decision", lambda: client.set_registered_model_alias(name, alias, version)),
            _try("set a look-alike of it (Cyrillic с)", lambda: client.set_registered_model_alias(name, "сhampion", version)),
            _try("write the verdict tag by hand", lambda: client.set_model_version_tag(name, version, "kdgov.verdict", "PASS")),
            _try("hand over an unsigned decision", lambda: client.set_model_version_tag(name, version, "kdgov.submit", "{}")),
        ]
    finally:
        for held in list(client.get_registered_model(name).aliases):
            client.delete_registered_model_alias(name, held)
        client.delete_registered_model(name)
    run_id = _canary_run(client, artifact_root)
    found.append(_try("rewrite a sealed run", lambda: client.log_metric(run_id, "canary", 2.0)))
    found.append(_try("overwrite stored evidence", lambda: _write(client, run_id, "other bytes")))
    return tuple(found)


def examine_own(client: MlflowClient, address: str, nonce: str) -> tuple[CanaryCheck, ...]:
    """Whether the server at an address is the very one that was started, and refuses; nothing is left behind.

    What is asked of it concerns a model, a run and a folder that never exist: the guard judges them as it judges any other.

    Args:
        client: of that address.
        address: where it answers.
        nonce: what the started server was given to say.
    """
    try:
        status = json.loads(client.search_registered_models("kdgov.guard = 'status'")[0].description or "{}")
    except (MlflowException, IndexError, ValueError):
        status = {}
    is_ours = secrets.compare_digest(str(status.get("started_as", "")), nonce)
    told = "it says the word it was given" if is_ours else "another server answers there, or one without the guard"
    found = [CanaryCheck(attempt="be the server that was started", refused=is_ours, detail=told)]
    if not is_ours:
        return tuple(found)
    name, run = "kdgov-canary", "0kdgov0canary"
    found += [
        _try("set @champion without a decision", lambda: client.set_registered_model_alias(name, "champion", "1")),
        _try("write the verdict tag by hand", lambda: client.set_model_version_tag(name, "1", "kdgov.verdict", "PASS")),
        _try("hand over an unsigned decision", lambda: client.set_model_version_tag(name, "1", "kdgov.submit", "{}")),
        _try("rewrite a sealed run", lambda: client.log_metric(run, "canary", 2.0)),
    ]
    if all(check.refused for check in found):
        upload = f"{address}/api/2.0/mlflow-artifacts/artifacts/kdgov-canary/canary.txt"
        found.append(_try("write where nothing may lie", lambda: requests.put(upload, data=b"canary", timeout=60).raise_for_status()))
    return tuple(found)


def _try(attempt: str, act: Callable[[], object]) -> CanaryCheck:
    try:
        act()
    except MlflowException as error:
        words = str(error.message).removeprefix(f"{error.error_code}: ")
        return CanaryCheck(attempt=attempt, refused=error.error_code == "PERMISSION_DENIED" or "kdgov" in words, detail=words[:300])
    except requests.exceptions.HTTPError as error:
        # Artifact uploads answer with plain HTTP errors.
        refused = error.response is not None and error.response.status_code == 403
        return CanaryCheck(attempt=attempt, refused=refused, detail=str(error)[-300:])
    except requests.exceptions.RequestException as error:
        return CanaryCheck(attempt=attempt, refused=False, detail=f"no answer ({type(error).__name__})")
    return CanaryCheck(attempt=attempt, refused=False, detail="the server let it through")


def _canary_run(client: MlflowClient, artifact_root: str) -> str:
    known = client.get_experiment_by_name(CANARY_EXPERIMENT)
    location = f"{artifact_root}/canary" if artifact_root else None
    experiment = known.experiment_id if known else client.create_experiment(CANARY_EXPERIMENT, artifact_location=location)
    runs = client.search_runs([experiment], filter_string=f"tags.`{SEALED_TAG}` = 'canary'", max_results=1)
    if runs:
        return str(runs[0].info.run_id)
    run_id = str(client.create_run(experiment, run_name="canary").info.run_id)
    _write(client, run_id, "first bytes")
    client.log_metric(run_id, "canary", 1.0)
    client.set_terminated(run_id)
    client.set_tag(run_id, SEALED_TAG, "canary")
    return run_id


def _write(client: MlflowClient, run_id: str, text: str) -> None:
    with tempfile.TemporaryDirectory(prefix="kdgov-") as folder:
        path = Path(folder) / "canary.txt"
        path.write_text(text)
        client.log_artifact(run_id, str(path))
