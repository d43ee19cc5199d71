"""Identical suites: one frozen plan, two models, item tables and the evidence that both were asked the same."""

from __future__ import annotations

from kdgov.evaluate import quiet as quiet  # before any library below speaks
