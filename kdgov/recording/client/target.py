"""Where releases are recorded: the embedded registry of a store, or a server."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from kdgov.errors import InputError

REGISTRY_VARIABLE = "KDGOV_REGISTRY"
STORE_VARIABLE = "KDGOV_STORE"


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
        return "the embedded registry" if self.is_embedded else without_password(self.tracking_uri)

    def page(self, name: str, version: int) -> str:
        """How a person opens a version: the page's address, or the command that serves the embedded registry."""
        if self.tracking_uri.startswith("http"):
            return f"{self.tracking_uri}/#/models/{quote(name)}/versions/{version}"
        return f"kdgov serve --store {self.store}" if self.is_embedded else f"kdgov serve --backend-store-uri {self.name}"


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
            f"{named!r} is not a registry address", mend="Write http://host:port of a server, or kdgov:<database uri> of a database."
        )
    database = named if named.startswith(("http", "kdgov:")) else f"kdgov:{named}"
    return RegistryTarget(tracking_uri=database, registry_uri=database, artifact_root="", store=absolute, is_embedded=False)


def without_password(uri: str) -> str:
    """A URI that may be shown: the password, where it holds one, is left out."""
    scheme, mark, rest = uri.partition("://")
    login, at, place = rest.rpartition("@")
    user = login.partition(":")[0]
    return f"{scheme}{mark}{user}{at}{place}" if mark and at else uri
