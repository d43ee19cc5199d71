"""One small release, recorded and promoted for real, and fetched once."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import pytest

from kdgov.auditing.registry.snapshot import LogShown, VersionShown
from kdgov.auditing.review.review import Reviewer
from kdgov.recording.client.target import RegistryTarget, registry_target
from tests.auditing.small_release import POLICY, checkpoint, write_bundle
from tests.recording.policy_list import let_store_count


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A release in its registry, and what the registry shows of it."""

    store: Path
    target: RegistryTarget
    weights: Path
    bundle: Path
    shown: VersionShown
    log: LogShown
    reviewer: Reviewer


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Recorded through kdgov.recording, promoted to champion, fetched by the audit's own fetching."""
    from kdgov.auditing.registry.fetch_version import fetch_log, fetch_version
    from kdgov.pipeline.audit import AuditRequest, reviewer_of
    from kdgov.recording.client.client import registry_client
    from kdgov.recording.release_recording import record_release

    root = tmp_path_factory.mktemp("audited")
    weights, teacher = checkpoint(root / "weights", 1, 4), checkpoint(root / "teacher", 2, 8)
    bundle = write_bundle(root / "bundle", weights=weights, teacher=teacher)
    target = registry_target(root / "store")
    let_store_count(root / "store", POLICY)
    record_release(bundle, target, weights=weights)
    with registry_client(target) as client:
        client.set_registered_model_alias("support-student", "champion", "1")
        client.set_registered_model_alias("support-student", "candidate", "1")
        log = fetch_log(client)
        shown = fetch_version(client, client.get_model_version("support-student", "1"), root / "fetched")
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
    reviewer = reviewer_of(AuditRequest(store=root / "store", at=at), log)
    return Recorded(store=root / "store", target=target, weights=weights, bundle=bundle, shown=shown, log=log, reviewer=reviewer)
