"""Items from files, with columns renamed and rows chosen as a suite declares; a blank cell that a model would be asked is refused."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdgov.declarations.suite_data import DataInSuite
from kdgov.digest import digest_file, digest_json
from kdgov.errors import InputError
from kdgov.evaluation.plan.author_formats import blank, decoded, leaves, records_of, shaped, side_by_side
from kdgov.evaluation.plan.data_files import document_of, read_rows
from kdgov.hub.suite_data_path import data_path

Row = dict[str, Any]


def read_data(data: DataInSuite, *, suite_file: Path, key: str = "data") -> tuple[list[Row], str]:
    """The rows a suite's data declaration stands for, and the digest of the file they came from.

    Raises:
        InputError: if the file is absent, is not the pinned one, cannot be parsed, or keeps no row.
    """
    path = data_path(data, suite_file=suite_file, key=f"{key}.path")
    if not path.is_file():
        raise InputError(
            f"{key}.path: {data.called!r} does not exist",
            where=str(suite_file),
            # What a variable holds is shown to nobody: whoever writes a suite chooses which one is read.
            mend=f"Put your copy of the data at {data.path if '${' in data.path else path}, or correct the path.",
        )
    try:
        return _read(data, path, suite_file, key)
    except OSError as error:
        what = f"{key}.path: {data.called!r} cannot be read: {error.strerror or error}"
        raise InputError(what, where=str(suite_file), mend="Check the file's permissions.") from error
    except InputError as error:
        if "${" not in data.path:
            raise
        said = [part.replace(str(path), data.path) for part in (error.what, error.where, error.mend)]
        raise InputError(said[0], where=said[1], mend=said[2]) from None


def _read(data: DataInSuite, path: Path, suite_file: Path, key: str) -> tuple[list[Row], str]:
    found = digest_file(path)
    if data.digest is not None and found != data.digest:
        raise InputError(
            f"{key}: {data.called!r} is not the pinned file: it has {found}, the suite pins {data.digest}",
            where=str(suite_file),
            mend="Restore the pinned file, or review the change and pin it with `kdgov suites pin`.",
        )
    rows = _beside(_rows_in(path, data), data, suite_file, key)
    digests = [found] if data.beside is None else [found, digest_file(_second(data, suite_file, key))]
    rows = shaped(rows, data, where=data.called)
    if missing := sorted({c for c in _read_columns(data) if rows and not any(c in row for row in rows)}):
        raise InputError(
            f"{key}: {data.called!r} has no column {', '.join(missing)}",
            where=str(suite_file),
            mend=f"Its columns are {', '.join(sorted(set().union(*rows)))}.",
        )
    kept = [r for r in rows if all(r.get(c) in wanted for c, wanted in data.where.items()) and _in_range(r, data)]
    kept = [{**row, **{c: decoded(row[c]) for c in data.unwrap if c in row}} for row in kept]
    renamed = [{**row, **{new: row.get(old) for new, old in data.columns.items()}} for row in kept]
    renamed = [row for row in renamed if not any(blank(row.get(c)) for c in data.drop_blank)]
    _refuse_blank(renamed, data, suite_file, key)
    if not renamed:
        raise InputError(
            f"{key}: {data.called!r} keeps no row", where=str(suite_file), mend="Check `where`; an empty suite proves nothing."
        )
    return renamed, digests[0] if len(digests) == 1 else digest_json(digests)


def data_facts(data: DataInSuite, digest: str, rows: Sequence[Row]) -> dict[str, Any]:
    """What a plan says of a task's data: digest, rows, and how many its authors publish where the suite says so."""
    published = {} if data.published_rows is None else {"published_rows": data.published_rows}
    said = {} if data.hub is None else {"hub": data.hub, "revision": data.revision if data.is_pinned else None}
    return {"digest": digest, "rows": len(rows), **published, **said}


def _read_columns(data: DataInSuite) -> set[str]:
    """Columns of the file that a declaration reads, under the file's own names; ``a + b`` are two."""
    summed = {name.strip() for column in (*data.above, *data.at_most) for name in column.split(" + ")}
    made = {*data.columns, *([data.melt.into, data.melt.value] if data.melt else [])}
    return {*data.columns.values(), *data.where, *summed, *((set(data.filled) | set(data.drop_blank)) - made)}


def _refuse_blank(rows: Sequence[Row], data: DataInSuite, suite_file: Path, key: str) -> None:
    for number, row in enumerate(rows, start=1):
        if empty := [column for column in data.filled if blank(row.get(column))]:
            raise InputError(
                f"{key}: {data.called!r} has no text in column {data.columns.get(empty[0], empty[0])!r} of row {number} of those kept",
                where=str(suite_file),
                mend="The file is cut short or was edited: get it again from its authors, or take the row out.",
            )


def _in_range(row: Row, data: DataInSuite) -> bool:
    def number(column: str) -> float:
        try:
            return sum(float(row.get(name.strip()) or "nan") for name in column.split(" + "))
        except (TypeError, ValueError):
            return math.nan

    return all(number(c) > limit for c, limit in data.above.items()) and all(number(c) <= limit for c, limit in data.at_most.items())


def _rows_in(path: Path, data: DataInSuite) -> list[Row]:
    if data.records is None and not data.nested:
        return read_rows(path)
    document = document_of(path)
    part = document if data.records is None else records_of(document, data.records, where=str(path))
    if data.nested:
        return leaves(part, data.nested, where=str(path))
    if isinstance(part, list) and all(isinstance(row, dict) for row in part):
        return part
    raise InputError("records: there is no list of objects", where=str(path), mend="Name the keys that lead to the list.")


def _second(data: DataInSuite, suite_file: Path, key: str) -> Path:
    path = data_path(data.model_copy(update={"path": str(data.beside)}), suite_file=suite_file, key=f"{key}.beside")
    if not path.is_file():
        raise InputError(
            f"{key}.beside: {data.beside!r} does not exist", where=str(suite_file), mend="Put the second file there, or correct the path."
        )
    return path


def _beside(rows: list[Row], data: DataInSuite, suite_file: Path, key: str) -> list[Row]:
    if data.beside is None:
        return rows
    others = _rows_in(_second(data, suite_file, key), data)
    if data.pattern is not None or data.remove is not None:
        others = shaped(others, data.model_copy(update={"columns": {}, "pivot": None, "melt": None}), where=str(data.beside))
    return side_by_side(rows, others, "beside_", where=str(suite_file))


def draw(keys: Sequence[str], *, limit: int | None, seed: int) -> list[int]:
    """Positions of ``limit`` items drawn by hash, in their own order; all of them where there is no limit.

    The draw depends on an item's own key only, so adding or removing other items never changes who is compared with whom
    by position, and it is never the first ones of a sorted file.
    """
    if limit is None or limit >= len(keys):
        return list(range(len(keys)))
    ranked = sorted(range(len(keys)), key=lambda i: (hashlib.sha256(f"{seed}:{keys[i]}".encode()).digest(), i))
    return sorted(ranked[:limit])


def group_of(doc: Mapping[str, Any], fields: Sequence[str], *, task: str) -> dict[str, str]:
    """Group attributes of an item.

    Raises:
        InputError: if the item lacks a declared attribute: a silently absent group would never be judged.
    """
    group = {}
    for name in fields:
        if blank(doc.get(name)):
            raise InputError(
                f"groups: an item has no value for {name!r}", where=task, mend=f"Its fields are {', '.join(sorted(map(str, doc)))}."
            )
        group[name] = str(doc[name])
    return group
