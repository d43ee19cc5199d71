"""Promote, revoke, roll back: the acts on a recorded version, each checked here and again by the registry's guard."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import DECISION
from kdgov.evidence.derivation.owner_rules import NO_LIST
from kdgov.evidence.release_statement import SUBMIT_TAG
from kdgov.evidence.signing import ACT_PREDICATE, sign_statement, statement
from kdgov.evidence.trust_store import load_trust, trust_path
from kdgov.recording.client.client import registry_client
from kdgov.recording.client.fetch_bundle import find_version
from kdgov.recording.client.read_log import guard_status, log_of, memory_of
from kdgov.recording.client.signers import signing_for
from kdgov.recording.client.target import RegistryTarget
from kdgov.recording.client.version_facts import version_facts
from kdgov.recording.verify import VersionReport, inspect_version, rules_of

FREE_ALIASES = ("candidate", "challenger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What came of an act on a version."""

    kind: str
    """promote, revoke or rollback."""
    name: str
    """Registered model."""
    version: int
    """Version acted on."""
    alias: str
    """Alias moved; empty for a revocation."""
    done: bool
    """Whether it was done."""
    refusals: tuple[dict[str, str], ...] = ()
    """Why not: ``criterion, reason, mend`` each."""
    previous: int = 0
    """Version the alias stood at before; 0 for none."""
    note: str = ""
    """What else to know."""

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """One line for people."""
        if not self.done:
            named = "; ".join(f"{r['criterion']}: {r['reason']}. {r['mend']}".strip() for r in self.refusals[:3])
            return f"{self.kind} refused for {self.name} version {self.version}: {named}"
        match self.kind:
            case "promote" | "rollback":
                before = f" (before: version {self.previous})" if self.previous and self.previous != self.version else ""
                return f"@{self.alias} of {self.name} is version {self.version}{before}"
            case _:
                return f"{self.name} version {self.version} is revoked; no guarded alias can be set on it again"


def promote(name: str, version: int | str, target: RegistryTarget, *, alias: str = "champion", weights: Path | None = None) -> Act:
    """Set a guarded alias on a version, if a valid passing decision covers it, re-reading evidence and weights first.

    Args:
        name: registered model.
        version: number or ``@alias``.
        target: which registry.
        alias: what to set.
        weights: checkpoint folder; where the recording says by default.

    Raises:
        InputError: if there is no such version.
        UnavailableError: if the registry cannot be reached.
    """
    with registry_client(target) as client:
        found = find_version(client, name, version)
        number = int(found.version)
        report = _inspected(client, found, target, weights=weights)
        guarded = guard_status(client) is not None
        refusals = _stopping(report, target, guarded=guarded)
        previous = _holder(client, name, alias)
        if refusals:
            return Act(kind="promote", name=name, version=number, alias=alias, done=False, refusals=refusals, previous=previous)
        return _asked(
            "promote",
            name,
            number,
            alias,
            previous,
            lambda: client.set_registered_model_alias(name, alias, str(number)),
            _note(report, guarded),
        )


def revoke(name: str, version: int | str, target: RegistryTarget, *, reason: str) -> Act:
    """Take a version out of use for good: its guarded aliases go, and none can be set on it again.

    Raises:
        InputError: if there is no such version, or no reason is given.
        UnavailableError: if the registry cannot be reached.
    """
    if not reason.strip():
        raise InputError("a revocation needs a reason", mend="Say why with --reason.")
    with registry_client(target) as client:
        found = find_version(client, name, version)
        number = int(found.version)
        if guard_status(client) is not None:
            envelope = _signed_act(target, found, {"act": "revoke", "reason": reason})
            return _asked("revoke", name, number, "", 0, lambda: client.set_model_version_tag(name, str(number), SUBMIT_TAG, envelope))
        for alias in client.get_registered_model(name).aliases.items():
            if alias[0] not in FREE_ALIASES and int(alias[1]) == number:
                client.delete_registered_model_alias(name, alias[0])
        client.set_model_version_tag(name, str(number), "kdgov.revoked", reason[:1000])
        client.set_model_version_tag(name, str(number), "kdgov.verdict", "REVOKED")
    note = "this registry has no guard: nothing but the tag keeps the version from being promoted again"
    return Act(kind="revoke", name=name, version=number, alias="", done=True, note=note)


def rollback(name: str, target: RegistryTarget, *, alias: str = "champion", to: int | None = None, reason: str = "") -> Act:
    """Move a guarded alias back to the version that held it before, if that one may still hold it.

    Args:
        name: registered model.
        target: which registry.
        alias: what to move.
        to: version; the alias's previous holder by the log by default.
        reason: goes into the log.

    Raises:
        InputError: if there is nothing to go back to.
        UnavailableError: if the registry cannot be reached.
    """
    with registry_client(target) as client:
        current = _holder(client, name, alias)
        number = to if to is not None else _previous_holder(client, name, alias, current)
        found = find_version(client, name, number)
        report = _inspected(client, found, target)
        guarded = guard_status(client) is not None
        if refusals := _stopping(report, target, guarded=guarded):
            return Act(kind="rollback", name=name, version=number, alias=alias, done=False, refusals=refusals, previous=current)
        if not guarded:
            client.set_registered_model_alias(name, alias, str(number))
            return Act(kind="rollback", name=name, version=number, alias=alias, done=True, previous=current, note=_note(report, guarded))
        envelope = _signed_act(target, found, {"act": "rollback", "alias": alias, "reason": reason})
        submit = lambda: client.set_model_version_tag(name, str(number), SUBMIT_TAG, envelope)  # noqa: E731
        return _asked("rollback", name, number, alias, current, submit, _note(report, guarded))


def _asked(kind: str, name: str, version: int, alias: str, previous: int, ask: Any, note: str = "") -> Act:
    try:
        ask()
    except MlflowException as error:
        if error.error_code != "PERMISSION_DENIED":
            raise
        refusal = {"criterion": "registry", "reason": str(error.message).removeprefix("PERMISSION_DENIED: "), "mend": ""}
        return Act(kind=kind, name=name, version=version, alias=alias, done=False, refusals=(refusal,), previous=previous)
    return Act(kind=kind, name=name, version=version, alias=alias, done=True, previous=previous, note=note)


def _stopping(report: VersionReport, target: RegistryTarget, *, guarded: bool) -> tuple[dict[str, str], ...]:
    """What forbids promoting; on a guarded server the guard's own trust store judges the signature, and its list the policy."""
    store = f" --store {target.store}" if target.is_embedded else ""
    return tuple(
        {
            "criterion": check.what,
            "reason": check.detail,
            "mend": f"{check.mend.removesuffix('.')}{store}." if check.what == NO_LIST else check.mend,
        }
        for check in report.violations
        if not (guarded and check.what in ("signature", "permission") and "not trusted here" in check.detail)
        and not (guarded and not target.is_embedded and check.what == NO_LIST)
    )


def _inspected(client: MlflowClient, version: Any, target: RegistryTarget, *, weights: Path | None = None) -> VersionReport:
    trust = load_trust(trust_path(target.store))
    return inspect_version(client, version, trust=trust, rules=rules_of(client, target, trust), weights=weights, memory=memory_of(target))


def _signed_act(target: RegistryTarget, version: Any, act: dict[str, str]) -> str:
    facts = version_facts(version)
    about = {"name": facts.name, "version": facts.version, "creation_timestamp": facts.creation_timestamp, "workspace": facts.workspace}
    decision = version.tags.get("kdgov.decision", "")
    body = statement(ACT_PREDICATE, {**about, **act}, subjects={DECISION: decision or "sha256:" + "0" * 64})
    return json.dumps(sign_statement(body, signing_for(target.store).signers, at=datetime.datetime.now(datetime.UTC)))


def _holder(client: MlflowClient, name: str, alias: str) -> int:
    return int(client.get_registered_model(name).aliases.get(alias, 0))


def _previous_holder(client: MlflowClient, name: str, alias: str, current: int) -> int:
    log = log_of(client, name)
    if log is None:
        raise InputError("this registry keeps no log of who held the alias before", mend="Name the version with --to.")
    gone = {e.version for e in log if e.name == name and e.kind == "revoke"}
    held = [e.version for e in log if e.name == name and e.kind in ("promote", "rollback") and e.details.get("alias") == alias]
    earlier = [version for version in held if version != current and version not in gone]
    if not earlier:
        raise InputError(f"no other version of {name} ever held @{alias}", mend="Name the version with --to.")
    return int(earlier[-1])


def _note(report: VersionReport, guarded: bool) -> str:
    parts = [f"{check.what}: {check.detail}" for check in report.checks if check.state == "not verifiable"]
    parts += report.standing
    if not guarded:
        parts.append("this registry has no guard: anyone with a client can move the alias; serve it with `kdgov serve`")
    return "; ".join(parts)
