"""The write-once store: the same bytes again are fine, other bytes never; all three upload paths; local and S3."""

from __future__ import annotations

import asyncio
import datetime
import errno
import io
import json
import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

from kdgov.guard.stores.artifact_store import WriteOnceRepository
from kdgov.resources import data_folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def bucket():
    """An S3-compatible server on loopback."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    boto3 = pytest.importorskip("boto3", reason="the extra kdgov[s3] is not installed")
    port = free_port()
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    address = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        patch.setenv("MLFLOW_S3_ENDPOINT_URL", address)
        client = boto3.client("s3", endpoint_url=address)
        client.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield "s3://models/registry"
    server.stop()


@pytest.fixture(params=["local", "s3"])
def store(request, tmp_path):
    """A write-once store of a folder, and of a bucket."""
    inner = f"{request.getfixturevalue('bucket')}/{tmp_path.name}" if request.param == "s3" else str(tmp_path / "artifacts")
    return WriteOnceRepository(f"kdgov-artifacts:{inner}")


async def _chunks(data: bytes):
    yield data[:2]
    yield data[2:]


def by_file(store, tmp_path, data: bytes, path: str) -> None:
    folder, _, name = path.rpartition("/")
    (tmp_path / name).write_bytes(data)
    store.log_artifact(str(tmp_path / name), folder or None)


def by_stream(store, tmp_path, data: bytes, path: str) -> None:
    store.log_artifact_from_stream(io.BytesIO(data), path)


def by_async_stream(store, tmp_path, data: bytes, path: str) -> None:
    asyncio.run(store.log_artifact_from_async_stream(_chunks(data), path))


def by_folder(store, tmp_path, data: bytes, path: str) -> None:
    folder = tmp_path / "folder"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data)
    store.log_artifacts(str(folder))


@pytest.mark.parametrize("write", [by_file, by_stream, by_async_stream, by_folder])
def test_every_upload_path_writes_once(store, tmp_path, write):
    write(store, tmp_path, b"first", "run/evidence/decision.json")
    write(store, tmp_path, b"first", "run/evidence/decision.json")
    with pytest.raises(MlflowException, match="refuses to overwrite"):
        write(store, tmp_path, b"other", "run/evidence/decision.json")
    fetched = store.download_artifacts("run/evidence/decision.json")
    with open(fetched, "rb") as stream:
        assert stream.read() == b"first"


def test_comparing_leaves_no_copy_behind(store, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for _ in range(2):
        by_stream(store, tmp_path, b"first", "run/evidence/decision.json")
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("write", [by_file, by_stream, by_async_stream, by_folder])
def test_sealed_evidence_takes_no_new_file(store, tmp_path, write):
    by_stream(store, tmp_path, b"{}", "run/evidence/manifest.json")
    with pytest.raises(MlflowException, match="sealed"):
        write(store, tmp_path, b"x", "run/evidence/teacher/items.parquet")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write(store, elsewhere, b"x", "run/card/card.md")


def test_nothing_is_deleted_and_nothing_goes_past(store, tmp_path):
    by_stream(store, tmp_path, b"x", "run/a")
    with pytest.raises(MlflowException, match="refuses to delete"):
        store.delete_artifacts("run/a")
    for method in ("create_multipart_upload", "create_presigned_upload_url", "complete_multipart_upload"):
        with pytest.raises((AttributeError, NotImplementedError, MlflowException, TypeError)):
            getattr(store, method)("run/a", "run/a", 1)


def test_a_folder_with_one_conflict_writes_none_of_its_files(store, tmp_path):
    by_stream(store, tmp_path, b"kept", "b.txt")
    folder = tmp_path / "many"
    folder.mkdir()
    for name in ("a.txt", "b.txt", "c.txt"):
        (folder / name).write_bytes(b"new")
    with pytest.raises(MlflowException, match=r"b\.txt"):
        store.log_artifacts(str(folder))
    assert [f.path for f in store.list_artifacts()] == ["b.txt"]


def test_a_full_disk_leaves_no_half_file(tmp_path, monkeypatch):
    """What cannot be written whole is not there at all, and goes in as soon as there is room."""
    store = WriteOnceRepository(f"kdgov-artifacts:{tmp_path}/artifacts")

    def half(source, destination):
        Path(destination).write_bytes(b"ha")
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a").write_bytes(b"half")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", half)
        with pytest.raises(MlflowException, match="No space left"):
            store.log_artifact(str(tmp_path / "a"), "run")
    assert store.list_artifacts("run") == []
    store.log_artifact(str(tmp_path / "a"), "run")
    assert Path(store.download_artifacts("run/a")).read_bytes() == b"half"
    assert [f.path for f in store.list_artifacts()] == ["run"]


def test_of_two_writers_at_once_one_is_second(tmp_path, monkeypatch):
    """Both looked before either wrote: the second finds the name taken."""
    store = WriteOnceRepository(f"kdgov-artifacts:{tmp_path}/artifacts")
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "a").write_bytes(b"mine")
    copy = shutil.copyfile

    def meanwhile(source, destination):
        (tmp_path / "artifacts" / "a").write_bytes(b"theirs")
        return copy(source, destination)

    monkeypatch.setattr("shutil.copyfile", meanwhile)
    with pytest.raises(MlflowException, match="refuses to overwrite a"):
        store.log_artifact(str(tmp_path / "a"))
    assert (tmp_path / "artifacts" / "a").read_bytes() == b"theirs"


def test_a_file_system_without_links_writes_once_too(tmp_path, monkeypatch):
    store = WriteOnceRepository(f"kdgov-artifacts:{tmp_path}/artifacts")

    def no_link(source, destination):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", no_link)
    by_stream(store, tmp_path, b"x", "run/a")
    with pytest.raises(MlflowException, match="refuses to overwrite"):
        by_stream(store, tmp_path, b"y", "run/a")


@pytest.mark.parametrize("root", ["", "1/models/m-0123/artifacts"])
@pytest.mark.parametrize("write", [by_file, by_stream, by_async_stream, by_folder])
def test_a_sealed_models_folder_takes_no_new_file(tmp_path, root, write):
    inside = "" if root else "1/models/m-0123/artifacts/"
    store = WriteOnceRepository(f"kdgov-artifacts:{tmp_path}/artifacts/{root}".rstrip("/"))
    by_stream(store, tmp_path, b"x", f"{inside}MLmodel")
    by_stream(store, tmp_path, b"", f"{inside}kdgov.sealed")
    with pytest.raises(MlflowException, match="sealed"):
        write(store, tmp_path, b"x", f"{inside}extra/weights.bin")
    if not root:
        by_stream(store, tmp_path, b"x", "1/models/m-4567/artifacts/MLmodel")


@pytest.mark.parametrize("outside", ["../x", "a/../../x", "/etc/x", ".kdgov-incoming/x"])
def test_nothing_is_written_outside(tmp_path, outside):
    store = WriteOnceRepository(f"kdgov-artifacts:{tmp_path}/artifacts")
    with pytest.raises(MlflowException, match="outside"):
        by_stream(store, tmp_path, b"x", outside)


@pytest.mark.parametrize("change", ["teacher/items.parquet", "decision.json", "extra.json", "gone"])
def test_evidence_in_a_bucket_is_read_at_every_promotion_and_every_change_is_seen(bucket, tmp_path, change, monkeypatch):
    """Any file, not the manifest alone, every time: no stamp of a store stands for bytes. Only the judgement is remembered."""
    import boto3

    from kdgov.digest import digest_bytes, digest_file
    from kdgov.evidence.bundle import bundle_digest
    from kdgov.evidence.derivation import derive as derivation
    from kdgov.evidence.derivation.derive import Asker
    from kdgov.evidence.trust_store import TrustStore
    from kdgov.guard.evidence import derive_stored
    from tests.recording.evidence_bundle import bundle

    folder = bundle(tmp_path / "bundle", policy=(data_folder("policies") / "starter.yaml").read_bytes())
    run = f"{bucket}/{tmp_path.name}"
    WriteOnceRepository(f"kdgov-artifacts:{run}").log_artifacts(str(folder), "evidence")
    predicate = {"bundle": bundle_digest(folder), "decision": digest_file(folder / "decision.json"), "name": "support-student"}
    predicate |= {"weights": digest_bytes(b"student"), "model": digest_bytes(b"student"), "model_files": {}, "verdict": "pass"}
    predicate |= {"policy": json.loads((folder / "decision.json").read_bytes())["policy"]}
    predicate["tags"] = {"kdgov.verdict": "PASS", "kdgov.decision": predicate["decision"]}
    now = datetime.datetime.now(datetime.UTC)
    asker = Asker(trust=TrustStore(), received=now, at=now)
    fetched, judged = [], []
    original_rejudge = derivation.rejudge
    monkeypatch.setattr(derivation, "rejudge", lambda *more, **named: (judged.append(1), original_rejudge(*more, **named))[1])
    original = S3ArtifactRepository.download_artifacts
    heard = lambda self, *more, **named: (fetched.append(more), original(self, *more, **named))[1]  # noqa: E731
    monkeypatch.setattr(S3ArtifactRepository, "download_artifacts", heard)
    for _ in range(3):
        assert derive_stored(predicate, f"kdgov-artifacts:{run}", asker).is_derived_pass
    assert (len(fetched), len(judged)) == (3, 1)
    client = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
    prefix = f"registry/{tmp_path.name}/evidence"
    if change == "gone":
        client.delete_object(Bucket="models", Key=f"{prefix}/plan.json")
    else:
        client.put_object(Bucket="models", Key=f"{prefix}/{change}", Body=b"forged items"[:13])
    (refusal,) = derive_stored(predicate, f"kdgov-artifacts:{run}", asker).refusals
    assert ("plan.json" if change == "gone" else change) in refusal.reason


def test_of_two_writers_to_a_bucket_one_is_second(bucket, tmp_path, monkeypatch):
    """Both looked before either wrote; S3 itself tells the second that the place is taken."""
    store = WriteOnceRepository(f"kdgov-artifacts:{bucket}/{tmp_path.name}")
    by_stream(store, tmp_path, b"theirs", "run/a")
    look, looks = type(store)._digest_at, []

    def blind_once(self, destination):
        looks.append(destination)
        return None if len(looks) == 1 else look(self, destination)

    monkeypatch.setattr(type(store), "_digest_at", blind_once)
    with pytest.raises(MlflowException, match="refuses to overwrite"):
        by_stream(store, tmp_path, b"mine", "run/a")
    assert Path(store.download_artifacts("run/a")).read_bytes() == b"theirs"


@pytest.mark.parametrize("answer", ["NotImplemented", "InvalidArgument"])
def test_a_bucket_that_knows_no_condition_is_written_as_before(bucket, tmp_path, monkeypatch, answer):
    from botocore.exceptions import ClientError

    store = WriteOnceRepository(f"kdgov-artifacts:{bucket}/{tmp_path.name}")

    class Older:
        def put_object(self, **_):
            raise ClientError({"Error": {"Code": answer}}, "PutObject")

    with monkeypatch.context() as patch:
        client, calls = store._behind._get_s3_client(), []
        patch.setattr(S3ArtifactRepository, "_get_s3_client", lambda self: Older() if not calls and not calls.append(1) else client)
        from kdgov.guard.stores.s3_bucket import put_new

        (tmp_path / "a").write_bytes(b"x")
        assert put_new(store._behind, tmp_path / "a", "a") is None
    by_stream(store, tmp_path, b"x", "a")
    assert [f.path for f in store.list_artifacts()] == ["a"]


@pytest.mark.parametrize("path", ["run", "run/a/b"])
def test_a_name_that_is_a_folder_or_lies_below_a_file_is_refused_not_dropped(tmp_path, path):
    store = WriteOnceRepository(f"kdgov-artifacts:{tmp_path}/artifacts")
    by_stream(store, tmp_path, b"x", "run/a")
    with pytest.raises(MlflowException, match="refuses to write|cannot write"):
        by_stream(store, tmp_path, b"y", path)
