"""Suites of these tests are asked in the tests' own process."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _asked_here(asked_here: None) -> None:
    """Every test of this folder that is not marked ``apart``."""
