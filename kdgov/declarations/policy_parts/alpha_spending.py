"""How the error level of a policy is spent over students and releases on the same items."""

from __future__ import annotations

from typing import Literal

from kdgov.declarations.load import Declared


class AlphaSection(Declared):
    """One error level for all students that are ever judged on the same items."""

    spend: Literal["reciprocal", "halving"]
    """``reciprocal``: student k gets 1 / (k (k + 1)) of every error level; ``halving``: 1 / 2^k. Both sum to 1."""
    ledger: str | None = None
    """File in which every student judged on item tables stands, beside the policy; a release's store keeps its own."""
