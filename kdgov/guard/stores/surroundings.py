"""What stands around a sealed run: its experiment, and what may be attached to it from outside.

The run itself refuses in `kdgov.guard.stores.tracking_store`; here is what reaches it through another object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from flask import has_request_context
from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlRun, SqlTag
from sqlalchemy.orm import Session

from kdgov.guard.config import guard_config
from kdgov.guard.request_context import refuse
from kdgov.guard.stores.locations import location_fault
from kdgov.guard.stores.reserved_tags import RECORDING_TAG, reserved

SEALED_TAG = "kdgov.sealed"
CANARY_RUN = "0kdgov0canary"
"""A run that never exists: what is asked of it is always refused, so that a server proves itself without leaving anything behind."""
_NOTE = "mlflow.note.content"
_SOURCE_RUN = "mlflow.sourceRun"


def is_sealed(session: Session, run_id: str) -> bool:
    """Whether a run is sealed; one that is not there is not, except the canary's."""
    if run_id == CANARY_RUN:
        return True
    return session.query(SqlTag.key).filter(SqlTag.run_uuid == run_id, SqlTag.key == SEALED_TAG).first() is not None


class Surroundings:
    """Refusals about experiments and attachments, mixed in before MLflow's store."""

    ManagedSessionMaker: Any

    def _refuse_if_sealed(self, run_id: str, action: str) -> None:
        with self.ManagedSessionMaker() as session:
            if is_sealed(session, run_id):
                refuse(f"kdgov refuses to {action} run {run_id}: it holds the evidence of a recorded release and is sealed.")

    # Experiments.

    def create_experiment(self, name: str, artifact_location: str | None = None, tags: Any = None) -> str:
        """MLflow's own; refused for a place that holds, or lies in, what recorded releases rest on."""
        with self.ManagedSessionMaker() as session:
            # One of its own name has been created in this moment by another client: MLflow says so itself.
            known = [row[0] for row in session.query(SqlExperiment.artifact_location).filter(SqlExperiment.name != name)]
        fault = location_fault(
            name,
            artifact_location or "",
            known=known,
            root=str(self.artifact_root_uri or ""),  # type: ignore[attr-defined]
            protected=_own_folders(str(self.db_uri)),  # type: ignore[attr-defined]
            is_request=has_request_context(),
        )
        if fault:
            refuse(f"kdgov refuses to create experiment {name!r}: {fault}. Leave the location out, or name a place of its own.")
        return str(super().create_experiment(name, artifact_location, tags))  # type: ignore[misc]

    def delete_experiment(self, experiment_id: str) -> None:
        """MLflow's own; refused while the experiment holds a sealed run."""
        self._refuse_if_holding(experiment_id, "delete")
        super().delete_experiment(experiment_id)  # type: ignore[misc]

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """MLflow's own; refused while the experiment holds a sealed run."""
        self._refuse_if_holding(experiment_id, "rename")
        super().rename_experiment(experiment_id, new_name)  # type: ignore[misc]

    def set_experiment_tag(self, experiment_id: str, tag: Any) -> None:
        """MLflow's own; reserved tags and the description are refused while the experiment holds a sealed run."""
        if reserved(tag.key) or tag.key == _NOTE:
            self._refuse_if_holding(experiment_id, "describe")
        super().set_experiment_tag(experiment_id, tag)  # type: ignore[misc]

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """As `set_experiment_tag`."""
        if reserved(key) or key == _NOTE:
            self._refuse_if_holding(experiment_id, "describe")
        super().delete_experiment_tag(experiment_id, key)  # type: ignore[misc]

    def _refuse_if_holding(self, experiment_id: str, action: str) -> None:
        with self.ManagedSessionMaker() as session:
            runs = session.query(SqlTag.run_uuid).join(SqlRun, SqlRun.run_uuid == SqlTag.run_uuid)
            if runs.filter(SqlTag.key == SEALED_TAG, SqlRun.experiment_id == int(experiment_id)).first() is not None:
                refuse(f"kdgov refuses to {action} experiment {experiment_id}: it holds the evidence of recorded releases.")

    # Attachments.

    def create_run(self, experiment_id: str, user_id: Any, start_time: Any, tags: Any, run_name: Any, **options: Any) -> Any:
        """MLflow's own; a new run bears no reserved tag and does not pass for one of a sealed recording."""
        for tag in tags or []:
            if reserved(tag.key):
                refuse(f"kdgov refuses to create a run with the tag {tag.key!r}: tags under kdgov. come with a recorded release.")
        self._refuse_borrowed(tags or [])
        return super().create_run(experiment_id, user_id, start_time, tags, run_name, **options)  # type: ignore[misc]

    def _refuse_borrowed(self, tags: Iterable[Any]) -> None:
        named = {str(tag.value) for tag in tags if tag.key == RECORDING_TAG}
        if not named:
            return
        with self.ManagedSessionMaker() as session:
            sealed = session.query(SqlTag.run_uuid).filter(SqlTag.key == SEALED_TAG)
            taken = session.query(SqlTag.run_uuid).filter(
                SqlTag.key == RECORDING_TAG, SqlTag.value.in_(named), SqlTag.run_uuid.in_(sealed.scalar_subquery())
            )
            if taken.first() is not None:
                refuse("kdgov refuses to let a run pass for one of a recorded release: that recording is sealed.")

    def create_logged_model(self, *positional: Any, **named: Any) -> Any:
        """MLflow's own; no model is attached to a sealed run, and none bears reserved tags."""
        source = named.get("source_run_id") or (positional[2] if len(positional) > 2 else None)
        if source:
            self._refuse_if_sealed(str(source), "attach a model to")
        tags = named.get("tags") or (positional[3] if len(positional) > 3 else None) or []
        if odd := [tag.key for tag in tags if reserved(tag.key)]:
            refuse(f"kdgov refuses to create a model with the tag {odd[0]!r}: the registered version carries the verdict.")
        return super().create_logged_model(*positional, **named)  # type: ignore[misc]

    def start_trace(self, trace_info: Any) -> Any:
        """MLflow's own; no trace is attached to a sealed run."""
        self._refuse_trace(trace_info.request_metadata or getattr(trace_info, "trace_metadata", None) or {})
        return super().start_trace(trace_info)  # type: ignore[misc]

    def deprecated_start_trace_v2(self, experiment_id: str, timestamp_ms: int, request_metadata: dict[str, str], tags: Any) -> Any:
        """As `start_trace`."""
        self._refuse_trace(request_metadata or {})
        return super().deprecated_start_trace_v2(experiment_id, timestamp_ms, request_metadata, tags)  # type: ignore[misc]

    def _refuse_trace(self, metadata: Mapping[str, str]) -> None:
        if run_id := metadata.get(_SOURCE_RUN):
            self._refuse_if_sealed(str(run_id), "attach a trace to")

    def create_issue(self, *positional: Any, **named: Any) -> Any:
        """MLflow's own; no issue is attached to a sealed run."""
        if run_id := named.get("source_run_id") or (positional[6] if len(positional) > 6 else None):
            self._refuse_if_sealed(str(run_id), "attach an issue to")
        return super().create_issue(*positional, **named)  # type: ignore[misc]


def _own_folders(database_uri: str) -> list[Path]:
    """Folders of this machine whose files the registry itself rests on."""
    config = guard_config(database_uri)
    found = [config.trust_path.resolve().parent]
    if config.guard_key.startswith("file:"):
        found.append(Path(config.guard_key.removeprefix("file:")).resolve().parent)
    parsed = urlparse(database_uri)
    if parsed.scheme.startswith("sqlite") and parsed.path.strip("/"):
        found.append(Path(parsed.path[1:]).resolve().parent)
    return found
