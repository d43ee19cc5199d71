"""Identical suites: one frozen plan, two models, item tables and the evidence that both were asked the same."""

from __future__ import annotations

from kdgov.evaluation import quiet_libraries as quiet_libraries
