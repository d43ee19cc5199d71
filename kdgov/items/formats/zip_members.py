"""Members of a zip archive, unpacked within limits; Zstandard members (method 93) as well, which Python's zipfile does not know."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa

from kdgov.errors import InputError
from kdgov.safe_parse import opened

MOST_MEMBER_BYTES = 64 << 20
"""Largest member, unpacked."""
MOST_ARCHIVE_BYTES = 8 << 30
"""Largest sum of all members, unpacked; they are read one at a time."""
MOST_MEMBERS = 2_000_000
ZSTANDARD = 93
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_CHUNK_BYTES = 1 << 20
_FAULTS = (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, struct.error, pa.ArrowException)


class Members:
    """The members of one archive by name."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self.path = path
        self._stream = stream
        self._archive = zipfile.ZipFile(stream)
        self._infos = {info.filename: info for info in self._archive.infolist()}
        self._unpacked = 0
        if len(self._archive.infolist()) > MOST_MEMBERS:
            raise zipfile.BadZipFile(f"it holds more than {MOST_MEMBERS:,} members")
        if len(self._infos) < len(self._archive.infolist()):
            raise zipfile.BadZipFile("two members have one name")

    def names(self) -> list[str]:
        """Names of all members, sorted."""
        return sorted(self._infos)

    def read(self, name: str) -> bytes:
        """One member, unpacked.

        Raises:
            InputError: if it is damaged, or larger than the limits.
        """
        info = self._infos[name]
        parts, size = [], 0
        try:
            for chunk in self._chunks(info):
                size += len(chunk)
                self._unpacked += len(chunk)
                if size > MOST_MEMBER_BYTES or self._unpacked > MOST_ARCHIVE_BYTES:
                    what = f"unpacks to more than {MOST_MEMBER_BYTES >> 20} MiB in {name}"
                    raise InputError(what, where=str(self.path), mend="No log holds so large a sample; write it again.")
                parts.append(chunk)
        except _FAULTS as error:
            raise InputError(f"is damaged in {name}: {error}", where=str(self.path), mend="Copy or write the file again.") from error
        return b"".join(parts)

    def _chunks(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        if info.compress_type != ZSTANDARD:
            with self._archive.open(info) as member:
                while chunk := member.read(_CHUNK_BYTES):
                    yield chunk
            return
        self._stream.seek(info.header_offset)
        start, name, extra = _LOCAL_HEADER.unpack(self._stream.read(_LOCAL_HEADER.size))
        if start != b"PK\x03\x04" or info.flag_bits & 1:
            raise zipfile.BadZipFile("its header is damaged, or it is encrypted")
        self._stream.seek(name + extra, 1)
        packed = self._stream.read(min(info.compress_size, MOST_MEMBER_BYTES))
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as member:
            while chunk := member.read(_CHUNK_BYTES):
                yield chunk


def open_members(path: Path) -> Members:
    """The members of an archive.

    Raises:
        InputError: if the file is not a whole zip archive.
    """
    stream = opened(path)
    try:
        return Members(path, stream)
    except _FAULTS as error:
        stream.close()
        raise InputError(f"is not a whole zip archive: {error}", where=str(path), mend="Copy or write the file again.") from error
