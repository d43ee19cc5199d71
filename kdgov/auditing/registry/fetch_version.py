"""Ask a registry for everything the review of one version needs; nothing is written there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from kdgov.auditing.registry.expected_state import ROLE_TAG, dataset_of, dataset_words, expected_of
from kdgov.auditing.registry.snapshot import LoggedModelShown, LogShown, ModelLink, RunShown, VersionShown
from kdgov.digest import tree_manifest
from kdgov.recording.client.read_log import guard_status, log_faults, read_log
from kdgov.recording.client.version_facts import RECORDING_TAG, version_facts
from kdgov.recording.run_seal import sealed_runs

_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_NO_GUARD = "this registry runs without the guard, which keeps the log"


def fetch_log(client: MlflowClient) -> LogShown:
    """The registry's whole log of acts, and which aliases its guard leaves free."""
    try:
        entries = read_log(client)
    except (KeyError, TypeError, ValueError) as error:
        told = f"an entry cannot be read any more ({type(error).__name__})"
        return LogShown(reason=told, broken=told)
    status = guard_status(client)
    if entries is None or status is None:
        return LogShown(reason=_NO_GUARD)
    free, listed = frozenset(status.get("free_aliases", [])), str(status.get("policies_signed") or "")
    return LogShown(entries=tuple(entries), free_aliases=free, faults=log_faults(client), policies=listed)


def fetch_version(client: MlflowClient, version: ModelVersion, into: Path, *, aliases: Mapping[str, str] | None = None) -> VersionShown:
    """One version with its runs and all its files, downloaded to a folder.

    Args:
        client: on the registry.
        version: as the registry gave it.
        into: folder to download to.
        aliases: alias → version number of the model, where it is already known.
    """
    facts = version_facts(version)
    # search_model_versions never gives aliases: they stand with the model.
    model = client.get_registered_model(version.name)
    known = aliases if aliases is not None else dict(model.aliases)
    mine = tuple(sorted(alias for alias, number in known.items() if int(number) == facts.version))
    faults: list[str] = []
    files = _files(client, version, into / "run", faults)
    logged, model_files = _logged_model(client, version, into / "model", faults)
    runs = _runs(client, version, sealed_runs(files), faults)
    return VersionShown(
        facts=facts,
        description=version.description or "",
        tags=dict(version.tags),
        aliases=mine,
        stage=stage_of(version),
        status=str(version.status or "READY"),
        status_message=str(version.status_message or ""),
        user=str(version.user_id or ""),
        run_link=str(version.run_link or ""),
        model_tags=dict(model.tags or {}),
        runs=runs,
        files=files,
        model_files=model_files,
        logged=logged,
        expected=expected_of(files, version.name),
        faults=tuple(faults),
    )


def _files(client: MlflowClient, version: ModelVersion, into: Path, faults: list[str]) -> Path | None:
    if not version.run_id:
        faults.append("the version names no run")
        return None
    into.mkdir(parents=True, exist_ok=True)
    try:
        client.download_artifacts(version.run_id, "", str(into))
    except (MlflowException, OSError) as error:
        faults.append(f"its files could not be downloaded ({words_of(error)})")
        return None
    return into


def _logged_model(
    client: MlflowClient, version: ModelVersion, into: Path, faults: list[str]
) -> tuple[LoggedModelShown | None, Path | None]:
    source = str(version.source or "")
    if not source.startswith("models:/m-"):
        return None, None
    into.mkdir(parents=True, exist_ok=True)
    try:
        model = client.get_logged_model(source.removeprefix("models:/"))
        shown = LoggedModelShown(
            name=str(model.name),
            location=str(model.artifact_location),
            served_from=str(client.get_model_version_download_uri(version.name, version.version)),
            run_id=str(model.source_run_id or ""),
            tags={str(k): str(v) for k, v in (model.tags or {}).items()},
            params=dict(model.params or {}),
            numbers=tuple((m.key, int(m.step), float(m.value), dataset_of(m)) for m in model.metrics or []),
            moments=frozenset(int(m.timestamp) for m in model.metrics or []),
            metric_runs=frozenset(str(m.run_id or "") for m in model.metrics or []),
            created=int(model.creation_timestamp or 0),
            further={"type": str(model.model_type or ""), "status message": str(model.status_message or "")},
            experiment=str(model.experiment_id),
        )
        return shown, Path(download_artifacts(artifact_uri=model.artifact_location, dst_path=str(into)))
    except (MlflowException, OSError) as error:
        faults.append(f"the logged model's files could not be downloaded ({words_of(error)})")
        return None, into


def _runs(client: MlflowClient, version: ModelVersion, sealed: Mapping[str, str], faults: list[str]) -> dict[str, RunShown]:
    if not version.run_id:
        return {}
    try:
        release = client.get_run(version.run_id)
        key = release.data.tags.get(RECORDING_TAG) or version.tags.get(RECORDING_TAG, "")
        query = f"tags.`{RECORDING_TAG}` = '{quoted(key)}'"
        beside = client.search_runs([release.info.experiment_id], query, run_view_type=3) if key else []
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise
        faults.append(f"its run could not be read ({words_of(error)})")
        return {}
    found = {"release": _run(client, release)}
    for role in ("teacher", "student"):
        # The seal names the runs of its recording: another run that bears the same tags is not taken for one.
        if (run_id := sealed.get(role)) and (run := next((r for r in beside if r.info.run_id == run_id), None)) is not None:
            found[role] = replace(_run(client, run), files=_files_beside(client, run_id, faults))
    if sealed:
        return found
    for run in beside:
        role = str(run.data.tags.get(ROLE_TAG, ""))
        if role in ("teacher", "student"):
            found.setdefault(role, _run(client, run))
    return found


def _files_beside(client: MlflowClient, run_id: str, faults: list[str]) -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="kdgov-") as folder:
        try:
            client.download_artifacts(run_id, "", folder)
        except (MlflowException, OSError) as error:
            faults.append(f"the files of run {run_id} could not be downloaded ({words_of(error)})")
        return tree_manifest(Path(folder))


def _run(client: MlflowClient, run: Run) -> RunShown:
    inputs = run.inputs.dataset_inputs if run.inputs is not None else []
    # The page of a metric draws its history, not its latest value: a point added there would be seen and not be told.
    history = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
    return RunShown(
        run_id=run.info.run_id,
        name=str(run.info.run_name or ""),
        status=run.info.status,
        artifacts=str(run.info.artifact_uri or ""),
        lifecycle=run.info.lifecycle_stage,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        history={key: tuple(point.value for point in points) for key, points in history.items()},
        points={key: tuple((int(point.step), int(point.timestamp)) for point in points) for key, points in history.items()},
        latest={m.key: (int(m.step), int(m.timestamp)) for m in getattr(run.data, "_metric_objs", [])},
        experiment_id=str(run.info.experiment_id),
        experiment=str(client.get_experiment(run.info.experiment_id).name),
        started=int(run.info.start_time or 0),
        ended=int(run.info.end_time or 0),
        user=str(run.info.user_id or ""),
        tags=dict(run.data.tags),
        datasets={str(item.dataset.name): dataset_words(item) for item in inputs},
        models=_models(run),
    )


def _models(run: Run) -> frozenset[ModelLink]:
    # A recording killed between the link and its note of it links twice: the same link said again is no other claim.
    into = run.inputs.model_inputs or [] if run.inputs is not None else []
    out = run.outputs.model_outputs or [] if run.outputs is not None else []
    return frozenset({*(("input", str(m.model_id), 0) for m in into), *(("output", str(m.model_id), int(m.step)) for m in out)})


def stage_of(version: ModelVersion) -> str:
    """The version's MLflow stage; empty where it has none."""
    return "" if (version.current_stage or "None") == "None" else str(version.current_stage)


def quoted(text: str) -> str:
    """Text that may stand between quotes in a search of MLflow, which knows no escape."""
    return text.replace("'", "")


def words_of(error: Exception) -> str:
    """An error's first line."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
