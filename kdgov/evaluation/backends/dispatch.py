"""Backends by name: who answers. Each asks the same frozen requests and seals the same kind of record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdgov.digest import write_atomic
from kdgov.errors import InputError
from kdgov.evaluation.backends.asked_twice import asked_again, batch_dependence
from kdgov.evaluation.backends.distributed import barrier, own_device
from kdgov.evaluation.backends.endpoint import open_served
from kdgov.evaluation.backends.hugging_face.classifier import ClassifierModel, ask_classifier, class_facts, classified_again
from kdgov.evaluation.backends.hugging_face.encoder import ENCODER_KINDS, EncoderModel, ask_encoder, encoded_again
from kdgov.evaluation.backends.hugging_face.generation import is_greedy
from kdgov.evaluation.backends.hugging_face.hf_model import load_asked_model
from kdgov.evaluation.backends.hugging_face.speech import SpeechModel, ask_speech_model
from kdgov.evaluation.backends.response_log import AnswerLog, Record, keep_again
from kdgov.evaluation.backends.runner import RequestRunner, ask_task
from kdgov.evaluation.backends.settings import BACKENDS, LOW_PRECISION, BackendSettings
from kdgov.evaluation.plan.request import CHAT, PlannedTask
from kdgov.evaluation.scoring.answer_text import opens_thoughts
from kdgov.processes import is_first, rank, world_size
from kdgov.progress import Progress


def ask(
    tasks: Sequence[PlannedTask], logs: Mapping[str, AnswerLog], model: Path, how: BackendSettings, progress: Progress | None
) -> dict[str, Record | None]:
    """Ask one model some tasks, by the backend that ``how`` names.

    Raises:
        InputError: if there is no such backend.
    """
    number, world = rank(), world_size()
    if how.backend not in BACKENDS:
        raise InputError(f"backend {how.backend!r} is unknown", mend=f"Choose one of {', '.join(BACKENDS)}.")
    barrier()
    found: dict[str, Record | None] = {}
    if classifying := [t for t in tasks if t.kind == "classification"]:
        if is_first():
            # A classifier reads a thousand texts in the time that dealing them out would take.
            classifier = ClassifierModel(model, dtype=how.dtype, device=own_device(how.device), shard=how.is_spread)
            found.update({t.name: ask_classifier(t, classifier, logs[t.name], progress=progress) for t in classifying})
            for task in classifying:
                noise = {"noise": keep_again(logs[task.name], classified_again(task, classifier))} if _is_noisy(how) else {}
                _write_way(logs[task.name], {**class_facts(task, classifier), **noise})
        barrier()
        found.update({t.name: logs[t.name].sealed() for t in classifying if t.name not in found})
    found.update(_heard([t for t in tasks if t.kind == "transcription"], logs, model, how, progress))
    found.update(_encoded([t for t in tasks if t.kind in ENCODER_KINDS], logs, model, how, progress))
    tasks = [t for t in tasks if t.kind not in ("classification", "transcription", *ENCODER_KINDS)]
    if not tasks:
        return found
    asker = _asker(model, how)
    _try_templates(tasks, asker)
    for task in tasks:
        record = ask_task(task, asker, _own(logs[task.name], number), progress=progress, rank=number, world=world)
        if is_first() and record is not None:
            # Sampled answers differ by nature; their seed belongs to the batch.
            is_sampled = any(not is_greedy(r.generation) for i in task.items for r in i.requests if r.kind == "generate")
            way: dict[str, Any] = {**asker.way, "alone": {} if is_sampled else batch_dependence(task, asker, record)}
            way |= {"opens_thoughts": True} if how.reasoning is None and _opens_thoughts(task, asker) else {}
            if _is_noisy(how) and not is_sampled:
                way["noise"] = keep_again(logs[task.name], asked_again(task, asker))
            _write_way(logs[task.name], way)
        barrier()
        found[task.name] = record or logs[task.name].sealed()
    return found


def _try_templates(tasks: Sequence[PlannedTask], asker: RequestRunner) -> None:
    """Every order of roles in messages through the model's template, before the first question costs anything.

    Raises:
        InputError: naming the task whose messages the template refuses, such as a system message that it does not know.
    """
    tried: set[tuple[str, ...]] = set()
    for task in tasks:
        for context in (r.context for item in task.items for r in item.requests if r.context.startswith(CHAT)):
            said = json.loads(context.removeprefix(CHAT))
            roles = (
                *(str(turn.get("role")) for turn in said["messages"]),
                str(said["add_generation_prompt"]),
                str(bool(said.get("tools"))),
            )
            if roles in tried:
                continue
            tried.add(roles)
            try:
                asker.asked.render(context)
            except InputError as error:
                raise InputError(f"{task.name}: {error.what}", where=error.where, mend=error.mend) from error


def _opens_thoughts(task: PlannedTask, asker: RequestRunner) -> bool:
    """Whether the model's own chat template begins a thought behind the task's questions."""
    asked = next((r.context for item in task.items for r in item.requests if r.kind == "generate"), "")
    return asked.startswith(CHAT) and opens_thoughts(asker.asked.render(asked))


def _heard(
    tasks: Sequence[PlannedTask], logs: Mapping[str, AnswerLog], model: Path, how: BackendSettings, progress: Progress | None
) -> dict[str, Record | None]:
    """Sounds that a speech model writes down, one after another, by the first process."""
    if not tasks:
        return {}
    if is_first():
        heard = SpeechModel(model, dtype=how.dtype, device=own_device(how.device), shard=how.is_spread)
        for task in tasks:
            ask_speech_model(task, heard, logs[task.name], progress=progress)
            # Heard alone, a sound has no neighbours that could change its answer.
            _write_way(logs[task.name], {"noise": keep_again(logs[task.name], {})} if _is_noisy(how) else {})
    barrier()
    return {task.name: logs[task.name].sealed() for task in tasks}


def _encoded(
    tasks: Sequence[PlannedTask], logs: Mapping[str, AnswerLog], model: Path, how: BackendSettings, progress: Progress | None
) -> dict[str, Record | None]:
    """Rankings and tags of an encoder, by the first process."""
    if is_first():
        for task in tasks:
            encoder = EncoderModel(model, task.kind, dtype=how.dtype, device=own_device(how.device), shard=how.is_spread)
            ask_encoder(task, encoder, logs[task.name], progress=progress)
            noise = {"noise": keep_again(logs[task.name], encoded_again(task, encoder))} if _is_noisy(how) else {}
            _write_way(logs[task.name], {"answers": "an encoder's", **noise})
    barrier()
    return {task.name: logs[task.name].sealed() for task in tasks}


def _is_noisy(how: BackendSettings) -> bool:
    # Asked alone, an answer has no neighbours to depend on.
    return how.dtype in LOW_PRECISION and how.batch_tokens > 1


def _asker(model: Path, how: BackendSettings) -> RequestRunner:
    if how.backend in ("local-completions", "vllm"):
        served = open_served(model, how)
        served.asked.reasoning = how.reasoning
        return RequestRunner(asked=served.asked, batch_tokens=how.batch_tokens, served=served)
    asked = load_asked_model(model, dtype=how.dtype, device=own_device(how.device), shard=how.is_spread)
    asked.reasoning = how.reasoning
    return RequestRunner.of(asked, batch_tokens=how.batch_tokens, use_lm_eval=how.backend == "hf-plain")


def _own(log: AnswerLog, number: int) -> AnswerLog:
    return AnswerLog(log.path.parent, key=log.key, requests=log.requests, rank=number)


def _write_way(log: AnswerLog, way: Mapping[str, Any]) -> None:
    write_atomic(log.path.with_suffix(".way.json"), json.dumps(dict(way), sort_keys=True).encode())
