"""The registry as a table: every version with its standing, a page at a time."""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from kdgov.errors import InputError
from kdgov.record.text import plain

MODELS_PER_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """One version in one line."""

    name: str
    """Registered model."""
    version: int
    """Number."""
    verdict: str
    """PASS, FAIL, INCONCLUSIVE, INVALID, NONE, REVOKED; ``NONE`` also where the tag is absent."""
    aliases: tuple[str, ...]
    """Aliases standing on it."""
    policy: str
    """Policy it was judged by."""
    recorded: str
    """Day of recording."""
    waiver_expires: str
    """First day a waiver ends; empty without one."""
    blocked_by: str
    """Criteria that block it."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some rows, and how to ask for the next."""

    rows: tuple[VersionRow, ...]
    """Newest first."""
    token: str
    """Of the next page; empty at the end."""


def list_versions(
    client: MlflowClient,
    *,
    model: str | None = None,
    verdict: str | None = None,
    tag_filter: str = "",
    waiver_within_days: int | None = None,
    limit: int = 100,
    token: str = "",
    today: datetime.date | None = None,
) -> Page:
    """One page of versions, newest first.

    Args:
        client: of the registry.
        model: only this model.
        verdict: only this verdict.
        tag_filter: a further MLflow filter, such as ``tags.`kdgov.trained_on` ILIKE '%llama%'``.
        waiver_within_days: only versions with a waiver that ends within so many days (counted here, for MLflow compares no dates).
        limit: rows of the page; at least 1.
        token: from the page before.
        today: day to count from; today by default.

    Raises:
        InputError: if a name holds a quote, or the limit is not positive.
    """
    if limit < 1:
        raise InputError("--limit is below 1", mend="Ask for at least one row.")
    for value in (model, verdict):
        if value and ("'" in value or "\\" in value):
            raise InputError(f"{value!r} holds a quote", mend="Write the name as the registry shows it.")
    parts = [f"name = '{model}'" if model else "", f"tags.`kdgov.verdict` = '{verdict.upper()}'" if verdict else "", tag_filter]
    query = " AND ".join(part for part in parts if part)
    aliases = _aliases(client, model)
    day = today or datetime.datetime.now(datetime.UTC).date()
    rows: list[VersionRow] = []
    while True:
        found = client.search_model_versions(query, max_results=limit, order_by=["creation_timestamp DESC"], page_token=token or None)
        rows += [row for row in (_row(v, aliases) for v in found) if _wanted(row, waiver_within_days, day)]
        token = found.token or ""
        if not token or len(rows) >= limit or waiver_within_days is None:
            return Page(rows=tuple(rows), token=token)


def _aliases(client: MlflowClient, model: str | None) -> dict[tuple[str, int], tuple[str, ...]]:
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
    tags = version.tags
    return VersionRow(
        name=version.name,
        version=int(version.version),
        verdict=tags.get("kdgov.verdict", "NONE"),
        aliases=aliases.get((version.name, int(version.version)), ()),
        policy=plain(tags.get("kdgov.policy", ""), limit=80),
        recorded=tags.get("kdgov.recorded", ""),
        waiver_expires=tags.get("kdgov.waiver_expires", ""),
        blocked_by=plain(tags.get("kdgov.blocked_by", ""), limit=200),
    )


def _wanted(row: VersionRow, days: int | None, today: datetime.date) -> bool:
    if days is None:
        return True
    try:
        ends = datetime.date.fromisoformat(row.waiver_expires)
    except ValueError:
        return False
    return today <= ends <= today + datetime.timedelta(days=days)
