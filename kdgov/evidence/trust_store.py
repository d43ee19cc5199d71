"""Whose signature counts for what, from when to when: the trust store, a JSON file people can read."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from kdgov.declarations.load import Declared, load, validate
from kdgov.digest import write_atomic
from kdgov.errors import InputError
from kdgov.evidence.signing_keys import keyid_of

Purpose = Literal["evaluation", "decision", "waiver", "approval", "policy", "act"]
"""What a key may sign: evaluations, release decisions, waivers, approvals, the owner's lists of policies and layouts, and acts (revoke,
rollback, heads of the log)."""

PURPOSES: tuple[Purpose, ...] = ("evaluation", "decision", "waiver", "approval", "policy", "act")
PROJECT_PURPOSES: tuple[Purpose, ...] = ("evaluation", "decision", "policy", "act")
"""What a store's own project key signs: everything but leave, which another person gives."""
TRUST_VARIABLE = "KDGOV_TRUST"
CLOCK_SKEW = datetime.timedelta(minutes=5)
"""How far a signer's clock may run ahead of the verifier's."""


class TrustedKey(Declared):
    """One public key and what it is trusted for."""

    keyid: str
    """Identifier the signatures carry."""
    name: str
    """Person, team or job that holds the private key."""
    public: str
    """Public key as PEM."""
    purposes: list[Purpose] = Field(min_length=1)
    """What its signatures count for: exactly this."""
    roles: list[str] = Field(default_factory=list)
    """Roles the holder speaks for, such as ``risk`` or ``model_owner``: without one its approvals count for nobody."""
    not_before: datetime.datetime | None = None
    """Signatures dated earlier do not count."""
    not_after: datetime.datetime | None = None
    """Signatures dated later do not count."""
    revoked_at: datetime.datetime | None = None
    """Signatures dated later do not count; with ``compromised`` none counts."""
    revoked_because: str = ""
    """Reason given at revocation."""
    compromised: bool = False
    """The private key leaked: whoever holds it can date signatures as they like, so none counts."""

    @field_validator("not_before", "not_after", "revoked_at")
    @classmethod
    def _has_zone(cls, value: datetime.datetime | None) -> datetime.datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("has no time zone\nWrite it as 2026-11-21T12:00:00Z.")
        return value

    @field_validator("public")
    @classmethod
    def _is_public_key(cls, value: str) -> str:
        try:
            keyid_of(value)
        except InputError as error:
            raise ValueError(f"{error.what}\n{error.mend}") from error
        return value

    def fault_at(self, signed_at: datetime.datetime) -> str:
        """Why a signature of that date does not count; empty when it does."""
        if keyid_of(self.public) != self.keyid:
            return f"key {self.name!r} is listed under an identifier that is not its own"
        if self.compromised:
            return f"key {self.name!r} is revoked as compromised{self._because()}"
        if self.revoked_at is not None and signed_at >= self.revoked_at:
            return f"key {self.name!r} was revoked on {self.revoked_at:%Y-%m-%d}{self._because()}"
        if self.not_before is not None and signed_at < self.not_before - CLOCK_SKEW:
            return f"key {self.name!r} is valid only from {self.not_before:%Y-%m-%d}"
        if self.not_after is not None and signed_at > self.not_after:
            return f"key {self.name!r} expired on {self.not_after:%Y-%m-%d}"
        return ""

    def _because(self) -> str:
        return f" ({self.revoked_because})" if self.revoked_because else ""


class TrustedIdentity(Declared):
    """A CI job whose short-lived certificates sign, and what for; its key is another one at every run."""

    name: str
    """What messages call it."""
    issuer: str
    """Address of the OIDC issuer, such as ``https://token.actions.githubusercontent.com``."""
    repository: str
    """Address of the source repository, such as ``https://github.com/acme/models``."""
    workflow: str
    """Path of the workflow in it, such as ``.github/workflows/release.yaml``."""
    ref: str
    """Branch or tag it must run on, such as ``refs/heads/main``."""
    authorities: list[str] = Field(min_length=1)
    """Certificates of the authority (Sigstore's Fulcio, or one of your own), as PEM."""
    purposes: list[Purpose] = Field(min_length=1)
    """What its signatures count for: exactly this."""
    roles: list[str] = Field(default_factory=list)
    """Roles it speaks for."""
    not_before: datetime.datetime | None = None
    """Signatures dated earlier do not count."""
    not_after: datetime.datetime | None = None
    """Signatures dated later do not count."""
    revoked_at: datetime.datetime | None = None
    """Signatures dated later do not count; with ``compromised`` none counts."""
    revoked_because: str = ""
    """Reason given at revocation."""
    compromised: bool = False
    """Somebody else could run as this job: none of its signatures counts."""

    def names(self, **job: str) -> bool:
        """Whether issuer, repository, workflow and ref are exactly these."""
        return all(getattr(self, field) == value for field, value in job.items())


class TrustStore(Declared):
    """The keys one registry trusts, and how many of them must agree."""

    schema_: Literal["kdgov.trust/1"] = Field(alias="schema", default="kdgov.trust/1")
    """Must be ``kdgov.trust/1``."""
    keys: list[TrustedKey] = Field(default_factory=list)
    """In the order they were added."""
    identities: list[TrustedIdentity] = Field(default_factory=list)
    """CI jobs that sign without a key of their own."""
    thresholds: dict[Purpose, int] = Field(default_factory=dict)
    """Distinct keys needed per purpose; 1 where unset."""
    separation: Literal["on", "off"] = "on"
    """``on``: whoever signs a decision neither approves nor waives it. ``off`` lifts that, and every standing says so."""

    @field_validator("separation", mode="before")
    @classmethod
    def _is_word(cls, value: Any) -> Any:
        # YAML reads a bare off as false.
        return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value

    @field_validator("thresholds")
    @classmethod
    def _is_positive(cls, value: dict[Purpose, int]) -> dict[Purpose, int]:
        if any(count < 1 for count in value.values()):
            raise ValueError("holds a number below 1\nAt least one key must sign.")
        return value

    def threshold(self, purpose: Purpose) -> int:
        """Distinct trusted keys that must have signed."""
        return self.thresholds.get(purpose, 1)

    def key(self, keyid: str) -> TrustedKey | None:
        """The key of that identifier, if it is listed."""
        return next((key for key in self.keys if key.keyid == keyid), None)

    def with_key(self, key: TrustedKey) -> TrustStore:
        """The store with a key added, or replaced where its identifier is already listed."""
        kept = [k for k in self.keys if k.keyid != key.keyid]
        return self.model_copy(update={"keys": [*kept, key]})


def trust_path(store: Path | None = None) -> Path:
    """Where the trust store lies: ``KDGOV_TRUST``, else ``keys/trust.json`` in the store of finished work."""
    if named := os.environ.get(TRUST_VARIABLE):
        return Path(named)
    return (store or Path("registry") / "store") / "keys" / "trust.json"


def load_trust(path: Path) -> TrustStore:
    """Read a trust store; an absent file trusts nobody.

    Raises:
        InputError: if it cannot be read or holds faults.
    """
    return load(path, TrustStore) if path.exists() else TrustStore()


def save_trust(path: Path, trust: TrustStore) -> None:
    """Write a trust store in one move."""
    document = trust.model_dump(mode="json", by_alias=True, exclude_none=True)
    write_atomic(path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def trusted_key(
    pem: str,
    *,
    name: str,
    purposes: Sequence[str],
    roles: Sequence[str] | None = None,
    since: str | None = None,
    until: str | None = None,
) -> TrustedKey:
    """A key ready for the trust store, from what a person typed; ``since`` and ``until`` are whole days (YYYY-MM-DD).

    Raises:
        InputError: if the key, a purpose or a day is wrong.
    """
    if not purposes:
        known = ", ".join(PURPOSES)
        raise InputError("no purpose is named, and a key counts for exactly what is named", mend=f"Add --for, repeatable: {known}.")
    fields: dict[str, Any] = {
        "keyid": keyid_of(pem),
        "name": name,
        "public": pem,
        "purposes": list(purposes),
        "roles": list(roles or []),
        "not_before": _day(since, datetime.time.min) if since else None,
        "not_after": _day(until, datetime.time.max) if until else None,
    }
    return validate(fields, TrustedKey, file="")


def with_threshold(trust: TrustStore, purpose: str, count: int) -> TrustStore:
    """The store in which a purpose needs that many different keys.

    Raises:
        InputError: if there is no such purpose, or the number is below 1.
    """
    document = trust.model_dump(by_alias=True)
    return validate({**document, "thresholds": {**trust.thresholds, purpose: count}}, TrustStore, file="")


def with_revoked(trust: TrustStore, name: str, *, because: str, compromised: bool, at: datetime.datetime) -> TrustStore:
    """The store in which a key (by name or identifier) is revoked.

    Raises:
        InputError: if no key, or more than one, bears that name.
    """
    if [identity.name for identity in trust.identities].count(name) == 1 and all(name not in (key.name, key.keyid) for key in trust.keys):
        ended = {"revoked_at": at, "revoked_because": because, "compromised": compromised}
        listed = [one.model_copy(update=ended) if one.name == name else one for one in trust.identities]
        return trust.model_copy(update={"identities": listed})
    found = [key for key in trust.keys if name in (key.name, key.keyid)]
    if len(found) != 1:
        what = "no key bears the name" if not found else "several keys bear the name"
        raise InputError(f"{what} {name!r}", mend="Name it as `kdgov keys list` shows it, or by its keyid.")
    revoked = found[0].model_copy(update={"revoked_at": at, "revoked_because": because, "compromised": compromised})
    return trust.model_copy(update={"keys": [revoked if key is found[0] else key for key in trust.keys]})


def _day(text: str, time: datetime.time) -> datetime.datetime:
    try:
        return datetime.datetime.combine(datetime.date.fromisoformat(text), time.replace(microsecond=0), tzinfo=datetime.UTC)
    except ValueError as error:
        raise InputError(f"{text!r} is not a date", mend="Write it as 2027-12-31.") from error
