"""Versions that a registry holds: promote, audit, load_model."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdgov.api.arguments import PathLike, path_or_none, store_folder

if TYPE_CHECKING:
    from kdgov.auditing.review.result import VersionAudit
    from kdgov.progress import Progress
    from kdgov.recording.promotion import Act
    from kdgov.recording.verified_loading import LoadedModel


def promote(
    model: str,
    version: int | str,
    *,
    alias: str = "champion",
    weights: PathLike | None = None,
    registry: str | None = None,
    store: PathLike | None = None,
) -> Act:
    """Set a guarded alias on a recorded version, if a valid passing decision covers it.

    Args:
        model: registered model.
        version: number, or ``@alias``.
        alias: alias to set.
        weights: folder of the checkpoint, where it is not where the recording says.
        registry: address of the MLflow server; KDGOV_REGISTRY or the store's own registry by default.
        store: folder of finished work; KDGOV_STORE or ``registry/store`` by default.

    Returns:
        ``done`` says whether the alias was set; ``refusals`` says why not, each with how to fix it.

    Example:
        >>> kdgov.promote("miniature-student", 1, store=store).done
        True
    """
    from kdgov.recording.client.target import registry_target
    from kdgov.recording.promotion import promote as act

    return act(model, version, registry_target(store_folder(store), registry), alias=alias, weights=path_or_none(weights))


def audit(
    model: str,
    version: int | str,
    *,
    frameworks: Sequence[str] = (),
    weights: PathLike | None = None,
    replay: int = 0,
    at: datetime.datetime | None = None,
    trust: PathLike | None = None,
    registry: str | None = None,
    store: PathLike | None = None,
    progress: Progress | None = None,
) -> VersionAudit:
    """Verify a recorded version again from the registry alone: digests, signatures, decision, licences, waivers, weights.

    Args:
        model: registered model.
        version: number, or ``@alias``.
        frameworks: crosswalks to fill: names of shipped ones, or files.
        weights: folder of the checkpoint that is served.
        replay: items per task to evaluate again on the recorded weights.
        at: moment for which expiries are judged; now by default.
        trust: trust store of the reviewer; the store's by default.
        registry: address of the MLflow server; KDGOV_REGISTRY or the store's own registry by default.
        store: folder of finished work; KDGOV_STORE or ``registry/store`` by default.
        progress: called as ``progress(label, done, total)``.

    Returns:
        ``outcome`` is ``clean`` where nothing is violated and nothing required is missing.

    Example:
        >>> kdgov.audit("miniature-student", 1, store=store).outcome
        'clean'
    """
    from kdgov.auditing.crosswalk.framework import load_framework
    from kdgov.pipeline.audit import AuditRequest, audit_version
    from kdgov.progress import silent

    request = AuditRequest(
        registry=registry,
        store=store_folder(store),
        trust=path_or_none(trust),
        at=at,
        weights=path_or_none(weights),
        frameworks=tuple(load_framework(name) for name in frameworks),
        replay=replay,
    )
    return audit_version(model, version, request, progress=progress or silent)


def load_model(uri: str, *, registry: str | None = None, store: PathLike | None = None, weights: PathLike | None = None) -> LoadedModel:
    """The model behind ``models:/name@alias`` or ``models:/name/version``, verified before its first byte is used.

    Args:
        uri: as MLflow writes it.
        registry: address of the MLflow server; KDGOV_REGISTRY or the store's own registry by default.
        store: folder of finished work; KDGOV_STORE or ``registry/store`` by default.
        weights: folder of the checkpoint, where it is not where the recording says.

    Raises:
        NotReleasedError: if the version may not be used; the message says why.

    Example:
        >>> served = kdgov.load_model("models:/miniature-student@champion", store=store)
        >>> served.report.verdict
        'pass'
    """
    from kdgov.recording.verified_loading import load_model as verified

    return verified(uri, registry=registry, store=path_or_none(store), weights=path_or_none(weights))
