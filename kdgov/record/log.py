"""The guard's log of acts, read through any MLflow client."""

from __future__ import annotations

import json
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from kdgov.evidence.log import LogEntry, entry_from_json

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
