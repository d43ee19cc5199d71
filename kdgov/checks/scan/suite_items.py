"""The items of a release's suites as texts to look for in the training data."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov.checks.cards.release_inputs import SuiteFile
from kdgov.checks.scan.contamination import WHOLE_TEXT_WORDS, SuiteItem
from kdgov.checks.scan.shards import read_rows
from kdgov.checks.scan.text_fields import Tally
from kdgov.declarations.suite_data import DataInSuite
from kdgov.declarations.suite_parts.suite_options import file_field
from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.digest import digest_file
from kdgov.errors import InputError
from kdgov.hub.suite_data_path import data_path
from kdgov.items.formats.file_kinds import text_lines
from kdgov.items.text_digest import hidden_name
from kdgov.quantities import quantity

_SENTENCE_ENDS = (".", "?", "!", ":", '"', "”")
_BEGINNINGS = ("prefix", "context", "ctx", "sentence", "text", "prompt", "question", "query", "request", "input")
_ENDINGS = ("answer", "secret", "target", "completion", "ending")
_MANY_CHOICES = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteItems:
    """What can be looked for, and what cannot."""

    items: tuple[SuiteItem, ...]
    """The items at hand."""
    absent: tuple[str, ...]
    """``suite/task: reason`` where the items are not at hand."""
    digests: Mapping[str, str]
    """``suite/task`` → digest of its item file."""


def suite_items(suites: Sequence[SuiteFile]) -> SuiteItems:
    """Every item whose text is at hand: tasks with a data file of their own.

    Raises:
        InputError: if an item file cannot be read.
    """
    items: list[SuiteItem] = []
    absent: list[str] = []
    digests: dict[str, str] = {}
    for file in suites:
        for task in file.suite.tasks:
            name = f"{file.suite.name}/{task.task}"
            path, reason = _path_of(task, file.path)
            if path is None:
                absent.append(f"{name}: {reason}")
                continue
            digests[name] = digest_file(path)
            found = list(_items(name, task, path))
            items += found
            if not found:
                absent.append(f"{name}: {path.name} holds no row that could be looked for")
    return SuiteItems(items=tuple(items), absent=tuple(absent), digests=digests)


def _path_of(task: TaskInSuite, suite_file: Path) -> tuple[Path | None, str]:
    if task.data is None:
        return None, "its items come from a hub or from lm-eval itself"
    try:
        path = data_path(task.data, suite_file=suite_file)
    except InputError as error:
        return None, error.what
    return (path, "") if path.is_file() else (None, f"{task.data.called} does not exist")


def item_rows(task: TaskInSuite, suite_file: Path) -> Iterator[tuple[str, Mapping[str, Any], Path]]:
    """Name, row and folder of every item of a task whose items are at hand; nothing of any other task.

    Raises:
        InputError: if the item file cannot be read.
    """
    path, _ = _path_of(task, suite_file)
    if path is not None:
        rows = _rows(task, path)
        yield from ((name, row, path.parent) for name, row in zip(_names(rows, task), rows, strict=True))


def _items(name: str, task: TaskInSuite, path: Path) -> Iterator[SuiteItem]:
    rows = _rows(task, path)
    for identity, value in zip(_names(rows, task), rows, strict=True):
        texts = tuple(dict.fromkeys(text for text in _texts(value, task) if text.strip()))
        yield SuiteItem(key=f"{name}/{identity}", texts=texts)


def items_of_rows(name: str, task: TaskInSuite, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> list[SuiteItem]:
    """The items of a task as texts to look for, from rows that were at hand only later: those of a Hub benchmark."""
    found = []
    for identity, value in rows:
        texts = tuple(dict.fromkeys(text for text in _texts(value, task) if text.strip()))
        found.append(SuiteItem(key=f"{name}/{identity}", texts=texts))
    return found


def _rows(task: TaskInSuite, path: Path) -> list[Mapping[str, Any]]:
    tally = Tally()
    rows: list[Mapping[str, Any]] = []
    for value in _values(path, tally):
        if isinstance(value, Mapping) and _is_wanted(value, task.data):
            renamed = {new: value.get(old) for new, old in task.data.columns.items()} if task.data is not None else {}
            rows.append({**value, **renamed})
    if tally.unreadable_count:
        raise InputError(
            f"has {quantity(tally.unreadable_count, 'line that is', 'lines that are')} not JSON (first: line {tally.unreadable[0]})",
            where=str(path),
            mend="Correct those lines: items that cannot be read cannot be judged either.",
        )
    if task.kind == "replay":
        # The same logged input is one item, however often it came.
        field = str(task.options.get("field", "input"))
        rows = list({str(row.get(field)): row for row in reversed(rows)}.values())[::-1]
    return rows


def _values(path: Path, tally: Tally) -> Iterator[Any]:
    kind = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"][-1:]
    if kind == [".txt"]:
        raw = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
        yield from ({"text": line} for line in text_lines(raw.decode("utf-8-sig", "replace")))
        return
    for row in read_rows(path, tally):
        yield row.value


def _names(rows: Sequence[Mapping[str, Any]], task: TaskInSuite) -> list[str]:
    """Names of the items as the item table has them: their own, else their place among the task's items; hidden where they are personal."""
    given = [row.get(str(task.options.get("id", "id"))) for row in rows]
    if all(isinstance(name, (str, int)) and str(name) for name in given):
        named = [str(name) for name in given]
        return [hidden_name(name) for name in named] if task.sensitive == "personal" else named
    width = len(str(len(rows) - 1))
    return [f"{number:0{width}d}" for number in range(len(rows))]


def _is_wanted(value: Mapping[str, Any], data: DataInSuite | None) -> bool:
    return data is None or all(value.get(key) in allowed for key, allowed in data.where.items())


def _texts(value: Mapping[str, Any], task: TaskInSuite) -> Iterator[str]:
    """Texts whose presence in the training data would give the item away."""
    left_out = {"id", "item_id", task.cluster, task.label, file_field(task.kind, task.options), *task.groups}
    choices = _choices(value)
    for key, entry in value.items():
        if isinstance(entry, str) and key not in left_out and not (key in _ENDINGS and len(entry.split()) < WHOLE_TEXT_WORDS):
            is_beginning = not entry.rstrip().endswith(_SENTENCE_ENDS) and key.lower() in _BEGINNINGS
            # The beginning of a sentence is not the item: "The keys on the table" may be trained on, with another ending.
            yield from (f"{entry} {ending}" for ending in (_endings(value, choices) if is_beginning else ()))
            if not is_beginning or not (choices or _endings(value, ())):
                yield entry
        elif isinstance(entry, list) and key not in left_out and len(entry) <= _MANY_CHOICES:
            yield from (part for part in entry if isinstance(part, str) and len(part.split()) >= WHOLE_TEXT_WORDS)


def _choices(value: Mapping[str, Any]) -> list[str]:
    for key in ("choices", "options", "endings"):
        entry = value.get(key)
        if isinstance(entry, list) and len(entry) <= _MANY_CHOICES and all(isinstance(part, str) for part in entry):
            return entry
    return []


def _endings(value: Mapping[str, Any], choices: Sequence[str]) -> list[str]:
    answers = [value[key] for key in _ENDINGS if isinstance(value.get(key), str)]
    return [*answers, *choices]
