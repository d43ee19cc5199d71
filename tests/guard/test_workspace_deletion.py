"""A workspace that holds a guarded alias or recorded evidence is deleted in no mode, whichever address its store was given."""

from __future__ import annotations

import shutil

import pytest
import sqlalchemy as sa
from mlflow.entities.workspace import Workspace, WorkspaceDeletionMode
from mlflow.exceptions import MlflowException
from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore

from kdgov.guard.entry import workspace_store
from kdgov.guard.stores import workspace_store as guarded

MODES = (WorkspaceDeletionMode.CASCADE, WorkspaceDeletionMode.SET_DEFAULT, WorkspaceDeletionMode.RESTRICT)


@pytest.fixture
def database(embedded, tmp_path):
    """A copy of a registry whose one recorded release lies in a workspace of its own, beside an empty one."""
    recorded = embedded.record()
    with embedded.client() as client:
        client.set_registered_model_alias(recorded.name, "champion", str(recorded.version))
    shutil.copy(embedded.target.store / "mlflow.db", tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    store = workspace_store(f"kdgov:{uri}")
    for name in ("team", "empty"):
        store.create_workspace(Workspace(name=name))
    engine = sa.create_engine(uri)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE experiments SET workspace = 'team' WHERE name LIKE 'kdgov/%'"))
    yield uri, engine
    engine.dispose()


@pytest.mark.parametrize("mode", MODES)
def test_a_workspace_with_recorded_evidence_is_kept(database, mode, monkeypatch):
    uri, engine = database
    with pytest.raises(MlflowException, match="kdgov refuses to delete workspace team"):
        workspace_store(f"kdgov:{uri}").delete_workspace("team", mode=mode)
    monkeypatch.setattr(SqlAlchemyStore, "delete_workspace", SqlAlchemyStore.delete_workspace)
    guarded.guard_plain_store()
    guarded.guard_plain_store()
    with pytest.raises(MlflowException, match="kdgov refuses"):
        SqlAlchemyStore(uri).delete_workspace("team", mode=mode)
    with engine.begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM workspaces WHERE name = 'team'")).scalar() == 1


def test_an_empty_workspace_is_deleted_as_before(database):
    uri, engine = database
    workspace_store(f"kdgov:{uri}").delete_workspace("empty", mode=WorkspaceDeletionMode.CASCADE)
    with engine.begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM workspaces WHERE name = 'empty'")).scalar() == 0
