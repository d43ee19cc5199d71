"""Write-once artifacts: ``kdgov-artifacts:<uri>`` keeps what was written; the same bytes again are fine, other bytes are refused.

All three of MLflow's upload paths (file, Flask stream, FastAPI stream) end in one: write the bytes to a temporary file, compare
with what is there, then store it. On a local disk the file appears under its name only when it is whole, so that a full disk or
a kill leaves no half file that could never be replaced. Nothing is ever deleted, and presigned or multipart uploads, which would
go past this repository, are not offered.
"""

from __future__ import annotations

import asyncio
import errno
import os
import posixpath
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from mlflow.entities import FileInfo
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, PERMISSION_DENIED
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from kdgov.digest import digest_file
from kdgov.evidence.artifact_places import WRITE_ONCE, folder_of
from kdgov.guard.evidence import local_path
from kdgov.guard.stores.s3_bucket import put_new
from kdgov.guard.stores.seals import placing_fault, sealed_above

INCOMING = ".kdgov-incoming"
"""Where files lie until they are whole."""
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.EMLINK)


def open_artifact_repository(artifact_uri: str) -> WriteOnceRepository:
    """The write-once repository of one URI."""
    return WriteOnceRepository(artifact_uri)


class WriteOnceRepository(ArtifactRepository):
    """A repository whose files never change, in front of any other repository."""

    def __init__(self, artifact_uri: str, *positional: Any, **options: Any) -> None:
        super().__init__(artifact_uri, *positional, **options)
        self._behind = get_artifact_repository(_inner(artifact_uri))
        self._folder = local_path(artifact_uri)

    # Writing.

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Store a file once.

        Raises:
            MlflowException: PERMISSION_DENIED when other bytes already lie there.
        """
        destination = _inside(posixpath.join(artifact_path or "", os.path.basename(local_file)))
        if not self._has_same(Path(local_file), destination):
            self._store(Path(local_file), destination)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Store every file of a folder once; all are compared before the first is written."""
        root = Path(local_dir)
        files = [path for path in sorted(root.rglob("*")) if path.is_file()]
        places = {path: _inside(posixpath.join(artifact_path or "", path.relative_to(root).as_posix())) for path in files}
        for path in [path for path in files if not self._has_same(path, places[path])]:
            self._store(path, places[path])

    def log_artifact_from_stream(self, stream: BinaryIO, artifact_path: str) -> None:
        """Store what Flask received, once."""
        with _temporary(artifact_path) as file:
            with file.open("wb") as out:
                shutil.copyfileobj(stream, out)
            self.log_artifact(str(file), posixpath.dirname(artifact_path) or None)

    async def log_artifact_from_async_stream(self, stream: AsyncIterator[bytes], artifact_path: str) -> None:
        """Store what FastAPI received, once."""
        with _temporary(artifact_path) as file:
            with file.open("wb") as out:
                async for chunk in stream:
                    out.write(chunk)
            await asyncio.to_thread(self.log_artifact, str(file), posixpath.dirname(artifact_path) or None)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Refused, always."""
        raise MlflowException(
            f"kdgov refuses to delete {artifact_path or 'artifacts'}: this store keeps evidence.", error_code=PERMISSION_DENIED
        )

    def _has_same(self, file: Path, destination: str) -> bool:
        there = self._digest_at(destination)
        if there is None:
            self._refuse_if_sealed(file, destination)
            return False
        if there == digest_file(file):
            return True
        raise MlflowException(
            f"kdgov refuses to overwrite {destination}: this store keeps evidence, and other bytes already lie there.",
            error_code=PERMISSION_DENIED,
        )

    def _store(self, file: Path, destination: str) -> None:
        if self._folder is None:
            # An object store shows an object only when it is whole.
            taken = put_new(self._behind, file, destination)
            if taken is None:
                self._behind.log_artifact(str(file), posixpath.dirname(destination) or None)
            elif taken:
                self._has_same(file, destination)
            return
        whole = self._folder / INCOMING / uuid.uuid4().hex
        try:
            whole.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, whole)
            _put(whole, self._folder / destination)
        except FileExistsError as error:
            # Another writer was first; the same bytes are fine.
            if not self._has_same(file, destination):
                what = f"kdgov refuses to write {destination}: a folder or a file of another kind lies in its place."
                raise MlflowException(what, error_code=PERMISSION_DENIED) from error
        except OSError as error:
            raise MlflowException(f"the artifact store cannot write {destination}: {error.strerror}", error_code=INTERNAL_ERROR) from error
        finally:
            whole.unlink(missing_ok=True)

    def _refuse_if_sealed(self, file: Path, destination: str) -> None:
        root = _inner(self.artifact_uri)
        fault = placing_fault(destination, file, root=root, holds=self._holds)
        if not fault and self._folder is not None and sealed_above(self._folder):
            fault = f"kdgov refuses to add {destination}: the evidence there is sealed."
        if fault:
            raise MlflowException(fault, error_code=PERMISSION_DENIED)

    def _holds(self, destination: str) -> bool:
        if self._folder is not None:
            return (self._folder / destination).is_file()
        names = {item.path: item for item in self._behind.list_artifacts(posixpath.dirname(destination) or None)}
        found = names.get(destination)
        return found is not None and not found.is_dir

    def _digest_at(self, destination: str) -> str | None:
        if not self._holds(destination):
            return None
        if self._folder is not None:
            return digest_file(self._folder / destination)
        # Of an object store a copy is fetched, which nobody else would remove.
        with tempfile.TemporaryDirectory(prefix="kdgov-") as folder:
            return digest_file(Path(self._behind.download_artifacts(destination, folder)))

    # Reading.

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """As the repository behind lists them."""
        return [item for item in self._behind.list_artifacts(path) if posixpath.basename(item.path) != INCOMING]

    def download_artifacts(self, artifact_path: str, dst_path: str | None = None) -> str:
        """As the repository behind gives them; a folder always as a copy: MLflow writes a note of its own into what it was given."""
        if dst_path is None and self._folder is not None and (self._folder / (artifact_path or "")).is_dir():
            dst_path = tempfile.mkdtemp(prefix="kdgov-")
        return str(self._behind.download_artifacts(artifact_path, dst_path))

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self._behind._download_file(remote_file_path, local_path)


def _put(whole: Path, place: Path) -> None:
    """Give a whole file its name.

    Raises:
        FileExistsError: if the name is taken.
        OSError: if the disk cannot take it.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Linking, unlike renaming, fails where the name is taken: of two writers at once one is second.
        os.link(whole, place)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if place.exists():
            raise FileExistsError(place) from error
        whole.rename(place)


def _inside(destination: str) -> str:
    normal = posixpath.normpath(destination)
    if normal.startswith(("/", "..")) or INCOMING in normal.split("/"):
        raise MlflowException(f"kdgov refuses to write {destination}: it lies outside the artifacts.", error_code=PERMISSION_DENIED)
    return normal


def _inner(artifact_uri: str) -> str:
    # Of a store that was moved, the address is a former one.
    here = folder_of(artifact_uri) if artifact_uri.startswith(WRITE_ONCE) else None
    return str(here) if here is not None else artifact_uri.removeprefix(WRITE_ONCE)


@contextmanager
def _temporary(artifact_path: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kdgov-") as folder:
        yield Path(folder) / posixpath.basename(artifact_path)
