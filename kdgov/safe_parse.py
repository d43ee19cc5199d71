"""Limits that hold before a parser sees a file: size, depth and weight of JSON and YAML, and files that are something else.

Parsers written in C end the process, or take all memory, on input that a person can write in a second: 100 kB of ``[``, 10^400, a
few megabytes that unpack to gigabytes. Every reader of foreign files and every declaration goes through here, so that such a file is
one line of error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import yaml

from kdgov.errors import DeclarationError, Fault, InputError

MOST_DEPTH = 100
"""Deepest nesting of lists and objects that is read."""
MOST_LINE_BYTES = 64 << 20
"""Longest line of a JSON-lines file."""
MOST_DOCUMENT_BYTES = 160 << 20
"""Largest single JSON document."""
MOST_YAML_BYTES = 16 << 20
"""Largest YAML file."""
_MOST_MEMORY = 512 << 20
_COUNTED_BYTES = 1 << 20
# What CPython spends on an empty list, an empty dict and one more entry; a document's memory is below its size plus these.
_LIST_BYTES, _DICT_BYTES, _ENTRY_BYTES = 72, 200, 48
_HALF = re.compile("[\\ud800-\\udfff]")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_LFS = b"version https://git-lfs.github.com/spec/"
_KNOWN_STARTS = ((b"\x1f\x8b", "gzip-compressed"), (b"\x28\xb5\x2f\xfd", "Zstandard-compressed"), (b"BZh", "bzip2-compressed"))


def first_bytes(path: Path, count: int = 1 << 16) -> bytes:
    """The first bytes of a file, once it is shown to be the file itself.

    Raises:
        InputError: if the file is empty, unreadable, a Git-LFS pointer or compressed as a whole.
    """
    with opened(path) as stream:
        head = stream.read(count)
    if not head:
        raise InputError("is empty (0 bytes)", where=str(path), mend="The run that should have written it failed; run it again.")
    if head.startswith(_LFS):
        raise InputError("is a Git-LFS pointer, not the file itself", where=str(path), mend="Run `git lfs pull`, then try again.")
    for start, kind in _KNOWN_STARTS:
        if head.startswith(start):
            raise InputError(f"is {kind} as a whole", where=str(path), mend="Unpack it first.")
    return head


def opened(path: Path) -> IO[bytes]:
    """The file opened for reading bytes.

    Raises:
        InputError: if it is not there or may not be read.
    """
    try:
        return path.open("rb")
    except PermissionError as error:
        raise InputError("cannot be read: permission denied", where=str(path), mend="Check the file's permissions.") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path), mend="Check the path.") from error


def json_file(path: Path) -> Any:
    """The value of a file that is one JSON document.

    Raises:
        InputError: if it is too large, too deep, not UTF-8 or not JSON.
    """
    first_bytes(path, 64)
    size = path.stat().st_size
    if size > MOST_DOCUMENT_BYTES:
        raise InputError(_too_large(size, MOST_DOCUMENT_BYTES), where=str(path), mend="Write the results as JSON lines, or split the run.")
    with opened(path) as stream:
        return json_value(stream.read(), where=str(path))


class RepeatedKeyError(Exception):
    """A key that stands twice in one JSON object, of which readers silently keep the last; its line where it is known."""

    def __init__(self, key: str, line: int = 0) -> None:
        self.key, self.line = key, line

    def fault(self, where: str, line: int = 0) -> InputError:
        """The same as an error at a line of a file."""
        what = f"names the key {self.key[:80]!r} twice, and readers would keep the last alone"
        return fault(where, line or self.line, f"line {line or self.line} {what}" if line or self.line else what, KEEP_ONE)


KEEP_ONE = "Keep the one that is meant, or give the other another name."


def unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, as ``object_pairs_hook`` of `json.loads`; raises `RepeatedKeyError` if it names a key twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise RepeatedKeyError(next(name for name in names if names.count(name) > 1))
    return found


def refuse_half(text: str, value: Any) -> None:
    """Nothing, or the `UnicodeEncodeError` of a value that was written with half a surrogate pair, which is no character."""
    if "\\ud" in text or "\\uD" in text:
        json.dumps(value, ensure_ascii=False).encode("utf-8")


def line_of_repeat(raw: bytes) -> int:
    """The line of a JSON document on which a key stands for the second time in one object; 0 where none does."""
    seen: list[set[str] | None] = []
    for token in _TOKEN.finditer(raw):
        first = raw[token.start()]
        if first in b"[{":
            seen.append(set() if first in b"{" else None)
        elif first in b"]}":
            seen[-1:] = []
        elif seen and seen[-1] is not None and raw[token.end() : token.end() + 200].lstrip()[:1] == b":":
            key = str(json.loads(token[0]))
            if key in seen[-1]:
                return raw.count(b"\n", 0, token.start()) + 1
            seen[-1].add(key)
    return 0


def json_value(data: bytes | str, *, where: str, line: int = 0, may_repeat: bool = False) -> Any:
    """The value of a JSON text whose depth and weight are known to be harmless.

    Args:
        data: the text; bytes are UTF-8.
        where: file, for messages.
        line: its line in the file; 0 for a whole document.
        may_repeat: keep the last of two equal keys of an object, as a server's reply may have them; a file that has them is refused.

    Raises:
        InputError: naming file and line.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    _guard_json(raw, where, line)
    try:
        text = raw.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=None if may_repeat else unique_object)
        refuse_half(text, value)
    except RepeatedKeyError as error:
        raise error.fault(where, line or line_of_repeat(raw)) from error
    except UnicodeDecodeError as error:
        at = line or raw[: error.start].count(b"\n") + 1
        raise fault(where, at, f"is not UTF-8 text (line {at}, byte {error.start})", "Save the file as UTF-8.") from error
    except UnicodeEncodeError as error:
        raise fault(where, line, "holds half a surrogate pair, which is no text", "Write whole Unicode characters.") from error
    except json.JSONDecodeError as error:
        at = line or error.lineno
        mend = "The run that wrote it was killed or the file was edited; write it again."
        raise fault(where, at, f"line {at} is not JSON: {error}", mend) from error
    except ValueError as error:
        if "integer string conversion" not in str(error):
            raise
        raise fault(where, line, "holds a number of thousands of digits", "Every number is one finite float.") from error
    except RecursionError as error:
        raise fault(where, line, f"is nested deeper than {MOST_DEPTH} levels", "No results file is; write it again.") from error
    return value


def json_lines(path: Path) -> Iterator[tuple[int, bytes, Any]]:
    """Line number, bytes and value of every line that is not empty, one at a time.

    Raises:
        InputError: naming the line that is too long, too deep, not UTF-8 or not JSON, or names a key twice.
    """
    first_bytes(path, 64)
    with opened(path) as stream:
        number = 0
        while line := stream.readline(MOST_LINE_BYTES + 1):
            number += 1
            if len(line) > MOST_LINE_BYTES:
                raise fault(str(path), number, f"line {number} is longer than {MOST_LINE_BYTES >> 20} MiB", "One record a line.")
            if line.strip():
                yield number, line, _line_value(line, str(path), number, is_last=not line.endswith(b"\n"))


def _line_value(line: bytes, where: str, number: int, *, is_last: bool) -> Any:
    try:
        return json_value(line, where=where, line=number)
    except InputError as error:
        if is_last and " is not JSON" in error.what:
            raise fault(where, number, error.what.replace("is not JSON", "is cut short", 1), error.mend) from error
        raise


def guard_yaml(text: str, *, file: str) -> None:
    """Nothing, once a YAML text is small and flat enough to be composed.

    The events of the parser come without recursion; only building nodes from them recurses, in C, without a limit.

    Raises:
        InputError: if the text is too large or nested too deep. A syntax error is left to the reader that can word it.
    """
    if len(text) > MOST_YAML_BYTES:
        raise InputError(_too_large(len(text), MOST_YAML_BYTES), where=file, mend="No declaration is so large; name the right file.")
    for kind in (getattr(yaml, "CSafeLoader", yaml.SafeLoader), yaml.SafeLoader):
        try:
            _guard_events(text, kind, file)
            return
        except (yaml.YAMLError, ValueError, RecursionError):
            # What libyaml ends at, such as half a surrogate pair, the plain reader may read on from: it is asked as well.
            continue


def _guard_events(text: str, kind: type[Any], file: str) -> None:
    depth = 0
    starts, ends = (yaml.SequenceStartEvent, yaml.MappingStartEvent), (yaml.SequenceEndEvent, yaml.MappingEndEvent)
    for event in yaml.parse(text, Loader=kind):
        depth += isinstance(event, starts) - isinstance(event, ends)
        line = event.start_mark.line + 1 if event.start_mark else 0
        if depth > MOST_DEPTH:
            raise fault(file, line, f"is nested deeper than {MOST_DEPTH} levels", "No declaration is; name the right file.")
        if isinstance(event, yaml.ScalarEvent) and _HALF.search(event.value):
            raise fault(file, line, "holds half a surrogate pair, which is no character", "Write the text as whole characters.")


def yaml_value(text: str, *, file: str) -> Any:
    """The plain value of a YAML text that no person of this team need have written.

    Raises:
        InputError: if it is too large, too deep, no YAML, or holds a value that its tag does not fit.
    """
    guard_yaml(text, file=file)
    try:
        # The C loader reads the same YAML several times faster; a review of a registry reads thousands of cards.
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader either way
    except (yaml.YAMLError, ValueError, AttributeError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        raise InputError(f"is not valid YAML: {error}", where=file, mend="Save the file as plain UTF-8 YAML.") from error


def fault(where: str, line: int, what: str, mend: str) -> InputError:
    """An error at one line of a file; line 0 stands for the file as a whole."""
    return DeclarationError([Fault(file=where, key="", line=line, what=what, mend=mend)])


def _guard_json(raw: bytes, where: str, line: int) -> None:
    lists, objects = raw.count(b"["), raw.count(b"{")
    weight = len(raw) + lists * _LIST_BYTES + objects * _DICT_BYTES + raw.count(b",") * _ENTRY_BYTES
    if weight > _MOST_MEMORY:
        mend = "Write the results as JSON lines, or split the run."
        raise fault(where, line, f"would take more than {_MOST_MEMORY >> 20} MiB of memory", mend)
    # Python's own parser stops at its recursion limit: in a large document that is enough, and counting levels would be slow.
    if lists + objects > MOST_DEPTH and len(raw) <= _COUNTED_BYTES and _depth(raw) > MOST_DEPTH:
        raise fault(where, line, f"is nested deeper than {MOST_DEPTH} levels", "No results file is; write it again.")


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for token in _TOKEN.finditer(raw):
        first = raw[token.start()]
        if first in b"[{":
            depth += 1
            if depth > deepest:
                deepest = depth
                if deepest > MOST_DEPTH:
                    break
        elif first in b"]}":
            depth -= 1
    return deepest


def _too_large(size: int, most: int) -> str:
    return f"has {size / (1 << 20):,.0f} MiB; at most {most >> 20} MiB are read"
