"""The embedded registry's database, made whole before it bears its name: a full disk, a kill or a second recording leaves no half of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from mlflow.exceptions import MlflowException
from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from kdgov.errors import UnavailableError
from kdgov.processes import lock_file

DATABASE = "mlflow.db"
_MAKING = ".mlflow.db.making"


def make_database(store: Path) -> None:
    """Make the embedded registry's database, unless it is there; of several processes at once one makes it and the others wait.

    Raises:
        UnavailableError: if it cannot be written; nothing is left behind, and the same call goes on later.
    """
    place = store / DATABASE
    if place.exists():
        return
    with _alone(store):
        if place.exists():
            return
        making = store / _MAKING
        _remove(store)
        try:
            made = SqlAlchemyStore(f"sqlite:///{making}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)
            made.engine.dispose()
            SqlAlchemyStore._engine_map.pop(f"sqlite:///{making}", None)
            os.replace(making, place)
        except (sa.exc.SQLAlchemyError, MlflowException, OSError) as error:
            _remove(store)
            said = str(error).splitlines()[0][:200]
            mend = "Free some disk space, then run the same command again: nothing half-made is left."
            raise UnavailableError(f"the registry's tables cannot be made: {said}", where=str(store), mend=mend) from error


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    with (store / ".mlflow.lock").open("w") as lock:
        lock_file(lock, wait=True)
        yield


def _remove(store: Path) -> None:
    for path in store.glob(f"{_MAKING}*"):
        path.unlink(missing_ok=True)
