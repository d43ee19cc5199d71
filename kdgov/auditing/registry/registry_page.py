"""The registry as a table, by the quickest way there is: its database, the guard's own answer, or MLflow's search."""

from __future__ import annotations

import os

from kdgov.evidence.registry_query import Page, Question, conditions_of
from kdgov.guard.database_query import list_database
from kdgov.recording.client.guard_search import ask_server
from kdgov.recording.client.target import RegistryTarget


def registry_page(target: RegistryTarget, question: Question) -> Page:
    """A page of versions, newest first; MLflow is loaded only for a server without the guard.

    Raises:
        InputError: if the filter or the page's token cannot be read.
        UnavailableError: if the registry cannot be reached.
    """
    conditions_of(question)
    if target.is_embedded and not (target.store / "mlflow.db").is_file():
        return Page(rows=(), token="")
    if not target.registry_uri.startswith("http"):
        return list_database(target.registry_uri, question, workspace=os.environ.get("MLFLOW_WORKSPACE") or "default")
    page = ask_server(target, question)
    if page is not None:
        return page
    from kdgov.recording.client.client import registry_client  # noqa: PLC0415
    from kdgov.recording.client.mlflow_search import list_versions  # noqa: PLC0415

    with registry_client(target) as client:
        return list_versions(client, question)
