"""Judging again what a registry holds: only evidence that still is what was recorded can be judged."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from kdgov.decision.decision import Decision
from kdgov.digest import digest_file
from kdgov.evidence.bundle import compare_bundle
from kdgov.evidence.bundle_layout import DECISION
from kdgov.evidence.gate_inputs import GateInputs
from kdgov.evidence.rejudge import rejudge
from kdgov.evidence.trust_store import load_trust, trust_path
from kdgov.finding import Finding, FindingVerdict
from kdgov.recording.client.client import registry_client
from kdgov.recording.client.fetch_bundle import download_bundle, find_version
from kdgov.recording.client.target import STORE_VARIABLE, registry_target


def judge_recorded(
    name: str, version: str, *, trust: Path | None = None, store: Path | None = None, registry: str | None = None
) -> tuple[Decision, GateInputs]:
    """The decision on a recorded version, made anew from its evidence; invalid where the evidence is not what was recorded.

    The same as the recorded decision, byte by byte, unless the evidence or kdgov's judgement changed; the findings say which.
    Signatures are the audit's business: `kdgov audit` re-verifies them too.

    Args:
        name: registered model.
        version: number or ``@alias``.
        trust: file of the trust store; default the usual place.
        store: store of finished work; default KDGOV_STORE, else ``registry/store``.
        registry: address; KDGOV_REGISTRY or the store's own by default.

    Raises:
        InputError: if there is no such version, or it has no evidence.
        UnavailableError: if the registry cannot be reached.
    """
    target = registry_target(store or Path(os.environ.get(STORE_VARIABLE) or Path("registry") / "store"), registry)
    with registry_client(target) as client:
        found = find_version(client, name, version)
        folder = download_bundle(client, found, into=Path(tempfile.mkdtemp(prefix="kdgov-evidence-")))
    tags: Mapping[str, str] = found.tags
    decision, judged = rejudge(folder, load_trust(trust or trust_path(store)))
    noticed = tuple(_changes(folder, tags, decision))
    if not noticed:
        return decision, judged
    again = replace(judged, findings=(*judged.findings, *noticed))
    return again.decide(), again


def _changes(folder: Path, tags: Mapping[str, str], decision: Decision) -> Iterator[Finding]:
    difference = compare_bundle(folder)
    sealed, recorded = digest_file(folder / DECISION), tags.get("kdgov.decision", "")
    if difference:
        yield _found("invalid", "evidence.bundle-changed", f"The evidence in the registry is not what was sealed: {difference}.")
    elif recorded and sealed != recorded:
        said = f"The evidence holds another decision ({sealed[:19]}…) than the registry names ({recorded[:19]}…)."
        yield _found("invalid", "evidence.decision-changed", said)
    elif decision.digest != sealed:
        said = f"Judged today, this evidence gives another decision than the recorded {sealed[:19]}…: kdgov's own judgement changed since."
        yield _found("warn", "evidence.judged-anew", said)
    if "kdgov.revoked" in tags:
        yield _found("block", "evidence.revoked", f"The version was revoked: {tags['kdgov.revoked']}")


def _found(verdict: FindingVerdict, rule: str, reason: str) -> Finding:
    return Finding(
        check="evidence",
        verdict=verdict,
        subject="registry",
        reason=reason,
        mend="" if verdict == "warn" else "Restore the evidence, or record the release again; `kdgov audit` tells what else was touched.",
        rule=rule,
        source="docs/gate.md",
    )
