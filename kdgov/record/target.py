"""Where releases are recorded: the embedded registry of a store, or a server."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kdgov.errors import InputError

REGISTRY_VARIABLE = "KDGOV_REGISTRY"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryTarget:
    """The two URIs an MLflow client needs, and what follows from them."""

    tracking_uri: str
    """Runs and artifacts."""
    registry_uri: str
    """Models and versions."""
    artifact_root: str
    """Where new experiments put their artifacts; empty: the server decides."""
    store: Path
    """Folder of finished work: keys, trust, receipts."""
    is_embedded: bool
    """Whether the registry is the store's own SQLite file."""

    @property
    def name(self) -> str:
        """What messages and receipts call it."""
        return "the embedded registry" if self.is_embedded else self.tracking_uri


def registry_target(store: Path, uri: str | None = None) -> RegistryTarget:
    """The registry named by ``uri``, else by KDGOV_REGISTRY, else the store's own SQLite file behind the guard.

    Args:
        store: folder of finished work.
        uri: ``http(s)://…`` of a server, or ``kdgov:<database uri>`` / ``sqlite:…`` / ``postgresql…`` of a database.

    Raises:
        InputError: if the URI is none of these.
    """
    named = uri or os.environ.get(REGISTRY_VARIABLE, "")
    absolute = store.resolve()
    if not named:
        database = f"kdgov:sqlite:///{absolute / 'mlflow.db'}"
        artifacts = f"kdgov-artifacts:{absolute / 'artifacts'}"
        return RegistryTarget(tracking_uri=database, registry_uri=database, artifact_root=artifacts, store=absolute, is_embedded=True)
    if not named.startswith(("http://", "https://", "kdgov:", "sqlite:", "postgresql")):
        raise InputError(
            f"{named!r} is no registry address", mend="Write http://host:port of a server, or kdgov:<database uri> of a database."
        )
    database = named if named.startswith(("http", "kdgov:")) else f"kdgov:{named}"
    return RegistryTarget(tracking_uri=database, registry_uri=database, artifact_root="", store=absolute, is_embedded=False)
