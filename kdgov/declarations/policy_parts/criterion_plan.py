"""What a criterion was designed for, for the drill alone."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from kdgov.declarations.load import Declared
from kdgov.declarations.policy_parts.criterion_numbers import A_NUMBER, Count, OpenShare, Share


class PlanSection(Declared):
    """What the criterion was designed for; it decides nothing, and `kdgov policy drill` measures the policy at it."""

    items: Count | None = None
    """Items a suite should hold; default ``min_items``."""
    disagreement: Share | None = None
    """Share of items on which an equally good student differs."""
    level: OpenShare | None = None
    """Share the teacher has right."""
    groups: dict[str, Annotated[int, Field(ge=2, le=1000), A_NUMBER]] = Field(default_factory=dict)
    """Attribute → number of values the items should state."""
