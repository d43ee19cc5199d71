"""Who answers for a release and who was told of its trade-offs when, as a release declares it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from kdgov.declarations.load import Declared

ROLES = ("model_owner", "risk", "product", "policy")
"""Roles that every release may name; a policy adds its own under ``approvals:``."""


def _dates(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    found = {}
    for role, day in value.items():
        if isinstance(day, datetime.datetime):
            found[role] = day.date().isoformat()
        elif isinstance(day, datetime.date):
            found[role] = day.isoformat()
        else:
            try:
                found[role] = datetime.date.fromisoformat(str(day)).isoformat()
            except ValueError:
                raise ValueError(f"says {day!r} for {role}, which is not a date\nWrite the day as YYYY-MM-DD.") from None
    return found


class Accountable(Declared):
    """The roles that answer for this release, and who was informed when."""

    model_owner: str | None = None
    """Person or team that owns the model."""
    risk: str | None = None
    """Person or team that owns the risk decision."""
    product: str | None = None
    """Product partner."""
    policy: str | None = None
    """Policy partner."""
    further: dict[str, str] = Field(default_factory=dict)
    """Role → holder, for roles that a policy names under ``approvals:``."""
    informed: Annotated[dict[str, str], BeforeValidator(_dates)] = Field(default_factory=dict)
    """Role → date (YYYY-MM-DD) on which it was informed of the trade-offs."""

    @property
    def named(self) -> dict[str, str]:
        """Role → holder, of every role that is named."""
        own = {role: getattr(self, role) for role in ROLES}
        return {role: who for role, who in {**own, **self.further}.items() if who}
