"""What a policy demands of the judges whose labels became scores: how many labels people checked, and how often they agree."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from kdgov.declarations.load import Declared
from kdgov.declarations.policy_parts.criterion_numbers import A_NUMBER


class JudgesSection(Declared):
    """Demands on every judged metric that a criterion reads; without this section a judge nobody checked is named and stops nothing."""

    min_labelled: Annotated[int | None, Field(ge=30), A_NUMBER] = None
    """Items on which people labelled both models' answers; with fewer the release stops: judge not validated on these models."""
    min_agreement: Annotated[float | None, Field(gt=0, lt=1), A_NUMBER] = None
    """Share of labels on which judge and people must be proven to agree, on each of the two models (95 %, one-sided)."""
