"""What a release decision must state to cover one registered version, and whether it does: pure, no clock, no registry.

The statement binds every field below; each is required. A model deleted and registered again under the same name restarts at
version 1, hence the creation time; the same name and version may exist in another workspace, hence the workspace.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kdgov.digest import is_digest
from kdgov.evidence.bundle_layout import DECISION, MANIFEST
from kdgov.evidence.signing import DECISION_PREDICATE, Verification, statement

RESERVED_PREFIX = "kdgov."
SUBMIT_TAG = "kdgov.submit"
"""Setting this version tag to an envelope hands it to the guard; it is never stored as a tag."""
VERDICT_TAG = "kdgov.verdict"
NO_VERDICT = "NONE"
MAX_AGE = datetime.timedelta(days=366)
"""No decision covers longer than this, whatever it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """What a registry says of one registered version."""

    name: str
    """Registered model."""
    version: int
    """Number."""
    creation_timestamp: int
    """Milliseconds since 1970, as the registry set it."""
    source: str
    """Where the registry says its files are."""
    workspace: str
    """``default`` where workspaces are off."""
    run_id: str
    """Run that holds the evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionBinding:
    """What was judged: the digests and standing that a decision states beside the version."""

    decision: str
    """Digest of decision.json."""
    bundle: str
    """Digest of the evidence bundle's manifest."""
    weights: str
    """Digest of the weights judged."""
    weights_uri: str
    """Where they were, for whoever re-reads them; the address of a student that can only be asked."""
    model: str
    """Digest of the whole model judged: weights, tokenizer, template, configuration, every file a loader may read."""
    card: str
    """Digest of the description (short card)."""
    verdict: str
    """pass, fail, inconclusive or invalid."""
    policy: Mapping[str, str]
    """name, version and digest."""
    criteria: Mapping[str, Mapping[str, Any]]
    """Criterion → its numbers, so that rewritten metrics can be told."""
    blocking: tuple[Mapping[str, str], ...]
    """What stands against promotion: ``criterion, reason, mend`` each; empty for a pass."""
    tags: Mapping[str, str]
    """Readable tags the guard writes for it."""
    model_files: Mapping[str, str] = field(default_factory=dict)
    """Relative path → digest of every file of the judged model; empty where no checkpoint was judged."""
    papers: Mapping[str, str] = field(default_factory=dict)
    """Path → digest of every file recorded beside the bundle: cards, charts, the logged model's own files (``model/…``)."""
    runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Role → identifier, beginning (milliseconds) and user of its run, as the registry has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a version may not be promoted."""

    criterion: str
    """What stands against it: a criterion's id, or the part of the evidence that fails."""
    reason: str
    """Why."""
    mend: str
    """What would lift it."""

    def __str__(self) -> str:
        return f"{self.criterion}: {self.reason}. {self.mend}".strip()


def release_statement(version: VersionFacts, judged: DecisionBinding, *, expires: datetime.datetime) -> dict[str, Any]:
    """The in-toto statement of one decision about one registered version.

    Raises:
        InputError: if a digest has another form.
    """
    predicate: dict[str, Any] = {
        **_version_fields(version),
        "run_id": version.run_id,
        "decision": judged.decision,
        "bundle": judged.bundle,
        "weights": judged.weights,
        "weights_uri": judged.weights_uri,
        "model": judged.model,
        "model_files": dict(judged.model_files),
        "card": judged.card,
        "verdict": judged.verdict,
        "policy": dict(judged.policy),
        "criteria": {key: dict(value) for key, value in judged.criteria.items()},
        "blocking": [dict(item) for item in judged.blocking],
        "tags": dict(judged.tags),
        "papers": dict(judged.papers),
        "runs": {role: dict(stated) for role, stated in judged.runs.items()},
        "expires": expires.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    subjects = {DECISION: judged.decision, MANIFEST: judged.bundle, "weights": judged.weights, "model": judged.model}
    return statement(DECISION_PREDICATE, predicate, subjects=subjects)


def binding_fault(predicate: Mapping[str, Any], version: VersionFacts) -> str:
    """Why a statement is not about this very version; empty when it is. A field left out is a fault."""
    expected = {**_version_fields(version), "run_id": version.run_id}
    for key, value in expected.items():
        if key not in predicate:
            return f"the decision leaves out {key}"
        if predicate[key] != value:
            return f"the decision is about {key} {predicate[key]!r}, this version has {value!r}"
    missing = [key for key in ("decision", "bundle", "weights", "model", "card") if not is_digest(str(predicate.get(key, "")))]
    if missing:
        return f"the decision names no digest of {', '.join(missing)}"
    policy = predicate.get("policy")
    if not isinstance(policy, Mapping) or not {"name", "version", "digest"} <= policy.keys():
        return "the decision names no policy with version and digest"
    if not isinstance(predicate.get("verdict"), str) or _date(predicate.get("expires")) is None:
        return "the decision names no verdict or no expiry"
    tags = predicate.get("tags")
    if not isinstance(tags, Mapping) or not all(str(k).startswith(RESERVED_PREFIX) and isinstance(v, str) for k, v in tags.items()):
        return "the decision's tags are not all under kdgov."
    return ""


def promotion_refusals(
    verification: Verification | None, version: VersionFacts, *, at: datetime.datetime, policies: frozenset[str] = frozenset()
) -> tuple[Refusal, ...]:
    """What stands against promoting this version by the words of its decision; empty when nothing does.

    Digests of weights and evidence are the caller's to recompute: they need the files.

    Args:
        verification: of the stored decision; None where there is none.
        version: as the registry has it now.
        at: now, with a zone.
        policies: digests of the policies that count; empty: any.
    """
    if verification is None:
        return (Refusal(criterion="decision", reason="no decision covers this version", mend="Record its release with `kdgov record`."),)
    if not verification.is_valid:
        return (Refusal(criterion="signature", reason=verification.reason, mend=verification.mend),)
    predicate = verification.predicate
    if fault := binding_fault(predicate, version):
        return (Refusal(criterion="decision", reason=fault, mend="Record the release of this very version."),)
    found: list[Refusal] = []
    if predicate["verdict"] != "pass":
        found += blocking_refusals(predicate)
    signed_at, expires = _date(predicate["signed_at"]), _date(predicate["expires"])
    if expires is None or signed_at is None or at >= min(expires, signed_at + MAX_AGE):
        mend = "Judge it again: run `kdgov run` and record the new decision."
        found.append(Refusal(criterion="expiry", reason=f"the decision expired on {predicate['expires']}", mend=mend))
    if policies and predicate["policy"]["digest"] not in policies:
        reason = (
            f"the decision was made under policy {predicate['policy']['name']} {predicate['policy']['version']}, which no longer counts"
        )
        found.append(Refusal(criterion="policy", reason=reason, mend="Judge it again under the policy in force."))
    return tuple(found)


def blocking_refusals(predicate: Mapping[str, Any]) -> list[Refusal]:
    """What a decision that did not pass names as standing against it; never empty."""
    named = predicate.get("blocking") or [{}]
    verdict = predicate.get("verdict")
    return [
        Refusal(
            criterion=str(item.get("criterion", "verdict")),
            reason=str(item.get("reason", f"the verdict is {verdict}")),
            mend=str(item.get("mend", "Train or evaluate again, then record the new decision.")),
        )
        for item in named
    ]


def refusal_text(name: str, version: int, action: str, refusals: tuple[Refusal, ...]) -> str:
    """One message for client, REST and web page: what is refused, by which criterion, and how to mend it."""
    shown = "; ".join(str(refusal) for refusal in refusals[:3])
    more = f" (and {len(refusals) - 3} more)" if len(refusals) > 3 else ""
    return f"kdgov refuses to {action} {name} version {version}: {shown}{more}"


def _version_fields(version: VersionFacts) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.version,
        "creation_timestamp": version.creation_timestamp,
        "source": version.source,
        "workspace": version.workspace,
    }


def _date(text: Any) -> datetime.datetime | None:
    try:
        date = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return date if date.tzinfo is not None else None
