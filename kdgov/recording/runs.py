"""The three MLflow runs of a release: the release itself, the teacher and the student, the latter two with equal metric names."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException

from kdgov.digest import digest_json
from kdgov.recording.card.evidence_bundle import EvidenceBundle
from kdgov.report.escaping import plain

_ODD = re.compile(r"[^\w\-. :/]")
_PARAM_LIMIT = 5000
_TRIES = 3
_METRICS_PER_CALL = 900
_PARAMS_PER_CALL = 90
DATASET_DIGEST_LENGTH = 32
"""MLflow keeps 36 characters of a dataset's digest."""


def log_release(client: MlflowClient, run_id: str, dossier: EvidenceBundle, *, at_ms: int) -> None:
    """Params, metrics per criterion and datasets of the release's run. Saying it twice changes nothing."""
    _log(client, run_id, dict(release_params(dossier)), _numbers(criterion_metrics(dossier), at_ms))
    _log_datasets(client, run_id, list(dataset_inputs(dossier)))


def log_model(client: MlflowClient, run_id: str, dossier: EvidenceBundle, role: str, *, at_ms: int, model_id: str | None = None) -> None:
    """Params, metrics, datasets and training curves of the teacher's or the student's run; metric names are equal for both.

    The student's numbers are also those of ``model_id``, the MLflow model that its version points at.
    """
    own = student_numbers(dossier, at_ms=at_ms, model_id=model_id)
    _log(client, run_id, identity_params(dossier, role), own if role == "student" else _numbers(model_metrics(dossier, role), at_ms))
    _log_datasets(client, run_id, list(dataset_inputs(dossier, role)))


def student_numbers(dossier: EvidenceBundle, *, at_ms: int, model_id: str | None) -> list[Metric]:
    """Every metric of the student's run, the points of its training curves included, as those of the MLflow model too."""
    values = _numbers(model_metrics(dossier, "student"), at_ms, model_id=model_id, dataset=_evaluated_on(dossier))
    curves = training_curves(dossier)
    return [*values, *(Metric(name, v, at_ms, step, model_id=model_id) for name, curve in curves.items() for step, v in curve)]


def _log_datasets(client: MlflowClient, run_id: str, inputs: list[DatasetInput]) -> None:
    for attempt in range(_TRIES):
        try:
            client.log_inputs(run_id, datasets=inputs)
            return
        except MlflowException as error:
            # MLflow looks a dataset up and then inserts it: two jobs at once collide, and the second look finds it.
            if attempt == _TRIES - 1 or "UNIQUE" not in str(error).upper():
                raise


def identity_params(dossier: EvidenceBundle, role: str) -> dict[str, str]:
    """What a model's run says of it; its files are named by the digest ``model`` alone."""
    identity = dossier.teacher if role == "teacher" else dossier.student
    return {key: str(value) for key, value in identity.items() if value not in ("", None) and not isinstance(value, Mapping)}


def model_metrics(dossier: EvidenceBundle, role: str) -> Iterator[tuple[str, float]]:
    """``suite/task/metric[/group]`` → the model's value: the mean of its item table, never what a criterion made of it."""
    for value in dossier.values(role).values():
        if math.isfinite(value.value):
            yield metric_name(value._asdict(), with_criterion=False), value.value


def criterion_metrics(dossier: EvidenceBundle) -> Iterator[tuple[str, float]]:
    """``criterion/suite/task/metric[/group]/{difference,bound,teacher,student,n}`` → number."""
    for row in dossier.criteria:
        for key in ("difference", "bound", "teacher", "student", "n"):
            value = row.get(key)
            if isinstance(value, (int, float)):
                yield f"{metric_name(row)}/{key}", float(value)


def metric_name(row: Mapping[str, Any], *, with_criterion: bool = True) -> str:
    """The metric's name in MLflow, made of characters MLflow takes."""
    parts = [row.get("id") if with_criterion else "", row.get("suite"), row.get("task"), row.get("metric"), row.get("group")]
    return _ODD.sub("_", "/".join(str(part) for part in parts if part))[:220]


def release_params(dossier: EvidenceBundle) -> Iterator[tuple[str, str]]:
    """What the release declares, flattened, plus policy and digests."""
    declared = {key: value for key, value in dossier.release.items() if key not in ("description", "trade_offs")}
    yield from _flat("", declared)
    yield from _flat("policy", dossier.policy)
    yield "decision", dossier.decision_digest
    yield "bundle", dossier.digest


def training_curves(dossier: EvidenceBundle) -> dict[str, list[tuple[int, float]]]:
    """``training/loss/<term>``, ``training/learning_rate``, ``held_out/<term>`` → (step, value); empty for a student trained elsewhere."""
    stated = dossier.curves
    steps = [int(step) for step in stated.get("steps", [])]
    curves = {f"training/{name}": list(zip(steps, values, strict=False)) for name, values in dict(stated.get("curves", {})).items()}
    for row in dict(dossier.distillation.get("held_out") or {}).get("rows", []):
        for name, value in row.items():
            if name != "step":
                curves.setdefault(f"held_out/{name}", []).append((int(row["step"]), value))
    return {_ODD.sub("_", name): [(s, float(v)) for s, v in curve if math.isfinite(v)] for name, curve in curves.items()}


def dataset_inputs(dossier: EvidenceBundle, role: str = "release") -> Iterator[DatasetInput]:
    """Distillation data by card (of the teacher's run: none), evaluation data by the plan both models answered."""
    for card in dossier.cards if role != "teacher" else ():
        if "dataset" in str(card.get("schema", "")):
            yield _dataset(
                str(card.get("name", "data")), digest_json(_dateless(card)), "distillation", {"card": card.get("id") or card.get("name")}
            )
    digests = dossier.decision.get("digests", {})
    for name in sorted(k for k in digests if "plan" in k or "items" in k):
        yield _dataset(name, str(digests[name]), "evaluation", {"digest": digests[name]})


def _dataset(name: str, digest: str, context: str, source: Mapping[str, Any]) -> DatasetInput:
    short = digest.removeprefix("sha256:")[:DATASET_DIGEST_LENGTH]
    entity = Dataset(name=plain(name, limit=400), digest=short, source_type="kdgov", source=plain(source, limit=2000))
    return DatasetInput(dataset=entity, tags=[InputTag("mlflow.data.context", context)])


def _evaluated_on(dossier: EvidenceBundle) -> tuple[str, str] | None:
    """Name and digest of the evaluation's dataset: the plan, where there is one."""
    found = [item.dataset for item in dataset_inputs(dossier, "teacher")]
    chosen = next((d for d in found if d.name == "plan"), found[0] if found else None)
    return None if chosen is None else (str(chosen.name), str(chosen.digest))


def _numbers(
    values: Iterator[tuple[str, float]], at_ms: int, *, model_id: str | None = None, dataset: tuple[str, str] | None = None
) -> list[Metric]:
    named = {"dataset_name": dataset[0], "dataset_digest": dataset[1]} if dataset and model_id else {}
    return [Metric(key, value, at_ms, 0, model_id=model_id, **named) for key, value in dict(values).items()]


def _log(client: MlflowClient, run_id: str, params: Mapping[str, str], values: list[Metric]) -> None:
    entries = [Param(_ODD.sub("_", key)[:240], plain(value, limit=_PARAM_LIMIT)) for key, value in params.items()]
    for start in range(0, len(entries), _PARAMS_PER_CALL):
        client.log_batch(run_id, params=entries[start : start + _PARAMS_PER_CALL])
    for start in range(0, len(values), _METRICS_PER_CALL):
        client.log_batch(run_id, metrics=values[start : start + _METRICS_PER_CALL])


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _flat(f"{prefix}.{index}", item)
    elif value not in (None, ""):
        yield prefix, str(value)


def _dateless(card: Mapping[str, Any]) -> Any:
    if isinstance(card, Mapping):
        return {str(k): _dateless(v) for k, v in card.items()}
    if isinstance(card, list):
        return [_dateless(v) for v in card]
    return card if isinstance(card, (str, int, float, bool, type(None))) else str(card)
