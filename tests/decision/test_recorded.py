"""`kdgov gate MODEL VERSION`: what the registry holds is judged again, and what was changed in it is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kdgov.cli.app import app
from kdgov.digest import digest_file
from kdgov.evidence.signing_keys import new_key
from kdgov.evidence.trust_store import PROJECT_PURPOSES, TrustedKey, TrustStore, save_trust
from kdgov.guard.config import GUARD_KEY_VARIABLE
from kdgov.guard.serving import ServerPlan, start_server, stop_server
from kdgov.items import ItemTable, read_items, write_items
from kdgov.pipeline.context import ReleaseContext
from kdgov.recording.client.target import RegistryTarget, registry_target
from kdgov.recording.release_recording import record_release
from tests.decision.conftest import gated
from tests.guard.postgres import free_port


def gate(*arguments: str) -> Result:
    """Run the command in this process; an escaped exception fails the test."""
    result = CliRunner().invoke(app, ["gate", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def target(release, monkeypatch) -> RegistryTarget:
    """The embedded SQLite registry of the release's own store."""
    monkeypatch.delenv("KDGOV_REGISTRY", raising=False)
    monkeypatch.delenv("KDGOV_TRUST")
    monkeypatch.setenv("KDGOV_STORE", str(release.store.root))
    return registry_target(release.store.root)


def judged_again(folder: Path, release: ReleaseContext, target: RegistryTarget) -> None:
    """Record, judge again, then change one score of the recorded evidence where it lies."""
    finished = gated(release)
    recorded = record_release(finished.folder, target)
    first = gate(recorded.name, str(recorded.version), "--format", "json")
    assert first.exit_code == 0
    assert json.loads(first.stdout)["digest"] == recorded.decision == digest_file(finished.folder / "decision.json")
    (items,) = folder.rglob("evidence/student/items.parquet")
    rows = read_items(items).to_rows()
    write_items(ItemTable.from_rows([{**row, "score": 1.0} for row in rows]), items)
    changed = gate(recorded.name, str(recorded.version), "--format", "json")
    assert changed.exit_code == 1
    document = json.loads(changed.stdout)
    assert document["verdict"] == "invalid"
    (found,) = [f for f in document["findings"] if f["rule"] == "evidence.bundle-changed"]
    assert "student/items.parquet was changed" in found["reason"]


@pytest.mark.nightly
def test_a_recorded_version_gives_its_decision_again_and_changed_evidence_is_invalid(release, target):
    judged_again(release.store.root, release, target)


@pytest.mark.nightly
@pytest.mark.parametrize(("arguments", "words"), [(("nobody", "1"), "no nobody version 1"), (("small", "@champion"), "no small @champion")])
def test_what_the_registry_does_not_hold_is_an_input_fault(target, arguments, words):
    answer = gate(*arguments)
    assert answer.exit_code == 2
    assert words in answer.stderr


def test_a_registry_that_does_not_answer_is_the_environments_fault(release, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("KDGOV_REGISTRY", f"http://127.0.0.1:{free_port()}")
    answer = gate("small", "1")
    assert answer.exit_code == 3
    assert "cannot be reached" in answer.stderr


@pytest.mark.nightly
@pytest.mark.ci
@pytest.mark.server
def test_a_live_server_on_sqlite_gives_the_decision_again_and_notices_a_change(release, tmp_path, monkeypatch):
    """`kdgov serve` as people run it: the evidence travels over HTTP, the guard stands before the database."""
    store = tmp_path / "server"
    key = new_key(store / "keys", "project", passphrase=None)
    trusted = TrustedKey(keyid=key.keyid, name="ci", public=key.public_path.read_text(), purposes=list(PROJECT_PURPOSES))
    save_trust(store / "keys" / "trust.json", TrustStore(keys=[trusted]))
    settings = {"KDGOV_TRUST": str(store / "keys" / "trust.json"), GUARD_KEY_VARIABLE: f"file:{key.private_path}"}
    plan = ServerPlan(backend=f"sqlite:///{store}/registry.db", artifacts=str(store / "artifacts"), port=free_port(), settings=settings)
    process = start_server(plan, log=tmp_path / "server.log")
    try:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("KDGOV_REGISTRY", plan.address)
        judged_again(store, release, registry_target(store))
    finally:
        stop_server(process)
