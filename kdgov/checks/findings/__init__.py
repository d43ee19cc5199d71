"""Findings about a release: provenance, privacy, coverage, practice and what the scan found, with the rules they speak by."""
