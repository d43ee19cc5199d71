"""What becomes of a signed statement handed to the guard: verified, bound to this very version, stored, carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy.orm import Session

from kdgov.evidence.event_chain import LogEntry
from kdgov.evidence.release_statement import VERDICT_TAG, VersionFacts, binding_fault, refusal_text
from kdgov.evidence.signing import ACT_PREDICATE, DECISION_PREDICATE, Verification, claimed_type, signing_date, verify_statement
from kdgov.guard import tables
from kdgov.guard.config import GuardConfig
from kdgov.guard.promotion_check import derived
from kdgov.guard.request_context import json_object, now, refuse
from kdgov.guard.version_rows import KnownVersion, write_tag

REVOKED_TAG = "kdgov.revoked"
TAG_KEY_LIMIT, TAG_LIMIT = 250, 100_000
"""Characters MLflow keeps of a version tag's name and value."""


class Submissions:
    """Submission, mixed in between the guard and MLflow's store; anyone may submit, only a counting signature has effect."""

    config: GuardConfig
    _act: Callable[[], AbstractContextManager[Session]]
    _known: Callable[[Session, str, str], KnownVersion]
    _log: Callable[..., LogEntry]
    _promote: Callable[..., None]

    def _submit(self, name: str, version: str, text: str) -> None:
        envelope = json_object(text)
        with self._act() as session:
            known = self._known(session, name, version)
            facts = known.facts
            trust = self.config.trust()
            if claimed_type(envelope) == ACT_PREDICATE:
                answer = verify_statement(envelope, trust, purpose="act", at=now(), predicate_type=ACT_PREDICATE)
                accept: Any = self._accept_act
            else:
                answer = verify_statement(envelope, trust, purpose="decision", at=now(), predicate_type=DECISION_PREDICATE)
                accept = self._accept_decision
            if not answer.is_valid:
                refuse(f"kdgov refuses this statement about {name} version {facts.version}: {answer.reason}. {answer.mend}")
            accept(session, known, answer, envelope)

    def _accept_decision(self, session: Session, version: KnownVersion, answer: Verification, envelope: Mapping[str, Any]) -> None:
        facts = version.facts
        if fault := binding_fault(answer.predicate, facts):
            refuse(
                f"kdgov refuses this decision for {facts.name} version {facts.version}: {fault}. Record the release of this very version."
            )
        if long := [k for k, v in answer.predicate["tags"].items() if len(k) > TAG_KEY_LIMIT or len(v) > TAG_LIMIT]:
            what = f"its tag {long[0][:60]} is longer than MLflow keeps"
            refuse(f"kdgov refuses this decision for {facts.name} version {facts.version}: {what}. Shorten it and sign again.")
        known = tables.latest_envelopes(session, facts).get("decision")
        if known is not None and known.body == envelope:
            return
        if known is not None and signing_date(known.body) >= str(answer.predicate["signed_at"]):
            what = f"a decision of {signing_date(known.body)} is in force, and this one is not later"
            refuse(f"kdgov refuses this decision for {facts.name} version {facts.version}: {what}. Judge and record it again.")
        # The owner's rules say what may be promoted, not what may be recorded: here only the evidence counts.
        if named := derived(answer, version, self.config, received=now(), at=now()).refusals:
            refuse(refusal_text(facts.name, facts.version, "take this decision about", named))
        entry = self._log(session, "decide", facts, decision=answer.predicate["decision"], verdict=answer.predicate["verdict"])
        tables.store_envelope(session, "decision", facts, envelope, entry)
        for key, value in answer.predicate["tags"].items():
            write_tag(session, facts, key, value)

    def _accept_act(self, session: Session, version: KnownVersion, answer: Verification, envelope: Mapping[str, Any]) -> None:
        facts = version.facts
        predicate = answer.predicate
        about = {"name": facts.name, "version": facts.version, "creation_timestamp": facts.creation_timestamp, "workspace": facts.workspace}
        if odd := [key for key, value in about.items() if predicate.get(key) != value]:
            refuse(f"kdgov refuses this act on {facts.name} version {facts.version}: it is signed for another {odd[0]}.")
        match predicate.get("act"):
            case "revoke":
                self._revoke(session, facts, str(predicate.get("reason", "")), envelope)
            case "rollback":
                alias = str(predicate.get("alias", ""))
                self._promote(session, facts.name, alias, facts.version, kind="rollback", reason=str(predicate.get("reason", "")))
            case other:
                refuse(f"kdgov does not know the act {other!r}.")

    def _revoke(self, session: Session, facts: VersionFacts, reason: str, envelope: Mapping[str, Any]) -> None:
        if "revoke" in tables.latest_envelopes(session, facts):
            return
        aliases = [a for a in self.get_model_version(facts.name, facts.version).aliases if a not in self.config.free_aliases]  # type: ignore[attr-defined]
        for alias in aliases:
            super().delete_registered_model_alias(facts.name, alias)  # type: ignore[misc]
        entry = self._log(session, "revoke", facts, reason=reason, aliases=sorted(aliases))
        tables.store_envelope(session, "revoke", facts, envelope, entry)
        write_tag(session, facts, REVOKED_TAG, reason[:1000] or "revoked")
        write_tag(session, facts, VERDICT_TAG, "REVOKED")
