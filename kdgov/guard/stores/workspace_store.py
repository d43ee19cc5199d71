"""MLflow's workspaces behind the guard: one that holds a guarded alias or recorded evidence is neither deleted nor emptied into another."""

from __future__ import annotations

import functools
from typing import Any

import sqlalchemy as sa
from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore

from kdgov.guard.config import guard_config
from kdgov.guard.log_reading import standing_in
from kdgov.guard.request_context import refuse
from kdgov.guard.tables import LOG

_ALIASES = sa.table("registered_model_aliases", *(sa.column(c) for c in ("workspace", "name", "alias")))
_RUNS = sa.table("runs", sa.column("run_uuid"), sa.column("experiment_id"))
_TAGS = sa.table("tags", sa.column("run_uuid"), sa.column("key"))
_EXPERIMENTS = sa.table("experiments", sa.column("experiment_id"), sa.column("workspace"))


class GuardedWorkspaceStore(SqlAlchemyStore):
    """MLflow's store of workspaces, with a refusal in front of the deletion."""

    def delete_workspace(self, workspace_name: str, *positional: Any, **named: Any) -> None:
        """MLflow's own, in every mode; refused while the workspace holds a guarded alias or recorded evidence."""
        refuse_if_held(self, workspace_name)
        super().delete_workspace(workspace_name, *positional, **named)


def refuse_if_held(store: Any, workspace: str) -> None:
    """Refuse to delete a workspace that holds what must be kept."""
    config = guard_config(str(store._workspace_uri))
    with store.ManagedSessionMaker(read_only=True) as session:
        held = [row.alias for row in session.execute(sa.select(_ALIASES).where(_ALIASES.c.workspace == workspace))]
        guarded = sorted({alias for alias in held if alias not in config.free_aliases})
        runs = sa.select(_TAGS.c.run_uuid).join(_RUNS, _RUNS.c.run_uuid == _TAGS.c.run_uuid)
        runs = runs.join(_EXPERIMENTS, _EXPERIMENTS.c.experiment_id == _RUNS.c.experiment_id)
        sealed = session.execute(runs.where(_TAGS.c.key == "kdgov.sealed", _EXPERIMENTS.c.workspace == workspace).limit(1)).first()
        has_log = sa.inspect(session.get_bind()).has_table(LOG.name)
        recorded = standing_in(session, workspace) if has_log else ()
    if guarded:
        refuse(f"kdgov refuses to delete workspace {workspace}: @{guarded[0]} stands in it, and its evidence is kept.")
    if sealed is not None or recorded:
        what = f"{recorded[0]} is recorded in it" if recorded else "it holds the evidence of recorded releases"
        refuse(f"kdgov refuses to delete workspace {workspace}: {what}.")


def guard_plain_store() -> None:
    """Put the refusal before MLflow's own store too, for a server whose workspaces were given by a bare database address."""
    plain = SqlAlchemyStore.delete_workspace
    if getattr(plain, "kdgov", False):
        return

    @functools.wraps(plain)
    def delete_workspace(self: Any, workspace_name: str, *positional: Any, **named: Any) -> None:
        refuse_if_held(self, workspace_name)
        plain(self, workspace_name, *positional, **named)

    delete_workspace.kdgov = True  # type: ignore[attr-defined]
    SqlAlchemyStore.delete_workspace = delete_workspace  # type: ignore[method-assign]
