"""Identical suites: one frozen plan, two models, item tables and the evidence that both were asked the same."""
