"""The audit step: fetch from the registry, do everything again, answer. Reads the registry, writes nothing there."""

from __future__ import annotations

import datetime
import importlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kdgov.audit.answer import VersionAudit
from kdgov.audit.framework import Framework
from kdgov.audit.judging import Rejudged
from kdgov.audit.review import Reviewer, review_version
from kdgov.audit.snapshot import VersionShown
from kdgov.audit.words import AuditFinding
from kdgov.errors import InputError
from kdgov.evidence.trust import load_trust, trust_path
from kdgov.record.target import RegistryTarget, registry_target
from kdgov.steps.context import Progress, silent
from kdgov.steps.gate import rejudge


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
    replay: int = 0
    """Items per task to evaluate again on the recorded weights; 0: none."""

    @property
    def target(self) -> RegistryTarget:
        """The registry."""
        return registry_target(self.store, self.registry)

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
    fetch = importlib.import_module("kdgov.audit.fetch")
    client_of = importlib.import_module("kdgov.record.client").registry_client
    find_version = importlib.import_module("kdgov.record.fetch").find_version
    with tempfile.TemporaryDirectory(prefix="kdgov-audit-") as folder:
        with client_of(request.target) as client:
            progress("fetching", 0, 3)
            found = find_version(client, name, version)
            log = fetch.fetch_log(client)
            progress("fetching", 1, 3)
            shown = fetch.fetch_version(client, found, Path(folder))
        progress("fetching", 3, 3)
        reviewer = reviewer_of(request)
        further = _replayed(shown, request, progress) if request.replay else ()
        progress("doing it again", 0, 1)
        audit = review_version(shown, log, reviewer, further=further)
        progress("doing it again", 1, 1)
    return audit


def reviewer_of(request: AuditRequest) -> Reviewer:
    """Who reviews: the request's trust, moment and means."""
    return Reviewer(
        trust=load_trust(request.trust_file),
        at=request.moment,
        rejudge=lambda folder: judge_again(folder, request.trust_file),
        frameworks=tuple(request.frameworks),
        weights=request.weights,
    )


def judge_again(folder: Path, trust: Path) -> Rejudged:
    """The decision of a bundle made again from its items, policy, findings and statements."""
    try:
        decision, judged = rejudge(folder, trust=trust)
    except InputError as error:
        # A bundle that cannot be judged is the audit's answer, not its failure.
        return Rejudged(fault=f"{Path(error.where).name}: {error.what}" if error.where else error.what)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        # Sealed by somebody, but in another shape than the gate writes.
        return Rejudged(fault=f"a file is not of the shape the gate writes ({type(error).__name__}: {error}).")
    tables = judged.tables
    items = {"teacher": tables.teacher.content_digest, "student": tables.student.content_digest}
    return Rejudged(document=json.loads(decision.canonical), canonical=decision.canonical, items=items)


def _replayed(shown: VersionShown, request: AuditRequest, progress: Progress) -> tuple[AuditFinding, ...]:
    # torch and lm-eval take longer still: only when a model has to be asked.
    replay = importlib.import_module("kdgov.steps.replay")
    return tuple(replay.replay_findings(shown, request.weights, sample=request.replay, progress=progress))
