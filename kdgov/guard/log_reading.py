"""The log of acts as its signed text says it. The columns beside the text only sort it: whoever edits them changes no answer here."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from kdgov.errors import InputError
from kdgov.evidence.event_chain import LogEntry, entry_from_json, made_good, unreadable_entry
from kdgov.evidence.release_statement import Refusal, VersionFacts
from kdgov.evidence.signing import envelope_digest
from kdgov.evidence.trust_store import CLOCK_SKEW, TrustStore
from kdgov.guard.request_context import refuse
from kdgov.guard.tables import ENVELOPES, HEAD, LOG, StoredEnvelope, last_moment
from kdgov.safe_parse import json_value

RAISING = ("promote", "stage", "rollback")
_KINDS = {"decision": "decide", "revoke": "revoke"}
_MEND = "Compare with a copy of the log kept elsewhere, and restore the registry from it."
_VERSIONS = sa.table("model_versions", *(sa.column(c) for c in ("workspace", "name", "version", "current_stage")))


def entry_of(row: Any) -> LogEntry:
    """The entry of a row of the log; one that cannot be read is an entry that says so, placed by its columns."""
    try:
        entry = entry_from_json(json_value(row.entry, where=f"log entry {row.seq}"))
        if isinstance(entry.seq, int) and isinstance(entry.version, int) and isinstance(entry.details, Mapping) and entry.at and entry.hash:
            return entry
        raise ValueError("an entry of another shape")
    except (InputError, ValueError, KeyError, TypeError, AttributeError):
        return unreadable_entry(row.seq, workspace=row.workspace, name=row.name, version=row.version)


def entries_about(session: Session, workspace: str, name: str, version: int | None = None) -> list[LogEntry]:
    """Entries about a model (or one version of it, and the model as a whole), in order, by what their text says."""
    # An escape spells a name in other characters without changing what the entry says.
    texts = (json.dumps(name, ensure_ascii=False), "\\u")
    spelled = [LOG.c.entry.contains(text, autoescape=True) for text in texts]
    rows = session.execute(sa.select(LOG).where(sa.or_(*spelled, LOG.c.name == name)).order_by(LOG.c.seq))
    found = [entry_of(row) for row in rows]
    return [e for e in found if (e.workspace, e.name) == (workspace, name) and (version is None or e.version in (0, version))]


def acts_on(session: Session, facts: VersionFacts) -> list[LogEntry]:
    """Entries about a version as it stands: what came before a deletion was about another one of the same number."""
    entries = entries_about(session, facts.workspace, facts.name, facts.version)
    last = max((n for n, entry in enumerate(entries, start=1) if entry.kind == "delete"), default=0)
    return [entry for entry in entries[last:] if entry.version == facts.version]


def was_promoted(session: Session, workspace: str, name: str, version: int | None = None) -> bool:
    """Whether the log knows a promotion of this version, or of any version of the model."""
    entries = entries_about(session, workspace, name, version)
    return any(entry.kind in RAISING and version in (None, entry.version) for entry in entries)


def log_refusals(session: Session, facts: VersionFacts, stored: Mapping[str, StoredEnvelope]) -> tuple[Refusal, ...]:
    """Whether the stored statements are those the log tells of: a revocation counts as long as the log knows it."""
    entries = acts_on(session, facts)
    found: list[str] = [f"log entry {e.seq} about this version cannot be read any more" for e in entries if e.is_unreadable]
    revoked = [e for e in entries if e.kind == "revoke"]
    if revoked and "revoke" not in stored:
        return (Refusal(criterion="revoked", reason=f"revoked by log entry {revoked[-1].seq}", mend="Release a new version."),)
    decided = [e for e in entries if e.kind == "decide"]
    if decision := stored.get("decision"):
        named = str(_predicate(decision.text).get("decision", ""))
        if not decided:
            found.append("no log entry tells of the stored decision")
        elif decided[-1].details.get("decision") != named:
            found.append(f"the decision that log entry {decided[-1].seq} stored last is gone")
        elif decision.received_at.isoformat().replace("+00:00", "Z") != decided[-1].at:
            found.append("the stored decision bears another date of receipt than the log")
    elif decided:
        found.append(f"the decision that log entry {decided[-1].seq} stored is gone")
    return tuple(Refusal(criterion="log", reason=reason, mend=_MEND) for reason in found)


def end_fault(session: Session) -> str:
    """Why the log's last entry is not the one its head names; empty where it is."""
    head = session.execute(sa.select(HEAD.c.seq, HEAD.c.hash).where(HEAD.c.id == 1)).one_or_none()
    last = session.execute(sa.select(LOG).order_by(LOG.c.seq.desc()).limit(1)).first()
    if head is None:
        return "the log has lost its head"
    if last is None:
        return "" if head.seq == 0 else f"the log is empty, and its head names entry {head.seq}"
    entry = entry_of(last)
    if last.seq != head.seq or entry.seq != head.seq or entry.hash != head.hash:
        return f"the log ends with entry {last.seq}, which is not the one its head names ({head.seq})"
    return ""


def refuse_on_broken_log(session: Session, kind: str, at: datetime.datetime, *, is_signed: bool, trust: TrustStore) -> None:
    """Refuse an act that raises a standing where the log's end, the clock or its signature is not as it was left; what lowers one is taken.

    Args:
        session: of the act.
        kind: of the act.
        at: now.
        is_signed: whether this guard has a key: without one it would leave an unsigned entry behind signed ones, for good.
        trust: who counts here; a key that the log once called compromised counts no more, whatever the trust store says since.
    """
    if kind not in ("decide", *RAISING):
        return
    if not is_signed and _ends_signed(session):
        told = "the log's entries are signed, and this guard has no key to sign the next one"
        refuse(f"kdgov refuses to {kind}: {told}. Name the guard's key: KDGOV_GUARD_KEY, or kdgov serve --guard-key.")
    latest = last_moment(session) or at
    if at < latest - CLOCK_SKEW:
        told = f"this server's clock says {at:%Y-%m-%d %H:%M}, and the log's last act is of {latest:%Y-%m-%d %H:%M}"
        refuse(f"kdgov refuses to {kind}: {told}. Set the clock.")
    if fault := end_fault(session):
        refuse(f"kdgov refuses to {kind}: {fault}. {_MEND}")
    if fault := _taken_back(session, trust):
        refuse(f"kdgov refuses to {kind}: {fault}. Put the mark back, and trust a new key.")


def _taken_back(session: Session, trust: TrustStore) -> str:
    """Which key the log knows as compromised and this trust store lets count again; empty where there is none."""
    rows = session.execute(sa.select(LOG).where(LOG.c.entry.contains('"compromised"', autoescape=True)).order_by(LOG.c.seq))
    return made_good([entry_of(row) for row in rows], trust)


def _ends_signed(session: Session) -> bool:
    last = session.execute(sa.select(LOG).order_by(LOG.c.seq.desc()).limit(1)).first()
    return last is not None and bool(entry_of(last).head)


def log_faults(session: Session, is_shown: Callable[[str, str], bool] = lambda _place, _name: True) -> tuple[str, ...]:
    """Everything in the guard's own tables, and every version gone from MLflow's, that the log's text contradicts; all workspaces.

    Args:
        session: of the registry.
        is_shown: of workspace and model: whether the faults about it may be told; else they are counted.
    """
    rows = list(session.execute(sa.select(LOG).order_by(LOG.c.seq)))
    entries = [entry_of(row) for row in rows]
    pairs = zip(rows, entries, strict=True)
    found = [((e.workspace, e.name), f"log row {row.seq}: {fault}") for row, e in pairs for fault in _row_faults(row, e)]
    if fault := end_fault(session):
        found.append((("", ""), fault))
    found += _envelope_faults(session, entries)
    hidden = sum(not is_shown(*about) for about, _ in found)
    found += _gone(session, entries)
    withheld = [f"{hidden} faults about models that this login may not read"] if hidden else []
    return (*(fault for about, fault in found if is_shown(*about)), *withheld)


def _row_faults(row: Any, entry: LogEntry) -> Iterator[str]:
    if entry.is_unreadable:
        yield "it cannot be read"
        return
    said = {column: getattr(entry, column) for column in ("seq", "hash", "workspace", "name", "version", "kind")}
    for column, value in said.items():
        if getattr(row, column) != value:
            yield f"its column {column} says {getattr(row, column)!r}, its signed text {value!r}"


def _envelope_faults(session: Session, entries: Sequence[LogEntry]) -> Iterator[tuple[tuple[str, str], str]]:
    by_seq = {entry.seq: entry for entry in entries}
    kept: set[int] = set()
    for row in session.execute(sa.select(ENVELOPES).order_by(ENVELOPES.c.seq)):
        entry = by_seq.get(row.seq)
        kept.add(row.seq)
        place, about = (str(row.workspace), str(row.name)), f"the {row.kind} of {row.name} version {row.version}"
        if entry is None or entry.kind != _KINDS.get(row.kind):
            yield place, f"{about} names log entry {row.seq}, which tells of none"
            continue
        if (row.workspace, row.name, row.version) != (entry.workspace, entry.name, entry.version) or row.received_at != entry.at:
            yield place, f"{about} differs from log entry {entry.seq} in place or date"
        predicate = _predicate(row.body)
        if row.kind == "decision" and predicate.get("decision") != entry.details.get("decision"):
            yield place, f"{about} is not the statement that log entry {entry.seq} stored"
        if predicate.get("creation_timestamp") != row.creation_timestamp or _digest(row.body) != row.digest:
            yield place, f"{about} was changed"
    for entry in _standing(entries):
        if entry.kind in _KINDS.values() and entry.seq not in kept:
            told = f"log entry {entry.seq} ({entry.kind} of {entry.name} version {entry.version}): its statement is gone"
            yield (entry.workspace, entry.name), told


def _standing(entries: Sequence[LogEntry]) -> list[LogEntry]:
    """Entries about versions that no later entry deleted."""
    standing: dict[tuple[str, str, int], list[LogEntry]] = {}
    for entry in entries:
        if entry.kind == "delete":
            gone = [key for key in standing if key[:2] == (entry.workspace, entry.name) and entry.version in (0, key[2])]
            for key in gone:
                del standing[key]
        elif entry.version > 0:
            standing.setdefault((entry.workspace, entry.name, entry.version), []).append(entry)
    return [entry for found in standing.values() for entry in found]


def standing_in(session: Session, workspace: str) -> tuple[str, ...]:
    """Versions of a workspace that the log tells of and that nobody deleted, as ``name version``."""
    rows = session.execute(sa.select(LOG).order_by(LOG.c.seq))
    found = {(e.name, e.version) for e in _standing([entry_of(row) for row in rows]) if e.workspace == workspace}
    return tuple(f"{name} version {version}" for name, version in sorted(found))


def _gone(session: Session, entries: Sequence[LogEntry]) -> Iterator[tuple[tuple[str, str], str]]:
    there = {
        (row.workspace, row.name, row.version)
        for row in session.execute(sa.select(_VERSIONS).where(_VERSIONS.c.current_stage != "Deleted_Internal"))
    }
    last = {(e.workspace, e.name, e.version): e for e in _standing(entries) if not e.is_unreadable}
    for (workspace, name, version), entry in sorted(last.items(), key=lambda item: item[0]):
        if (workspace, name, version) not in there:
            place = "" if workspace == "default" else f" of workspace {workspace}"
            yield (
                (workspace, name),
                f"log entry {entry.seq} tells of {name} version {version}{place}, and the registry has none: taken away",
            )


def _predicate(text: str) -> Mapping[str, Any]:
    try:
        value = json_value(base64.b64decode(json_value(text, where="statement")["payload"]), where="statement")["predicate"]
    except (InputError, ValueError, KeyError, TypeError):
        return {}
    return value if isinstance(value, Mapping) else {}


def _digest(text: str) -> str:
    try:
        return envelope_digest(json_value(text, where="statement"))
    except (InputError, ValueError, KeyError, TypeError, AttributeError):
        return ""
