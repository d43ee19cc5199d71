"""Write-once artifacts: ``kdgov-artifacts:<uri>`` keeps what was written; the same bytes again are fine, other bytes are refused.

All three of MLflow's upload paths (file, Flask stream, FastAPI stream) end in one: write the bytes to a temporary file, compare
with what is there, then hand the file to the repository behind. Nothing is ever deleted, and presigned or multipart uploads,
which would go past this repository, are not offered.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from mlflow.entities import FileInfo
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from kdgov.digest import digest_file

SCHEME = "kdgov-artifacts:"
SEAL = "evidence/manifest.json"


def open_artifact_repository(artifact_uri: str) -> WriteOnceRepository:
    """The write-once repository of one URI."""
    return WriteOnceRepository(artifact_uri)


class WriteOnceRepository(ArtifactRepository):
    """A repository whose files never change, in front of any other repository."""

    def __init__(self, artifact_uri: str, *positional: Any, **options: Any) -> None:
        super().__init__(artifact_uri, *positional, **options)
        self._behind = get_artifact_repository(_inner(artifact_uri))

    # Writing.

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Store a file once.

        Raises:
            MlflowException: PERMISSION_DENIED when other bytes already lie there.
        """
        destination = posixpath.join(artifact_path or "", os.path.basename(local_file))
        if self._has_same(Path(local_file), destination):
            return
        self._behind.log_artifact(str(local_file), artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Store every file of a folder once; all are compared before the first is written."""
        root = Path(local_dir)
        files = [path for path in sorted(root.rglob("*")) if path.is_file()]
        new = [p for p in files if not self._has_same(p, posixpath.join(artifact_path or "", p.relative_to(root).as_posix()))]
        for path in new:
            folder = posixpath.join(artifact_path or "", path.parent.relative_to(root).as_posix())
            self._behind.log_artifact(str(path), None if folder in ("", ".") else posixpath.normpath(folder))

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
        there = self._existing(destination)
        if there is None:
            self._refuse_if_sealed(destination)
            return False
        if digest_file(there) == digest_file(file):
            return True
        raise MlflowException(
            f"kdgov refuses to overwrite {destination}: this store keeps evidence, and other bytes already lie there.",
            error_code=PERMISSION_DENIED,
        )

    def _refuse_if_sealed(self, destination: str) -> None:
        # A bundle's manifest is uploaded last; from then on its folder takes no new file.
        parts = destination.split("/")
        folders = [posixpath.join(*parts[: i + 1]) for i, part in enumerate(parts[:-1]) if part == "evidence"]
        for folder in folders:
            if self._existing(posixpath.join(folder, posixpath.basename(SEAL))) is not None:
                raise MlflowException(f"kdgov refuses to add {destination}: the evidence there is sealed.", error_code=PERMISSION_DENIED)

    def _existing(self, destination: str) -> Path | None:
        names = {item.path: item for item in self._behind.list_artifacts(posixpath.dirname(destination) or None)}
        found = names.get(destination)
        if found is None or found.is_dir:
            return None
        return Path(self._behind.download_artifacts(destination))

    # Reading.

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """As the repository behind lists them."""
        listed: list[FileInfo] = self._behind.list_artifacts(path)
        return listed

    def download_artifacts(self, artifact_path: str, dst_path: str | None = None) -> str:
        """As the repository behind gives them."""
        return str(self._behind.download_artifacts(artifact_path, dst_path))

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self._behind._download_file(remote_file_path, local_path)


def _inner(artifact_uri: str) -> str:
    return artifact_uri.removeprefix(SCHEME)


@contextmanager
def _temporary(artifact_path: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kdgov-") as folder:
        yield Path(folder) / posixpath.basename(artifact_path)
