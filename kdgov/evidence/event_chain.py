"""The log of acts (decision stored, alias set, revoked, rolled back …): a hash chain whose heads are signed.

Each entry names the hash of the one before, so a changed, dropped, inserted or reordered entry breaks every later hash. The
signed heads bind the chain to the guard's key: whoever rewrites the whole chain would need it. A chain cut at its end is
seen by comparing with any head kept elsewhere (the ``kdgov.log`` tag of a version, a promotion's receipt).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from securesystemslib.signer import Signer  # type: ignore[attr-defined]

from kdgov.digest import PREFIX, digest_json
from kdgov.evidence.signing import ACT_PREDICATE, sign_statement, statement, verify_statement
from kdgov.evidence.trust_store import CLOCK_SKEW, TrustedIdentity, TrustedKey, TrustStore

ActKind = Literal["decide", "promote", "demote", "stage", "revoke", "rollback", "delete", "refuse", "withheld"]
_IDENTITY = "identity "
GENESIS = PREFIX + "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One act as it was logged."""

    seq: int
    """Counted from 1 without gaps."""
    previous: str
    """Hash of the entry before; zeros for the first."""
    at: str
    """When, by the guard's clock (UTC, ISO 8601)."""
    kind: ActKind
    """What was done."""
    workspace: str
    """Where."""
    name: str
    """Registered model."""
    version: int
    """Version acted on; 0 for the whole model."""
    by: str
    """Who, as far as the server knows: user name, address, or key."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """alias, previous version, decision digest, reason …"""
    head: Mapping[str, Any] = field(default_factory=dict)
    """DSSE envelope over this entry's hash; empty where the guard has no key."""
    stated: str = ""
    """Hash of an entry whose words the registry withheld from this login; empty where the words are there."""

    def body(self) -> dict[str, Any]:
        """What is hashed: everything but the signature."""
        names = ("seq", "previous", "at", "kind", "workspace", "name", "version", "by")
        return {**{n: getattr(self, n) for n in names}, "details": dict(self.details)}

    @property
    def is_unreadable(self) -> bool:
        """Whether it stands for a row of the log that cannot be read any more."""
        return bool(self.details.get("unreadable")) and not self.previous

    @property
    def hash(self) -> str:
        """Digest of the entry, which the next one names."""
        return self.stated or digest_json(self.body())


def entry_from_json(document: Mapping[str, Any]) -> LogEntry:
    """An entry read back from its JSON form (`LogEntry.body` plus ``head``).

    Raises:
        TypeError: if it is of another shape.
        InputError: if it holds what cannot be hashed.
    """
    entry = LogEntry(**dict(document))
    if entry.stated or entry.kind == "withheld":
        # Only the registry withholds words; a row of its log that says so hides something.
        raise TypeError("a log entry without its words")
    texts = (entry.previous, entry.at, entry.kind, entry.workspace, entry.name, entry.by)
    numbers = all(isinstance(number, int) and not isinstance(number, bool) for number in (entry.seq, entry.version))
    if (
        not numbers
        or not all(isinstance(text, str) for text in texts)
        or not all(isinstance(m, Mapping) for m in (entry.details, entry.head))
    ):
        raise TypeError("a log entry of another shape")
    if not entry.hash:
        raise TypeError("a log entry without a hash")
    return entry


def withheld_json(entry: LogEntry) -> dict[str, Any]:
    """What a login may see of an entry about a model that it may not read: its place in the chain, and the signature over its hash."""
    return {"withheld": True, "seq": entry.seq, "previous": entry.previous, "at": entry.at, "hash": entry.hash, "head": dict(entry.head)}


def withheld_entry(document: Mapping[str, Any]) -> LogEntry:
    """An entry read back from `withheld_json`: the chain and the signed head hold over it, what was done is not known.

    Raises:
        TypeError: if it is of another shape.
    """
    seq, head = document.get("seq"), document.get("head")
    texts = [document.get(name) for name in ("previous", "at", "hash")]
    if not isinstance(seq, int) or not isinstance(head, Mapping) or not all(isinstance(text, str) and text for text in texts):
        raise TypeError("a withheld log entry of another shape")
    previous, at, stated = map(str, texts)
    return LogEntry(seq=seq, previous=previous, at=at, kind="withheld", workspace="", name="", version=0, by="", head=head, stated=stated)


def unreadable_entry(seq: int, *, workspace: str, name: str, version: int) -> LogEntry:
    """What stands in the chain for a row that cannot be read: it breaks the chain there, and nowhere else."""
    at, details = "1970-01-01T00:00:00Z", {"unreadable": True}
    return LogEntry(
        seq=seq, previous="", at=at, kind="refuse", workspace=workspace, name=name, version=version, by="nobody", details=details
    )


def standing_of(trust: TrustStore) -> dict[str, Any]:
    """What an entry says of the trust store it was made under: its digest, and which keys it calls compromised or revoked."""
    listed = _listed(trust)
    lost = {name for name, key in listed.items() if key.compromised}
    ended = {name for name, key in listed.items() if key.revoked_at is not None} - lost
    said: dict[str, Any] = {"trust": digest_json(trust.model_dump(mode="json"))}
    return said | ({"compromised": sorted(lost)} if lost else {}) | ({"revoked": sorted(ended)} if ended else {})


def trust_faults(entries: Sequence[LogEntry], trust: TrustStore) -> tuple[str, ...]:
    """Keys that the log knows as compromised or revoked and that a later entry, or this trust store, lets count again."""
    found: list[str] = []
    known: dict[tuple[str, str], int] = {}
    for entry in entries:
        if "trust" not in entry.details:
            continue
        said = {(word, str(key)) for word in ("compromised", "revoked") for key in entry.details.get(word) or []}
        for word, key in sorted(known.keys() - said):
            if word == "revoked" and ("compromised", key) in said:
                continue
            found.append(f"entry {entry.seq}: {_called(key)} was {word} by entry {known[word, key]}, and the trust store no longer says so")
            del known[word, key]
        for pair in said:
            known.setdefault(pair, entry.seq)
    listed = _listed(trust)
    for (word, key), seq in sorted(known.items()):
        mine = listed.get(key)
        if mine is not None and not mine.compromised and (word == "compromised" or mine.revoked_at is None):
            found.append(f"{_called(key)} was {word} by entry {seq}, and this trust store lets it count again")
    return tuple(found)


def made_good(entries: Sequence[LogEntry], trust: TrustStore) -> str:
    """The first key that an entry calls compromised and that this trust store lets count; empty where there is none."""
    listed = _listed(trust)
    for entry in entries:
        for key in entry.details.get("compromised") or []:
            mine = listed.get(str(key))
            if mine is not None and not mine.compromised:
                return f"{_called(str(key))} was compromised by entry {entry.seq}, and this trust store lets it count again"
    return ""


def _listed(trust: TrustStore) -> dict[str, TrustedKey | TrustedIdentity]:
    """Everybody a trust store lists: keys by identifier, CI jobs by name."""
    return {**{key.keyid: key for key in trust.keys}, **{f"{_IDENTITY}{one.name}": one for one in trust.identities}}


def _called(name: str) -> str:
    return name if name.startswith(_IDENTITY) else f"key {name[:12]}"


def signed_head(entry: LogEntry, signer: Signer, *, at: datetime.datetime) -> dict[str, Any]:
    """DSSE envelope by which the guard's key vouches for the chain up to this entry."""
    return sign_statement(statement(ACT_PREDICATE, {"seq": entry.seq}, subjects={"log": entry.hash}), [signer], at=at)


def chain_faults(
    entries: Sequence[LogEntry], trust: TrustStore, *, known_head: tuple[int, str] | None = None, after: tuple[int, str] = (0, GENESIS)
) -> tuple[str, ...]:
    """Everything wrong with a chain, in order; empty when it is as it was written.

    Args:
        entries: all of them, from the first (or from the one behind ``after``).
        trust: whose heads count (purpose ``act``); a store without any such key leaves signatures unchecked, and says so.
        known_head: number and hash of an entry kept elsewhere: shows a chain cut or rewritten before it; with the whole chain only.
        after: number and hash of the entry before the first, when the chain up to there has been verified earlier.
    """
    faults: list[str] = []
    previous, latest = after[1], None
    for position, entry in enumerate(entries, start=after[0] + 1):
        if entry.seq != position:
            faults.append(f"entry {position} bears number {entry.seq}: an entry was dropped, inserted or moved")
        if entry.is_unreadable:
            faults.append(f"entry {position}: it cannot be read any more")
            # The next one names what this one was; whether that is so can no longer be told.
            previous = entries[position - after[0]].previous if position - after[0] < len(entries) else entry.hash
            continue
        if entry.previous != previous:
            faults.append(f"entry {position} does not follow the one before it")
        if latest and entry.at < (latest - CLOCK_SKEW).strftime("%Y-%m-%dT%H:%M:%SZ"):
            faults.append(f"entry {position} is dated {entry.at}, before the one in front of it: the guard's clock was set back")
        latest = _moment(entry.at) or latest
        previous = entry.hash
        if fault := head_fault(entry, trust):
            faults.append(f"entry {position}: {fault}")
    if known_head is not None:
        number, expected = known_head
        if number > len(entries):
            faults.append(f"the log ends at {len(entries)}, but entry {number} was seen elsewhere: it was cut")
        elif number > 0 and entries[number - 1].hash != expected:
            faults.append(f"entry {number} is not the one seen elsewhere")
    return tuple(faults)


def _moment(text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


def head_fault(entry: LogEntry, trust: TrustStore) -> str:
    """Why the guard's signature under one entry does not count; empty where it does, and its date is then vouched for."""
    if not any("act" in key.purposes for key in trust.keys):
        return "nobody is trusted to sign the log, so its signature was not checked"
    if not entry.head:
        return "is not signed"
    logged_at = _moment(entry.at)
    if logged_at is None or logged_at.tzinfo is None:
        return "bears no date"
    answer = verify_statement(entry.head, trust, purpose="act", at=logged_at, predicate_type=ACT_PREDICATE)
    if not answer.is_valid:
        return answer.reason
    subjects = answer.statement["subject"]
    stated = subjects[0].get("digest", {}).get("sha256") if subjects else None
    return "" if stated == entry.hash.removeprefix(PREFIX) else "its signature is over another entry"
