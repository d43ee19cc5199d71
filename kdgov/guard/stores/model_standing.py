"""What MLflow's list of models says of each: version in use and newest, as two short tags and the first lines of the description.

Nothing of it is stored, so that it is never out of date and nobody can write it: it is made from the versions' tags whenever a model is
read. What people wrote into the description stays below it.
"""

from __future__ import annotations

import re
from typing import Any

from mlflow.entities.model_registry import RegisteredModel, RegisteredModelTag
from mlflow.store.entities.paged_list import PagedList

from kdgov.guard.registry_rows import FleetRow, Standing, standings
from kdgov.guard.request_context import says_prompt
from kdgov.report.escaping import markdown
from kdgov.report.verdict_header import SHAPES

_MARK = "**In use:** "
_OURS = re.compile(r"\A\*\*In use:\*\* .*?\n\n\*\*Newest:\*\* [^\n]*(?:\n\n)?", re.DOTALL)
CHAMPION_TAG, LATEST_TAG = "champion", "latest"
_REASON = 300


class StandingShown:
    """Reading methods of a registry store that add each model's standing."""

    engine: Any

    def search_registered_models(
        self, filter_string: str | None = None, max_results: int = 100, order_by: Any = None, page_token: str | None = None
    ) -> PagedList:
        """MLflow's own, each model with its standing."""
        page = super().search_registered_models(filter_string, max_results, order_by, page_token)  # type: ignore[misc]
        return PagedList(self._shown(list(page)), page.token)

    def get_registered_model(self, name: str) -> RegisteredModel:
        """MLflow's own, with the model's standing."""
        model: RegisteredModel = super().get_registered_model(name)  # type: ignore[misc]
        return self._shown([model])[0]

    def update_registered_model(self, name: str, description: str, *further: Any, **named: Any) -> RegisteredModel:
        """MLflow's own; the lines about the standing, which a page sends back with what a person wrote, are not stored."""
        model: RegisteredModel = super().update_registered_model(name, written_by_people(description), *further, **named)  # type: ignore[misc]
        return model

    def _shown(self, models: list[RegisteredModel]) -> list[RegisteredModel]:
        named = [model for model in models if not says_prompt(model.tags)]
        if not named:
            return models
        with self.engine.connect() as connection:
            rows = standings(connection, [m.name for m in named], workspace=self._get_active_workspace())  # type: ignore[attr-defined]
        for model in named:
            if (row := rows.get(model.name)) is not None and row.latest is not None:
                _tell(model, row)
        return models


def written_by_people(description: str | None) -> str:
    """A description without the lines about the standing."""
    return _OURS.sub("", description or "")


def standing_lines(row: FleetRow) -> str:
    """The lines: version in use, and the newest with what stands against it."""
    return f"{_MARK}{_words(row.champion)}\n\n**Newest:** {_words(row.latest)}"


def _tell(model: RegisteredModel, row: FleetRow) -> None:
    written = written_by_people(model.description)
    model.description = f"{standing_lines(row)}\n\n{written}".rstrip()
    for key, standing in ((CHAMPION_TAG, row.champion), (LATEST_TAG, row.latest)):
        if standing is not None:
            model._add_tag(RegisteredModelTag(key, f"v{standing.version} {standing.verdict}"))


def _words(standing: Standing | None) -> str:
    if standing is None:
        return "no version"
    shape = SHAPES.get(standing.verdict.lower(), "")  # type: ignore[call-overload]
    told = f"version {standing.version} {shape} **{standing.verdict}**".replace("  ", " ")
    if standing.verdict == "PASS":
        until = f" until {standing.ends}" if standing.ends else ""
        waived = f", a waiver ends on {standing.waiver_ends}" if standing.waiver_ends else ""
        return f"{told}{until}{waived}"
    why = f" because of {markdown(standing.blocked_by, limit=_REASON)}" if standing.blocked_by else ""
    awaited = f"; awaits {markdown(standing.awaits)}" if standing.awaits else ""
    return f"{told}{why}{awaited}"
