"""What a criterion demands of a judge before its scores count."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from kdgov.declarations.load import Declared
from kdgov.declarations.policy_parts.criterion_numbers import A_NUMBER


class GoldSection(Declared):
    """Items on which a trusted reading stands beside the judge's, in the column ``gold`` of both models."""

    min_items: Annotated[int, Field(ge=30), A_NUMBER]
    """Fewer than this decide nothing."""
