"""Sequence-level distillation: the teacher writes, shard by shard, and every shard says who wrote it, how and under which terms."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kdgov.checkpoints.identity import model_identity
from kdgov.checkpoints.loading import freeze, load_model, load_tokenizer
from kdgov.declarations.distillation import TeacherText
from kdgov.digest import digest_bytes, digest_file, digest_json, write_atomic
from kdgov.distillation.data.examples import Example
from kdgov.endpoints.endpoint_client import EndpointClient, chat_body
from kdgov.errors import InputError
from kdgov.processes import is_first
from kdgov.progress import Progress

SCHEMA = "kdgov.teacher_text/1"
_BATCH = 16
_POLL_S = 0.5
Writer = Callable[[Sequence[str], int], list[str]]
"""Prompts as put to the teacher, and a seed → one completion each."""


def written_examples(
    term: TeacherText, prompts: Sequence[Example], teacher_path: Path | None, folder: Path, *, seed: int, progress: Progress
) -> tuple[list[Example], list[dict[str, Any]]]:
    """What the teacher wrote to some prompts, and each shard's provenance; whole shards of an earlier try are kept.

    Args:
        term: how it is asked.
        prompts: examples whose ``prompt`` is asked.
        teacher_path: the teacher's folder; needed where no endpoint is declared.
        folder: where shards lie.
        seed: seed of sampling.
        progress: told every shard.

    Raises:
        InputError: if there is nothing to ask, or the endpoint refuses the request.
        UnavailableError: if the endpoint cannot be reached.
    """
    asked = [example for example in prompts if example.prompt for _ in range(term.samples_per_prompt)]
    if not asked:
        raise InputError(
            "teacher_text has no prompt to ask",
            where="distillation.terms",
            mend="Give the data `prompt`s, or name a file under `prompts:`.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Example] = []
    records: list[dict[str, Any]] = []
    writer: Writer | None = None
    starts = range(0, len(asked), term.shard_size)
    for number, start in enumerate(starts):
        part = asked[start : start + term.shard_size]
        basis = _basis(term, part, teacher_path, seed + number)
        record = _finished(folder, number, basis)
        while record is None and not is_first():
            # One process asks (and pays); the others read what it wrote.
            time.sleep(_POLL_S)
            record = _finished(folder, number, basis)
        if record is None:
            writer = writer or _writer(term, teacher_path)
            record = _write(folder, number, part, basis, writer, term, seed + number)
        made += _read(folder, number, term.weight)
        records.append(record)
        progress("teacher writing", number + 1, len(starts))
    return made, records


def _basis(term: TeacherText, part: Sequence[Example], teacher_path: Path | None, seed: int) -> dict[str, Any]:
    """What decides a shard: everything in its provenance that is known before it is written."""
    endpoint = term.endpoint
    who: dict[str, Any]
    if endpoint is None:
        teacher_path = _weights_at_hand(teacher_path)
        who = {"generator": teacher_path.name, "access": "weights", "weights": model_identity(teacher_path).weights, "terms": None}
    else:
        who = {"generator": endpoint.model, "access": "api", "base_url": endpoint.base_url, "terms": endpoint.terms}
    return {
        "schema": SCHEMA,
        **who,
        "signal": "text",
        "prompts": digest_json([example.prompt for example in part]),
        "prompt_template": digest_bytes(term.prompt_template.encode()),
        "system": None if term.system is None else digest_bytes(term.system.encode()),
        "sampling": {"temperature": term.temperature, "top_p": term.top_p, "max_new_tokens": term.max_new_tokens, "seed": seed},
        "rows": len(part),
    }


def _finished(folder: Path, number: int, basis: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(_record_file(folder, number).read_bytes())
    except (OSError, ValueError):
        return None
    is_same = {key: record.get(key) for key in basis} == dict(basis)
    file = _shard_file(folder, number)
    return record if is_same and file.is_file() and digest_file(file) == record["digest"] else None


def _write(
    folder: Path, number: int, part: Sequence[Example], basis: Mapping[str, Any], writer: Writer, term: TeacherText, seed: int
) -> dict[str, Any]:
    texts = writer([term.prompt_template.replace("{prompt}", example.prompt) for example in part], seed)
    rows = [
        {"id": f"written-{number}-{place}", "prompt": example.prompt, "completion": text}
        for place, (example, text) in enumerate(zip(part, texts, strict=True))
        if text.strip()
    ]
    file = _shard_file(folder, number)
    write_atomic(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    record = {**basis, "written": len(rows), "empty": len(texts) - len(rows), "digest": digest_file(file), "date": today}
    write_atomic(_record_file(folder, number), json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n")
    return record


def _read(folder: Path, number: int, weight: float) -> list[Example]:
    rows = [json.loads(line) for line in _shard_file(folder, number).read_text(encoding="utf-8").split("\n") if line]
    return [Example(item_id=row["id"], prompt=row["prompt"], completion=row["completion"], weight=weight) for row in rows]


def _shard_file(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:04d}.jsonl"


def _record_file(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:04d}.json"


def _weights_at_hand(teacher_path: Path | None) -> Path:
    if teacher_path is None:
        raise InputError("teacher_text has nobody to ask", where="distillation.terms", mend="Add an `endpoint:` to it.")
    return teacher_path


def _writer(term: TeacherText, teacher_path: Path | None) -> Writer:
    if term.endpoint is not None:
        return lambda prompts, seed: _asked(term, prompts, seed)
    teacher_path = _weights_at_hand(teacher_path)
    tokenizer = load_tokenizer(teacher_path)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    teacher = freeze(load_model(teacher_path, "causal_lm", dtype=None if torch.cuda.is_available() else torch.float32))
    teacher.to("cuda" if torch.cuda.is_available() else "cpu")
    return lambda prompts, seed: _generate(term, teacher, tokenizer, prompts, seed)


def _asked(term: TeacherText, prompts: Sequence[str], seed: int) -> list[str]:
    """What the term's endpoint answers to each prompt, many at once; an empty text where it answered nothing."""
    assert term.endpoint is not None  # noqa: S101 - the caller asks only where there is one
    before = [{"role": "system", "content": term.system}] if term.system is not None else []
    settings = {"temperature": term.temperature, "top_p": term.top_p, "max_tokens": term.max_new_tokens}
    bodies = [
        chat_body(term.endpoint, [*before, {"role": "user", "content": prompt}], **settings, seed=seed + place)
        for place, prompt in enumerate(prompts)
    ]
    with EndpointClient(term.endpoint) as client:
        texts = {place: reply.text for place, reply in client.ask_all(bodies)}
    return [texts[place] for place in range(len(prompts))]


def _generate(term: TeacherText, teacher: Any, tokenizer: Any, prompts: Sequence[str], seed: int) -> list[str]:
    texts: list[str] = []
    torch.manual_seed(seed)
    options: dict[str, Any] = {"max_new_tokens": term.max_new_tokens, "do_sample": term.temperature > 0}
    if term.temperature > 0:
        options |= {"temperature": term.temperature, "top_p": term.top_p}
    for start in range(0, len(prompts), _BATCH):
        batch = tokenizer(list(prompts[start : start + _BATCH]), return_tensors="pt", padding=True, return_token_type_ids=False)
        batch = {name: tensor.to(teacher.device) for name, tensor in batch.items()}
        with torch.no_grad():
            written = teacher.generate(**batch, pad_token_id=tokenizer.pad_token_id, **options)
        for prompt, row in zip(batch["input_ids"], written, strict=True):
            whole = tokenizer.decode(row, skip_special_tokens=True)
            # Cut where the prompt's own text ends, so that a blank between the two is kept.
            texts.append(whole[len(tokenizer.decode(prompt, skip_special_tokens=True)) :])
    return texts
