"""What a plant is, and the edits of an item table that plants share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from kdgov.decision.decision import Decision
from kdgov.decision.drill.simulation import Case, World
from kdgov.decision.policy import Policy
from kdgov.decision.statistics.paired import Values
from kdgov.items import ItemTable

Family = Literal["statistical", "deterministic"]
Door = Callable[[Case, Policy], Decision]
"""Writes a case to files and judges them as a command would, by a policy that lies in a file."""
Builder = Callable[[World, np.random.Generator], Case | None]
"""The case, or None where the policy looks at nothing the plant could be put into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """One way in which a release can be bad, or good."""

    id: str
    """Stable id."""
    title: str
    """What is wrong, in a few words."""
    family: Family
    """Whether chance decides if it is seen."""
    build: Builder
    """Makes one case."""
    mend: str = ""
    """What a policy needs to see it; empty where every policy does."""
    by_files: bool = False
    """Whether it is written to files and judged as such, through the door that real results take."""
    tolerated: float = 0.01
    """Share that may pass: more for a loss of about one margin, which passes at the policy's own error level."""


def with_scores(table: ItemTable, scores: Values) -> ItemTable:
    """The table with other scores."""
    return ItemTable(table.data.set_column(table.data.column_names.index("score"), "score", pa.array(scores)), table.source)


def with_confidence(table: ItemTable, changed: Callable[[Values], Values]) -> ItemTable:
    """The table with every confidence changed."""
    values = changed(table.column("confidence").to_numpy())
    return ItemTable(table.data.set_column(table.data.column_names.index("confidence"), "confidence", pa.array(values)), table.source)


def with_text(table: ItemTable, name: str, values: Sequence[str]) -> ItemTable:
    """The table with one more text column."""
    column = pa.array(values, type=pa.large_string())
    kind = pa.dictionary(pa.int32(), pa.string())
    return ItemTable(table.data.append_column(name, column.dictionary_encode().cast(kind) if name == "cluster" else column), table.source)
