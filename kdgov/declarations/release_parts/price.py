"""What teacher and student cost where they are served, for the cost line of the card."""

from __future__ import annotations

from pydantic import Field

from kdgov.declarations.load import Declared


class Price(Declared):
    """What a million tokens cost, where the release declares it."""

    teacher_usd_per_million_tokens: float = Field(gt=0)
    """Teacher's price."""
    student_usd_per_million_tokens: float = Field(gt=0)
    """Student's price."""
