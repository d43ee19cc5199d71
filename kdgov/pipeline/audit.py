"""The audit step: fetch from the registry, do everything again, answer. Reads the registry, writes nothing there."""

from __future__ import annotations

import datetime
import importlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov.auditing.crosswalk.framework import Framework
from kdgov.auditing.registry.overview import OverviewRow, fingerprint, overview_document, review_briefly, sorted_rows, unreadable_row
from kdgov.auditing.registry.snapshot import LogShown, VersionShown
from kdgov.auditing.review.audit_findings import AuditFinding
from kdgov.auditing.review.decision_review import Rejudged
from kdgov.auditing.review.event_log import log_findings, taken_away, vanished, witness_findings
from kdgov.auditing.review.result import VersionAudit
from kdgov.auditing.review.review import Reviewer, review_version
from kdgov.auditing.review.signatures import read_attestation
from kdgov.auditing.review.weights import places_of
from kdgov.digest import digest_json
from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import DECISION, in_run
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.evidence.derivation.owner_rules import load_owner_rules
from kdgov.evidence.derivation.replay_statement import sign_replay
from kdgov.evidence.rejudge import rejudge
from kdgov.evidence.trust_store import TrustStore, load_trust, trust_path
from kdgov.progress import Progress, silent
from kdgov.recording.client.target import RegistryTarget, registry_target


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRequest:
    """What `kdgov audit` was asked."""

    registry: str | None = None
    """Address; None: KDGOV_REGISTRY, else the store's own."""
    store: Path = Path("registry") / "store"
    """Store of finished work; the embedded registry and its trust store lie there."""
    trust: Path | None = None
    """Trust store of the reviewer; None: the usual place."""
    at: datetime.datetime | None = None
    """Moment of the review; None: now."""
    weights: Path | None = None
    """Folder that is served."""
    frameworks: Sequence[Framework] = ()
    """Crosswalks to fill."""
    witness: Path | None = None
    """File of heads of the log that an outside witness countersigned."""
    replay: int = 0
    """Items per task to evaluate again on the recorded weights; 0: none."""

    @property
    def target(self) -> RegistryTarget:
        """The registry.

        Raises:
            InputError: if it is the store's own and there is none: a review must not create what it reviews.
        """
        target = registry_target(self.store, self.registry)
        if target.is_embedded and not (target.store / "mlflow.db").is_file():
            mend = "Name its store with --store, or its address with --registry."
            raise InputError("there is no registry in this store", where=str(self.store), mend=mend)
        return target

    @property
    def moment(self) -> datetime.datetime:
        """The moment of the review."""
        return self.at or datetime.datetime.now(datetime.UTC)

    @property
    def trust_file(self) -> Path:
        """The reviewer's trust store."""
        return self.trust or trust_path(self.store)


def audit_version(name: str, version: int | str, request: AuditRequest, *, progress: Progress = silent) -> VersionAudit:
    """Everything the registry says of one version, done again.

    Args:
        name: registered model.
        version: number, or ``@alias``.
        request: registry, trust, moment and means.
        progress: called as ``progress(label, done, total)``.

    Raises:
        InputError: if there is no such version.
        UnavailableError: if the registry cannot be reached.
    """
    # MLflow takes seconds to load: only when a registry is asked.
    fetch = importlib.import_module("kdgov.auditing.registry.fetch_version")
    client_of = importlib.import_module("kdgov.recording.client.client").registry_client
    find_version = importlib.import_module("kdgov.recording.client.fetch_bundle").find_version
    with tempfile.TemporaryDirectory(prefix="kdgov-audit-") as folder:
        with client_of(request.target) as client:
            progress("fetching", 0, 3)
            found = find_version(client, name, version)
            log = fetch.fetch_log(client)
            progress("fetching", 1, 3)
            shown = fetch.fetch_version(client, found, Path(folder))
        progress("fetching", 3, 3)
        reviewer = reviewer_of(request, log)
        further = _replayed(shown, request, progress) if request.replay else ()
        further = (*further, *witness_findings(log, request.witness, reviewer.trust, at=reviewer.at))
        progress("doing it again", 0, 1)
        audit = review_version(shown, log, reviewer, further=further)
        progress("doing it again", 1, 1)
    return audit


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which versions an overview shows."""

    model: str | None = None
    """Only this model."""
    since: datetime.date | None = None
    """Only versions registered on or after this day."""
    only_violated: bool = False
    """Only rows with a violation."""


def audit_registry(request: AuditRequest, scope: Scope | None = None, *, progress: Progress = silent) -> dict[str, Any]:
    """Every version of a registry as one document, what needs a person first.

    An interrupted overview goes on where it stood: finished rows are kept in the store until the last one is done, and count
    only while the registry lists the version unchanged on the same day.

    Raises:
        UnavailableError: if the registry cannot be reached.
    """
    scope = scope or Scope()
    fetch, listing = (importlib.import_module(f"kdgov.auditing.registry.{name}") for name in ("fetch_version", "list_versions"))
    client_of = importlib.import_module("kdgov.recording.client.client").registry_client
    target = request.target
    since_ms = int(datetime.datetime.combine(scope.since, datetime.time(), datetime.UTC).timestamp() * 1000) if scope.since else 0
    with tempfile.TemporaryDirectory(prefix="kdgov-audit-") as folder, client_of(target) as client:
        log = fetch.fetch_log(client)
        reviewer = reviewer_of(request, log)
        kept = _KeptRows(request.store / "audit" / f"{digest_json([target.name, reviewer.day.isoformat()])[7:23]}.jsonl")
        rows: list[OverviewRow] = []
        listed: set[tuple[str, str, int]] = set()
        for shown in listing.iterate_versions(client, Path(folder), model=scope.model, since_ms=since_ms):
            rows.append(kept.row(shown, log, reviewer))
            listed.add((shown.facts.workspace, shown.facts.name, shown.facts.version))
            progress("versions", len(rows), 0)
        silent_models = listing.models_without_version(client, {row.name for row in rows}) if not (scope.model or scope.since) else ()
    progress("versions", len(rows), len(rows))
    kept.done()
    shown_rows = [row for row in sorted_rows(rows, day=reviewer.day) if row.outcome == "violated" or not scope.only_violated]
    asked = {workspace for workspace, _, _ in listed} or {os.environ.get("MLFLOW_WORKSPACE", "default")}
    gone = () if scope.since else vanished(log, listed, workspaces=asked, model=scope.model)
    elsewhere = taken_away(log) if not (scope.since or scope.model) else ()
    known = {finding.subject for finding in elsewhere}
    witnessed = witness_findings(log, request.witness, reviewer.trust, at=reviewer.at)
    rest = (finding for finding in gone if finding.subject not in known)
    of_log = (*log_findings(log, reviewer.trust), *witnessed, *elsewhere, *rest)
    return overview_document(shown_rows, of_log, day=reviewer.day, silent_models=silent_models)


class _KeptRows:
    """Rows of an overview under way, one JSON line each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, Any]] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    kept = json.loads(line)
                    self._known[kept["of"]] = kept["row"]
                except (ValueError, KeyError, TypeError):
                    # The line a kill cut in half.
                    continue

    def row(self, shown: VersionShown, log: LogShown, reviewer: Reviewer) -> OverviewRow:
        of = fingerprint(shown)
        if (known := self._known.get(of)) is not None:
            return OverviewRow(**{**known, "aliases": tuple(known["aliases"]), "needs": tuple(known["needs"])})
        made = _reviewed(shown, log, reviewer)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"of": of, "row": made.as_json()}, ensure_ascii=False) + "\n")
        return made

    def done(self) -> None:
        """The overview is whole: the next one looks at everything anew."""
        self._path.unlink(missing_ok=True)


def _reviewed(shown: VersionShown, log: LogShown, reviewer: Reviewer) -> OverviewRow:
    """One version's row; whatever a damaged version does to its reader is that version's row, never the end of the overview."""
    try:
        return review_briefly(shown, log, reviewer)
    except (KeyboardInterrupt, SystemExit):
        raise
    except Exception as error:  # noqa: BLE001 - the next version must be looked at, whatever lies in this one
        return unreadable_row(shown, f"{type(error).__name__}: {error}")


def reviewer_of(request: AuditRequest, log: LogShown | None = None) -> Reviewer:
    """Who reviews: the request's trust, moment and means; the owner's list of policies as the guard shows it, where none lies here."""
    trust = load_trust(request.trust_file)
    return Reviewer(
        trust=trust,
        at=request.moment,
        rejudge=lambda folder, received: judge_again(folder, trust, received=received),
        rules=load_owner_rules(request.trust_file, trust, at=request.moment, shown=log.policies if log is not None else ""),
        frameworks=tuple(request.frameworks),
        weights=request.weights,
    )


def judge_again(folder: Path, trust: TrustStore, *, received: datetime.datetime) -> Rejudged:
    """The decision of a bundle made again from its items, policy, findings and the statements that counted at receipt."""
    try:
        decision, judged = rejudge(folder, trust, received=received)
    except InputError as error:
        # A bundle that cannot be judged is the audit's answer, not its failure.
        return Rejudged(fault=f"{Path(error.where).name}: {error.what}" if error.where else error.what)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        # Sealed by somebody, but in another shape than the gate writes.
        return Rejudged(fault=f"a file is not of the shape the gate writes ({type(error).__name__}: {error}).")
    tables = judged.tables
    items = {"teacher": tables.teacher.content_digest, "student": tables.student.content_digest}
    return Rejudged(document=json.loads(decision.canonical), canonical=decision.canonical, items=items)


def attest_replay(audit: VersionAudit, request: AuditRequest) -> Path:
    """Sign that the recorded model was asked again and answered as recorded; the file, beside the trust store.

    Raises:
        InputError: if it was not asked, or did not answer as recorded.
    """
    found = [finding for finding in audit.findings if finding.area == "replay"]
    decision = next((f.digest for f in audit.findings if f.subject == in_run(DECISION) and f.standing == "verified" and f.digest), "")
    if not request.replay or not found or not decision or any(finding.standing != "verified" for finding in found):
        odd = next((finding.reason for finding in found if finding.standing != "verified"), "nothing was asked again")
        raise InputError(f"there is nothing to attest: {odd.rstrip('.')}", mend="Attest only what --replay found as recorded.")
    signers = importlib.import_module("kdgov.recording.client.signers").evaluation_signing_for(request.store).signers
    return sign_replay(request.trust_file, decision, request.replay, signers, at=datetime.datetime.now(datetime.UTC))


def _replayed(shown: VersionShown, request: AuditRequest, progress: Progress) -> tuple[AuditFinding, ...]:
    attested, _ = read_attestation(shown, load_trust(request.trust_file), at=request.moment)
    places = places_of(shown, attested, request.weights)
    release = BundleReader(shown.evidence).release if shown.evidence is not None else {}
    named = release.get("suites")
    suites = [str(name) for name in named] if isinstance(named, list) else []
    # torch and lm-eval take longer still: only when a model has to be asked.
    suite_calls = importlib.import_module("kdgov.pipeline.confined.suite_calls").SuiteCalls
    with tempfile.TemporaryDirectory(prefix="kdgov-replay-") as folder:
        try:
            calls = suite_calls(suites, beside=None, store=Path(folder), progress=progress, declared=release)
        except InputError:
            # A suite that is not at hand, or asks hosts that nobody listed: the replay says so, and asks nothing.
            calls = suite_calls((), beside=None, store=Path(folder), progress=progress)
        with calls:
            found = calls.call("replay", shown=shown, weights=places[0][1] if places else None, sample=request.replay)
    return tuple(AuditFinding(**row) for row in found)
