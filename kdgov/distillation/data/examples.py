"""Reading distillation data: JSON lines, text files; every fault of a file at once, by line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov.digest import digest_json
from kdgov.errors import DeclarationError, Fault, InputError

_FAULTS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One thing to learn from."""

    item_id: str
    """Name in messages: the file's own ``id``, else ``<file>:<line>``."""
    prompt: str = ""
    """What precedes the completion; empty where all text counts alike."""
    completion: str = ""
    """What is to be learnt: the completion, or the whole text."""
    messages: tuple[Mapping[str, str], ...] = ()
    """A conversation ending in an answer, put into the tokenizer's chat template; then prompt and completion are empty."""
    label: int = -1
    """Class of a classifier's example; -1 where it has none."""
    file: str = ""
    """Image or audio file of a classifier's example."""
    weight: float = 1.0
    """Factor of this example's weight."""

    @property
    def digest(self) -> str:
        """Digest of the content a teacher sees."""
        return digest_json([self.prompt, self.completion, [dict(message) for message in self.messages], self.file])


def read_examples(paths: Sequence[Path]) -> list[Example]:
    """All examples of some files, in order.

    ``.jsonl``/``.json`` lines hold ``text``, or ``prompt`` and ``completion``, or ``messages``, or ``text``/``image``/``audio``
    with ``label``; optional ``id`` and ``weight``. A ``.txt`` file holds one example per blank-line-separated paragraph.

    Raises:
        InputError: if a file is absent, unreadable or holds no example; `DeclarationError` names every wrong line.
    """
    examples: list[Example] = []
    faults: list[Fault] = []
    for path in paths:
        found = list(_text_examples(path) if path.suffix.lower() in (".txt", ".md", "") else _line_examples(path))
        faults += [item for item in found if isinstance(item, Fault)]
        fresh = [item for item in found if isinstance(item, Example)]
        if not found:
            faults.append(Fault(file=str(path), key="", what="holds no example", mend="Add lines to it, or leave it out of `data:`."))
        examples += fresh
    if faults:
        raise DeclarationError(faults[:_FAULTS_SHOWN])
    return examples


def _text_examples(path: Path) -> Iterator[Example]:
    paragraphs = [part.strip() for part in _read(path).replace("\r\n", "\n").split("\n\n")]
    for number, paragraph in enumerate((part for part in paragraphs if part), start=1):
        yield Example(item_id=f"{path.name}#{number}", completion=paragraph)


def _line_examples(path: Path) -> Iterator[Example | Fault]:
    for number, line in enumerate(_read(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            yield Fault(file=str(path), key="", line=number, what=f"is no JSON: {error}", mend="Write one JSON object per line.")
            continue
        yield _example(row, path, number)


def _example(row: Any, path: Path, number: int) -> Example | Fault:
    if not isinstance(row, dict):
        return Fault(file=str(path), key="", line=number, what="is no JSON object", mend='Write {"text": "..."} per line.')
    shared: dict[str, Any] = {"item_id": str(row.get("id", row.get("item_id", f"{path.name}:{number}")))}
    weight, label = row.get("weight", 1.0), row.get("label", -1)
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < float("inf"):
        return Fault(file=str(path), key="weight", line=number, what=f"{weight!r} is no positive number", mend="Write 1.0 or leave it out.")
    if isinstance(label, bool) or not isinstance(label, int):
        return Fault(file=str(path), key="label", line=number, what=f"{label!r} is no class number", mend="Write 0, 1, 2, …")
    shared |= {"weight": float(weight), "label": label}
    keys = {key for key in ("text", "prompt", "completion", "messages", "image", "audio") if key in row}
    fault = _shape_fault(keys, row, path, number)
    if fault is not None:
        return fault
    if "messages" in keys:
        return Example(**shared, messages=tuple(row["messages"]))
    if keys & {"image", "audio"}:
        return Example(**shared, file=str(path.parent / str(row.get("image", row.get("audio")))))
    if "text" in keys:
        return Example(**shared, completion=row["text"])
    return Example(**shared, prompt=row["prompt"], completion=row.get("completion", ""))


def _shape_fault(keys: set[str], row: Mapping[str, Any], path: Path, number: int) -> Fault | None:
    shapes: tuple[set[str], ...] = ({"text"}, {"prompt", "completion"}, {"prompt"}, {"messages"}, {"image"}, {"audio"})
    if keys not in shapes:
        named = ", ".join(sorted(keys)) or "none of them"
        return Fault(
            file=str(path),
            key="",
            line=number,
            what=f"needs `text`, or `prompt` and `completion`, or `messages`, or `image`, or `audio`; it has {named}",
            mend="Keep one of these shapes per line.",
        )
    if "messages" in keys:
        messages = row["messages"]
        fits = (
            isinstance(messages, list)
            and len(messages) > 1
            and all(isinstance(m, dict) and {"role", "content"} <= set(m) for m in messages)
        )
        if not fits or messages[-1]["role"] != "assistant":
            return Fault(
                file=str(path),
                key="messages",
                line=number,
                what="is no conversation that ends in an assistant's answer",
                mend='Write a list of {"role": ..., "content": ...} whose last role is assistant.',
            )
        return None
    wrong = next((key for key in sorted(keys) if not isinstance(row[key], str) or (key != "prompt" and not row[key])), None)
    if wrong is None:
        return None
    return Fault(file=str(path), key=wrong, line=number, what=f"{row[wrong]!r} is no text", mend="Write a non-empty string.")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError("there is no such data file", where=str(path), mend="Correct the path under `data:`.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", where=str(path), mend="Save the file as UTF-8.") from error
