"""pytest finds this by its entry point: the fixture ``kdgov_gate``, which fails a test where the student is not proven good enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def kdgov_gate() -> Callable[..., Any]:
    """`kdgov.assert_not_worse`: ``kdgov_gate(teacher="out/teacher", student="out/student", policy="policies/own.yaml")``."""
    # pytest loads every plugin at its start; kdgov waits until a test asks for it.
    from kdgov.api.not_worse import assert_not_worse

    return assert_not_worse
