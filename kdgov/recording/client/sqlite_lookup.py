"""A glance at the embedded registry without MLflow: does a version still stand, and who holds an alias. Standard library only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedVersion:
    """One version as the embedded registry has it."""

    verdict: str
    """The ``kdgov.verdict`` tag."""
    aliases: frozenset[str]
    """Aliases standing on it."""


def embedded_version(store: Path, name: str, version: int) -> EmbeddedVersion | None:
    """A version of the store's own registry; None when it is not there (or the database is not)."""
    with _open(store) as connection:
        if connection is None:
            return None
        one = "SELECT current_stage FROM model_versions WHERE name = ? AND version = ? AND workspace = 'default'"
        row = connection.execute(one, (name, version)).fetchone()
        if row is None or row[0] == "Deleted_Internal":
            return None
        tag = "SELECT value FROM model_version_tags WHERE name = ? AND version = ? AND key = 'kdgov.verdict' AND workspace = 'default'"
        verdict = connection.execute(tag, (name, version)).fetchone()
        alias = "SELECT alias FROM registered_model_aliases WHERE name = ? AND version = ? AND workspace = 'default'"
        aliases = frozenset(str(r[0]) for r in connection.execute(alias, (name, version)))
    return EmbeddedVersion(verdict=str(verdict[0]) if verdict else "", aliases=aliases)


def embedded_holder(store: Path, name: str, alias: str) -> int:
    """Version that holds an alias in the store's own registry; 0 for none."""
    with _open(store) as connection:
        if connection is None:
            return 0
        query = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ? AND workspace = 'default'"
        row = connection.execute(query, (name, alias)).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def _open(store: Path) -> Iterator[sqlite3.Connection | None]:
    """The database read-only, or None where there is none or it is of another form."""
    path = store / "mlflow.db"
    if not path.is_file():
        yield None
        return
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)
    try:
        yield connection if _is_known(connection) else None
    finally:
        connection.close()


def _is_known(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("SELECT workspace FROM model_versions LIMIT 1")
    except sqlite3.DatabaseError:
        return False
    return True
