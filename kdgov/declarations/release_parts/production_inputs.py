"""Logged production inputs of a release: where they lie, how they are read, and how the two models are asked them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from kdgov.declarations.data_parts.hub_data import HubData
from kdgov.declarations.suite_judge import JudgeInSuite

REPLAY = "production-replay"
"""The shipped suite that asks logged inputs."""


class ProductionInputs(HubData):
    """The user's own logged inputs, replayed to both models and compared with the distillation data."""

    path: str | None = None
    """JSON-lines, CSV, Parquet or text file, one input per line; absent: the one file that ``card`` names."""
    card: str | None = None
    """Dataset card of the log: licence, personal data, retention, digest."""
    field: str = "input"
    """Key that holds the text; dots reach into nested records, and a list of chat messages means its last user message."""
    session: str | None = None
    """Key of the conversation or user an input belongs to (dots reach into nested records): inputs of one session are one cluster."""
    reference: str | None = None
    """Key of a known good answer; both models' word overlap with it is then measured as ``reference_overlap``."""
    judge: JudgeInSuite | None = None
    """Who says whether an answer is good; the share labelled ``good`` is then measured as ``judged_quality``."""
    max_new_tokens: int | None = Field(default=None, ge=1)
    """Longest answer in tokens; default 64, or half of what the smaller of the two models can hold."""
    until: Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)] = ["\n\n"]
    """Texts that end an answer."""
    limit: int = Field(default=2000, ge=1)
    """Largest number of distinct inputs that are replayed, drawn by hash over the whole log."""

    @model_validator(mode="after")
    def _names_a_log(self) -> ProductionInputs:
        if self.path is None and self.card is None and self.hub is None:
            raise ValueError(
                "names neither path nor card\nWrite `path:` with the file of logged inputs, or `card:` with a card that pins it."
            )
        if self.path is not None and self.hub is not None:
            raise ValueError("has both path and hub\nKeep one of them; `files:` names a file of the data set.")
        return self


def replayed_once(value: Any) -> Any:
    """A release document in which the replay suite stands once: where there are logged inputs, they are that suite."""
    if not isinstance(value, Mapping) or not value.get("production_inputs") or not isinstance(value.get("suites"), list):
        return value
    return {**value, "suites": [name for name in value["suites"] if name != REPLAY]}
