"""The item table: one row per (task, item, metric) of one model; what evaluation writes and the gate reads."""

from __future__ import annotations

from kdgov.items.files import read_declarations, read_items, write_items
from kdgov.items.metric import Direction, MetricDeclaration
from kdgov.items.table import ItemTable, MetricKey

__all__ = ["Direction", "ItemTable", "MetricDeclaration", "MetricKey", "read_declarations", "read_items", "write_items"]
