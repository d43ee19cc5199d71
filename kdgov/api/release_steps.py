"""The steps of a release: check, distill, evaluate, record."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from kdgov.api.arguments import PathLike, release_context

if TYPE_CHECKING:
    from kdgov.pipeline.finished_work.step_results import CheckResult, DistillResult, EvaluateResult, RecordResult
    from kdgov.progress import Progress


def check(
    release: PathLike,
    *,
    today: datetime.date | None = None,
    workers: int = 1,
    store: PathLike | None = None,
    progress: Progress | None = None,
) -> CheckResult:
    """What must be known of a release before any compute is spent: licences, provenance, privacy, contamination, practice.

    Args:
        release: release file (``schema: kdgov.release/1``).
        today: day on which expiries are judged; the present day by default.
        workers: processes that scan the data.
        store: folder of finished work; the ``registry/store`` beside the release by default.
        progress: called as ``progress(label, done, total)``.

    Returns:
        ``stops`` and ``holds`` say whether something keeps the release from going on; ``findings.json`` in
        ``folder`` holds every finding.

    Example:
        >>> checked = kdgov.check("registry/releases/miniature.yaml", store=store)
        >>> checked.stops, checked.holds
        (False, False)
    """
    from kdgov.pipeline.check import check_step

    return check_step(release_context(release, store, progress), today=today, workers=workers)


def distill(release: PathLike, *, store: PathLike | None = None, progress: Progress | None = None) -> DistillResult:
    """Train the student of a release; a recipe that was trained before is reused, a run that was killed goes on.

    Args:
        release: release file.
        store: folder of finished work; the ``registry/store`` beside the release by default.
        progress: called as ``progress(label, done, total)``.

    Returns:
        ``checkpoint`` is the student's folder.

    Raises:
        InputError: if the release is at fault; as `BlockedError` (exit 1) if its check blocks what it would be trained on, or the scan
            of what a teacher wrote found what the policy does not let pass.

    Example:
        >>> trained = kdgov.distill("registry/releases/miniature.yaml", store=store)
        >>> (trained.checkpoint / "config.json").is_file()
        True
    """
    from kdgov.pipeline.data_checks.before_training import refuse_blocked_training
    from kdgov.pipeline.distill import distill_step, refuse_blocked_text
    from kdgov.processes import is_first

    context = release_context(release, store, progress)
    if context.release.distillation is not None and is_first():
        refuse_blocked_training(context)
    refuse_blocked_text(context)
    return distill_step(context)


def evaluate(release: PathLike, *, store: PathLike | None = None, progress: Progress | None = None) -> EvaluateResult:
    """Ask teacher and student of a release the same frozen questions and write what each answered.

    Args:
        release: release file.
        store: folder of finished work; the ``registry/store`` beside the release by default.
        progress: called as ``progress(label, done, total)``.

    Returns:
        ``folder`` holds one folder per model with its item table and evidence; ``findings`` is 0 where the two models
        were asked the same.

    Example:
        >>> evaluated = kdgov.evaluate("registry/releases/miniature.yaml", store=store)
        >>> evaluated.findings
        0
    """
    from kdgov.pipeline.finished_work.step_results import EvaluateResult
    from kdgov.pipeline.run import resolve

    return resolve(release_context(release, store, progress), until="evaluate").of(EvaluateResult)


def record(
    release: PathLike,
    *,
    registry: str | None = None,
    upload_weights: bool = False,
    store: PathLike | None = None,
    progress: Progress | None = None,
) -> RecordResult:
    """Record a release in the registry, whatever its verdict: runs, evidence, model card, signed decision.

    Args:
        release: release file.
        registry: address of the MLflow server; KDGOV_REGISTRY or the store's own registry by default.
        upload_weights: copy the weights instead of naming them by digest.
        store: folder of finished work; the ``registry/store`` beside the release by default.
        progress: called as ``progress(label, done, total)``.

    Returns:
        ``name``, ``version``, ``verdict`` and the digest of the ``decision``.

    Example:
        >>> recorded = kdgov.record("registry/releases/miniature.yaml", store=store)
        >>> recorded.name, recorded.version, recorded.verdict
        ('miniature-student', 1, 'pass')
    """
    from kdgov.pipeline.finished_work.step_results import RecordResult
    from kdgov.pipeline.run import StepOptions, resolve

    options = StepOptions(registry=registry, upload_weights=upload_weights)
    return resolve(release_context(release, store, progress), until="record", options=options).of(RecordResult)
