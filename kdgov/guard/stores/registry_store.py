"""The guarded model registry: MLflow's own SQL store, with a refusal in front of every way to promote.

A guarded act runs in one transaction: take the log's lock, look, act through MLflow's own method, append the log entry, commit.
Nothing is checked in one transaction and done in another, and no act is without its entry.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mlflow.entities.model_registry import ModelVersion, ModelVersionTag
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.model_registry.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
from sqlalchemy.orm import Session

from kdgov.evidence.event_chain import ActKind, LogEntry, standing_of
from kdgov.evidence.release_statement import (
    NO_VERDICT,
    RESERVED_PREFIX,
    SUBMIT_TAG,
    VERDICT_TAG,
    VersionFacts,
    refusal_text,
)
from kdgov.guard import tables
from kdgov.guard.config import GuardConfig, guard_config
from kdgov.guard.log_reading import refuse_on_broken_log, was_promoted
from kdgov.guard.promotion_check import judge
from kdgov.guard.request_context import caller, now, refuse, says_prompt
from kdgov.guard.stores.model_standing import StandingShown
from kdgov.guard.stores.reserved_tags import ReservedTags
from kdgov.guard.stores.search_views import is_view, view
from kdgov.guard.stores.store_methods import REGISTRY_GUARDED, REGISTRY_PASSED, refuse_unknown
from kdgov.guard.submission import Submissions
from kdgov.guard.version_rows import KnownVersion, holder, is_prompt, known_version, write_tag

LOG_TAG = "kdgov.log"
CANARY_MODEL = "kdgov-canary"


def open_registry_store(database_uri: str) -> SqlAlchemyStore:
    """The guarded registry over one database, aware of workspaces where MLflow is.

    Raises:
        MlflowException: if this MLflow's store has a method the guard does not know, or its settings are at fault.
    """
    base = WorkspaceAwareSqlAlchemyStore if MLFLOW_ENABLE_WORKSPACES.get() else SqlAlchemyStore
    refuse_unknown(base, REGISTRY_GUARDED | REGISTRY_PASSED, "registry store")
    if MLFLOW_ENABLE_WORKSPACES.get():
        importlib.import_module("kdgov.guard.stores.workspace_store").guard_plain_store()
    guarded = _GuardedWorkspaceStore if MLFLOW_ENABLE_WORKSPACES.get() else _GuardedStore
    return guarded(database_uri)


class _Guard(ReservedTags):
    """The refusals, mixed in before MLflow's store."""

    config: GuardConfig
    engine: Any
    ManagedSessionMaker: Any

    def __init__(self, db_uri: str, **options: Any) -> None:
        super().__init__(db_uri, **options)  # type: ignore[call-arg]
        self.config = guard_config(db_uri)
        # A faulty trust store must stop the start, not the first promotion.
        self.config.trust()
        self._signer = self.config.signer()
        tables.create_tables(self.engine)
        self._plain_sessions = self.ManagedSessionMaker
        # Older supported MLflow has no read replicas and no such option.
        self._writing = {"read_only": False} if "read_only" in inspect.signature(self._plain_sessions).parameters else {}
        self._shared: contextvars.ContextVar[Session | None] = contextvars.ContextVar(f"kdgov-{id(self)}", default=None)
        self.ManagedSessionMaker = self._sessions

    # One transaction for look, act and log entry.
    @contextlib.contextmanager
    def _sessions(self, *positional: Any, **options: Any) -> Iterator[Session]:
        shared = self._shared.get()
        if shared is not None:
            yield shared
            shared.flush()
            return
        with self._plain_sessions(*positional, **options) as session:
            yield session

    @contextlib.contextmanager
    def _act(self) -> Iterator[Session]:
        with self._plain_sessions(**self._writing) as session:
            tables.hold(session)
            token = self._shared.set(session)
            try:
                yield session
            finally:
                self._shared.reset(token)

    # What is known of a version.

    def _whole_model(self, name: str) -> VersionFacts:
        workspace = self._get_active_workspace()  # type: ignore[attr-defined]
        return VersionFacts(name=name, version=0, creation_timestamp=0, source="", workspace=workspace, run_id="")

    def _known(self, session: Session, name: str, version: str | int) -> KnownVersion:
        found = known_version(session, self._get_active_workspace(), name, version)  # type: ignore[attr-defined]
        if found is None and name == CANARY_MODEL:
            # Never there, and judged all the same: so a server proves that it refuses, and leaves nothing behind.
            return KnownVersion(facts=replace(self._whole_model(name), version=1), description="", artifact_uri="")
        if found is None:
            # Not there, or no version number at all: MLflow's own words say which.
            self.get_model_version(name, version)  # type: ignore[attr-defined]
            refuse(f"kdgov refuses: {name} version {version} cannot be read.")
        return found

    def _is_prompt(self, name: str) -> bool:
        with self.ManagedSessionMaker() as session:
            return is_prompt(session, self._get_active_workspace(), name)  # type: ignore[attr-defined]

    def _log(self, session: Session, kind: ActKind, facts: VersionFacts, **details: Any) -> LogEntry:
        at, trust = now(), self.config.trust()
        refuse_on_broken_log(session, kind, at, is_signed=self._signer is not None, trust=trust)
        details |= standing_of(trust)
        entry = tables.append(session, kind, version=facts, by=caller(), details=details, signer=self._signer, at=at)
        if facts.version and kind != "delete":
            write_tag(session, facts, LOG_TAG, f"{entry.seq}:{entry.hash}")
        return entry

    # Promotion.

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """MLflow's own, refused for a guarded alias unless a valid passing decision covers this very version."""
        if alias in self.config.free_aliases or not self.config.guards(name):
            super().set_registered_model_alias(name, alias, version)  # type: ignore[misc]
            return
        with self._act() as session:
            if self._is_prompt(name):
                super().set_registered_model_alias(name, alias, version)  # type: ignore[misc]
                return
            self._promote(session, name, alias, version, kind="promote", reason="")

    def _promote(self, session: Session, name: str, alias: str, version: str | int, *, kind: ActKind, reason: str) -> None:
        found = self._known(session, name, version)
        facts = found.facts
        refusals, decision = judge(session, found, self.config, at=now())
        if refusals:
            refuse(refusal_text(name, facts.version, f"set @{alias} on", refusals))
        previous = holder(session, facts.workspace, name, alias)
        super().set_registered_model_alias(name, alias, version)  # type: ignore[misc]
        self._log(session, kind, facts, alias=alias, previous=previous, decision=decision, reason=reason)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """MLflow's own; taking a guarded alias away is allowed and logged (a demotion errs on the safe side)."""
        if alias in self.config.free_aliases or not self.config.guards(name) or self._is_prompt(name):
            super().delete_registered_model_alias(name, alias)  # type: ignore[misc]
            return
        with self._act() as session:
            before = holder(session, self._get_active_workspace(), name, alias)  # type: ignore[attr-defined]
            super().delete_registered_model_alias(name, alias)  # type: ignore[misc]
            if before:
                self._log(session, "demote", self._known(session, name, before).facts, alias=alias)

    def transition_model_version_stage(self, name: str, version: str, stage: str, archive_existing_versions: bool) -> ModelVersion:
        """MLflow's own, refused for Production as `set_registered_model_alias` is."""
        if stage.strip().lower() in ("staging", "archived", "none") or not self.config.guards(name):
            return super().transition_model_version_stage(name, version, stage, archive_existing_versions)  # type: ignore[misc]
        with self._act() as session:
            found = self._known(session, name, version)
            if refusals := judge(session, found, self.config, at=now())[0]:
                refuse(refusal_text(name, found.facts.version, f"move to stage {stage}", refusals))
            moved = super().transition_model_version_stage(name, version, stage, archive_existing_versions)  # type: ignore[misc]
            self._log(session, "stage", found.facts, stage=stage)
            return moved

    # Submission of signed statements.

    def set_model_version_tag(self, name: str, version: str, tag: ModelVersionTag) -> None:
        """MLflow's own; the reserved tag ``kdgov.submit`` hands over a signed statement, all other reserved ones are refused."""
        if tag.key == SUBMIT_TAG:
            self._submit(name, version, tag.value)  # type: ignore[attr-defined]
            return
        self._refuse_reserved(name, tag.key, "set")
        self._refuse_recording(name, tag.key)
        self._refuse_prompt_toggle(tag.key)
        super().set_model_version_tag(name, version, tag)  # type: ignore[misc]

    # Versions and models.

    def create_registered_model(self, name: str, tags: Any = None, *rest: Any, **options: Any) -> Any:
        """MLflow's own; reserved tags are refused."""
        if name == CANARY_MODEL:
            refuse(f"kdgov refuses to create {name}: nothing bears that name, so that a server can prove that it refuses.")
        for tag in tags or []:
            self._refuse_reserved(name, tag.key, "create a model with")
        return super().create_registered_model(name, tags, *rest, **options)  # type: ignore[misc]

    def create_model_version(self, name: str, source: str, run_id: str | None = None, tags: Any = None, *rest: Any, **options: Any) -> Any:
        """MLflow's own; the new version is stamped as undecided, and a copy does not inherit a decision."""
        given = list(tags or [])
        prompt = self._is_prompt(name)
        if prompt != says_prompt(given):
            kinds = ("prompt", "model version") if prompt else ("model", "prompt version")
            refuse(f"kdgov refuses: {name!r} is a {kinds[0]}, and a {kinds[1]} cannot be registered under it. Choose another name.")
        if prompt and ("/" in source or ":" in source):
            refuse(f"kdgov refuses: a prompt has no files, and this version of {name!r} names {source!r}. Register it as a model.")
        if prompt or not self.config.guards(name):
            return super().create_model_version(name, source, run_id, given, *rest, **options)  # type: ignore[misc]
        if source.startswith("models:/") and not source.startswith("models:/m-"):
            given = [tag for tag in given if not tag.key.startswith(RESERVED_PREFIX)]
        for tag in given:
            self._refuse_reserved(name, tag.key, "create a version with")
        stamped = [*given, ModelVersionTag(VERDICT_TAG, NO_VERDICT)]
        return super().create_model_version(name, source, run_id, stamped, *rest, **options)  # type: ignore[misc]

    def update_model_version(self, name: str, version: str, description: str | None = None) -> ModelVersion:
        """MLflow's own; the card of a decided version is sealed."""
        if self.config.guards(name) and not self._is_prompt(name):
            with self._act() as session:
                if "decision" in tables.latest_envelopes(session, self._known(session, name, version).facts):
                    refuse(f"kdgov refuses to edit the card of {name} version {version}: it is covered by a signed decision.")
        return super().update_model_version(name, version, description)  # type: ignore[misc]

    def delete_model_version(self, name: str, version: str) -> None:
        """MLflow's own; refused once the version was promoted, logged otherwise."""
        if not self.config.guards(name) or self._is_prompt(name):
            super().delete_model_version(name, version)  # type: ignore[misc]
            return
        with self._act() as session:
            facts = self._known(session, name, version).facts
            if was_promoted(session, facts.workspace, name, facts.version):
                refuse(f"kdgov refuses to delete {name} version {version}: it was promoted, and its evidence is kept. Revoke it instead.")
            super().delete_model_version(name, version)  # type: ignore[misc]
            self._log(session, "delete", facts, what="version")

    def delete_registered_model(self, name: str) -> None:
        """MLflow's own; refused once a version was promoted, logged otherwise."""
        self._remove_or_rename(name, "delete", lambda: super(_Guard, self).delete_registered_model(name))  # type: ignore[misc]

    def rename_registered_model(self, name: str, new_name: str) -> Any:
        """MLflow's own; refused once a version was promoted, and between guarded and unguarded names; logged otherwise."""
        if self.config.guards(name) != self.config.guards(new_name):
            refuse(f"kdgov refuses to rename {name} to {new_name}: one name is guarded and the other is not. Register it anew.")
        return self._remove_or_rename(name, "rename", lambda: super(_Guard, self).rename_registered_model(name, new_name))  # type: ignore[misc]

    def _remove_or_rename(self, name: str, action: str, then: Any) -> Any:
        if not self.config.guards(name) or self._is_prompt(name):
            return then()
        with self._act() as session:
            facts = self._whole_model(name)
            if was_promoted(session, facts.workspace, name):
                refuse(f"kdgov refuses to {action} {name}: a version of it was promoted, and its evidence is kept.")
            done = then()
            self._log(session, "delete", facts, what=action)
            return done

    # Tags.

    def set_registered_model_tag(self, name: str, tag: Any) -> None:
        """MLflow's own; reserved tags are refused, and an entry stays what it is (model or prompt)."""
        self._refuse_reserved(name, tag.key, "set")
        self._refuse_prompt_toggle(tag.key)
        super().set_registered_model_tag(name, tag)  # type: ignore[misc]

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """As `set_registered_model_tag`."""
        self._refuse_reserved(name, key, "delete")
        self._refuse_prompt_toggle(key)
        super().delete_registered_model_tag(name, key)  # type: ignore[misc]

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        """As `set_registered_model_tag`."""
        self._refuse_reserved(name, key, "delete")
        self._refuse_recording(name, key)
        self._refuse_prompt_toggle(key)
        super().delete_model_version_tag(name, version, key)  # type: ignore[misc]

    # Views on the guard itself.

    def search_registered_models(
        self, filter_string: str | None = None, max_results: int = 100, order_by: Any = None, page_token: str | None = None
    ) -> PagedList:
        """MLflow's own; ``kdgov.log > N`` and ``kdgov.guard = 'status'`` show the log and the guard's settings to any client."""
        if is_view(filter_string):
            with self._plain_sessions() as session:
                workspace = self._get_active_workspace()  # type: ignore[attr-defined]
                return view(session, str(filter_string), max_results, self.config, workspace=workspace)
        return super().search_registered_models(filter_string, max_results, order_by, page_token)  # type: ignore[misc]


class _GuardedStore(_Guard, Submissions, StandingShown, SqlAlchemyStore):
    """The guard over MLflow's store."""


class _GuardedWorkspaceStore(_Guard, Submissions, StandingShown, WorkspaceAwareSqlAlchemyStore):
    """The guard over MLflow's store with workspaces."""
