"""A signed waiver or approval as a value: what it says, and whether trusted keys vouch for it at a moment. No clock, no files."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kdgov.decision.decision import Approval, Waiver
from kdgov.digest import is_digest
from kdgov.evidence.signing import (
    APPROVAL_PREDICATE,
    WAIVER_PREDICATE,
    Verification,
    claimed_predicate,
    claimed_type,
    is_signed_by_known,
    verify_statement,
)
from kdgov.evidence.trust_store import Purpose, TrustedKey, TrustStore

_TYPES: Mapping[str, Purpose] = {WAIVER_PREDICATE: "waiver", APPROVAL_PREDICATE: "approval"}
_AGAIN = "Sign it again with kdgov."


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementAnswer:
    """Whether one signed waiver or approval counts at one moment."""

    purpose: Purpose
    """``waiver`` or ``approval``, as it claims."""
    claimed: Mapping[str, str]
    """Its words, vouched for or not: good for naming it, never for acting on it."""
    counted: tuple[Waiver | Approval, ...] = ()
    """The statement; empty where it does not count."""
    signers: tuple[str, ...] = ()
    """Names of the keys whose signatures counted."""
    fault: str = ""
    """Why it does not count, as the rest of a sentence that begins with ``it``; empty where it counts."""
    mend: str = ""
    """What would make it count."""
    is_unknown: bool = False
    """Whether it does not count only because no key under it is listed in this trust store."""


def answer_statement(envelope: Mapping[str, Any], trust: TrustStore, *, at: datetime.datetime) -> StatementAnswer:
    """Whether an envelope carries a waiver or approval that counts.

    Args:
        envelope: DSSE envelope as a JSON dictionary; anything malformed is answered, never raised.
        trust: whose signatures count, for what and in which role.
        at: when it was received, with a zone: now for a new one, the logged time for one received earlier.
    """
    claimed = {str(k): str(v) for k, v in claimed_predicate(envelope).items()}
    kind = claimed_type(envelope)
    purpose = _TYPES.get(kind, "waiver")
    if kind and kind not in _TYPES:
        told = f"does not count: it states {kind!r}, which is neither a waiver nor an approval"
        return StatementAnswer(
            purpose=purpose, claimed=claimed, fault=told, mend="Give a file that `kdgov waive` or `kdgov approve` wrote."
        )
    verification = verify_statement(envelope, trust, purpose=purpose, at=at)
    if not verification.is_valid:
        return StatementAnswer(
            purpose=purpose,
            claimed=claimed,
            fault=f"does not count: {verification.reason}",
            mend=verification.mend,
            is_unknown=bool(kind) and not is_signed_by_known(envelope, trust),
        )
    return _said(verification, purpose, claimed)


def _said(verification: Verification, purpose: Purpose, claimed: Mapping[str, str]) -> StatementAnswer:
    if not is_digest(claimed.get("decision", "")):
        return StatementAnswer(purpose=purpose, claimed=claimed, fault="names no decision", mend=_AGAIN)
    signer = ", ".join(key.keyid for key in verification.signers)
    statement: Waiver | Approval
    try:
        if purpose == "waiver":
            fields = ("decision", "criterion", "owner", "reason", "expires", "issued", "place")
            statement = Waiver(**{name: claimed[name] for name in fields}, signer=signer)
        else:
            statement = Approval(**{name: claimed[name] for name in ("decision", "role", "by", "issued", "note")}, signer=signer)
            if fault := _role_fault(statement.role, verification.signers):
                mend = "Have a key sign whose `roles` in the trust store name it."
                return StatementAnswer(purpose=purpose, claimed=claimed, fault=fault, mend=mend)
    except KeyError as error:
        return StatementAnswer(purpose=purpose, claimed=claimed, fault=f"lacks {error}", mend=_AGAIN)
    names = tuple(key.name for key in verification.signers)
    return StatementAnswer(purpose=purpose, claimed=claimed, counted=(statement,), signers=names)


def _role_fault(role: str, signers: tuple[TrustedKey, ...]) -> str:
    if any(role in key.roles for key in signers):
        return ""
    if silent := [key.name for key in signers if not key.roles]:
        told = f"the trust store names no role for {', '.join(silent)}, and a key without a role approves nothing"
        return f"approves as {role!r}: {told}"
    return f"approves as {role!r}, and {', '.join(key.name for key in signers)} does not speak for that role"
