"""The registry on other machines: PostgreSQL, S3 and a server between; the reviewer has the package, his keys and read access."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kdgov.evidence.signing_keys import new_key
from kdgov.evidence.trust_store import PROJECT_PURPOSES, TrustedKey, TrustStore, save_trust
from kdgov.guard.config import GUARD_KEY_VARIABLE
from kdgov.guard.serving import ServerPlan, database_uri, start_server, stop_server
from kdgov.recording.client.client import registry_client
from kdgov.recording.client.target import registry_target
from kdgov.recording.release_recording import record_release
from tests.auditing.small_release import POLICY, checkpoint, write_bundle
from tests.auditing.test_tamper import flipped
from tests.command import Answer
from tests.guard.postgres import cluster, free_port
from tests.recording.policy_list import let_count

pytestmark = [pytest.mark.nightly, pytest.mark.ci, pytest.mark.server, pytest.mark.xdist_group("audit-elsewhere")]
CLOUD = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-central-1"}


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """A guarded server on PostgreSQL and S3 with two recorded releases."""

    address: str
    database: str
    trust: Path
    bucket: Any
    endpoint: str
    log: Path

    def audit(self, folder: Path, *arguments: str, registry: str = "", **environment: str) -> Answer:
        """`kdgov` as a reviewer calls it: his own home, another folder, no store, nothing of the team's environment."""
        command = [sys.executable, "-m", "kdgov", *arguments, "--registry", registry or self.address]
        home = {"HOME": str(folder), "PATH": os.environ["PATH"], "KDGOV_TRUST": str(self.trust), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=folder, env={**home, **environment}, capture_output=True, text=True, timeout=600, check=False)
        return Answer(code=done.returncode, out=done.stdout, err=done.stderr)

    def objects(self) -> list[str]:
        """Keys of everything in the bucket."""
        pages = self.bucket.get_paginator("list_objects_v2").paginate(Bucket="audited")
        return sorted(item["Key"] for page in pages for item in page.get("Contents", []))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    boto3 = pytest.importorskip("boto3", reason="the extra kdgov[s3] is not installed")
    folder, port, s3_port = tmp_path_factory.mktemp("elsewhere"), free_port(), free_port()
    s3 = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=s3_port, verbose=False)
    s3.start()
    store, endpoint = folder / "store", f"http://127.0.0.1:{s3_port}"
    key = new_key(store / "keys", "project", passphrase=None)
    trust = TrustStore(keys=[TrustedKey(keyid=key.keyid, name="ci", public=key.public_path.read_text(), purposes=list(PROJECT_PURPOSES))])
    save_trust(store / "keys" / "trust.json", trust)
    save_trust(folder / "reviewer" / "trust.json", trust)
    let_count(store / "keys" / "trust.json", key.private_path, POLICY)
    with pytest.MonkeyPatch.context() as patch, cluster() as database:
        for name, value in {**CLOUD, "MLFLOW_S3_ENDPOINT_URL": endpoint}.items():
            patch.setenv(name, value)
        bucket = boto3.client("s3", endpoint_url=endpoint)
        bucket.create_bucket(Bucket="audited", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        settings = {"KDGOV_TRUST": str(store / "keys" / "trust.json"), GUARD_KEY_VARIABLE: f"file:{key.private_path}"}
        plan = ServerPlan(backend=database, artifacts="s3://audited/registry", port=port, settings=settings)
        process = start_server(plan, log=folder / "server.log")
        try:
            target = registry_target(store, plan.address)
            for seed, name in ((1, "support-student"), (5, "other-student")):
                weights, teacher = checkpoint(folder / f"weights-{seed}", seed, 4), checkpoint(folder / f"teacher-{seed}", seed + 1, 8)
                bundle = write_bundle(folder / f"bundle-{seed}", name=name, weights=weights, teacher=teacher, seed=seed)
                record_release(bundle, target, weights=weights, upload_weights=True)
            with registry_client(target) as client:
                client.set_registered_model_alias("support-student", "champion", "1")
            yield Elsewhere(
                address=plan.address, database=database, trust=folder / "reviewer" / "trust.json", bucket=bucket, endpoint=endpoint,
                log=folder / "server.log",
            )  # fmt: skip
        finally:
            stop_server(process)
            s3.stop()


def rows(database: str) -> dict[str, int]:
    """Table → rows, of the whole database."""
    engine = sa.create_engine(database_uri(database))
    try:
        with engine.connect() as connection:
            names = sa.inspect(engine).get_table_names()
            return {name: connection.execute(sa.text(f'SELECT count(*) FROM "{name}"')).scalar_one() for name in names}  # noqa: S608
    finally:
        engine.dispose()


def test_an_honest_release_audits_clean_over_the_network_and_nothing_is_written(elsewhere: Elsewhere, tmp_path: Path) -> None:
    """Weights included, which lie in the registry; the server sees reading calls only and its tables keep their rows."""
    before, objects, read_so_far = rows(elsewhere.database), elsewhere.objects(), elsewhere.log.stat().st_size
    answer = elsewhere.audit(tmp_path, "audit", "support-student", "@champion", "--format", "json")
    assert answer.code == 0, answer.err[-3000:] + answer.out[-3000:]
    document = answer.document
    assert document["outcome"] == "clean"
    assert [f["subject"] for f in document["findings"] if f["standing"] != "verified"] == []
    assert "weights in the registry" in {f["subject"] for f in document["findings"] if f["area"] == "weights"}
    assert (rows(elsewhere.database), elsewhere.objects()) == (before, objects)
    called = re.findall(r'"([A-Z]+) (/\S*) HTTP', elsewhere.log.read_bytes()[read_so_far:].decode(errors="replace"))
    assert len(called) > 10
    assert not [call for call in called if call[0] not in ("GET", "HEAD") and not call[1].split("?")[0].endswith("search")], called


def test_a_role_that_may_only_select_reads_the_database_and_says_what_it_cannot_reach(elsewhere: Elsewhere, tmp_path: Path) -> None:
    """Log, tags and runs are read without the server; the files, which the server hands out, are named as not reached: never clean."""
    engine = sa.create_engine(database_uri(elsewhere.database))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE ROLE reviewer LOGIN"))
        connection.execute(sa.text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reviewer"))
    address = sa.make_url(database_uri(elsewhere.database)).set(username="reviewer").render_as_string(hide_password=False)
    engine.dispose()
    answer = elsewhere.audit(tmp_path, "audit", "support-student", "1", "--format", "json", registry=f"kdgov:{address}")
    assert answer.code == 1, answer.err[-3000:] + answer.out[-3000:]
    found = {(f["area"], f["standing"]) for f in answer.document["findings"]}
    assert ("log", "verified") in found
    assert ("evidence", "not_verifiable") in found
    assert answer.document["outcome"] == "incomplete", [f for f in answer.document["findings"] if f["standing"] == "violated"]


def changed_objects(elsewhere: Elsewhere, part: str) -> list[str]:
    """The bucket's keys that lie in one folder of an evidence bundle or run."""
    found = [key for key in elsewhere.objects() if part in key]
    assert found, elsewhere.objects()
    return found


def test_an_honest_registry_is_clean_as_a_whole_over_the_network(elsewhere: Elsewhere, tmp_path: Path) -> None:
    honest = elsewhere.audit(tmp_path, "audit", "--all", "--format", "json")
    assert honest.code == 0, honest.err[-3000:] + honest.out[-2000:]
    assert {row["outcome"] for row in honest.document["versions"]} == {"clean"}


@contextmanager
def flipped_object(elsewhere: Elsewhere, part: str) -> Iterator[None]:
    """One bit of the first object of that name turned in the bucket, behind the server's back."""
    key = next(key for key in elsewhere.objects() if part in key)
    whole = elsewhere.bucket.get_object(Bucket="audited", Key=key)["Body"].read()
    elsewhere.bucket.put_object(Bucket="audited", Key=key, Body=flipped(whole))
    try:
        yield
    finally:
        elsewhere.bucket.put_object(Bucket="audited", Key=key, Body=whole)


@pytest.mark.parametrize("part", ["/evidence/decision.json", "/evidence/manifest.json", "/attestation/"])
def test_an_overview_over_the_network_finds_what_its_seals_tell(elsewhere: Elsewhere, tmp_path: Path, part: str) -> None:
    """Only manifest, decision and statements are fetched: a flipped bit is found, in that version and no other."""
    with flipped_object(elsewhere, part):
        answer = elsewhere.audit(tmp_path, "audit", "--all", "--format", "json")
    assert answer.code == 1
    assert sorted(row["outcome"] for row in answer.document["versions"]) == ["clean", "violated"]


@pytest.mark.parametrize("part", ["/evidence/student/items.parquet", "/card/card.md", "/weights/config.json", "/weights/model.safetensors"])
def test_an_audit_over_the_network_finds_a_changed_object(elsewhere: Elsewhere, tmp_path: Path, part: str) -> None:
    """Items, card, configuration and weights: exactly the version whose object was changed is violated, and names the file."""
    with flipped_object(elsewhere, part):
        answers = [elsewhere.audit(tmp_path, "audit", name, "1") for name in ("support-student", "other-student")]
    assert sorted(answer.code for answer in answers) == [0, 1]
    (told,) = [answer.out for answer in answers if answer.code]
    assert part.strip("/").partition("/")[0] in told
