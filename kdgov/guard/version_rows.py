"""What a guarded call must know of MLflow's own tables, in as few statements as possible.

MLflow's ORM takes about ten statements to show one version with its tags, aliases and model; a promotion needs six columns of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlModelVersionTag,
    SqlRegisteredModelAlias,
    SqlRegisteredModelTag,
)
from mlflow.store.tracking.dbmodels.models import SqlRun
from sqlalchemy.orm import Session

from kdgov.evidence.release_statement import VersionFacts
from kdgov.guard.request_context import IS_PROMPT_TAG

_VERSIONS, _TAGS = SqlModelVersion.__table__, SqlModelVersionTag.__table__
_ALIASES, _MODEL_TAGS, _RUNS = SqlRegisteredModelAlias.__table__, SqlRegisteredModelTag.__table__, SqlRun.__table__


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVersion:
    """One version as the database has it now."""

    facts: VersionFacts
    """What a decision binds."""
    description: str
    """The card."""
    artifact_uri: str
    """Where its run keeps artifacts; empty without a run."""


def known_version(session: Session, workspace: str, name: str, version: str | int) -> KnownVersion | None:
    """A version that is there and not deleted; None otherwise, and for anything that is no number."""
    if not str(version).isdecimal():
        return None
    columns = [_VERSIONS.c[key] for key in ("creation_time", "source", "description", "run_id")]
    query = (
        sa.select(*columns, _RUNS.c.artifact_uri)
        .select_from(_VERSIONS.outerjoin(_RUNS, _RUNS.c.run_uuid == _VERSIONS.c.run_id))
        .where(_VERSIONS.c.workspace == workspace, _VERSIONS.c.name == name, _VERSIONS.c.version == int(version))
        .where(_VERSIONS.c.current_stage != STAGE_DELETED_INTERNAL)
    )
    row = session.execute(query).first()
    if row is None:
        return None
    facts = VersionFacts(
        name=name,
        version=int(version),
        creation_timestamp=int(row.creation_time),
        source=row.source or "",
        workspace=workspace,
        run_id=row.run_id or "",
    )
    return KnownVersion(facts=facts, description=row.description or "", artifact_uri=row.artifact_uri or "")


def is_prompt(session: Session, workspace: str, name: str) -> bool:
    """Whether the entry is marked as a prompt; an absent one is not."""
    query = sa.select(_MODEL_TAGS.c.value).where(
        _MODEL_TAGS.c.workspace == workspace, _MODEL_TAGS.c.name == name, _MODEL_TAGS.c.key == IS_PROMPT_TAG
    )
    return str(session.execute(query).scalar()).lower() == "true"


def holder(session: Session, workspace: str, name: str, alias: str) -> int:
    """Version an alias stands on; 0 for none."""
    query = sa.select(_ALIASES.c.version).where(_ALIASES.c.workspace == workspace, _ALIASES.c.name == name, _ALIASES.c.alias == alias)
    return int(session.execute(query).scalar() or 0)


def write_tag(session: Session, facts: VersionFacts, key: str, value: str) -> None:
    """Set a tag of a version that is known to be there."""
    place = {"workspace": facts.workspace, "name": facts.name, "version": facts.version, "key": key}
    where = [_TAGS.c[column] == wanted for column, wanted in place.items()]
    if session.execute(_TAGS.update().where(*where).values(value=value)).rowcount == 0:  # type: ignore[attr-defined]
        session.execute(_TAGS.insert().values(**place, value=value))
