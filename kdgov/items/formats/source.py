"""One file as the readers see it: its first bytes, its document, its lines, its columns, each read once and within limits."""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kdgov.errors import InputError
from kdgov.safe_parse import first_bytes, json_file, json_lines, json_value

_KEPT_BYTES = 8 << 20
"""Of several files, documents up to this size are kept after the readers were asked whose they are; larger ones are parsed again."""


class Source:
    """A file that may hold results."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @functools.cached_property
    def head(self) -> bytes:
        """The first 64 KiB.

        Raises:
            InputError: if the file is empty, unreadable, a Git-LFS pointer or compressed as a whole.
        """
        return first_bytes(self.path)

    @functools.cached_property
    def first_byte(self) -> bytes:
        """The first byte that is no white space and no byte order mark."""
        return self.head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]

    def document(self) -> Any:
        """The value of a file that is one JSON document, kept until `forget`.

        Raises:
            InputError: if it is no JSON, or beyond the limits of `kdgov.safe_parse`.
        """
        if "_document" in self.__dict__:
            return self.__dict__["_document"]
        value = self.__dict__["_document"] = json_file(self.path)
        return value

    def forget(self) -> None:
        """Let go of the document; it is parsed again where somebody asks."""
        self.__dict__.pop("_document", None)
        self.__dict__.pop("first", None)

    @property
    def is_large(self) -> bool:
        """Whether the document is too large to be kept beside others."""
        return self.path.stat().st_size > _KEPT_BYTES

    def records(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Number and object of every record: lines of JSON lines, or entries of one JSON array.

        Raises:
            InputError: naming the line or the entry that is not an object.
        """
        if self.first_byte == b"[":
            listed = self.document()
            entries: Iterator[tuple[int, Any]] = enumerate(listed if isinstance(listed, list) else [listed], start=1)
        else:
            entries = ((number, value) for number, _, value in json_lines(self.path))
        for number, value in entries:
            if not isinstance(value, dict):
                raise InputError(f"record {number} is not a JSON object", where=str(self.path), mend="Write the results again.")
            yield number, value

    @functools.cached_property
    def first(self) -> Mapping[str, Any]:
        """The first record, or the document itself where it is one object; empty where the file holds neither."""
        try:
            if self.first_byte == b"[":
                listed = self.document()
                found = listed[0] if listed else {}
            elif self.first_byte == b"{":
                found = self._first_object()
            else:
                return {}
        except InputError:
            return {}
        return found if isinstance(found, dict) else {}

    def _first_object(self) -> Any:
        line, _, more = self.head.lstrip().partition(b"\n")
        if more or len(self.head) < 1 << 16:
            try:
                return json_value(line, where=str(self.path))
            except InputError:
                pass
        return self.document() if self.path.suffix != ".jsonl" else next(json_lines(self.path))[2]

    @functools.cached_property
    def columns(self) -> Mapping[str, pa.DataType]:
        """Column types of a Parquet file, or the header of a CSV file as text columns; empty for anything else."""
        if self.path.suffix == ".parquet" and self.head.startswith(b"PAR1"):
            try:
                return {field.name: field.type for field in pq.read_schema(self.path)}
            except (pa.ArrowException, OSError, ValueError):
                return {}
        if self.path.suffix == ".csv":
            return dict.fromkeys(self.header, pa.string())
        return {}

    @functools.cached_property
    def header(self) -> tuple[str, ...]:
        """Names in the first line of a CSV file, repeated ones included; empty where it is none."""
        try:
            text = self.head.decode("utf-8-sig", errors="ignore")
            return tuple(next(csv.reader(io.StringIO(text, newline="")), ()))
        except csv.Error:
            return ()
