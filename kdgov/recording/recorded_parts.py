"""What a recording makes beside its runs: the logged model, the digests of the papers, the end of the decision's validity."""

from __future__ import annotations

import datetime
import re
import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.models.utils import get_external_mlflow_model_spec

from kdgov.digest import digest_bytes, tree_manifest
from kdgov.recording.card.evidence_bundle import EvidenceBundle
from kdgov.recording.card.write import write_papers
from kdgov.recording.client.target import RegistryTarget
from kdgov.recording.client.version_facts import SEALED_TAG
from kdgov.recording.run_seal import MLFLOW_NOTE, SpoiledRunError

VALIDITY = datetime.timedelta(days=180)
"""How long a decision covers promotions, unless a waiver ends earlier."""


def make_logged_model(client: MlflowClient, run_id: str, model: str, dossier: EvidenceBundle) -> str:
    """The MLflow model that a version points at: weights by digest only, its folder closed; returns its identifier."""
    experiment = client.get_run(run_id).info.experiment_id
    name = re.sub(r"[/:.%\"']", "-", model)
    made = client.create_logged_model(
        experiment, name=name, source_run_id=run_id, tags={"mlflow.model.isExternal": "true"}, params={"weights": dossier.weights}
    )
    with tempfile.TemporaryDirectory(prefix="kdgov-") as folder:
        get_external_mlflow_model_spec(made).save(str(Path(folder) / MLMODEL_FILE_NAME))
        client.log_model_artifacts(made.model_id, folder)
        # Apart and last: from then on the model's own folder takes no new file.
        seal = Path(folder) / "seal" / SEALED_TAG
        seal.parent.mkdir()
        seal.write_text(dossier.decision_digest)
        client.log_model_artifact(made.model_id, str(seal))
    client.finalize_logged_model(made.model_id, "READY")
    return str(made.model_id)


def paper_digests(
    client: MlflowClient, dossier: EvidenceBundle, version: ModelVersion, seal: bytes, target: RegistryTarget
) -> dict[str, str]:
    """Digests of what lies beside the bundle, so that an audit tells a changed chart from a new way to draw it.

    Raises:
        SpoiledRunError: if somebody put a file into the logged model's folder.
    """
    with tempfile.TemporaryDirectory(prefix="kdgov-") as folder:
        written, model = Path(folder) / "papers", Path(folder) / "model"
        write_papers(dossier, version.name, written)
        logged = client.get_logged_model(str(version.source).removeprefix("models:/"))
        model.mkdir()
        kept = download_artifacts(artifact_uri=logged.artifact_location, dst_path=str(model), tracking_uri=target.tracking_uri)
        files = {path: digest for path, digest in tree_manifest(Path(kept)).items() if path != MLFLOW_NOTE}
        if odd := sorted(files.keys() - {MLMODEL_FILE_NAME, SEALED_TAG}):
            raise SpoiledRunError(f"{odd[0]} was put into the logged model's folder by somebody else")
        return tree_manifest(written) | {SEALED_TAG: digest_bytes(seal)} | {f"model/{path}": digest for path, digest in files.items()}


def ends_at(dossier: EvidenceBundle, at: datetime.datetime) -> datetime.datetime:
    """When a decision stops covering promotions: after `VALIDITY`, or with the first waiver that ends."""
    latest = at + VALIDITY
    if not dossier.waiver_expiry:
        return latest
    last_day = datetime.date.fromisoformat(dossier.waiver_expiry[:10])
    ends = datetime.datetime.combine(last_day + datetime.timedelta(days=1), datetime.time(), tzinfo=datetime.UTC)
    return min(latest, ends)
