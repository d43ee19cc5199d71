"""Close a run's folder once it is proven to hold what was recorded, and nothing else.

Until then anyone who can write to the registry may have put a file there first. Such a run is given up: its recorder starts another.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from kdgov.digest import canonical_json, tree_manifest
from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import WEIGHTS_FOLDER
from kdgov.evidence.release_statement import binding_fault
from kdgov.evidence.trust_store import load_trust, trust_path
from kdgov.recording.client.fetch_bundle import attestations, json_artifact
from kdgov.recording.client.signers import signing_for
from kdgov.recording.client.version_facts import RECORDING_TAG, SEALED_TAG, version_facts
from kdgov.safe_parse import json_file, json_value

SEAL_SCHEMA = "kdgov.run_seal/1"
MLFLOW_NOTE = "registered_model_meta"
"""What MLflow writes into a model's folder when it has read it."""
ROLES = ("release", "teacher", "student")


class SpoiledRunError(Exception):
    """A run's folder holds, or was closed over, what its recorder did not put there."""


def put(client: MlflowClient, run_id: str, file: Path, folder: str | None = None) -> None:
    """Upload a file into a run's folder.

    Raises:
        SpoiledRunError: if the place is taken by other bytes, or the folder is closed.
    """
    try:
        client.log_artifact(run_id, str(file), folder)
    except MlflowException as error:
        if error.error_code != "PERMISSION_DENIED":
            raise
        raise SpoiledRunError(str(error.message)) from error
    except requests.exceptions.HTTPError as error:
        # Uploads to a server answer with plain HTTP errors.
        if error.response is None or error.response.status_code != 403:
            raise
        raise SpoiledRunError(error.response.text[:300]) from error


def files_of(client: MlflowClient, run_id: str, folder: str = "") -> Iterator[str]:
    """Every file of a run's folder."""
    for item in client.list_artifacts(run_id, folder or None):
        if item.is_dir:
            yield from files_of(client, run_id, item.path)
        else:
            yield str(item.path)


def refuse_foreign(client: MlflowClient, run_id: str, own: Collection[str], *, is_statement: Callable[[str], bool]) -> None:
    """Nothing, when a run's folder holds what is its own and signed statements.

    Args:
        client: of the registry.
        run_id: whose folder.
        own: paths that belong there.
        is_statement: whether another path is a statement about the same recording.

    Raises:
        SpoiledRunError: naming what does not belong there.
    """
    foreign = [path for path in files_of(client, run_id) if path not in own and not is_statement(path)]
    if foreign:
        raise SpoiledRunError(f"{foreign[0]} was put into run {run_id} by somebody else")


def seal_bytes(decision: str, runs: Mapping[str, str]) -> bytes:
    """What a seal says: the decision, and the runs of its recording. Its digest is in the signed statement."""
    return canonical_json({"schema": SEAL_SCHEMA, "decision": decision, "runs": {role: runs.get(role, "") for role in ROLES}})


def sealed_runs(folder: Path | None) -> dict[str, str]:
    """Role → run, as the seal in a fetched folder says it; empty where there is none."""
    if folder is None:
        return {}
    try:
        document: Any = json_file(folder / SEALED_TAG)
        return {str(role): str(run) for role, run in dict(document["runs"]).items() if run}
    except (OSError, InputError, ValueError, KeyError, TypeError):
        return {}


def runs_of(client: MlflowClient, release_run: str, recording: str, mine: Mapping[str, Any]) -> dict[str, str]:
    """The runs of the recording to which a release's run belongs: our own (``run.<role>``), or those of the job that was first."""
    own = {role: str(mine.get(f"run.{role}", "")) for role in ROLES}
    if own["release"] == release_run:
        return own
    experiment = client.get_run(release_run).info.experiment_id
    beside = client.search_runs([experiment], f"tags.`{RECORDING_TAG}` = '{recording}'", order_by=["attributes.start_time DESC"])
    found = {str(run.data.tags.get("kdgov-role")): str(run.info.run_id) for run in beside if run.info.run_id not in own.values()}
    return {**{role: found.get(role, "") for role in ROLES}, "release": release_run}


def run_facts(client: MlflowClient, runs: Mapping[str, str], source: str) -> dict[str, dict[str, Any]]:
    """Role → identifier, beginning and user of its run; of the student's also when the MLflow model of a version's source was made."""
    infos = {role: client.get_run(run_id).info for role, run_id in runs.items() if run_id}
    found = {role: {"run": i.run_id, "started": int(i.start_time or 0), "user": str(i.user_id or "")} for role, i in infos.items()}
    if "student" in found and source.startswith("models:/m-"):
        found["student"]["model_created"] = int(client.get_logged_model(source.removeprefix("models:/")).creation_timestamp or 0)
    return found


def run_end(creation_timestamp: int, started: int) -> int:
    """When a run of a recording ends: as its version is made; never before it begins, whatever two clocks say."""
    return max(int(creation_timestamp), int(started))


def end_run(client: MlflowClient, run_id: str, version: ModelVersion) -> None:
    """End a run of a version's recording."""
    started = client.get_run(run_id).info.start_time or 0
    client.set_terminated(run_id, "FINISHED", end_time=run_end(version.creation_timestamp, started))


def is_sealed(client: MlflowClient, run_id: str) -> bool:
    """Whether a run takes nothing more: it is sealed, or deleted."""
    run = client.get_run(run_id)
    return SEALED_TAG in run.data.tags or run.info.lifecycle_stage != "active"


def known_keys(store: Path) -> frozenset[str]:
    """Identifiers of the keys whose statements count here: those trusted for decisions, and our own."""
    trusted = {key.keyid for key in load_trust(trust_path(store)).keys if "decision" in key.purposes}
    return frozenset(trusted | {signer.public_key.keyid for signer in signing_for(store).signers})


def refuse_not_uploaded(client: MlflowClient, version: ModelVersion, weights: Path | None) -> None:
    """Nothing where every file of the weights lies in the version's run.

    Raises:
        InputError: if it does not: a recorded run takes no new file, so what was recorded without its weights stays without them.
    """
    if weights is None:
        raise InputError("there are no weights to upload", mend="Leave out --upload-weights: only item tables were judged.")
    there = set(files_of(client, str(version.run_id), WEIGHTS_FOLDER))
    if lacking := sorted(path for path in tree_manifest(weights) if f"{WEIGHTS_FOLDER}/{path}" not in there):
        told = f"{version.name} version {version.version} was recorded without its weights and its run is closed: {lacking[0]} is not there"
        mend = "Load it with the folder of its weights at hand; give --upload-weights with the first `kdgov record` of the next decision."
        raise InputError(told, mend=mend)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """The signed statements beside one version's evidence, as its recorders know them."""

    client: MlflowClient
    """Of the registry."""
    version: ModelVersion
    """What they are about."""
    decision: str
    """Digest of the decision."""
    keys: frozenset[str]
    """Keys whose statements count."""

    def standing(self) -> dict[str, Any] | None:
        """The statement that lies in a folder that is already closed; None while it is open.

        Raises:
            SpoiledRunError: if the folder was closed without one.
        """
        if SEALED_TAG not in {item.path for item in self.client.list_artifacts(str(self.version.run_id))}:
            return None
        ours = [envelope for envelope in attestations(self.client, self.version) if self.covers(envelope)]
        if not ours:
            raise SpoiledRunError(f"run {self.version.run_id} was closed before its statement lay in it")
        return dict(ours[0])

    def is_one(self, path: str) -> bool:
        """Whether a file of the run is such a statement."""
        if not path.startswith("attestation/"):
            return False
        envelope = json_artifact(self.client, str(self.version.run_id), path)
        return isinstance(envelope, Mapping) and self.covers(envelope)

    def covers(self, envelope: Mapping[str, Any]) -> bool:
        """Whether a statement is about this decision and version, under a key that counts; its signature is the guard's to verify."""
        signatures = envelope.get("signatures")
        named = [s.get("keyid") for s in signatures if isinstance(s, Mapping)] if isinstance(signatures, list) else []
        try:
            predicate = json_value(base64.b64decode(str(envelope.get("payload", ""))), where="payload")["predicate"]
        except (InputError, ValueError, KeyError, TypeError):
            return False
        is_known = any(keyid in self.keys for keyid in named)
        return is_known and predicate.get("decision") == self.decision and not binding_fault(predicate, version_facts(self.version))


def refuse_unsigned(envelope: Mapping[str, Any] | None, signers: Sequence[Any]) -> None:
    """Nothing where every key of ours signed the statement that stands: it may have been refused for want of one.

    Raises:
        SpoiledRunError: naming the key; a closed folder takes no second statement.
    """
    signed = {str(signature.get("keyid")) for signature in (envelope or {}).get("signatures", [])}
    lacking = [str(signer.public_key.keyid) for signer in signers if str(signer.public_key.keyid) not in signed]
    if envelope is not None and lacking:
        raise SpoiledRunError(f"the run was closed over a statement that key {lacking[0][:12]}… did not sign")
