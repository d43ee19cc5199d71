"""The registry as a table by MLflow's own search, where no guard answers: slower, for every card and tag travels."""

from __future__ import annotations

import json
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from kdgov.evidence.registry_query import Page, Question, VersionRow, page_of_json, row_of_tags
from kdgov.recording.client.guard_search import view_filter

MODELS_PER_PAGE = 1000


def list_versions(client: MlflowClient, question: Question) -> Page:
    """One page of versions, newest first: from the guard where there is one, else by MLflow's search.

    Args:
        client: of the registry.
        question: what is asked for.
    """
    try:
        found = client.search_registered_models(view_filter(question), max_results=1)
    except MlflowException as error:
        if error.error_code not in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST"):
            raise
        return _searched(client, question)
    return page_of_json(json.loads(found[0].description))


def _searched(client: MlflowClient, question: Question) -> Page:
    verdict = f"tags.`kdgov.verdict` = '{question.verdict.upper()}'" if question.verdict else ""
    query = " AND ".join(part for part in (f"name = '{question.model}'" if question.model else "", verdict, question.tag_filter) if part)
    aliases = _aliases(client, question.model)
    rows: list[VersionRow] = []
    token = question.token
    while True:
        order = ["creation_timestamp DESC"]
        found = client.search_model_versions(query, max_results=question.limit, order_by=order, page_token=token or None)
        rows += [row for row in (_row(v, aliases) for v in found) if _ends_within(row, question.waiver_within)]
        token = found.token or ""
        if not token or len(rows) >= question.limit or question.waiver_within is None:
            return Page(rows=tuple(rows), token=token)


def _aliases(client: MlflowClient, model: str) -> dict[tuple[str, int], tuple[str, ...]]:
    """(model, version) → aliases: the search over versions leaves them out."""
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    models = [client.get_registered_model(model)] if model else _models(client)
    for entry in models:
        for alias, version in sorted(entry.aliases.items()):
            key = (entry.name, int(version))
            found[key] = (*found.get(key, ()), alias)
    return found


def _models(client: MlflowClient) -> list[Any]:
    models: list[Any] = []
    token = None
    while True:
        page = client.search_registered_models(max_results=MODELS_PER_PAGE, page_token=token)
        models += page
        token = page.token
        if not token:
            return models


def _row(version: ModelVersion, aliases: dict[tuple[str, int], tuple[str, ...]]) -> VersionRow:
    number = int(version.version)
    return row_of_tags(version.name, number, version.tags, aliases.get((version.name, number), ()))


def _ends_within(row: VersionRow, days: tuple[str, str] | None) -> bool:
    return days is None or (bool(row.waiver_expires) and days[0] <= row.waiver_expires <= days[1])
