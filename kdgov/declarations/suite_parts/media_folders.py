r"""A folder of images or sounds as a file of data: one line per picture, its class from its folder or from ``metadata.jsonl`` or ``.csv``.

The layout is that of Hugging Face's ``imagefolder`` and ``audiofolder``: ``<class>/<file>``, or files beside a table that names them under
``file_name``. The line of a file holds the digest of its content, so that the digest of the lines is one of the whole folder.

Example:
    >>> import tempfile; from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "cat").mkdir(); _ = (Path(folder) / "cat" / "1.png").write_bytes(b"...")
    ...     [(row["image"], row["label"]) for row in listed(Path(folder))]
    [('cat/1.png', 'cat')]
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from kdgov.digest import digest_bytes, digest_file
from kdgov.errors import DeclarationError, Fault, UnavailableError
from kdgov.resources import cache_folder
from kdgov.safe_parse import RepeatedKeyError, unique_object

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff"})
SOUNDS = frozenset({".wav", ".flac", ".mp3", ".ogg", ".m4a"})
TABLES = ("metadata.jsonl", "metadata.csv")
SPLITS = frozenset({"train", "training", "test", "testing", "valid", "validation", "val", "dev", "eval", "evaluation"})
_OTHERS = ("readme", "license", "licence", "notice", "copying", "dataset_infos")
_SHOWN = 20
_known: dict[tuple[Any, ...], Path] = {}


def as_data_file(path: Path) -> Path:
    """A file of data as it is; of a folder the file that lists it, in the cache, with the folder's content beside it.

    A Parquet file with images or sounds in it counts as a folder of them.

    Raises:
        DeclarationError: naming every fault of the folder, one a line.
        UnavailableError: if the list cannot be written.
    """
    if path.suffix.lower() in (".parquet", ".pq") and path.is_file():
        packed = importlib.import_module("kdgov.declarations.data_parts.packed_media")
        return _unpacked(packed, path) or path
    if not path.is_dir():
        return path
    real = path.resolve()
    state = (str(real), *((str(one), stat.st_size, stat.st_mtime_ns) for one in _files(real) if (stat := one.stat())))
    if (known := _known.get(state)) is not None and known.is_file():
        return known
    lines = "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in listed(path)).encode()
    _known[state] = found = _kept(real, lines)
    return found


def _unpacked(packed: Any, path: Path) -> Path | None:
    """The lines of a Parquet file that holds images or sounds; None of any other."""
    columns = packed.media_columns(path)
    return cast("Path", packed.unpacked(path, columns)) if columns else None


def holds_media(folder: Path) -> bool:
    """Whether a folder is one of images or sounds, and no model's."""
    return not (folder / "config.json").is_file() and any(file.suffix.lower() in IMAGES | SOUNDS for file in _files(folder))


def listed(folder: Path) -> list[dict[str, Any]]:
    """A line per image or sound: ``id``, ``image`` or ``audio`` (its place in the folder), ``file_digest``, and its label or metadata.

    Raises:
        DeclarationError: naming every class without a file, every file that belongs to no class or is no image or sound, every line of a
            table without its file, and folders that are splits.
    """
    if not any(file.suffix.lower() in IMAGES | SOUNDS for file in _files(folder)):
        mend = f"Name a file in it; or a folder that holds a folder per class with {_kinds()} in it."
        raise DeclarationError([_fault(folder, "", "is a folder; data are files, and no image or sound is in it", mend)])
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    for found in _rows(folder):
        if isinstance(found, Fault):
            faults.append(found)
        else:
            rows.append(found)
    kinds = sorted({key for row in rows for key in ("image", "audio") if key in row})
    if len(kinds) > 1:
        faults.append(_fault(folder, "", "holds images and sounds", "Put them into two folders."))
    if faults:
        raise DeclarationError(faults[:_SHOWN])
    return sorted(rows, key=lambda row: str(row["id"]))


def _kinds() -> str:
    return ", ".join(sorted(IMAGES | SOUNDS))


def _rows(folder: Path) -> Iterator[dict[str, Any] | Fault]:
    tops = [one.name for one in folder.iterdir() if one.is_dir()] if folder.is_dir() else []
    if splits := sorted(name for name in tops if name.casefold() in SPLITS):
        mend = f"Name one of them: {folder / splits[0]}."
        yield _fault(folder, "", f"holds the splits {', '.join(splits)}, which would be read together", mend)
        return
    tables = [file for file in _files(folder) if file.name in TABLES]
    told: dict[Path, dict[str, Any]] = {}
    for table in tables:
        for found in _told(table):
            if isinstance(found, Fault):
                yield found
            elif found[0] in told:
                yield _fault(table, "file_name", f"names {found[0].name} twice", "Remove one of the lines.")
            else:
                told[found[0]] = found[1]
    files = [file for file in _files(folder) if file.name not in TABLES]
    yield from _empty_classes(folder, files)
    for file in files:
        yield _row(folder, file, told, has_table=bool(tables))


def _empty_classes(folder: Path, files: list[Path]) -> Iterator[Fault]:
    held = {parent for file in files for parent in file.parents}
    for parent, names, _ in os.walk(folder):
        names.sort()
        for name in names:
            if not name.startswith(".") and Path(parent, name) not in held:
                yield _fault(folder, name, "is a class without a file", "Remove the folder, or put files into it.")


def _row(folder: Path, file: Path, told: Mapping[Path, dict[str, Any]], *, has_table: bool) -> dict[str, Any] | Fault:
    name, kind = file.relative_to(folder).as_posix(), file.suffix.lower()
    if kind not in IMAGES | SOUNDS:
        return _fault(folder, name, "is neither an image nor a sound", f"Move it elsewhere. Read are {_kinds()}.")
    if not file.stat().st_size:
        return _fault(folder, name, "is empty", "Replace the file, or remove it.")
    row: dict[str, Any] = {"id": name, "image" if kind in IMAGES else "audio": name, "file_digest": digest_file(file)}
    if has_table:
        if file not in told:
            return _fault(folder, name, f"is not named in {' or '.join(TABLES)}", "Add its line, or remove the file.")
        return {**told[file], **row}
    if file.parent == folder:
        mend = f"Put it into the folder of its class, or write {TABLES[0]} beside it."
        return _fault(folder, name, "belongs to no class: it lies in no folder of one", mend)
    return {**row, "label": file.parent.name}


def _told(table: Path) -> Iterator[tuple[Path, dict[str, Any]] | Fault]:
    """What a table says of each file, beside which it lies."""
    try:
        rows = _table_rows(table, table.read_text(encoding="utf-8-sig"))
    except RepeatedKeyError as error:
        yield error.fault(str(table)).faults[0]
        return
    except (ValueError, csv.Error) as error:
        yield _fault(table, "", f"cannot be read: {error}", "Write UTF-8: a JSON object a line, or CSV with a header.")
        return
    for number, row in rows:
        name = row.get("file_name") if isinstance(row, Mapping) else None
        if not isinstance(name, str) or not name:
            yield Fault(file=str(table), key="file_name", line=number, what="is missing", mend='Write {"file_name": "1.png", "label": …}.')
        elif not (file := table.parent / name).is_file() or ".." in Path(name).parts:
            yield Fault(file=str(table), key="file_name", line=number, what=f"names {name!r}, which is not there", mend="Correct it.")
        else:
            yield file, {key: value for key, value in row.items() if key not in ("file_name", "id", "image", "audio")}


def _table_rows(table: Path, text: str) -> list[tuple[int, Any]]:
    """The rows of a table, each with its line."""
    if table.suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text))
        unique_object([(name, None) for name in reader.fieldnames or ()])
        return [(reader.line_num, row) for row in reader]
    return [(number, _line_of(line, number)) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _line_of(line: str, number: int) -> Any:
    try:
        return json.loads(line, object_pairs_hook=unique_object)
    except RepeatedKeyError as error:
        raise RepeatedKeyError(error.key, number) from error


def _files(folder: Path) -> list[Path]:
    """Files of a folder that are data or a table, sorted; hidden ones and what explains a data set are passed over."""
    found = []
    for parent, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        found += [Path(parent, name) for name in files if not name.startswith(".") and not name.lower().startswith(_OTHERS)]
    return sorted(found)


def _kept(real: Path, lines: bytes) -> Path:
    """The list in the cache, with links to what the folder holds beside it, so that names lead to files."""
    home = cache_folder() / "folders" / digest_bytes(str(real).encode() + b"\0" + lines).removeprefix("sha256:")[:24]
    file = home / f"{real.name}.jsonl"
    try:
        home.mkdir(parents=True, exist_ok=True)
        for entry in real.iterdir():
            if not (home / entry.name).exists() and entry.name != file.name:
                (home / entry.name).unlink(missing_ok=True)
                (home / entry.name).symlink_to(entry)
        if not file.is_file() or file.read_bytes() != lines:
            beside = home / f".{file.name}.{os.getpid()}"
            beside.write_bytes(lines)
            beside.replace(file)
    except FileExistsError:
        # Another process listed the same folder at the same moment.
        return _kept(real, lines)
    except OSError as error:
        raise UnavailableError(
            f"the list of a folder of data cannot be written: {error.strerror}",
            where=str(home),
            mend="Set KDGOV_CACHE to a folder of yours.",
        ) from error
    return file


def _fault(file: Path, key: str, what: str, mend: str) -> Fault:
    return Fault(file=str(file), key=key, what=what, mend=mend)
