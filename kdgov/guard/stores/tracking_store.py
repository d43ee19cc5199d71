"""The sealed tracking store: a recorded release's runs and logged model cannot be rewritten or deleted.

A run carrying the tag ``kdgov.sealed`` takes no more metrics, params, tags or inputs, is neither deleted nor renamed, and nothing new
(model, trace, issue) is attached to it; its experiment keeps its name. Runs without it are MLflow's own business.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

from mlflow.entities import RunTag
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.tracking.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore

from kdgov.guard.request_context import refuse as _refuse
from kdgov.guard.stores.reserved_tags import reserved
from kdgov.guard.stores.store_methods import TRACKING_RUN, refuse_unknown_tracking
from kdgov.guard.stores.surroundings import Surroundings, is_sealed


def open_tracking_store(database_uri: str, artifact_uri: str | None) -> SqlAlchemyStore:
    """The sealed tracking store over one database.

    Raises:
        MlflowException: if this MLflow's store has a method that the guard does not know.
    """
    base = WorkspaceAwareSqlAlchemyStore if MLFLOW_ENABLE_WORKSPACES.get() else SqlAlchemyStore
    refuse_unknown_tracking(base)
    if MLFLOW_ENABLE_WORKSPACES.get():
        importlib.import_module("kdgov.guard.stores.workspace_store").guard_plain_store()
    sealed = _SealedWorkspaceStore if MLFLOW_ENABLE_WORKSPACES.get() else _SealedStore
    return sealed(database_uri, artifact_uri or DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)


class _Seal(Surroundings):
    """The refusals, mixed in before MLflow's store."""

    ManagedSessionMaker: Any

    def set_tag(self, run_id: str, tag: RunTag) -> None:
        """MLflow's own; a sealed run keeps its tags. Setting the seal itself is the last thing its recorder does."""
        self._refuse_if_sealed(run_id, "tag")
        self._refuse_borrowed([tag])
        super().set_tag(run_id, tag)  # type: ignore[misc]

    # Logged models: sealed with the run that made them, or once a registered version points at them.

    def _refuse_if_backing(self, model_id: str, action: str) -> None:
        model = self.get_logged_model(model_id, allow_deleted=True)  # type: ignore[attr-defined]
        with self.ManagedSessionMaker() as session:
            backs = session.query(SqlModelVersion.version).filter(SqlModelVersion.source == f"models:/{model_id}").first() is not None
            sealed = bool(model.source_run_id) and is_sealed(session, model.source_run_id)
        if sealed or (backs and action == "delete"):
            _refuse(f"kdgov refuses to {action} logged model {model_id}: a recorded release rests on it.")

    def set_logged_model_tags(self, model_id: str, tags: Any) -> None:
        """MLflow's own; reserved tags are refused everywhere, and on a sealed model all but the one that MLflow sets on registration."""
        if any(reserved(tag.key) for tag in tags):
            _refuse(f"kdgov refuses to set tags under kdgov. on logged model {model_id}: the registered version carries the verdict.")
        if any(tag.key != "mlflow.modelVersions" for tag in tags):
            self._refuse_if_backing(model_id, "tag")
        super().set_logged_model_tags(model_id, tags)  # type: ignore[misc]

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """MLflow's own; refused on a sealed model."""
        self._refuse_if_backing(model_id, "untag")
        super().delete_logged_model_tag(model_id, key)  # type: ignore[misc]

    def delete_logged_model(self, model_id: str) -> None:
        """MLflow's own; refused when a version rests on it."""
        self._refuse_if_backing(model_id, "delete")
        super().delete_logged_model(model_id)  # type: ignore[misc]

    def finalize_logged_model(self, model_id: str, status: Any) -> Any:
        """MLflow's own; refused on a sealed model."""
        self._refuse_if_backing(model_id, "finalise")
        return super().finalize_logged_model(model_id, status)  # type: ignore[misc]

    def log_logged_model_params(self, model_id: str, params: Any) -> None:
        """MLflow's own; refused on a sealed model."""
        self._refuse_if_backing(model_id, "add params to")
        super().log_logged_model_params(model_id, params)  # type: ignore[misc]


def _guarded(name: str) -> Callable[..., Any]:
    """A run method that refuses on a sealed run; every one of these takes the run's id under one of two names."""
    plain = getattr(SqlAlchemyStore, name)
    signature = inspect.signature(plain)

    @functools.wraps(plain)
    def method(self: _Seal, *positional: Any, **named: Any) -> Any:
        bound = signature.bind(self, *positional, **named).arguments
        verb = name.removesuffix("_async").removesuffix("_run").replace("_", " ")
        action = verb if verb in ("delete", "restore") else f"{verb} on"
        self._refuse_if_sealed(str(bound["run_id"]), action)
        self._refuse_borrowed(bound.get("tags") or [])
        # A metric logged on any other run may name the sealed model as its own.
        metrics = [*(bound.get("metrics") or []), *([bound["metric"]] if bound.get("metric") else [])]
        for model_id in {m.model_id for m in metrics if getattr(m, "model_id", None)}:
            self._refuse_if_backing(model_id, action)
        return getattr(super(_Seal, self), name)(*positional, **named)

    return method


for _name in TRACKING_RUN:
    if hasattr(SqlAlchemyStore, _name):
        setattr(_Seal, _name, _guarded(_name))


class _SealedStore(_Seal, SqlAlchemyStore):
    """The seal over MLflow's store."""


class _SealedWorkspaceStore(_Seal, WorkspaceAwareSqlAlchemyStore):
    """The seal over MLflow's store with workspaces."""
