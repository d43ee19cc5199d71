"""The guard's log of acts, read through any MLflow client."""

from __future__ import annotations

import json
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from kdgov.errors import InputError
from kdgov.evidence.log import LogEntry, chain_faults, entry_from_json
from kdgov.evidence.trust import load_trust, trust_path
from kdgov.record.client import registry_client
from kdgov.record.target import RegistryTarget

_PAGE = 200


def read_log(client: MlflowClient, *, after: int = 0) -> list[LogEntry] | None:
    """Every act after a number, in order; None where the registry has no guard and so no log."""
    entries: list[LogEntry] = []
    while True:
        try:
            page = client.search_registered_models(f"kdgov.log > {entries[-1].seq if entries else after}", max_results=_PAGE)
        except MlflowException as error:
            if error.error_code in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST"):
                return None
            raise
        entries += [entry_from_json(json.loads(model.description)) for model in page]
        if len(page) < _PAGE:
            return entries


def guard_status(client: MlflowClient) -> dict[str, Any] | None:
    """How the registry's guard is set; None where there is none."""
    try:
        page = client.search_registered_models("kdgov.guard = 'status'")
    except MlflowException as error:
        if error.error_code in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST"):
            return None
        raise
    found: dict[str, Any] = json.loads(page[0].description)
    return found


def verified_log(target: RegistryTarget) -> tuple[list[LogEntry], tuple[str, ...]]:
    """The whole log of a registry and everything wrong with its chain and signatures.

    Raises:
        InputError: if the registry keeps no log.
        UnavailableError: if it cannot be reached.
    """
    with registry_client(target) as client:
        entries = read_log(client)
    if entries is None:
        raise InputError("this registry has no guard, so it keeps no log", where=target.name, mend="Serve it with `kdgov serve`.")
    return entries, chain_faults(entries, load_trust(trust_path(target.store)))
