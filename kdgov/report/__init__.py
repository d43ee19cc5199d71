"""Decisions as people and machines read them: a format is one module and one row of `FORMATS`."""

from __future__ import annotations
