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

    return open_registry_store(_at_home(store_uri))


def tracking_store(store_uri: str, artifact_uri: str | None = None) -> Any:
    """The sealed tracking store behind ``kdgov:<database uri>``."""
    from kdgov.guard.stores.tracking_store import open_tracking_store

    return open_tracking_store(_at_home(store_uri), artifact_uri)


def workspace_store(workspace_uri: str) -> Any:
    """MLflow's workspaces behind ``kdgov:<database uri>``."""
    from kdgov.guard.stores.workspace_store import GuardedWorkspaceStore

    return GuardedWorkspaceStore(workspace_uri.removeprefix(SCHEME))


def artifact_repository(artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> Any:
    """The write-once repository behind ``kdgov-artifacts:<uri>``."""
    from kdgov.guard.stores.artifact_store import open_artifact_repository

    return open_artifact_repository(artifact_uri)


def _at_home(store_uri: str) -> str:
    """The database behind ``kdgov:<database uri>``; addresses into a former place of its store are read where it lies now."""
    from kdgov.evidence.artifact_places import know_home
    from kdgov.guard.config import beside_database

    database = store_uri.removeprefix(SCHEME)
    if (home := beside_database(database)) is not None:
        know_home(home)
    return database
