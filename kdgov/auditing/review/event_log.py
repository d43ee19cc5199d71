"""The log of acts, and whether what the registry shows follows from it: aliases, stages, revocations."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from kdgov.auditing.registry.snapshot import LogShown, VersionShown
from kdgov.auditing.review.audit_findings import AuditFinding, unverifiable, verified, violated
from kdgov.auditing.review.result import Act
from kdgov.auditing.review.signatures import Attested
from kdgov.digest import is_digest
from kdgov.evidence.derivation.witness import witness_faults, witnessed_heads
from kdgov.evidence.event_chain import LogEntry, chain_faults, trust_faults
from kdgov.evidence.trust_store import TrustStore

_RAISING = ("promote", "rollback", "stage")
_GONE = re.compile(r"^log entry \d+ tells of (?P<name>.+) version (?P<version>\d+)(?: of workspace (?P<workspace>\S+))?, and the registry")
_UNCHECKED = "nobody is trusted to sign the log"


def log_findings(log: LogShown, trust: TrustStore) -> tuple[AuditFinding, ...]:
    """Whether the whole chain is as it was written; the same for every version of the registry."""
    if log.broken:
        return (violated("log", "log of acts", f"The log of acts was changed: {log.broken}.", mend="Compare with a copy."),)
    if log.reason:
        return (unverifiable("log", "log of acts", f"There is no log: {log.reason}.", mend="Serve the registry with `kdgov serve`."),)
    faults = (*chain_faults(log.entries, trust), *trust_faults(log.entries, trust), *(f for f in log.faults if not _GONE.match(f)))
    broken = [fault for fault in faults if _UNCHECKED not in fault]
    if broken:
        return tuple(
            violated("log", f"log {fault.partition(':')[0]}", f"The log of acts was changed: {fault}.", mend="Compare with a copy.")
            for fault in broken
        )
    told = f"All {len(log.entries)} entries follow one another by hash"
    if faults:
        return (
            unverifiable(
                "log", "log of acts", f"{told}, but {_UNCHECKED}, so the heads were not checked.", mend="Trust the guard's key for acts."
            ),
        )
    if withheld := sum(entry.kind == "withheld" for entry in log.entries):
        told = f"{told}, each with a signed head; {withheld} are about models that this login may not read, and their words were not seen"
        return (unverifiable("log", "log of acts", f"{told}.", mend="Audit the whole registry with an administrator's login."),)
    return (verified("log", "log of acts", f"{told}, each with a signed head."),)


def taken_away(log: LogShown) -> tuple[AuditFinding, ...]:
    """Versions the log tells of that the registry has in no workspace any more, as its guard found them."""
    told = [(found, fault) for fault in log.faults if (found := _GONE.match(fault))]
    mend = "Restore the registry from a copy; whoever deletes through the guard leaves an entry."
    places = [("/".join(part for part in found.group("workspace", "name", "version") if part), fault) for found, fault in told]
    return tuple(violated("log", subject, f"L{fault[1:]}.", mend=mend) for subject, fault in places)


def witness_findings(log: LogShown, witness: Path | None, trust: TrustStore, *, at: datetime.datetime) -> tuple[AuditFinding, ...]:
    """The log against what an outside witness saw of it; nothing where no witness is named.

    Raises:
        InputError: if the witness's file cannot be read.
    """
    if witness is None:
        return ()
    heads, unreadable = witnessed_heads(witness, trust, at=at)
    faults = (*unreadable, *witness_faults(log.entries, heads))
    if faults:
        mend = "Ask the witness, and compare with a copy."
        return tuple(violated("log", "log, as witnessed", f"{fault[:1].upper()}{fault[1:]}.", mend=mend) for fault in faults)
    if not heads:
        return (unverifiable("log", "log, as witnessed", "The witness's file holds no head.", mend="Name the right file.", required=True),)
    told = f"The log is as {heads[-1].by} saw it, last on {heads[-1].seen} (entry {heads[-1].seq}), and has only grown since."
    return (verified("log", "log, as witnessed", told),)


def of_version(log: LogShown, shown: VersionShown) -> list[LogEntry]:
    """Entries about one version, in order."""
    facts = shown.facts
    about = (facts.workspace, facts.name, facts.version)
    return [entry for entry in log.entries if (entry.workspace, entry.name, entry.version) == about]


def vanished(
    log: LogShown, listed: Collection[tuple[str, str, int]], *, workspaces: Collection[str], model: str | None = None
) -> tuple[AuditFinding, ...]:
    """Versions the log tells of that the registry no longer lists, without an act that deleted them.

    Args:
        log: the log of acts, of every workspace.
        listed: workspace, name and number of every version the registry lists.
        workspaces: those the list was asked of.
        model: only versions of this model.
    """
    last: dict[tuple[str, str, int], LogEntry] = {}
    for entry in log.entries:
        if entry.version > 0:
            last[entry.workspace, entry.name, entry.version] = entry
        elif entry.kind == "delete":
            # The whole model went, with whatever versions it had.
            last = {key: kept for key, kept in last.items() if key[:2] != (entry.workspace, entry.name)}
    mend = "Restore the registry from a copy; whoever deletes through the guard leaves an entry."
    return tuple(
        violated(
            "log", f"{name}/{number}", f"Log entry {entry.seq} tells of this version, and the registry has none: taken away.", mend=mend
        )
        for (workspace, name, number), entry in sorted(last.items(), key=lambda item: item[0])
        if (workspace, name, number) not in listed and entry.kind != "delete" and workspace in workspaces and model in (None, name)
    )


def review_acts(shown: VersionShown, log: LogShown, attested: Attested) -> Iterator[AuditFinding]:
    """Whether the version's last entry, decision, aliases and revocation are those the log tells of."""
    if log.reason:
        yield from _without_log(shown)
        return
    entries = of_version(log, shown)
    yield from _last_entry(shown, log, entries)
    decided = [e for e in entries if e.kind == "decide"]
    if attested.predicate and not any(e.details.get("decision") == attested.predicate.get("decision") for e in decided):
        yield violated("log", "decide", "The log knows no entry that stored this decision.", mend="Record the release through the guard.")
    yield from _raised(shown, log, entries)
    revoked = any(e.kind == "revoke" for e in entries)
    if revoked and "kdgov.revoked" not in shown.tags:
        yield violated(
            "registry", "tag kdgov.revoked", "The log knows a revocation and the version does not show it.", mend="Revoke it again."
        )
    if "kdgov.revoked" in shown.tags and not revoked:
        yield violated("registry", "tag kdgov.revoked", "The tag says revoked but the log has no revocation.", mend="Ask who set the tag.")


def _without_log(shown: VersionShown) -> Iterator[AuditFinding]:
    for alias in shown.aliases:
        yield unverifiable("registry", f"alias {alias}", "Without a log it cannot be told whether it was set through the guard.")


def _last_entry(shown: VersionShown, log: LogShown, entries: Sequence[LogEntry]) -> Iterator[AuditFinding]:
    note = shown.tags.get("kdgov.log", "")
    if not entries:
        if note:
            yield violated(
                "registry", "tag kdgov.log", "It names a log entry, and the log has none about this version.", mend="The log was cut."
            )
        return
    last = [e for e in entries if e.kind != "delete"][-1:]
    expected = f"{last[0].seq}:{last[0].hash}" if last else ""
    number, _, named = note.partition(":")
    if note == expected:
        yield verified("registry", "tag kdgov.log", f"It names the last entry about this version, number {number}.", digest=named)
    elif not number.isdigit() or not is_digest(named):
        yield violated("registry", "tag kdgov.log", f"It should name log entry {expected} and says {note!r}.", mend="Ask who set the tag.")
    elif int(number) > len(log.entries):
        yield violated(
            "log",
            "log of acts",
            f"The version names entry {number}, and the log ends at {len(log.entries)}: it was cut.",
            mend="Compare with a copy.",
        )
    else:
        yield violated(
            "registry",
            "tag kdgov.log",
            f"It names entry {note}; the last one about this version is {expected}.",
            mend="An act bypassed the guard.",
        )


def _raised(shown: VersionShown, log: LogShown, entries: Sequence[LogEntry]) -> Iterator[AuditFinding]:
    free = log.free_aliases or frozenset()
    for alias in shown.aliases:
        if alias in free:
            yield verified("registry", f"alias {alias}", "The guard leaves this alias free.")
            continue
        acts = [e for e in log.entries if e.name == shown.facts.name and e.workspace == shown.facts.workspace and _about(e, alias)]
        if acts and acts[-1].kind in _RAISING and acts[-1].version == shown.facts.version:
            yield verified(
                "registry",
                f"alias {alias}",
                f"Set through the guard on {acts[-1].at} by {acts[-1].by} (log entry {acts[-1].seq}).",
                digest=acts[-1].hash,
            )
        else:
            reason = "It points at this version, and the log knows no promotion that put it there: it was set outside the guard."
            yield violated("registry", f"alias {alias}", reason, mend="Take it away, then promote with `kdgov promote`.")
    yield from _lowered(shown, log, entries)
    if shown.stage.lower() == "production" and not any(e.kind == "stage" for e in entries):
        yield violated(
            "registry", "stage Production", "The log knows no transition that put it there.", mend="Set it to None, then promote."
        )


def _lowered(shown: VersionShown, log: LogShown, entries: Sequence[LogEntry]) -> Iterator[AuditFinding]:
    """Aliases that the log last put on this version and that do not point at it any more."""
    raised = {str(e.details["alias"]) for e in entries if e.kind in _RAISING and e.details.get("alias")}
    for alias in sorted(raised - {*shown.aliases} - (log.free_aliases or frozenset())):
        last = [e for e in log.entries if e.name == shown.facts.name and e.workspace == shown.facts.workspace and _about(e, alias)][-1]
        if last.kind in _RAISING and last.version == shown.facts.version:
            reason = f"Log entry {last.seq} put it on this version, and nothing took it away since; it points elsewhere or nowhere."
            yield violated("registry", f"alias {alias}", reason, mend="It was taken away or moved outside the guard: promote again.")


def _about(entry: LogEntry, alias: str) -> bool:
    if entry.kind == "revoke":
        return alias in (entry.details.get("aliases") or [])
    return entry.details.get("alias") == alias


def timeline(shown: VersionShown, log: LogShown, attested: Attested, dated: Sequence[Act]) -> tuple[Act, ...]:
    """Everything dated, in order of time."""
    words = {
        "decide": "Decision stored ({verdict})",
        "promote": "Promoted to {alias}",
        "demote": "Alias {alias} taken away",
        "stage": "Moved to stage {stage}",
        "revoke": "Revoked: {reason}",
        "rollback": "Rolled back to, as {alias}",
        "delete": "Deleted",
        "refuse": "Refused",
    }
    found = list(dated)
    if shown.registered_at:
        found.append(Act(at=shown.registered_at, what="Registered", source="registry"))
    if signed := str(attested.predicate.get("signed_at", "")):
        by = ", ".join(attested.signers) or "an untrusted key"
        found.append(Act(at=signed, what="Decision signed", by=by, source=attested.file))
    if expires := str(attested.predicate.get("expires", "")):
        found.append(Act(at=expires, what="Decision ends", source=attested.file))
    for entry in of_version(log, shown):
        told = words.get(entry.kind, entry.kind).format_map(_Blank({k: str(v) for k, v in entry.details.items()}))
        found.append(Act(at=entry.at, what=told, by=entry.by, source=f"log entry {entry.seq}"))
    return tuple(sorted(found, key=lambda act: act.at))


class _Blank(dict[str, str]):
    """Details an older entry lacks are named as unknown."""

    def __missing__(self, key: str) -> str:
        return f"unknown {key}"
