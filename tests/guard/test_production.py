"""A registry as a company runs it: `kdgov serve` on PostgreSQL and an S3-compatible store, used through the command line.

Everything is real but the cloud: the database is Debian's PostgreSQL, the object store moto's server, both on loopback.
"""

from __future__ import annotations

import http.server
import json
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent
from typer.testing import CliRunner

from kdgov.cli.app import app
from kdgov.errors import UnavailableError
from kdgov.evidence.event_chain import chain_faults
from kdgov.evidence.signing_keys import new_key
from kdgov.evidence.trust_store import PROJECT_PURPOSES, TrustedKey, TrustStore, load_trust, save_trust, trust_path
from kdgov.recording.client.read_log import read_log
from kdgov.recording.client.target import registry_target
from kdgov.recording.promotion import promote
from kdgov.recording.release_recording import RecordedVersion, record_release
from kdgov.recording.verify import verify_version
from tests.guard.conftest import Site
from tests.guard.postgres import Cluster, free_port, restartable
from tests.recording.evidence_bundle import POLICY, bundle, checkpoint
from tests.recording.policy_list import let_count

pytestmark = [pytest.mark.nightly, pytest.mark.ci, pytest.mark.server, pytest.mark.xdist_group("production")]


@dataclass
class Production:
    """The running registry and what stands behind it."""

    site: Site
    cluster: Cluster
    bucket: object
    command: list[str]
    process: subprocess.Popen

    def stop(self) -> None:
        """End the server as a supervisor does."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=60) == 0

    def start(self) -> None:
        """Start it again at the same address, and wait for its proof."""
        self.process = _started(self.command, self.site.folder / "serve.log")


@pytest.fixture(scope="module")
def production(tmp_path_factory) -> Iterator[Production]:
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    boto3 = pytest.importorskip("boto3", reason="the extra kdgov[s3] is not installed")
    folder, port, s3_port = tmp_path_factory.mktemp("production"), free_port(), free_port()
    s3 = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=s3_port, verbose=False)
    s3.start()
    keys = folder / "store" / "keys"
    key = new_key(keys, "project", passphrase=None)
    save_trust(
        keys / "trust.json",
        TrustStore(keys=[TrustedKey(keyid=key.keyid, name="ci", public=key.public_path.read_text(), purposes=list(PROJECT_PURPOSES))]),
    )
    let_count(keys / "trust.json", key.private_path, POLICY.replace(b"SAFETY", b"safety"))
    with pytest.MonkeyPatch.context() as patch, restartable() as cluster:
        endpoint = f"http://127.0.0.1:{s3_port}"
        settings = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-central-1"}
        for name, value in {**settings, "MLFLOW_S3_ENDPOINT_URL": endpoint, **WEBHOOKS}.items():
            patch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket="produced", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        command = [
            sys.executable, "-m", "kdgov", "serve", "--backend-store-uri", cluster.uri, "--artifacts-destination", "s3://produced/registry",
            "--port", str(port), "--trust", str(keys / "trust.json"), "--guard-key", f"file:{key.private_path}",
        ]  # fmt: skip
        site = Site(
            kind="production", target=registry_target(folder / "store", f"http://127.0.0.1:{port}"), folder=folder, database=cluster.uri
        )
        running = Production(site=site, cluster=cluster, bucket=client, command=command, process=_started(command, folder / "serve.log"))
        try:
            yield running
        finally:
            if running.process.poll() is None:
                running.stop()
            s3.stop()


WEBHOOKS = {
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_CACHE_TTL": "1",  # else a server that has just set an alias knows of no new webhook for a minute
}


def _started(command: list[str], log: Path) -> subprocess.Popen:
    written = log.stat().st_size if log.exists() else 0
    with log.open("ab") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=os.environ.copy())
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        said = log.read_bytes()[written:].decode(errors="replace")
        if "the canary was refused, the guard holds" in said:
            return process
        assert process.poll() is None, said[-3000:]
        time.sleep(0.5)
    raise AssertionError(f"the server never proved itself: {log.read_text()[-3000:]}")


@pytest.fixture
def command(production, monkeypatch):
    """A `kdgov` command against this registry; standard output."""
    monkeypatch.delenv("KDGOV_TRUST", raising=False)
    monkeypatch.setenv("KDGOV_REGISTRY", production.site.target.tracking_uri)
    monkeypatch.setenv("KDGOV_STORE", str(production.site.target.store))

    def run(*arguments, expect: int = 0) -> str:
        done = CliRunner().invoke(app, [str(a) for a in arguments])
        assert done.exit_code == expect, (done.output, done.exception)
        return done.stdout

    return run


def test_from_recording_to_rollback_on_the_command_line(production, command):
    first, second = production.site.record(name="walked"), production.site.record(name="walked")
    bad = production.site.record("fail", name="walked")
    command("doctor")
    for recorded in (first, second):
        command("verify", "walked", recorded.version)
        command("promote", "walked", recorded.version)
    assert "safety-retained" in command("promote", "walked", bad.version, expect=1)
    rows = json.loads(command("registry", "list", "--model", "walked", "--json"))["versions"]
    assert [(r["version"], r["verdict"], r["aliases"]) for r in rows] == [(3, "FAIL", []), (2, "PASS", ["champion"]), (1, "PASS", [])]
    command("revoke", "walked", second.version, "--reason", "leaks addresses")
    command("verify", "walked", second.version, expect=1)
    command("rollback", "walked", "--to", first.version, "--reason", "back to the one that does not")
    command("verify", "walked", "@champion")
    command("promote", "walked", second.version, expect=1)
    log = json.loads(command("registry", "log", "--json"))
    assert log["faults"] == []
    acts = [(e["kind"], e["version"]) for e in log["entries"] if e["name"] == "walked" and e["kind"] != "decide"]
    assert acts == [("promote", 1), ("promote", 2), ("revoke", 2), ("rollback", 1)]


def test_the_bucket_is_written_once_over_http_and_a_change_behind_it_is_found(production, command):
    recorded = production.site.record()
    with production.site.client() as client:
        experiment = client.get_run(recorded.run_id).info.experiment_id
    path = f"{experiment}/{recorded.run_id}/artifacts/evidence/decision.json"
    address = f"{production.site.target.tracking_uri}/api/2.0/mlflow-artifacts/artifacts/{path}"
    assert requests.put(address, data=b"{}", timeout=60).status_code == 403
    assert requests.delete(address, timeout=60).status_code == 403
    key = f"registry/{path}"
    kept = production.bucket.get_object(Bucket="produced", Key=key)["Body"].read()
    production.bucket.put_object(Bucket="produced", Key=key, Body=kept.replace(b"pass", b"Pass", 1))
    assert "evidence" in command("promote", recorded.name, recorded.version, expect=1)
    command("verify", recorded.name, recorded.version, expect=1)
    production.bucket.put_object(Bucket="produced", Key=key, Body=kept)
    command("promote", recorded.name, recorded.version)


def test_webhooks_still_tell_of_aliases(production):
    """They fire after the act, as ever; a refused act fires nothing."""
    heard: queue.Queue = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            heard.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    good, bad = production.site.record(), production.site.record("fail")
    try:
        with production.site.client() as client:
            event = WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)
            hook = client.create_webhook("aliases", f"http://127.0.0.1:{server.server_port}/", [event])
            with pytest.raises(Exception, match="safety-retained"):
                client.set_registered_model_alias(bad.name, "champion", str(bad.version))
            client.set_registered_model_alias(good.name, "champion", str(good.version))
            told = heard.get(timeout=90)
            client.delete_webhook(hook.webhook_id)
    finally:
        server.shutdown()
    assert good.name in json.dumps(told)
    assert heard.empty()


def test_a_server_that_dies_in_the_middle_of_recording_makes_no_second_version(production, tmp_path):
    folder, weights = _made(tmp_path, "interrupted")

    def dies(label: str, done: int, total: int) -> None:
        if done == 4 and production.process.poll() is None:
            production.stop()

    with pytest.raises(UnavailableError):
        record_release(folder, production.site.target, weights=weights, state=tmp_path / "state.json", progress=dies)
    production.start()
    recorded = record_release(folder, production.site.target, weights=weights, state=tmp_path / "state.json")
    assert _versions(production, "interrupted") == [recorded.version]
    assert verify_version("interrupted", recorded.version, production.site.target).holds


def test_a_restarted_database_loses_nothing(production):
    before = production.site.record()
    assert promote(before.name, before.version, production.site.target).done
    production.cluster.restart()
    after = production.site.record()
    assert promote(after.name, after.version, production.site.target).done
    assert verify_version(before.name, before.version, production.site.target).holds
    with production.site.client() as client:
        entries = read_log(client)
    assert not chain_faults(entries, load_trust(trust_path(production.site.target.store)))
    assert {(e.name, e.kind) for e in entries} >= {(r.name, k) for r in (before, after) for k in ("decide", "promote")}


def test_two_jobs_at_once_record_one_version(production, tmp_path):
    """Two processes, as two CI jobs are, each with a state of its own."""
    folder, weights = _made(tmp_path, "raced")
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(2), context.Queue()
    arguments = (str(folder), str(weights), str(production.site.target.store), production.site.target.tracking_uri, barrier, answers)
    jobs = [context.Process(target=_job, args=arguments) for _ in range(2)]
    for job in jobs:
        job.start()
    told = [answers.get(timeout=400) for _ in jobs]
    for job in jobs:
        job.join(timeout=60)
    assert told[0] == told[1]
    assert _versions(production, "raced") == [told[0]]
    assert verify_version("raced", told[0], production.site.target).holds


def _job(folder, weights, store, address, barrier, answers) -> None:
    target = registry_target(Path(store), address)
    barrier.wait(timeout=200)
    recorded: RecordedVersion = record_release(Path(folder), target, weights=Path(weights))
    answers.put(recorded.version)


def _made(folder: Path, name: str) -> tuple[Path, Path]:
    weights = checkpoint(folder / "weights", seed=len(name))
    return bundle(folder / "bundle", name=name, weights=weights), weights


def _versions(production: Production, name: str) -> list[int]:
    with production.site.client() as client:
        return [int(v.version) for v in client.search_model_versions(f"name = '{name}'")]
