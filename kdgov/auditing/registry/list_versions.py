"""Every version of a registry at a glance: what its lists say, and the seals of each; files are opened in place where they can be."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from kdgov.auditing.registry.expected_state import ROLE_TAG
from kdgov.auditing.registry.fetch_version import quoted, stage_of, words_of
from kdgov.auditing.registry.snapshot import VersionShown
from kdgov.evidence.artifact_places import folder_of
from kdgov.evidence.bundle_layout import ATTESTATION_FOLDER, BUNDLE_FOLDER, DECISION, MANIFEST, STATEMENTS, in_run
from kdgov.recording.client.version_facts import version_facts

_PAGE = 500


def iterate_versions(client: MlflowClient, into: Path, *, model: str | None = None, since_ms: int = 0) -> Iterator[VersionShown]:
    """Every registered version as the registry lists it, newest first within a page; files are opened in place where they can be.

    Where the files are elsewhere, manifest, decision and signed statements are downloaded to ``into``.
    """
    models = [m for m in _models(client) if model is None or m.name == model]
    aliases, tags = {m.name: dict(m.aliases) for m in models}, {m.name: dict(m.tags or {}) for m in models}
    runs = _release_runs(client)
    query, token = f"name = '{quoted(model)}'" if model else "", ""
    while True:
        page = client.search_model_versions(query, max_results=_PAGE, page_token=token or None)
        for version in page:
            if int(version.creation_timestamp) >= since_ms:
                yield _brief(client, version, (aliases.get(version.name, {}), tags), runs, into)
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


def _brief(
    client: MlflowClient,
    version: ModelVersion,
    known: tuple[Mapping[str, str], Mapping[str, Mapping[str, str]]],
    runs: Mapping[str, str],
    into: Path,
) -> VersionShown:
    aliases, models = known
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
        stage=stage_of(version),
        status=str(version.status or "READY"),
        status_message=str(version.status_message or ""),
        user=str(version.user_id or ""),
        run_link=str(version.run_link or ""),
        model_tags=models.get(version.name, {}),
        files=files,
        is_partial=local is None,
        faults=tuple(faults),
    )


def local_folder(uri: str) -> Path | None:
    """The folder of an artifact address that this machine can open; None for stores elsewhere."""
    path = folder_of(uri)
    return path if path is not None and path.is_dir() else None


def _seals_only(client: MlflowClient, run_id: str, uri: str, into: Path, faults: list[str]) -> Path | None:
    if not uri:
        return None
    into.mkdir(parents=True, exist_ok=True)
    try:
        there = {item.path for folder in (BUNDLE_FOLDER, ATTESTATION_FOLDER) for item in client.list_artifacts(run_id, folder)}
        said = in_run(STATEMENTS)
        if said in there:
            there |= {item.path for item in client.list_artifacts(run_id, said)}
        folders = (f"{ATTESTATION_FOLDER}/", f"{said}/")
        for path in sorted(there):
            if path in (in_run(MANIFEST), in_run(DECISION)) or path.startswith(folders):
                # A single file is put straight into the folder that is named.
                (into / path).parent.mkdir(parents=True, exist_ok=True)
                client.download_artifacts(run_id, path, str((into / path).parent))
    except (MlflowException, OSError) as error:
        faults.append(f"its seals could not be downloaded ({words_of(error)})")
    return into
