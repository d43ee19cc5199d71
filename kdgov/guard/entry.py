"""What MLflow's entry points load: builders only.

MLflow loads this module while its own packages are half imported, so nothing here may import mlflow at the top.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Any

SCHEME = "kdgov:"


def registry_store(store_uri: str, tracking_uri: str | None = None) -> Any:
    """The guarded model registry behind ``kdgov:<database uri>``."""
    from kdgov.guard.stores.registry_store import open_registry_store

    return open_registry_store(store_uri.removeprefix(SCHEME))


def tracking_store(store_uri: str, artifact_uri: str | None = None) -> Any:
    """The sealed tracking store behind ``kdgov:<database uri>``."""
    from kdgov.guard.stores.tracking_store import open_tracking_store

    return open_tracking_store(store_uri.removeprefix(SCHEME), artifact_uri)


def artifact_repository(artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> Any:
    """The write-once repository behind ``kdgov-artifacts:<uri>``."""
    from kdgov.guard.stores.artifact_store import open_artifact_repository

    return open_artifact_repository(artifact_uri)
