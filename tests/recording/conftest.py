"""An embedded registry to record into."""

from __future__ import annotations

from tests.guard.conftest import embedded, empty_registry

__all__ = ["embedded", "empty_registry"]
