"""Write an object only where none is: S3's own condition, so that of two writers at once one is told that it is second."""

from __future__ import annotations

import mimetypes
import posixpath
from pathlib import Path
from typing import Any

from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

LARGEST_PUT_BYTES = 5_000_000_000
"""What S3 takes in one request; larger files go up in parts, which know no such condition everywhere."""
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict")
_UNKNOWN = ("NotImplemented", "InvalidArgument", "InvalidRequest")


def put_new(repository: Any, file: Path, destination: str) -> bool | None:
    """Upload a file unless its place is taken.

    Args:
        repository: MLflow's, of any kind of store.
        file: what to upload.
        destination: path inside the repository.

    Returns:
        False when it was written, True when the place was taken, None when this store knows no such condition (nothing was written).
    """
    if not isinstance(repository, S3ArtifactRepository) or file.stat().st_size > LARGEST_PUT_BYTES:
        return None
    from botocore.exceptions import ClientError, ParamValidationError  # noqa: PLC0415 - an extra, needed with S3 only

    bucket, prefix = repository.parse_s3_compliant_uri(repository.artifact_uri)
    kind, encoding = mimetypes.guess_type(posixpath.basename(destination))
    # As MLflow's own upload says it, so that an object is the same whichever way it went.
    said = {"ContentType": kind, "ContentEncoding": encoding, **getattr(repository, "_bucket_owner_params", {})}
    said |= repository.get_s3_file_upload_extra_args() or {}
    try:
        with file.open("rb") as body:
            repository._get_s3_client().put_object(
                **{name: value for name, value in said.items() if value is not None},
                Bucket=bucket,
                Key=posixpath.join(prefix, destination),
                Body=body,
                IfNoneMatch="*",
            )
    except ParamValidationError:
        return None
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _UNKNOWN:
            return None
        if code in _TAKEN:
            return True
        raise
    return False
