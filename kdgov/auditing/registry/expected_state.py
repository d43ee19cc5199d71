"""What a recording writes beside the bundle, made again from the bundle by the recorder's own functions."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mlflow.entities import DatasetInput, Metric

from kdgov.auditing.registry.snapshot import Expected
from kdgov.digest import digest_json, tree_manifest
from kdgov.errors import InputError
from kdgov.recording.card.evidence_bundle import EvidenceBundle, read_dossier
from kdgov.recording.card.write_card import write_card_files
from kdgov.recording.client.version_facts import RECORDING_TAG, SEALED_TAG
from kdgov.recording.runs import (
    criterion_metrics,
    dataset_inputs,
    identity_params,
    model_metrics,
    release_params,
    student_numbers,
    training_curves,
)
from kdgov.report.escaping import plain

ROLE_TAG = "kdgov-role"


def expected_of(files: Path | None, model: str) -> Expected | None:
    """What the recording wrote beside the bundle, by the recorder's own functions; None where the bundle is not whole."""
    if files is None:
        return None
    try:
        dossier = read_dossier(files / "evidence")
    except InputError:
        return None
    recording = digest_json({"name": model, "decision": dossier.decision_digest, "bundle": dossier.digest})
    with tempfile.TemporaryDirectory(prefix="kdgov-") as folder:
        write_card_files(dossier, model, Path(folder) / "papers")
        papers = tree_manifest(Path(folder) / "papers")
    return Expected(
        params={
            "release": _written(dict(release_params(dossier))),
            **{role: _written(identity_params(dossier, role)) for role in ("teacher", "student")},
        },
        metrics={
            "release": dict(criterion_metrics(dossier)),
            "teacher": dict(model_metrics(dossier, "teacher")),
            "student": {**dict(model_metrics(dossier, "student")), **_last_points(dossier)},
        },
        tags={role: _run_tags(dossier, model, role, recording) for role in ("release", "teacher", "student")},
        datasets={
            role: {str(item.dataset.name): dataset_words(item) for item in dataset_inputs(dossier, role)}
            for role in ("release", "teacher", "student")
        },
        logged=tuple((m.key, int(m.step), float(m.value), dataset_of(m)) for m in student_numbers(dossier, at_ms=0, model_id="m")),
        curves={name: tuple(points) for name, points in training_curves(dossier).items()},
        names={role: str(_run_tags(dossier, model, role, recording)["mlflow.runName"]) for role in ("release", "teacher", "student")},
        weights=dossier.weights,
        papers=papers,
        recording=recording,
    )


def _last_points(dossier: EvidenceBundle) -> dict[str, float]:
    """What MLflow shows of a curve: its last value."""
    return {name: points[-1][1] for name, points in training_curves(dossier).items() if points}


def _written(params: Mapping[str, str]) -> dict[str, str]:
    # As `kdgov.recording.runs` writes them: MLflow takes few characters in a name and 6,000 in a value.
    return {re.sub(r"[^\w\-. :/]", "_", key)[:240]: plain(value, limit=5000) for key, value in params.items()}


def _run_tags(dossier: EvidenceBundle, model: str, role: str, recording: str) -> dict[str, str]:
    title = {"release": model, "teacher": f"teacher {dossier.teacher_name}", "student": f"student {model}"}[role]
    return {
        RECORDING_TAG: recording,
        ROLE_TAG: role,
        "mlflow.note.content": f"{role} of {model}",
        "mlflow.runName": title,
        SEALED_TAG: dossier.decision_digest,
    }


def dataset_of(metric: Metric) -> str:
    """The dataset that a metric of a logged model names."""
    return f"{metric.dataset_name or ''} {metric.dataset_digest or ''}".strip()


def dataset_words(item: DatasetInput) -> str:
    """A dataset of a run in one line: digest, what it was used for, where it came from."""
    context = ", ".join(sorted(f"{tag.key}: {tag.value}" for tag in item.tags or []))
    # What MLflow shows of its columns and size is part of what it says.
    shape = digest_json([item.dataset.schema or "", item.dataset.profile or ""])[7:19]
    return f"{item.dataset.digest} ({context}) from {item.dataset.source_type} {item.dataset.source}, shaped {shape}"
