"""Small tables with known content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kdgov.gate.policy import Criterion, Policy
from kdgov.items import ItemTable


@pytest.fixture
def table() -> Callable[..., ItemTable]:
    """Build a table of one metric from scores; further columns by name."""

    def build(scores: Sequence[float], *, source: str = "items.parquet", **columns: Any) -> ItemTable:
        names = {"suite": "capability", "task": "qa", "metric": "acc"} | {k: v for k, v in columns.items() if isinstance(v, str)}
        listed = {k: v for k, v in columns.items() if not isinstance(v, str)}
        rows = [{**names, "item_id": f"i{n}", "score": float(s), **{k: v[n] for k, v in listed.items()}} for n, s in enumerate(scores)]
        return ItemTable.from_rows(rows, source=source)

    return build


@pytest.fixture
def policy() -> Callable[..., Policy]:
    """Build a policy of one criterion (or several given ones)."""

    def build(*criteria: Criterion, **fields: Any) -> Policy:
        own = {k: fields.pop(k) for k in list(fields) if k in Criterion.__dataclass_fields__}
        made = criteria or (Criterion(**{"id": "c", "kind": "non_inferiority", "direction": "higher", "margin": 0.05, **own}),)
        return Policy(name="test", version="1", digest="sha256:" + "a" * 64, criteria=made, **fields)

    return build
