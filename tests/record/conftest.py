"""An embedded registry to record into."""

from __future__ import annotations

from tests.guard.conftest import embedded

__all__ = ["embedded"]
