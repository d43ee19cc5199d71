"""The shapes in which people keep training examples, each brought into kdgov's own; a key nobody would learn from is counted.

A key that looks like content and belongs to no known shape is a fault: silence would train something else than was meant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kdgov.distillation.data.turn_marks import MARKS, words_of
from kdgov.distillation.data.turns import RowError, message_of, parsed

_SHARED = {"id", "item_id", "weight", "file_digest"}
_PAIR = {"text_pair", "text2", "sentence2", "passage", "document"}
_LABELS = {"label", "labels", "score"}
# Keys that hold something a student could learn, or that change what it is shown: left out silently they would change the task.
_CONTENT = {
    "text", "prompt", "completion", "messages", "conversations", "conversation", "instruction", "input", "output", "response", "answer",
    "question", "query", "chosen", "rejected", "system", "tools", "functions", "image", "images", "audio", "reasoning", "reasoning_content",
    "thinking", "context", "tool_calls", "chat_template_kwargs", "answers", "positive", "negative", "tokens", "tags", "ner_tags",
    *_PAIR, *_LABELS,
}  # fmt: skip
_TRANSCRIPTS = ("text", "transcription", "transcript", "sentence")
_TAGS = ("tags", "ner_tags", "labels")
_LINE_MARKS = {*MARKS, "sample_weight", "example_weight"} - {"weight"}
_OTHER_NAMES = "Keep one of these shapes per line, or name its columns in its entry: `columns: {prompt: question, completion: answer}`."
SHAPES = (
    "`text`, or `prompt` and `completion`, or `messages`, or `image` or `audio` with `label`, or `audio` with `text`, or `tokens` with "
    "`tags`, or `question` and `context` with `answers`, or `query`, `positive` and `negative`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowContent:
    """One line, understood."""

    fields: Mapping[str, Any]
    """Fields of an `Example`."""
    name: str = ""
    """The line's own id."""
    ignored: Sequence[str] = field(default=())
    """Keys that are not learnt from."""


def content_of(row: Any, *, as_prompts: bool = False) -> RowContent:
    """What one parsed line holds; with ``as_prompts`` a conversation may end in the turn that is to be answered.

    Raises:
        RowError: if it fits no shape, fits two, or holds content that none of them takes.
    """
    if not isinstance(row, Mapping):
        raise RowError("is not a JSON object", 'Write {"text": "..."} per line.')
    # Columns of tables that are empty in this row are no content of it.
    present = {str(key): value for key, value in row.items() if value is not None and value != ""}
    used = set(_SHARED)
    fields: dict[str, Any] = {"weight": _weight(present.get("weight", 1.0))}
    if isinstance(present.get("cut"), bool):
        fields["is_cut"] = present["cut"]
        used.add("cut")
    _refuse_marks(present)
    used |= _content(present, row, fields, as_prompts)
    used |= _label(present, fields)
    if left := sorted(key for key in present.keys() - used if key.strip().lower() in _CONTENT):
        raise RowError(
            f"holds {', '.join(f'`{key}`' for key in left)} beside {', '.join(sorted(used - _SHARED - _LABELS)) or 'nothing to learn'}, "
            "which would not be learnt from",
            f"Leave it out by `columns: {{{left[0]}: null}}` of its entry, or name there what it is, or keep one shape: {SHAPES}.",
            key=left[0],
        )
    name = present.get("id", present.get("item_id", ""))
    return RowContent(fields=fields, name=str(name), ignored=sorted(present.keys() - used))


def _refuse_marks(present: Mapping[str, Any]) -> None:
    """Refuse a mark of a whole line that says how much of it is learnt, and that nothing here follows."""
    for key in sorted(present.keys() & _LINE_MARKS):
        value = present[key]
        is_share = "weight" in key
        if isinstance(value, bool | int | float) and (value != 1 if is_share else value in (0, False)):
            mend = "Write `weight:`." if is_share else "Remove the line, or mark turns of its conversation."
            raise RowError(f"marks the line with {value!r}, which is not followed", mend, key=key)


def _content(present: Mapping[str, Any], row: Mapping[str, Any], fields: dict[str, Any], as_prompts: bool) -> set[str]:
    if "messages" in present or "conversations" in present or "conversation" in present:
        return _conversation(present, fields, as_prompts)
    if isinstance(present.get("prompt"), list) or isinstance(present.get("completion"), list):
        return _conversational_pair(present, fields, as_prompts)
    if "instruction" in present and "output" in present:
        return _alpaca(present, fields)
    if isinstance(present.get("tokens"), list):
        return _tagged(present, fields)
    if "question" in present and "context" in present:
        return _question(present, fields)
    if {"query", "positive", "negative"} <= present.keys():
        fields["prompt"], fields["second"], fields["third"] = (_text(present, key) for key in ("query", "positive", "negative"))
        return {"query", "positive", "negative"}
    if "query" in present and (second := next((key for key in sorted(_PAIR) if key in present), None)):
        fields["completion"], fields["second"] = _text(present, "query"), _text(present, second)
        return {"query", second}
    for key in ("image", "audio"):
        if key in present:
            fields["file"] = _text(present, key)
            return {key, *(_transcript(row, fields) if key == "audio" else ())}
    if "text" in present or ("text" in row and row["text"] == ""):
        if "prompt" in present or "completion" in present:
            raise RowError("holds both `text` and a pair", f"Keep one shape per line: {SHAPES}.")
        fields["completion"] = _text({"text": row["text"]}, "text")
        if second := next((key for key in sorted(_PAIR) if key in present), None):
            fields["second"] = _text(present, second)
            return {"text", second}
        return {"text"}
    if "prompt" in row:
        fields["prompt"] = _text(row, "prompt", may_be_empty=True)
        if "completion" in row:
            fields["completion"] = _text(row, "completion")
        return {"prompt", "completion"}
    named = ", ".join(sorted(str(key) for key in row)) or "no key"
    raise RowError(f"needs {SHAPES}; it has {named}", _OTHER_NAMES)


def _transcript(row: Mapping[str, Any], fields: dict[str, Any]) -> set[str]:
    """What is said in a sound, where the line tells it."""
    named = next((key for key in _TRANSCRIPTS if row.get(key) is not None), None)
    if named is None:
        return set()
    said = _text(row, named, may_be_empty=True)
    if not said.strip():
        raise RowError("is an empty transcript", "Write what is said, or remove the line.", key=named)
    fields["completion"] = said
    return {named}


def _conversation(present: Mapping[str, Any], fields: dict[str, Any], as_prompts: bool) -> set[str]:
    key = next(name for name in ("messages", "conversations", "conversation") if name in present)
    said = present[key]
    if isinstance(said, str):
        said = parsed(said, key)
    if not isinstance(said, list) or not said:
        raise RowError("is not a list of messages", 'Write a list of {"role": ..., "content": ...}.', key=key)
    messages = [message_of(turn, key) for turn in said]
    used = {key}
    if "system" in present and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": _text(present, "system")})
        used.add("system")
    # UltraChat repeats the first user turn beside the messages.
    if isinstance(present.get("prompt"), str) and any(m.get("content") == present["prompt"] for m in messages if m["role"] == "user"):
        used.add("prompt")
    for name in ("tools", "functions"):
        if name in present:
            tools = parsed(present[name], name) if isinstance(present[name], str) else present[name]
            if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in tools):
                raise RowError("is not a list of tools", "Write a list of JSON schemas.", key=name)
            wrapped = ({"type": "function", "function": tool} if "function" not in tool and "type" not in tool else tool for tool in tools)
            fields["tools"] = tuple(wrapped if name == "functions" else tools)
            used.add(name)
    _checked(messages, key, as_prompts)
    fields["messages"] = tuple(messages)
    return used


def _conversational_pair(present: Mapping[str, Any], fields: dict[str, Any], as_prompts: bool) -> set[str]:
    prompt, completion = present.get("prompt"), present.get("completion")
    if as_prompts and completion is None and isinstance(prompt, list):
        completion = []
    if not isinstance(prompt, list) or not isinstance(completion, list):
        raise RowError("has a conversation on one side only", "Write prompt and completion both as text, or both as lists of messages.")
    messages = [message_of(turn, "prompt") for turn in prompt] + [message_of(turn, "completion") for turn in completion]
    _checked(messages, "completion", as_prompts)
    fields["messages"] = tuple(messages)
    return {"prompt", "completion"}


def _alpaca(present: Mapping[str, Any], fields: dict[str, Any]) -> set[str]:
    instruction, output = _text(present, "instruction"), _text(present, "output")
    asked = f"{instruction}\n\n{_text(present, 'input')}" if "input" in present else instruction
    # Alpaca's own wrapper differs between data sets; a plain join says what was asked and nothing else.
    fields["prompt"], fields["completion"] = f"{asked}\n\n", output
    return {"instruction", "input", "output"}


def _tagged(present: Mapping[str, Any], fields: dict[str, Any]) -> set[str]:
    words = present["tokens"]
    if not words or not all(isinstance(word, str) and word for word in words):
        raise RowError("is not a list of words", "Write a list of non-empty strings.", key="tokens")
    fields["words"] = tuple(words)
    named = [key for key in _TAGS if key in present]
    if not named:
        return {"tokens"}
    tags = present[named[0]]
    if not isinstance(tags, list) or not all(isinstance(tag, (int, str)) and not isinstance(tag, bool) for tag in tags):
        raise RowError("is not a list of class numbers or names", "Write one per word.", key=named[0])
    fields["tags"] = tuple(tags)
    return {"tokens", named[0]}


def _question(present: Mapping[str, Any], fields: dict[str, Any]) -> set[str]:
    fields["prompt"], fields["second"] = _text(present, "question"), _text(present, "context")
    answers = present.get("answers")
    if answers is None:
        return {"question", "context"}
    try:
        texts, starts = list(answers["text"]), [int(start) for start in answers["answer_start"]]
    except (TypeError, KeyError, ValueError) as error:
        raise RowError("has no `text` and `answer_start`", 'Write {"text": [...], "answer_start": [...]}.', key="answers") from error
    if present.get("is_impossible") in (True, False) and present["is_impossible"] == bool(texts):
        what = f"is {str(present['is_impossible']).lower()} beside {len(texts)} answers"
        raise RowError(what, "Empty `answers`, or correct `is_impossible`.", key="is_impossible")
    fields["span"] = (0, 0)
    if texts:
        first, start = str(texts[0]), starts[0] if starts else -1
        if start < 0 or fields["second"][start : start + len(first)] != first:
            raise RowError(f"{first[:40]!r} does not stand at character {start} of the context", "Correct `answer_start`.", key="answers")
        fields["span"] = (start, start + len(first))
    return {"question", "context", "answers", "is_impossible"}


def _checked(messages: Sequence[Mapping[str, Any]], key: str, as_prompts: bool) -> None:
    awaits = as_prompts and bool(messages) and messages[-1]["role"] in ("user", "tool")
    if not awaits and (len(messages) < 2 or messages[-1]["role"] != "assistant"):
        raise RowError("is no conversation that ends in an assistant's answer", "Let the last message be the assistant's.", key=key)
    for message in messages:
        if message["role"] == "assistant" and not (words_of(message).strip() or message.get("tool_calls")):
            raise RowError("has an empty answer", "Remove the turn, or write what was answered.", key=key)


def _label(present: Mapping[str, Any], fields: dict[str, Any]) -> set[str]:
    named = [key for key in ("label", "labels", "score") if key in present]
    if not named:
        return set()
    if len(named) > 1:
        raise RowError(f"holds {' and '.join(named)}", "Keep one of them.", key=named[1])
    value = present[named[0]]
    if isinstance(value, list):
        if not value or not all(isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in value):
            raise RowError("is not a list of numbers", "Write one number per label.", key=named[0])
        fields["label"] = tuple(float(v) for v in value)
    elif isinstance(value, bool) or not isinstance(value, (int, float, str)) or (isinstance(value, float) and not math.isfinite(value)):
        raise RowError(f"{value!r} is no label", "Write a class number, a class name, a score, or a list of numbers.", key=named[0])
    else:
        fields["label"] = value
    return set(named)


def _weight(value: Any) -> float:
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise RowError(f"{value!r} is not a positive number", "Write 1.0 or leave it out.", key="weight")
    return number


def _text(row: Mapping[str, Any], key: str, *, may_be_empty: bool = False) -> str:
    value = row[key]
    if not isinstance(value, str) or not (value.strip() or may_be_empty):
        raise RowError(f"{value!r} is not text", "Write a non-empty string.", key=key)
    return value
