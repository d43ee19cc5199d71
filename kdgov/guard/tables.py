"""The guard's own tables beside MLflow's: signed envelopes, and the log of acts.

They are plain tables without triggers or foreign keys, so that `mlflow db upgrade` passes over them.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from securesystemslib.signer import Signer  # type: ignore[attr-defined]
from sqlalchemy.orm import Session

from kdgov.evidence.event_chain import GENESIS, ActKind, LogEntry, signed_head
from kdgov.evidence.release_statement import VersionFacts
from kdgov.evidence.signing import envelope_digest

METADATA = sa.MetaData()

ENVELOPES = sa.Table(
    "kdgov_envelopes",
    METADATA,
    sa.Column("digest", sa.String(80), primary_key=True),
    sa.Column("workspace", sa.String(63), nullable=False),
    sa.Column("name", sa.String(256), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("creation_timestamp", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("received_at", sa.String(32), nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("kdgov_envelopes_of_version", "workspace", "name", "version"),
)
LOG = sa.Table(
    "kdgov_log",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.String(80), nullable=False),
    sa.Column("workspace", sa.String(63), nullable=False),
    sa.Column("name", sa.String(256), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("entry", sa.Text, nullable=False),
    sa.Index("kdgov_log_of_version", "workspace", "name", "version"),
)
HEAD = sa.Table(
    "kdgov_log_head",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("hash", sa.String(80), nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEnvelope:
    """One signed statement the guard accepted."""

    kind: str
    """decision or revoke."""
    received_at: datetime.datetime
    """When, by the guard's clock."""
    text: str
    """DSSE envelope as JSON."""

    @property
    def body(self) -> Mapping[str, Any]:
        """DSSE envelope."""
        found: Mapping[str, Any] = json.loads(self.text)
        return found


def create_tables(engine: sa.Engine) -> None:
    """Create what is missing; several workers may try at once."""
    with engine.connect() as probe:
        if sa.inspect(probe).has_table(HEAD.name):
            return
    try:
        METADATA.create_all(engine, checkfirst=True)
        with engine.begin() as connection:
            connection.execute(HEAD.insert().values(id=1, seq=0, hash=GENESIS))
    except (sa.exc.IntegrityError, sa.exc.OperationalError, sa.exc.ProgrammingError):
        # Another worker was first; what it made must be there now, else the fault is real.
        with engine.connect() as connection:
            connection.execute(sa.select(HEAD.c.seq)).one()


def hold(session: Session) -> None:
    """Take the log's lock for the rest of the transaction: acts happen one after the other, each with its entry."""
    session.execute(HEAD.update().where(HEAD.c.id == 1).values(seq=HEAD.c.seq))


def append(
    session: Session,
    kind: ActKind,
    *,
    version: VersionFacts,
    by: str,
    details: Mapping[str, Any],
    signer: Signer | None,
    at: datetime.datetime,
) -> LogEntry:
    """Add one act to the log inside the caller's transaction, which must hold its lock (`hold`)."""
    head = session.execute(sa.select(HEAD.c.seq, HEAD.c.hash).where(HEAD.c.id == 1)).one()
    at = max(at, last_moment(session) or at)
    fields: dict[str, Any] = {
        "seq": head.seq + 1,
        "previous": head.hash,
        "at": at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "kind": kind,
        "workspace": version.workspace,
        "name": version.name,
        "version": version.version,
        "by": by,
        "details": dict(details),
    }
    entry = LogEntry(**fields)
    envelope = signed_head(entry, signer, at=at) if signer else {}
    row = {k: fields[k] for k in ("seq", "workspace", "name", "version", "kind")}
    text = json.dumps({**entry.body(), "head": envelope}, ensure_ascii=False, sort_keys=True)
    session.execute(LOG.insert().values(**row, hash=entry.hash, entry=text))
    session.execute(HEAD.update().where(HEAD.c.id == 1).values(seq=entry.seq, hash=entry.hash))
    return entry


def last_moment(session: Session) -> datetime.datetime | None:
    """When the last entry that can be read was made, by the clock of the guard that made it; None for an empty log."""
    row = session.execute(sa.select(LOG.c.entry).order_by(LOG.c.seq.desc()).limit(1)).first()
    try:
        found = datetime.datetime.fromisoformat(str(json.loads(row.entry)["at"])) if row is not None else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if found is not None and found.tzinfo is not None else None


def store_envelope(session: Session, kind: str, version: VersionFacts, envelope: Mapping[str, Any], entry: LogEntry) -> str:
    """Keep a verified envelope; returns its digest. The same one twice is kept once."""
    digest = envelope_digest(envelope)
    if session.execute(sa.select(ENVELOPES.c.seq).where(ENVELOPES.c.digest == digest)).first() is None:
        session.execute(
            ENVELOPES.insert().values(
                digest=digest,
                workspace=version.workspace,
                name=version.name,
                version=version.version,
                creation_timestamp=version.creation_timestamp,
                kind=kind,
                received_at=entry.at,
                seq=entry.seq,
                body=json.dumps(dict(envelope), sort_keys=True),
            )
        )
    return digest


def latest_envelopes(session: Session, version: VersionFacts) -> dict[str, StoredEnvelope]:
    """Kind → the latest accepted statement of that kind about this very version."""
    table = ENVELOPES
    query = (
        sa.select(table.c.kind, table.c.received_at, table.c.body)
        .where(table.c.workspace == version.workspace, table.c.name == version.name, table.c.version == version.version)
        .where(table.c.creation_timestamp == version.creation_timestamp)
        .order_by(table.c.seq)
    )
    found: dict[str, StoredEnvelope] = {}
    for row in session.execute(query):
        found[row.kind] = StoredEnvelope(kind=row.kind, received_at=datetime.datetime.fromisoformat(row.received_at), text=row.body)
    return found
