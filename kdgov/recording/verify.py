"""Whether a version is what its signed decision says: signature, binding, evidence, card, tags, metrics, weights, log."""

from __future__ import annotations

import datetime
import math
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from kdgov.checkpoints.model_files import folder_fault
from kdgov.digest import digest_bytes
from kdgov.errors import InputError
from kdgov.evidence.artifact_places import folder_of, is_web_address
from kdgov.evidence.derivation.derive import Asker, derive
from kdgov.evidence.derivation.owner_rules import OwnerRules, load_owner_rules
from kdgov.evidence.event_chain import LogEntry
from kdgov.evidence.release_statement import binding_fault, promotion_refusals, refusal_text
from kdgov.evidence.signing import DECISION_PREDICATE, Verification, verify_statement
from kdgov.evidence.trust_store import TrustStore, load_trust, trust_path
from kdgov.quantities import quantity
from kdgov.recording.client.client import registry_client
from kdgov.recording.client.fetch_bundle import attestations, download_bundle, find_version
from kdgov.recording.client.read_log import LogCheck, check_log, guard_status, log_of, memory_of
from kdgov.recording.client.target import RegistryTarget
from kdgov.recording.client.version_facts import version_facts

State = Literal["verified", "not verifiable", "violated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at."""

    what: str
    """signature, decision, evidence, card, tags, metrics, weights, log, revocation."""
    state: State
    """What came of it."""
    detail: str
    """Why, or what it rests on."""
    mend: str = ""
    """What would lift it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionReport:
    """Everything `verify_version` looked at."""

    name: str
    """Registered model."""
    version: int
    """Number."""
    verdict: str
    """Verdict of the signed decision; ``none`` where none counts."""
    checks: tuple[Check, ...]
    """In the order they were made."""
    predicate: Mapping[str, Any]
    """The signed decision's words; empty where none counts."""
    standing: tuple[str, ...] = ()
    """What a pass lacks or rests on beside its evidence: no list of policies, evaluation unsigned, separation off."""

    @property
    def violations(self) -> tuple[Check, ...]:
        """What speaks against using this version."""
        return tuple(check for check in self.checks if check.state == "violated")

    @property
    def holds(self) -> bool:
        """Whether nothing is violated."""
        return not self.violations

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        checks = [asdict(check) for check in self.checks]
        return {
            "name": self.name,
            "version": self.version,
            "verdict": self.verdict,
            "holds": self.holds,
            "checks": checks,
            "standing": list(self.standing),
        }


def verify_version(
    name: str, version: int | str, target: RegistryTarget, *, weights: Path | None = None, trust: TrustStore | None = None
) -> VersionReport:
    """Re-read and re-verify one recorded version from the registry.

    Args:
        name: registered model.
        version: number or ``@alias``.
        target: which registry.
        weights: checkpoint folder to compare with the judged weights; where the recording says by default.
        trust: whose signature counts; the store's trust file by default.

    Raises:
        InputError: if there is no such version.
        UnavailableError: if the registry cannot be reached.
    """
    with registry_client(target) as client:
        found = find_version(client, name, version)
        whose = trust or load_trust(trust_path(target.store))
        rules = rules_of(client, target, whose)
        return inspect_version(client, found, trust=whose, rules=rules, weights=weights, memory=memory_of(target))


def rules_of(client: MlflowClient, target: RegistryTarget, trust: TrustStore) -> OwnerRules:
    """What the registry's owner signed, as it lies beside the trust store of whoever asks, else as the registry's guard shows it."""
    shown = str((guard_status(client) or {}).get("policies_signed") or "")
    return load_owner_rules(trust_path(target.store), trust, at=datetime.datetime.now(datetime.UTC), shown=shown)


def inspect_version(
    client: MlflowClient,
    version: ModelVersion,
    *,
    trust: TrustStore,
    rules: OwnerRules | None = None,
    weights: Path | None = None,
    memory: Path | None = None,
) -> VersionReport:
    """As `verify_version`, with client and version at hand; ``memory`` is that of `kdgov.recording.client.read_log.check_log`."""
    now = datetime.datetime.now(datetime.UTC)
    log_found = check_log(client, trust, memory=memory)
    log = [entry for entry in log_of(client, version.name, int(version.version)) or [] if _about(entry, version)]
    checks = [_log_check(log_found, log)]
    received = {str(e.details.get("decision")): e.at for e in log if e.kind == "decide"}
    answer = _decision(client, version, trust, now, received)
    if answer is None or not answer.is_valid:
        why = answer.reason if answer else "no signed decision about this version lies beside its evidence"
        mend = answer.mend if answer else "Record its release with `kdgov record`."
        checks.append(Check(what="signature", state="violated", detail=why, mend=mend))
        return VersionReport(name=version.name, version=int(version.version), verdict="none", checks=tuple(checks), predicate={})
    predicate = answer.predicate
    who = ", ".join(key.name for key in answer.signers)
    checks.append(Check(what="signature", state="verified", detail=f"signed by {who} on {predicate['signed_at']}"))
    refusals = promotion_refusals(answer, version_facts(version), at=now)
    checks += [Check(what=r.criterion, state="violated", detail=r.reason, mend=r.mend) for r in refusals]
    if not refusals:
        detail = f"covers this very version until {predicate['expires']}"
        checks.append(Check(what="decision", state="verified", detail=detail))
    asker = Asker(trust=trust, received=_received(predicate, received, now), at=now, rules=rules or OwnerRules())
    derived, standing = _derivation_checks(client, version, answer, asker)
    checks += [
        *derived,
        _card_check(version, predicate),
        _tags_check(version, predicate),
        _metrics_check(client, version, predicate),
        _weights_check(predicate, weights),
        _revocation_check(version, log),
    ]
    return VersionReport(
        name=version.name,
        version=int(version.version),
        verdict=str(predicate["verdict"]),
        checks=tuple(checks),
        predicate=predicate,
        standing=standing,
    )


def refusal_of(report: VersionReport, action: str) -> str:
    """One message of everything violated."""
    shown = "; ".join(f"{c.what}: {c.detail}. {c.mend}".strip() for c in report.violations[:3])
    return f"{refusal_text(report.name, report.version, action, ())}{shown}"


def _decision(
    client: MlflowClient, version: ModelVersion, trust: TrustStore, now: datetime.datetime, received: Mapping[str, str]
) -> Verification | None:
    best: Verification | None = None
    for envelope in attestations(client, version):
        answer = verify_statement(envelope, trust, purpose="decision", at=now, predicate_type=DECISION_PREDICATE)
        if not answer.is_valid:
            answer = _as_received(envelope, trust, received) or answer
        if answer.is_valid and binding_fault(answer.predicate, version_facts(version)):
            fault = binding_fault(answer.predicate, version_facts(version))
            answer = Verification(is_valid=False, reason=fault, mend="Record the release of this very version.")
        if best is None or (answer.is_valid and (not best.is_valid or answer.predicate["signed_at"] >= best.predicate["signed_at"])):
            best = answer
    return best


def _as_received(envelope: Mapping[str, Any], trust: TrustStore, received: Mapping[str, str]) -> Verification | None:
    # A key past its end still vouches for what the guard logged in time.
    for moment in sorted(set(received.values())):
        at = datetime.datetime.fromisoformat(moment)
        answer = verify_statement(envelope, trust, purpose="decision", at=at, predicate_type=DECISION_PREDICATE)
        if answer.is_valid and received.get(str(answer.predicate.get("decision"))) == moment:
            return answer
    return None


def _log_check(log: LogCheck | None, mine: list[LogEntry]) -> Check:
    if log is None:
        return Check(what="log", state="not verifiable", detail="this registry has no guard, so it keeps no log of acts")
    if not log.faults:
        return Check(what="log", state="verified", detail=f"{quantity(log.entries, 'entry', 'entries')}, one chain, every head signed")
    # A row that cannot be read breaks the chain there; it keeps only the version it is about from being used.
    told = ("was not checked", "is not signed", *(() if any(e.is_unreadable for e in mine) else ("cannot be read any more",)))
    unsigned = all(any(words in fault for words in told) for fault in log.faults)
    state: State = "not verifiable" if unsigned else "violated"
    return Check(what="log", state=state, detail=log.faults[0], mend="" if unsigned else "Compare with a copy of the log kept elsewhere.")


def _derivation_checks(
    client: MlflowClient, version: ModelVersion, answer: Verification, asker: Asker
) -> tuple[list[Check], tuple[str, ...]]:
    """The statement against the evidence, by the function that the guard asks too; and what its standing is."""
    asker = replace(asker, signers=tuple(key.keyid for key in answer.signers))
    with tempfile.TemporaryDirectory(prefix="kdgov-") as folder:
        try:
            bundle = download_bundle(client, version, into=Path(folder))
            derived = derive(bundle, answer.predicate, asker)
            count = sum(1 for p in bundle.rglob("*") if p.is_file()) - 1
        except (InputError, OSError) as error:
            what = error.what if isinstance(error, InputError) else str(error.strerror)
            return [Check(what="evidence", state="violated", detail=what, mend="Record the release again; evidence is never edited.")], ()
    found = [Check(what=r.criterion, state="violated", detail=r.reason, mend=r.mend) for r in derived.against_promotion]
    if not found:
        detail = f"{quantity(count, 'file')}, each with the digest that was signed; judged again from the item tables: {derived.verdict}"
        found.append(Check(what="evidence", state="verified", detail=detail))
    return found, derived.standing


def _received(predicate: Mapping[str, Any], received: Mapping[str, str], now: datetime.datetime) -> datetime.datetime:
    logged = received.get(str(predicate.get("decision")))
    return datetime.datetime.fromisoformat(logged) if logged else now


def _card_check(version: ModelVersion, predicate: Mapping[str, Any]) -> Check:
    if digest_bytes((version.description or "").encode()) == predicate["card"]:
        return Check(what="card", state="verified", detail="the description is the card that was signed")
    return Check(
        what="card", state="violated", detail="the description is not the card that was signed", mend="Read card/card.md of the run."
    )


def _tags_check(version: ModelVersion, predicate: Mapping[str, Any]) -> Check:
    stated: Mapping[str, str] = predicate["tags"]
    expected = {**stated, **({"kdgov.verdict": "REVOKED"} if "kdgov.revoked" in version.tags else {})}
    shown = {key: value for key, value in version.tags.items() if key in expected}
    odd = sorted(key for key in expected if shown.get(key) != expected[key])
    if not odd:
        return Check(what="tags", state="verified", detail=f"{quantity(len(stated), 'tag')} as signed")
    return Check(what="tags", state="violated", detail=f"{odd[0]} is not as signed", mend="Trust the signed decision, not the tag.")


def _metrics_check(client: MlflowClient, version: ModelVersion, predicate: Mapping[str, Any]) -> Check:
    shown = client.get_run(version.run_id).data.metrics
    stated = {key: float(value["value"]) for key, value in predicate["criteria"].items()}
    odd = sorted(k for k, v in stated.items() if not math.isclose(shown.get(k, math.nan), v, rel_tol=1e-9, abs_tol=1e-12))
    if not odd:
        return Check(what="metrics", state="verified", detail=f"{quantity(len(stated), 'number')} as signed")
    detail = f"{odd[0]} shows {shown.get(odd[0], 'nothing')}, signed was {stated[odd[0]]}"
    return Check(what="metrics", state="violated", detail=detail, mend="Trust the signed decision, not the run.")


def _weights_check(predicate: Mapping[str, Any], weights: Path | None) -> Check:
    uri = str(predicate.get("weights_uri", ""))
    if is_web_address(uri):
        if weights is not None:
            mend = "Leave --weights out, or release the checkpoint itself under `student.model`."
            return Check(what="weights", state="violated", detail=f"what was judged is an address ({uri}), no folder", mend=mend)
        told = f"what was judged can only be asked, at {uri}: it stands by address, model name and terms, and shows no weights"
        return Check(what="weights", state="not verifiable", detail=told)
    path = weights or folder_of(uri)
    if path is None or not path.exists():
        return Check(what="weights", state="not verifiable", detail="the weights are not at hand here; name them with --weights")
    if fault := folder_fault(path, model=predicate["model"], judged=predicate["model_files"]):
        detail = f"this is not the model that was judged: {fault}"
        return Check(what="weights", state="violated", detail=detail, mend="Restore the checkpoint that was judged.")
    told = f"every byte of every file is as judged ({predicate['model'][:19]}…)"
    return Check(what="weights", state="verified", detail=told)


def _revocation_check(version: ModelVersion, log: list[LogEntry]) -> Check:
    revoked = [entry for entry in log if entry.kind == "revoke"]
    if revoked or "kdgov.revoked" in version.tags:
        reason = revoked[-1].details.get("reason", "") if revoked else version.tags["kdgov.revoked"]
        return Check(what="revocation", state="violated", detail=f"revoked: {reason}", mend="Use another version.")
    return Check(what="revocation", state="verified", detail="not revoked")


def _about(entry: LogEntry, version: ModelVersion) -> bool:
    facts = version_facts(version)
    return (entry.workspace, entry.name, entry.version) == (facts.workspace, facts.name, facts.version)
