"""A teacher whose weights are at hand writes: batches of prompts through `generate`, each batch kept in the journal when it is done."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from kdgov.checkpoints.bounded_templates import chat_text
from kdgov.checkpoints.encoding import encode_batch, without_end
from kdgov.checkpoints.loading import freeze, load_model, load_tokenizer
from kdgov.checkpoints.media.sound_readers import Listener, listener
from kdgov.checkpoints.media.transcribing import transcribed
from kdgov.checkpoints.tasks import SPEECH, task_of
from kdgov.declarations.release_parts.teacher_writing import TeacherText
from kdgov.distillation.generation.answers import Answer, Ask
from kdgov.distillation.generation.journal import Journal
from kdgov.errors import InputError
from kdgov.progress import Progress

_BATCH = 16


def write_locally(term: TeacherText, asks: Sequence[Ask], teacher_path: Path, journal: Journal, *, seed: int, progress: Progress) -> None:
    """Fill the journal with what the teacher writes.

    Batches are those of the whole list, each with its own seed: a run that was killed goes on with the same samples.

    Raises:
        InputError: if a conversation is asked and the tokenizer has no chat template.
    """
    once = list({ask.key: ask for ask in asks}.values())
    batches = [once[start : start + _BATCH] for start in range(0, len(once), _BATCH)]
    wanted = [(number, batch) for number, batch in enumerate(batches) if journal.lacking([ask.key for ask in batch])]
    if not wanted:
        return
    if any(ask.sound for ask in once):
        _transcribe(wanted, teacher_path, journal, progress, len(batches))
        return
    tokenizer = load_tokenizer(teacher_path)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    teacher = freeze(load_model(teacher_path, "causal_lm", dtype=None if torch.cuda.is_available() else torch.float32))
    teacher.to("cuda" if torch.cuda.is_available() else "cpu")
    for number, batch in wanted:
        torch.manual_seed(seed + number)
        journal.write_all(_written(term, batch, teacher, tokenizer, teacher_path.name))
        progress("teacher writing", number + 1, len(batches))


def _transcribe(wanted: Sequence[tuple[int, Sequence[Ask]]], path: Path, journal: Journal, progress: Progress, batches: int) -> None:
    """What a speech model hears in sounds without a transcript."""
    task = task_of(path)
    if task not in SPEECH:
        what = f"is a model for {task}, and the data has sounds without a transcript"
        raise InputError(what, where=str(path), mend="Write `text` beside `audio`, or name a speech model as the teacher.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    reader = listener(path, task, language=wanted[0][1][0].body["language"])
    model = freeze(load_model(path, task, dtype=None if device == "cuda" else torch.float32)).to(device)
    for number, batch in wanted:
        journal.write_all([_heard(ask, model, reader) for ask in batch])
        progress("teacher writing", number + 1, batches)


def _heard(ask: Ask, model: Any, reader: Listener) -> Answer:
    found = transcribed(model, reader, Path(ask.sound), most_tokens=int(ask.body["max_new_tokens"]))
    if found.text is None:
        what = f"hears numbers that are not finite in item {ask.item_id}"
        raise InputError(what, where=str(reader.path), mend="Remove that sound, or use another type of numbers.")
    return Answer(
        key=ask.key,
        text=found.text,
        finish_reason="stop" if found.is_whole and not found.is_cut else "length",
        output_tokens=found.written,
        model=reader.path.name,
        day=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
    )


def _written(term: TeacherText, batch: Sequence[Ask], teacher: Any, tokenizer: Any, name: str) -> list[Answer]:
    # The student is trained on the same ids, and is asked with them: one beginning, no end behind the prompt.
    shown = encode_batch(tokenizer, [_shown(ask, tokenizer) for ask in batch])
    rows = [without_end(ids, tokenizer.eos_token_id) for ids in shown]
    longest = max(map(len, rows))
    ids = torch.tensor([[tokenizer.pad_token_id] * (longest - len(row)) + row for row in rows], device=teacher.device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=teacher.device)
    with torch.no_grad():
        written = teacher.generate(input_ids=ids, attention_mask=mask, pad_token_id=tokenizer.pad_token_id, **_options(term))
    return [
        _answer(ask, prompt, row, longest, int(read.sum()), tokenizer, teacher, name)
        for ask, prompt, row, read in zip(batch, ids, written, mask, strict=True)
    ]


def _options(term: TeacherText) -> dict[str, Any]:
    sampled = {"temperature": term.temperature, "top_p": 1.0 if term.top_p is None else term.top_p} if term.temperature else {}
    return {"max_new_tokens": term.max_new_tokens, "do_sample": bool(term.temperature), **sampled}


def _answer(ask: Ask, prompt: Any, row: Any, start: int, read: int, tokenizer: Any, teacher: Any, name: str) -> Answer:
    ends = teacher.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends]) | {tokenizer.eos_token_id}
    fresh = row[start:].tolist()
    stop = next((place for place, token in enumerate(fresh) if token in ends), None)
    whole = tokenizer.decode(row, skip_special_tokens=True)
    # Cut where the prompt's own text ends, so that a blank between the two is kept.
    text = whole[len(tokenizer.decode(prompt, skip_special_tokens=True)) :]
    return Answer(
        key=ask.key,
        text=text,
        finish_reason="length" if stop is None else "stop",
        input_tokens=read,
        output_tokens=len(fresh) if stop is None else stop + 1,
        model=name,
        day=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
    )


def _shown(ask: Ask, tokenizer: Any) -> str:
    if not ask.conversation:
        return str(ask.body["prompt"])
    if not tokenizer.chat_template:
        raise InputError(
            f"example {ask.item_id} is a conversation, and the teacher's tokenizer has no chat template",
            where="data",
            mend="Write `prompt` instead of `messages`, or add a chat_template.jinja to the teacher's folder.",
        )
    options: dict[str, Any] = {"tools": [dict(tool) for tool in ask.tools]} if ask.tools else {}
    return chat_text(tokenizer, [dict(m) for m in ask.body["messages"]], where="data", add_generation_prompt=True, **options)
