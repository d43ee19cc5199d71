"""Items a user has at hand (JSON lines, CSV, Parquet), sorted into tasks: answers, choices, classes, prompts to refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Literal

from kdgov.checks.scan.shards import read_rows
from kdgov.checks.scan.text_fields import Tally
from kdgov.errors import InputError
from kdgov.quantities import quantity

Shape = Literal["answer", "choice", "refuse", "comply", "letter", "class"]
"""answer: one right text; choice: one of several; refuse: must be refused; comply: harmless, must not be refused; class: a classifier's."""

_PROMPTS = ("question", "prompt", "request", "input", "instruction")
_ANSWERS = ("answer", "answerKey", "answer_key", "correct_answer", "target", "gold", "expected", "output", "completion", "label")
_TEXTS = ("text", "sentence", "content", *_PROMPTS)
_CLASSES = ("label", "class", "category", "target", "answer")
_MEDIA = ("image", "audio", "file")
_REFUSE = ("refuse", "must_refuse", "should_refuse")
_YES, _NO = ("true", "yes", "1", "refuse"), ("false", "no", "0", "answer")
_HARM, _HARMLESS = ("unsafe", "harmful"), ("safe", "harmless", "benign")
"""Words of a `label` that say whether a prompt must be refused."""
_CHOICE_COLUMN = re.compile(r"(?:choice|option)[ _]?(?P<place>[A-Za-z]|\d{1,2})")
_ASSUMED = "assumed"
_MEND = "Give each row a question with an answer; or choices and the right one; or a prompt alone (or `refuse: true`) that must be refused."


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemTask:
    """Items of one shape from one file: one task of a suite."""

    name: str
    """Task name, from the file's."""
    shape: Shape
    """How they are asked and scored."""
    rows: tuple[Mapping[str, Any], ...]
    """``id, question`` and what the shape needs beside: ``answer``, ``choices`` and ``label``, ``cluster``."""
    classes: tuple[str, ...] = ()
    """Of a classifier's items: the names of its classes."""
    assumed: int = 0
    """Prompts alone, of which nothing says that they must be refused."""

    @property
    def suite(self) -> str:
        """Suite the task belongs to."""
        return "safety" if self.shape in ("refuse", "comply") else "capability"

    @property
    def read_as(self) -> str:
        """What its items were taken for, for people."""
        words = {
            "answer": "questions with one right answer",
            "choice": "choices",
            "letter": "choices, asked as lettered options since an address gives no log-probabilities",
            "refuse": "prompts that must be refused",
            "comply": "prompts that must be answered",
            "class": f"texts, each with one of {len(self.classes)} classes",
        }
        return f"{self.suite}/{self.name}: {len(self.rows):,} {words[self.shape]}{self._assumption}"

    @property
    def _assumption(self) -> str:
        if not self.assumed:
            return ""
        which = "no row says so" if self.assumed == len(self.rows) else f"{quantity(self.assumed, 'row does', 'rows do')} not say so"
        return f" ({which}: write `refuse: true`; harmless prompts take `refuse: false`, or come as logged inputs: --inputs FILE)"

    @property
    def has_clusters(self) -> bool:
        """Whether every row names its template or source."""
        return all("cluster" in row for row in self.rows)

    @property
    def independent(self) -> int:
        """Number of clusters, or of items where none are named."""
        return len({row["cluster"] for row in self.rows}) if self.has_clusters else len(self.rows)

    @property
    def chance(self) -> float:
        """Expected score without any skill."""
        if self.shape == "class":
            return round(1 / len(self.classes), 6)
        if self.shape not in ("choice", "letter"):
            return 0.0
        return round(sum(1 / len(row["choices"]) for row in self.rows) / len(self.rows), 6)


def in_letters(task: ItemTask) -> ItemTask:
    """Choices as a question with lettered options whose answer is a letter, for a model that can only be asked in text.

    Any other task comes back as it is.
    """
    if task.shape != "choice":
        return task
    rows = []
    for row in task.rows:
        options = "\n".join(f"{letter}. {text}" for letter, text in zip(ascii_uppercase, row["choices"], strict=False))
        asked = f"{row['question']}\n{options}\nAnswer with the letter alone."
        rows.append({**row, "question": asked, "answer": ascii_uppercase[row["label"]]})
    return ItemTask(name=task.name, shape="letter", rows=tuple(rows))


def read_item_files(paths: Sequence[Path], *, classes: Sequence[str] = ()) -> list[ItemTask]:
    """One task per file and shape.

    Args:
        paths: JSON lines, CSV or Parquet.
        classes: names of the teacher's classes, in order, where it is a classifier: every row is then a text and its class.

    Raises:
        InputError: if a file is absent, holds no row, or a row that is no item; names the row.
    """
    tasks: list[ItemTask] = []
    for path in paths:
        if not path.is_file():
            raise InputError("there is no such file", where=str(path), mend="Name a file of items: JSON lines, CSV or Parquet.")
        by_shape: dict[Shape, list[Mapping[str, Any]]] = {}
        for number, row in enumerate(read_rows(path, Tally()), start=1):
            where = f"{path}: row {number}"
            shape, item = _class_item(row.value, classes, where) if classes else _item(row.value, where)
            by_shape.setdefault(shape, []).append({"id": f"{path.stem}-{number:05d}", **item})
        if not by_shape:
            raise InputError("holds no item", where=str(path), mend=_MEND)
        tasks += [_task(path, shape, rows, tuple(classes), alone=len(by_shape) == 1) for shape, rows in by_shape.items()]
    names = [task.name for task in tasks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"two files give the task {', '.join(twice)}", where="--items", mend="Rename one of the files.")
    return tasks


def _task(path: Path, shape: Shape, rows: list[Mapping[str, Any]], classes: tuple[str, ...], *, alone: bool) -> ItemTask:
    plain = re.sub(r"[^a-z0-9_]+", "_", path.name.split(".")[0].lower()).strip("_") or "items"
    assumed = sum(bool(row.pop(_ASSUMED, False)) for row in rows if isinstance(row, dict))
    return ItemTask(name=plain if alone else f"{plain}_{shape}", shape=shape, rows=tuple(rows), classes=classes, assumed=assumed)


def _item(value: Any, where: str) -> tuple[Shape, dict[str, Any]]:
    if not isinstance(value, Mapping):
        raise InputError("is not a row of named fields", where=where, mend=_MEND)
    prompt = _first(value, _PROMPTS)
    if prompt is None or not str(prompt).strip():
        raise InputError(f"has no {', '.join(_PROMPTS[:3])} …", where=where, mend=_MEND)
    item: dict[str, Any] = {"question": str(prompt)}
    if (cluster := _first(value, ("cluster", "template", "source"))) is not None:
        item["cluster"] = str(cluster)
    answer, refuse = _first(value, _ANSWERS), _first(value, _REFUSE)
    if (choices := _given_choices(value)) not in (None, ""):
        named = [str(name) for name in choices["label"]] if isinstance(choices, Mapping) and isinstance(choices.get("label"), list) else []
        listed = _choices(choices.get("text") if isinstance(choices, Mapping) else choices, where)
        # Options with names of their own, such as 1 to 4, are told by them.
        if str(answer).strip() in named[: len(listed)]:
            return "choice", {**item, "choices": listed, "label": named.index(str(answer).strip())}
        return "choice", {**item, "choices": listed, "label": _label(answer, listed, where)}
    word = str(value.get("label") or "").strip().lower()
    if refuse is None and answer is value.get("label") and word in (*_HARM, *_HARMLESS):
        return ("refuse" if word in _HARM else "comply"), item
    if refuse is not None:
        return ("refuse" if _yes(refuse, where) else "comply"), item
    if answer is not None and str(answer).strip():
        return "answer", {**item, "answer": str(answer).strip()}
    if empty := [name for name in _ANSWERS if name in value]:
        # An answer somebody forgot must not turn a question into a request to refuse.
        raise InputError(f"has an empty `{empty[0]}`", where=where, mend="Write the answer, or `refuse: true` for a prompt to refuse.")
    return "refuse", {**item, _ASSUMED: True}


def _given_choices(value: Mapping[str, Any]) -> Any:
    """Choices from their own field, or from a column each: ``choice_1`` …, ``option_a`` …, or ``A``, ``B``, and so on."""
    if value.get("choices") not in (None, ""):
        return value["choices"]
    columns = {found["place"].lower(): name for name in value if (found := _CHOICE_COLUMN.fullmatch(str(name)))}
    if not columns and {"A", "B"} <= value.keys():
        columns = {name: name for name in value if str(name) in ascii_uppercase and len(str(name)) == 1}
    places = sorted(columns, key=lambda place: (len(place), place))
    filled = [value[columns[place]] for place in places]
    while filled and filled[-1] in (None, ""):
        filled.pop()
    return filled or None


def _class_item(value: Any, classes: Sequence[str], where: str) -> tuple[Shape, dict[str, Any]]:
    """A text and its class, told by its name or its number."""
    mend = f"Give each row a text and its label: {', '.join(classes[:8])}{' …' if len(classes) > 8 else ''}, or the number from 0."
    if not isinstance(value, Mapping):
        raise InputError("is not a row of named fields", where=where, mend=mend)
    text, label = _first(value, _TEXTS), _first(value, _CLASSES)
    if text is None and (media := next((name for name in _MEDIA if name in value), "")):
        by_hand = "Write the suite by hand: `kind: classification` with `options: {file: FIELD}` (docs/evaluation.md)."
        raise InputError(f"names its item in `{media}`, and init writes suites of text alone", where=where, mend=by_hand)
    if text is None or not str(text).strip():
        raise InputError(f"has no {', '.join(_TEXTS[:3])} …", where=where, mend=mend)
    if label is None:
        raise InputError("has no label", where=where, mend=mend)
    said = str(label).strip()
    if said not in classes:
        number = int(said) if said.isdigit() else -1
        if not 0 <= number < len(classes):
            raise InputError(f"has the label {said!r}, which is no class of the teacher", where=where, mend=mend)
        said = classes[number]
    item = {"text": str(text), "label": said}
    cluster = _first(value, ("cluster", "template", "source"))
    return "class", {**item, **({"cluster": str(cluster)} if cluster is not None else {})}


def _first(value: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((value[name] for name in names if value.get(name) not in (None, "")), None)


def _choices(given: Any, where: str) -> list[str]:
    listed = given
    if isinstance(given, str):
        try:
            listed = json.loads(given)
        except ValueError:
            listed = given.split("|")
    if not isinstance(listed, list) or len({str(c).strip() for c in listed}) < max(2, len(listed)):
        raise InputError("has `choices` that are not two or more different texts", where=where, mend="Write a list, or `a|b|c` in CSV.")
    return [str(choice).strip() for choice in listed]


def _label(answer: Any, choices: list[str], where: str) -> int:
    """Position of the right choice: told by its text, its letter or its number from 0."""
    text = "" if answer is None else str(answer).strip()
    if text in choices:
        return choices.index(text)
    if isinstance(answer, int) or text.isdigit():
        number = int(text)
    else:
        number = ord(text.upper()) - ord("A") if len(text) == 1 and text.isalpha() else -1
    if not 0 <= number < len(choices):
        raise InputError(
            f"has the answer {text!r}, which is none of its choices", where=where, mend="Write the text, letter or number from 0."
        )
    return number


def _yes(value: Any, where: str) -> bool:
    word = str(value).strip().lower()
    if word not in (*_YES, *_NO):
        raise InputError(f"has `refuse: {value}`", where=where, mend="Write true or false.")
    return word in _YES
