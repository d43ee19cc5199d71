"""What a recording makes beside its runs: the logged model, the digests of the papers, the end of the decision's validity."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from kdgov.digest import digest_bytes, tree_manifest
from kdgov.recording.card.evidence_bundle import EvidenceBundle
from kdgov.recording.card.write_card import write_card_files
from kdgov.recording.client.target import RegistryTarget
from kdgov.recording.client.version_facts import RECORDING_TAG, SEALED_TAG
from kdgov.recording.flavors.model_folder import write_model_folder
from kdgov.recording.flavors.model_task import ModelTask, model_task
from kdgov.recording.run_seal import MLFLOW_NOTE, SpoiledRunError


def create_logged_model(client: MlflowClient, run_id: str, model: str, dossier: EvidenceBundle) -> str:
    """The MLflow model that a version will point at, without its files yet; returns its identifier."""
    experiment = client.get_run(run_id).info.experiment_id
    name = re.sub(r"[/:.%\"']", "-", model)
    tags = {} if task_of(dossier) else {"mlflow.model.isExternal": "true"}
    made = client.create_logged_model(experiment, name=name, source_run_id=run_id, tags=tags, params={"weights": dossier.weights})
    return str(made.model_id)


def fill_logged_model(client: MlflowClient, model_id: str, model: str, recording: str, dossier: EvidenceBundle) -> str:
    """Its folder: flavours, signature, example, requirements; weights by digest only. Then the folder is closed."""
    made = client.get_logged_model(model_id)
    with tempfile.TemporaryDirectory(prefix="kdgov-") as kept:
        folder, seal = Path(kept) / "model", Path(kept) / SEALED_TAG
        folder.mkdir()
        write_model_folder(folder, made, name=model, recording=recording, task=task_of(dossier))
        client.log_model_artifacts(model_id, str(folder))
        # Apart and last: from then on the model's own folder takes no new file.
        seal.write_text(dossier.decision_digest)
        client.log_model_artifact(model_id, str(seal))
    client.finalize_logged_model(model_id, "READY")
    return model_id


def link_model(client: MlflowClient, model_id: str, version: ModelVersion) -> None:
    """MLflow's pages show the model as registered: its own clients set this tag, its REST interface does not."""
    named = [{"name": version.name, "version": str(version.version)}]
    client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: json.dumps(named)})


def ensure_registered_model(client: MlflowClient, name: str) -> None:
    """The registered model exists afterwards, whoever made it."""
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def task_of(dossier: EvidenceBundle) -> ModelTask | None:
    """What the student does, by the architecture that its identity names; None where that takes no text or nobody knows."""
    return model_task(str(dossier.student.get("architecture", "")))


def paper_digests(
    client: MlflowClient, dossier: EvidenceBundle, version: ModelVersion, seal: bytes, target: RegistryTarget
) -> dict[str, str]:
    """Digests of what lies beside the bundle, so that an audit tells a changed chart from a new way to draw it.

    Raises:
        SpoiledRunError: if somebody put a file into the logged model's folder.
    """
    with tempfile.TemporaryDirectory(prefix="kdgov-") as folder:
        written, model = Path(folder) / "papers", Path(folder) / "model"
        write_card_files(dossier, version.name, written)
        logged = client.get_logged_model(str(version.source).removeprefix("models:/"))
        model.mkdir()
        kept = download_artifacts(artifact_uri=logged.artifact_location, dst_path=str(model), tracking_uri=target.tracking_uri)
        files = {path: digest for path, digest in tree_manifest(Path(kept)).items() if path != MLFLOW_NOTE}
        own = Path(folder) / "own"
        own.mkdir()
        write_model_folder(own, logged, name=version.name, recording=version.tags.get(RECORDING_TAG, ""), task=task_of(dossier))
        ours = tree_manifest(own) | {SEALED_TAG: digest_bytes(dossier.decision_digest.encode())}
        if odd := sorted(path for path in files if files[path] != ours.get(path)):
            raise SpoiledRunError(f"{odd[0]} was put into the logged model's folder by somebody else")
        return tree_manifest(written) | {SEALED_TAG: digest_bytes(seal)} | {f"model/{path}": digest for path, digest in files.items()}
