"""Talking to a registry: MLflow client, evidence download, search, log, signers."""
