"""Reading distillation data: one shape per example whatever shape and file format people keep it in; every fault at once, by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kdgov.checkpoints.digests import remembered_digest
from kdgov.checks.scan.shards import read_rows
from kdgov.checks.scan.text_fields import Tally
from kdgov.declarations.data_parts.data_use import ColumnNames, DataUse, lacking, mapped
from kdgov.declarations.data_parts.feature_names import classes_in
from kdgov.declarations.suite_parts.media_folders import as_data_file
from kdgov.digest import digest_json
from kdgov.distillation.data.paragraphs import paragraphs
from kdgov.distillation.data.row_shapes import content_of
from kdgov.distillation.data.turns import RowError
from kdgov.errors import DeclarationError, Fault, InputError
from kdgov.items.formats.file_kinds import FORMATS, FileKind, kind_of
from kdgov.safe_parse import RepeatedKeyError

_FAULTS_SHOWN = 20
_AT_ONCE = 1024
_LABELS = ("label", "labels", "tags", "ner_tags")
_QUOTES = 'Put a field that holds the delimiter, a quote or a line break between quotes, and write a quote inside as "".'


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One thing to learn from."""

    item_id: str
    """Name in messages: the file's own ``id``, else ``<file>:<line>``."""
    prompt: str = ""
    """What precedes the completion; empty where all text counts alike."""
    completion: str = ""
    """What is to be learnt: the completion, or the whole text."""
    second: str = ""
    """Second text of a pair, for classifiers and rerankers; the context of a question."""
    third: str = ""
    """What a reranker should score lower than ``second``."""
    words: tuple[str, ...] = ()
    """Words of a token classifier's text."""
    tags: tuple[int | str, ...] = ()
    """A class number or name per word; empty where only the teacher counts."""
    span: tuple[int, int] | None = None
    """Characters of ``second`` that answer the question, (0, 0) where nothing does; None where it is not said."""
    messages: tuple[Mapping[str, Any], ...] = ()
    """A conversation with an answer in it, put into the tokenizer's chat template; then prompt and completion are empty."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """Tools a conversation may call, as JSON schemas; the template renders them."""
    classes: tuple[str, ...] = ()
    """Names of the classes that numbers under ``label`` or ``tags`` stand for, where the file says them."""
    label: int | str | float | tuple[float, ...] | None = None
    """Class number or name, score, or one number per label of a multi-label classifier; None where it has none."""
    file: str = ""
    """Image or audio file of a classifier's example."""
    weight: float = 1.0
    """Factor of this example's weight."""
    is_cut: bool = False
    """Whether its answer was cut short where it was written: it is learnt without an end of text."""

    @property
    def awaits_answer(self) -> bool:
        """Whether it is a prompt only: nothing to learn before somebody has answered it."""
        if self.messages:
            return str(self.messages[-1]["role"]) != "assistant"
        return not (self.completion or self.file or self.words or self.second)

    @property
    def digest(self) -> str:
        """Digest of the content a teacher sees."""
        seen: list[Any] = [self.prompt, self.completion, [dict(message) for message in self.messages], self.file]
        # Only where there are any: a teacher cache made before pairs and tools were read stays valid.
        extra: list[Any] = [self.second, [dict(tool) for tool in self.tools]] if self.second or self.tools else []
        further: list[Any] = [self.third, list(self.words)] if self.third or self.words else []
        return digest_json([*seen, *extra, *further])


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamplesRead:
    """Examples of some files, and what of them is not learnt from."""

    examples: tuple[Example, ...]
    """In the order of the files."""
    ignored_keys: Mapping[str, int] = field(default_factory=dict)
    """Key of a line that is not learnt from, such as ``source`` → lines that have it."""


def stretches(examples: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Examples a stretch at a time: what a tokenizer says of a text takes many times the room of the ids that are kept."""
    for start in range(0, len(examples), _AT_ONCE):
        yield examples[start : start + _AT_ONCE]


def read_examples(paths: Sequence[Path], *, as_prompts: bool = False, uses: Sequence[DataUse] = ()) -> list[Example]:
    """All examples of some files, in order; see `read_data`."""
    return list(read_data(paths, as_prompts=as_prompts, uses=uses).examples)


def read_data(paths: Sequence[Path], *, as_prompts: bool = False, uses: Sequence[DataUse] = ()) -> ExamplesRead:
    """All examples of some files, in order, with the keys that were not learnt from.

    A line holds ``text``, or ``prompt`` and ``completion``, or ``messages`` (also TRL's conversational pairs, ShareGPT's
    ``conversations``, Alpaca's ``instruction``/``input``/``output``), or ``text``/``image``/``audio`` with ``label``; optional
    ``id``, ``weight``, ``tools``. A text file holds one example per paragraph.

    Args:
        paths: files, in order.
        as_prompts: whether a conversation may end in a turn that a teacher is to answer.
        uses: weight and columns per file; empty: as they are.

    Raises:
        InputError: if a file is absent, unreadable or holds no example; `DeclarationError` names every wrong line.
    """
    examples: list[Example] = []
    faults: list[Fault] = []
    ignored: Counter[str] = Counter()
    for path, use in zip(paths, uses or [DataUse()] * len(paths), strict=True):
        count = 0
        for found in _examples_of(path, ignored, as_prompts, use.columns):
            count += 1
            if isinstance(found, Fault):
                faults.append(found)
            else:
                examples.append(_weighed(found, path, use.weight))
        if not count:
            faults.append(Fault(file=str(path), key="", what="holds no example", mend="Add lines to it, or leave it out of `data:`."))
    if faults:
        raise DeclarationError(faults[:_FAULTS_SHOWN])
    return ExamplesRead(examples=tuple(examples), ignored_keys=dict(sorted(ignored.items())))


def unique_names(paths: Sequence[Path]) -> dict[str, Path]:
    """Files by name; those that share one by as much of their path as tells them apart."""
    named: dict[str, Path] = {}
    for path in dict.fromkeys(paths):
        others = [other.parts for other in dict.fromkeys(paths) if other != path]
        length = next((n for n in range(1, len(path.parts)) if all(other[-n:] != path.parts[-n:] for other in others)), len(path.parts))
        named["/".join(path.parts[-length:])] = path
    return named


def media_of(examples: Sequence[Example]) -> dict[str, str]:
    """One digest over the bytes of every image and sound that examples name; nothing where they name none."""
    named = {example.item_id: Path(example.file) for example in examples if example.file}
    files = {name: remembered_digest(path) for name, path in named.items() if path.is_file()}
    return {"images and sounds": digest_json(files)} if files else {}


def uses_as_text(paths: Sequence[Path], uses: Sequence[DataUse]) -> list[str]:
    """What the uses of files add to what decides a run: nothing where all weigh 1 and are read as they are."""
    names = {path: name for name, path in unique_names(paths).items()}
    weighed = [f"{names[path]} weighs {use.weight!r}" for path, use in zip(paths, uses, strict=False) if use.weight != 1]
    return weighed + [f"{names[path]} reads {sorted(use.columns.items())!r}" for path, use in zip(paths, uses, strict=False) if use.columns]


def _weighed(example: Example, path: Path, weight: float) -> Example:
    if weight == 1:
        return example
    if example.awaits_answer:
        what = f"item {example.item_id} awaits an answer, and `weight: {weight:g}` of its data entry would not reach that"
        raise InputError(what, where=str(path), mend="Give the `teacher_text` term the `weight`, and leave it out of the entry.")
    return replace(example, weight=example.weight * weight)


def _examples_of(path: Path, ignored: Counter[str], as_prompts: bool, columns: ColumnNames) -> Iterator[Example | Fault]:
    path = as_data_file(path)
    kind = kind_of(path)
    if columns and (lacks := _lacking(path, kind, columns)):
        yield Fault(file=str(path), key="columns", what=lacks, mend="Correct the name under `columns:`, or leave it out.")
        return
    tally, classes = Tally(repeated=[]), _classes_of(path, columns)
    if kind == "text":
        yield from (
            Example(item_id=f"{path.name}#{number}", completion=part) for number, part in enumerate(paragraphs(path, tally), start=1)
        )
    for row in read_rows(path, tally) if kind != "text" else ():
        if row.value is None:
            continue
        value = {key: _without_nulls(one) for key, one in row.value.items()} if kind == "parquet" else row.value
        value = mapped(value, columns) if columns and isinstance(value, dict) else value
        found = _example(value, path, row.number, ignored, as_prompts)
        yield replace(found, classes=classes) if classes and isinstance(found, Example) else found
    yield from _told(path, kind, tally)


def _told(path: Path, kind: FileKind, tally: Tally) -> Iterator[Fault]:
    """What a reader had to note of a file."""
    for number in tally.unreadable:
        what, mend = (
            ("opens a quote that is not closed", _QUOTES)
            if kind == "table"
            else ("is not JSON of whole characters", "Write one JSON object per line.")
        )
        yield Fault(file=str(path), key="", line=number, what=what, mend=mend)
    for number, key in tally.repeated or ():
        yield RepeatedKeyError(key, number).fault(str(path)).faults[0]
    if tally.long_lines:
        yield Fault(
            file=str(path),
            key="",
            what="holds a line too long to be one example, or an array that is cut or broken",
            mend=f"Split or mend it. Formats read: {FORMATS}.",
        )
    if tally.invalid_utf8:
        yield Fault(file=str(path), key="", what="is not UTF-8 text", mend=f"Save the file as UTF-8. Formats read: {FORMATS}.")


def _classes_of(path: Path, columns: ColumnNames) -> tuple[str, ...]:
    """Names of the classes that a file gives for the numbers of its labels or tags."""
    named = classes_in(path)
    return next((named[str(column)] for key in _LABELS if (column := columns.get(key, key)) in named), ())


def _lacking(path: Path, kind: FileKind, columns: ColumnNames) -> str:
    """What is wrong with the columns that an entry names; empty where every one stands in a line."""
    if kind == "text":
        return "is plain text, which has no columns"
    left = {column for column in columns.values() if column is not None}
    known: dict[str, None] = {}
    for row in read_rows(path, Tally(repeated=[])):
        if isinstance(row.value, dict):
            left &= lacking(row.value, columns)
            known |= dict.fromkeys(map(str, row.value))
        if not left:
            return ""
    return f"has no column {', '.join(map(repr, sorted(left)))}; it has {', '.join(known)}" if left and known else ""


def _without_nulls(value: Any) -> Any:
    """A value of a table without the keys that other rows alone have: a column of objects holds those of all, some empty."""
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) and value and isinstance(value[0], dict) else value


def _example(row: Any, path: Path, number: int, ignored: Counter[str], as_prompts: bool) -> Example | Fault:
    if isinstance(row, dict) and "…" in row:
        # What stands in whose column is not known: `Hi, there,Yes` may be two fields or three.
        return Fault(file=str(path), key="", line=number, what=f"has more fields than the header names: {row['…']}", mend=_QUOTES)
    try:
        content = content_of(row, as_prompts=as_prompts)
    except RowError as fault:
        return Fault(file=str(path), key=fault.key, line=number, what=fault.what, mend=fault.mend)
    ignored.update(content.ignored)
    fields = dict(content.fields)
    if "file" in fields:
        fields["file"] = str(path.parent / str(fields["file"]))
    return Example(item_id=content.name or f"{path.name}:{number}", **fields)
