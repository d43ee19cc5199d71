"""Decisions signed by a CI job's short-lived identity instead of a key that somebody keeps."""
