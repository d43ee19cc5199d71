"""Whether database and artifacts of a registry belong together: what one names and the other has not, after a restore above all."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any

from kdgov.auditing.review.event_log import taken_away
from kdgov.errors import InputError
from kdgov.evidence.bundle import read_manifest
from kdgov.evidence.bundle_layout import BUNDLE_FOLDER, MANIFEST
from kdgov.recording.client.target import RegistryTarget


def check_registry(target: RegistryTarget) -> dict[str, Any]:
    """What is missing between a registry's database and its artifacts; nothing is hashed and nothing is written.

    Raises:
        UnavailableError: if the registry cannot be reached.
    """
    if target.is_embedded and not (target.store / "mlflow.db").is_file():
        raise InputError("there is no registry in this store", where=str(target.store), mend="Name its store with --store.")
    # MLflow takes seconds to load: only when a registry is asked.
    fetch, listing = (importlib.import_module(f"kdgov.auditing.registry.{name}") for name in ("fetch_version", "list_versions"))
    client_of = importlib.import_module("kdgov.recording.client.client").registry_client
    files_of = importlib.import_module("kdgov.recording.run_seal").files_of
    missing: list[dict[str, str]] = []
    count = 0
    with tempfile.TemporaryDirectory(prefix="kdgov-check-") as folder, client_of(target) as client:
        log = fetch.fetch_log(client)
        for shown in listing.iterate_versions(client, Path(folder)):
            count += 1
            if shown.tags.get("kdgov.verdict", "NONE") == "NONE":
                continue
            name = f"{shown.facts.name} version {shown.facts.version}"
            missing += [{"of": name, "what": what} for what in _missing(client, shown, files_of)]
    missing += [{"of": finding.subject, "what": finding.reason} for finding in taken_away(log)]
    missing += [{"of": "log of acts", "what": fault} for fault in log.faults if "taken away" not in fault]
    return {"versions": count, "missing": missing}


def _missing(client: Any, shown: Any, files_of: Any) -> list[str]:
    if shown.evidence is None:
        return ["its evidence: the run or its folder is gone"]
    try:
        named = {f"{BUNDLE_FOLDER}/{path}" for path in read_manifest(shown.evidence)} | {f"{BUNDLE_FOLDER}/{MANIFEST}"}
    except InputError as error:
        return [f"its evidence: the manifest {error.what}"]
    there = set(files_of(client, shown.facts.run_id))
    found = sorted(named - there)
    if not any(path.startswith("attestation/") for path in there):
        found.append("attestation/: the signed statement")
    return found
