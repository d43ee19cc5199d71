"""Ask a registry for everything a review needs. The only module of the audit that knows MLflow; it writes nothing there."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlparse

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from kdgov.audit.snapshot import ATTESTATION, EVIDENCE, Expected, LogShown, RunShown, VersionShown
from kdgov.digest import digest_json, tree_manifest
from kdgov.errors import InputError
from kdgov.evidence.bundle import MANIFEST
from kdgov.record.dossier import Dossier, read_dossier
from kdgov.record.log import guard_status, read_log
from kdgov.record.papers import write_papers
from kdgov.record.release import RECORDING_TAG, SEALED_TAG, version_facts
from kdgov.record.runs import criterion_metrics, dataset_inputs, model_metrics, release_params
from kdgov.record.text import plain

ROLE_TAG = "kdgov-role"
_PAGE = 500
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
    return LogShown(entries=tuple(entries), free_aliases=frozenset(status.get("free_aliases", [])))


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
    known = aliases if aliases is not None else dict(client.get_registered_model(version.name).aliases)
    mine = tuple(sorted(alias for alias, number in known.items() if int(number) == facts.version))
    faults: list[str] = []
    files = _files(client, version, into / "run", faults)
    model_files = _model_files(client, version, into / "model", faults)
    runs = _runs(client, version, faults)
    return VersionShown(
        facts=facts,
        description=version.description or "",
        tags=dict(version.tags),
        aliases=mine,
        stage="" if (version.current_stage or "None") == "None" else str(version.current_stage),
        runs=runs,
        files=files,
        model_files=model_files,
        expected=_expected(files, version.name),
        faults=tuple(faults),
    )


def iterate_versions(client: MlflowClient, into: Path, *, model: str | None = None, since_ms: int = 0) -> Iterator[VersionShown]:
    """Every registered version as the registry lists it, newest first within a page; files are opened in place where they can be.

    Where the files are elsewhere, manifest, decision and signed statements are downloaded to ``into``.
    """
    aliases = {m.name: dict(m.aliases) for m in _models(client) if model is None or m.name == model}
    runs = _release_runs(client)
    query, token = f"name = '{_quoted(model)}'" if model else "", ""
    while True:
        page = client.search_model_versions(query, max_results=_PAGE, page_token=token or None)
        for version in page:
            if int(version.creation_timestamp) >= since_ms:
                yield _brief(client, version, aliases.get(version.name, {}), runs, into)
        token = page.token or ""
        if not token:
            return


def models_without_version(client: MlflowClient, seen: Collection[str]) -> tuple[str, ...]:
    """Registered models that have no version at all."""
    return tuple(sorted(m.name for m in _models(client) if m.name not in seen))


def _models(client: MlflowClient) -> Iterator[RegisteredModel]:
    token = ""
    while True:
        page = client.search_registered_models(max_results=_PAGE, page_token=token or None)
        yield from page
        token = page.token or ""
        if not token:
            return


def _release_runs(client: MlflowClient) -> dict[str, str]:
    """Run → address of its artifacts, for every recorded release: one search instead of one call per version."""
    experiments = [e.experiment_id for e in client.search_experiments(filter_string="name LIKE 'kdgov/%'", max_results=_PAGE)]
    found: dict[str, str] = {}
    token = ""
    while experiments:
        page = client.search_runs(
            experiments, f"tags.`{ROLE_TAG}` = 'release'", run_view_type=3, max_results=_PAGE, page_token=token or None
        )
        found |= {run.info.run_id: run.info.artifact_uri for run in page}
        token = page.token or ""
        if not token:
            break
    return found


def _brief(client: MlflowClient, version: ModelVersion, aliases: Mapping[str, str], runs: Mapping[str, str], into: Path) -> VersionShown:
    facts = version_facts(version)
    uri = runs.get(facts.run_id, "")
    local = local_folder(uri)
    faults: list[str] = []
    files = local if local is not None else _seals_only(client, facts.run_id, uri, into / facts.run_id, faults)
    return VersionShown(
        facts=facts,
        description=version.description or "",
        tags=dict(version.tags),
        aliases=tuple(sorted(alias for alias, number in aliases.items() if int(number) == facts.version)),
        stage="" if (version.current_stage or "None") == "None" else str(version.current_stage),
        files=files,
        is_partial=local is None,
        faults=tuple(faults),
    )


def local_folder(uri: str) -> Path | None:
    """The folder of an artifact address that this machine can open; None for stores elsewhere."""
    parsed = urlparse(uri.removeprefix("kdgov-artifacts:"))
    if not parsed.path or parsed.scheme not in ("", "file"):
        return None
    path = Path(unquote(parsed.path) if parsed.scheme else uri.removeprefix("kdgov-artifacts:"))
    return path if path.is_dir() else None


def _seals_only(client: MlflowClient, run_id: str, uri: str, into: Path, faults: list[str]) -> Path | None:
    if not uri:
        return None
    into.mkdir(parents=True, exist_ok=True)
    try:
        there = {item.path for folder in (EVIDENCE, ATTESTATION) for item in client.list_artifacts(run_id, folder)}
        wanted = [f"{EVIDENCE}/{MANIFEST}", f"{EVIDENCE}/decision.json", *(p for p in there if p.startswith(f"{ATTESTATION}/"))]
        for path in wanted:
            if path in there:
                client.download_artifacts(run_id, path, str(into))
    except (MlflowException, OSError) as error:
        faults.append(f"its seals could not be downloaded ({_words(error)})")
    return into


def _files(client: MlflowClient, version: ModelVersion, into: Path, faults: list[str]) -> Path | None:
    if not version.run_id:
        faults.append("the version names no run")
        return None
    into.mkdir(parents=True, exist_ok=True)
    try:
        client.download_artifacts(version.run_id, "", str(into))
    except (MlflowException, OSError) as error:
        faults.append(f"its files could not be downloaded ({_words(error)})")
        return None
    return into


def _model_files(client: MlflowClient, version: ModelVersion, into: Path, faults: list[str]) -> Path | None:
    source = str(version.source or "")
    if not source.startswith("models:/m-"):
        return None
    into.mkdir(parents=True, exist_ok=True)
    try:
        location = client.get_logged_model(source.removeprefix("models:/")).artifact_location
        return Path(download_artifacts(artifact_uri=location, dst_path=str(into)))
    except (MlflowException, OSError) as error:
        faults.append(f"the logged model's files could not be downloaded ({_words(error)})")
        return into


def _runs(client: MlflowClient, version: ModelVersion, faults: list[str]) -> dict[str, RunShown]:
    if not version.run_id:
        return {}
    try:
        release = client.get_run(version.run_id)
        key = release.data.tags.get(RECORDING_TAG) or version.tags.get(RECORDING_TAG, "")
        query = f"tags.`{RECORDING_TAG}` = '{_quoted(key)}'"
        beside = client.search_runs([release.info.experiment_id], query, run_view_type=3) if key else []
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise
        faults.append(f"its run could not be read ({_words(error)})")
        return {}
    found = {"release": _run(release)}
    for run in beside:
        role = str(run.data.tags.get(ROLE_TAG, ""))
        if role in ("teacher", "student"):
            found.setdefault(role, _run(run))
    return found


def _run(run: Run) -> RunShown:
    inputs = run.inputs.dataset_inputs if run.inputs is not None else []
    return RunShown(
        run_id=run.info.run_id,
        status=run.info.status,
        lifecycle=run.info.lifecycle_stage,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=dict(run.data.tags),
        datasets={str(item.dataset.name): str(item.dataset.digest) for item in inputs},
    )


def _expected(files: Path | None, model: str) -> Expected | None:
    """What the recording wrote beside the bundle, by the recorder's own functions; None where the bundle is not whole."""
    if files is None:
        return None
    try:
        dossier = read_dossier(files / "evidence")
    except InputError:
        return None
    recording = digest_json({"name": model, "decision": dossier.decision_digest, "bundle": dossier.digest})
    with tempfile.TemporaryDirectory(prefix="kdgov-") as folder:
        write_papers(dossier, model, Path(folder) / "papers")
        papers = tree_manifest(Path(folder) / "papers")
    return Expected(
        params={
            "release": _written(dict(release_params(dossier))),
            **{role: _written(_identity(dossier, role)) for role in ("teacher", "student")},
        },
        metrics={
            "release": dict(criterion_metrics(dossier)),
            **{role: dict(model_metrics(dossier, role)) for role in ("teacher", "student")},
        },
        tags={role: _run_tags(dossier, model, role, recording) for role in ("release", "teacher", "student")},
        datasets={str(item.dataset.name): str(item.dataset.digest) for item in dataset_inputs(dossier)},
        papers=papers,
        recording=recording,
    )


def _identity(dossier: Dossier, role: str) -> dict[str, str]:
    identity = dossier.teacher if role == "teacher" else dossier.student
    return {key: str(value) for key, value in identity.items() if value not in ("", None)}


def _written(params: Mapping[str, str]) -> dict[str, str]:
    # As `kdgov.record.runs` writes them: MLflow takes few characters in a name and 6,000 in a value.
    return {re.sub(r"[^\w\-. :/]", "_", key)[:240]: plain(value, limit=5000) for key, value in params.items()}


def _run_tags(dossier: Dossier, model: str, role: str, recording: str) -> dict[str, str]:
    title = {"release": model, "teacher": f"teacher {dossier.teacher_name}", "student": f"student {model}"}[role]
    return {
        RECORDING_TAG: recording,
        ROLE_TAG: role,
        "mlflow.note.content": f"{role} of {model}",
        "mlflow.runName": title,
        SEALED_TAG: dossier.decision_digest,
    }


def _quoted(text: str) -> str:
    return text.replace("'", "")


def _words(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
