"""Backends by name: who answers. Each asks the same frozen requests and seals the same kind of record."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kdgov.digest import write_atomic
from kdgov.errors import InputError
from kdgov.evaluate.answers import AnswerLog, Record
from kdgov.evaluate.asking import Asker, ask_task, batch_dependence
from kdgov.evaluate.classifier import ClassifierModel, ask_classifier
from kdgov.evaluate.generation import is_greedy
from kdgov.evaluate.how import How
from kdgov.evaluate.model import load_asked_model
from kdgov.evaluate.request import PlannedTask

Progress = Callable[[str, int, int], None]


def ask(
    tasks: Sequence[PlannedTask], logs: Mapping[str, AnswerLog], model: Path, how: How, progress: Progress | None
) -> dict[str, Record | None]:
    """Ask one model some tasks, by the backend that ``how`` names.

    Raises:
        InputError: if there is no such backend.
    """
    rank, world = _place()
    if how.backend not in ("hf", "hf-plain"):
        raise InputError(f"backend {how.backend!r} is unknown", mend="Choose hf or hf-plain.")
    found: dict[str, Record | None] = {}
    if classifying := [t for t in tasks if t.kind == "classification"]:
        classifier = ClassifierModel(model, dtype=how.dtype, device=how.device)
        found.update({t.name: ask_classifier(t, classifier, logs[t.name], progress=progress) for t in classifying})
    tasks = [t for t in tasks if t.kind != "classification"]
    if not tasks:
        return found
    asked = load_asked_model(model, dtype=how.dtype, device=how.device)
    asker = Asker.of(asked, batch_tokens=how.batch_tokens, use_lm_eval=how.backend == "hf-plain")
    for task in tasks:
        record = ask_task(task, asker, _own(logs[task.name], rank), progress=progress, rank=rank, world=world)
        if rank == 0 and record is not None:
            # Sampled answers differ by nature; their seed belongs to the batch.
            is_sampled = any(not is_greedy(r.generation) for i in task.items for r in i.requests if r.kind == "generate")
            _write_way(logs[task.name], {**asker.way, "alone": {} if is_sampled else batch_dependence(task, asker, record)})
        if world > 1:
            torch.distributed.barrier()
        found[task.name] = record or logs[task.name].sealed()
    return found


def _place() -> tuple[int, int]:
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
    return int(os.environ.get("RANK", "0")), world


def _own(log: AnswerLog, rank: int) -> AnswerLog:
    return AnswerLog(log.path.parent, key=log.key, requests=log.requests, rank=rank)


def _write_way(log: AnswerLog, way: Mapping[str, Any]) -> None:
    write_atomic(log.path.with_suffix(".way.json"), json.dumps(dict(way), sort_keys=True).encode())
