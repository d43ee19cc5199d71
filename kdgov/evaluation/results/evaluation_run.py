"""`evaluate`: one plan, one model → an item table and the evidence of what that model was asked, how, and by which code."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov.checkpoints.endpoint_identity import Identity, identity_of
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.digest import digest_json, merkle_root, write_atomic
from kdgov.errors import InputError
from kdgov.evaluation.backends.chat_endpoint import EndpointTask, ask_endpoint
from kdgov.evaluation.backends.distributed import barrier
from kdgov.evaluation.backends.raw_answers import RawLog
from kdgov.evaluation.backends.response_log import AnswerLog, Record
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.request import Plan, PlannedTask
from kdgov.evaluation.results.endpoint_evidence import answers_file, endpoint_evidence
from kdgov.evaluation.results.evidence_document import evidence_document, item_rows, library_versions, task_evidence
from kdgov.evaluation.results.task_tokens import tokens_per_task
from kdgov.evaluation.results.thought_evidence import answers_without_thoughts, thought_facts, thoughts_file
from kdgov.evaluation.scoring.judge_labels import Labels
from kdgov.evaluation.scoring.scorer import answers_by_item
from kdgov.evaluation.scoring.second_scores import second_scores
from kdgov.evidence.bundle_layout import EVALUATION, IDENTITY, ITEMS, RAW_ANSWERS, THOUGHTS
from kdgov.items.files import write_items
from kdgov.items.metric import MetricDeclaration
from kdgov.items.table import ItemTable
from kdgov.processes import is_first
from kdgov.progress import Progress
from kdgov.source_digest import source_digest

COST = "cost.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of one model's evaluation; equal inputs give equal bytes."""

    document: Mapping[str, Any]
    """Canonical content of ``evidence.json``."""
    table: ItemTable
    """Per-item scores."""
    folder: Path
    """Where the files lie."""

    @property
    def digest(self) -> str:
        """Digest of the document."""
        return digest_json(self.document)

    @property
    def declarations(self) -> tuple[MetricDeclaration, ...]:
        """What the suites declare of every metric."""
        return tuple(MetricDeclaration(**m) for m in self.document["metrics"])


def evaluate(
    plan: Plan,
    model: Path | Endpoint,
    output: Path,
    *,
    cache: Path,
    how: BackendSettings | None = None,
    reference: Path | tuple[Path | Endpoint, BackendSettings, Identity] | None = None,
    progress: Progress | None = None,
    identity: Identity | None = None,
    labels: Labels | None = None,
) -> Evidence:
    """Ask one model everything a plan holds and write its item table and evidence.

    Args:
        plan: the frozen plan; the same object or an equal one is given for the other model.
        model: checkpoint folder, or the endpoint where all there is can be asked.
        output: folder for ``items.parquet``, ``evidence.json``, ``identity.json`` and ``efficiency.json``.
        cache: folder of recorded answers, by content; what is there is never asked again.
        how: backend, dtype, device, batch.
        reference: the teacher's checkpoint (or the teacher, how it was asked and who it is), for tasks that compare with its answers;
            they must be in ``cache``.
        progress: called as ``progress(label, done, total)``.
        identity: the model's identity where it is already known.
        labels: people's labels of answers; judged scores then carry gold.

    Raises:
        InputError: if the model cannot be asked what the plan holds.
    """
    how = how or BackendSettings()
    identity = identity or identity_of(model)
    began = time.process_time()
    records, ways, asked_now = _records(plan, model, identity, how, cache, progress)
    spent = time.process_time() - began
    whole = (reference, how, identity_of(reference)) if isinstance(reference, Path) else reference
    teacher = {} if whole is None else _known(plan, whole[1], whole[2], cache)
    rows: list[dict[str, Any]] = []
    tasks = []
    for task in plan.tasks:
        record = records[task.name]
        rescore = functools.partial(
            task.scorer.score,
            teacher=answers_by_item(task.items, teacher[task.name]) if task.name in teacher else None,
            classify=_classify,
            labels=labels,
            cache=cache,
        )
        scored, judges = rescore(task.items, answers_by_item(task.items, answers_without_thoughts(task, record, how)))
        second = second_scores(task, _log(task, identity, how, cache), ways[task.name], how, scored.scores, rescore)
        rows += item_rows(task, scored.scores, second.scores)
        way = {**ways[task.name], **thought_facts(task, record, how, ways[task.name]), **second.facts}
        tasks.append(task_evidence(task, record, way, scored.scores, scored.aggregates, judges))
    table = ItemTable.from_rows(rows, source=str(output / ITEMS)).canonical()
    document = evidence_document(plan, identity, how, tasks, table, endpoint=_observed(plan, model, identity, how, cache))
    if is_first():
        if isinstance(model, Endpoint):
            write_atomic(output / RAW_ANSWERS, answers_file(_asked_of(plan, identity, how, cache)))
        elif how.reasoning is not None:
            write_atomic(output / THOUGHTS, thoughts_file(plan, records, how))
        write_items(table, output / ITEMS)
        write_atomic(output / EVALUATION, _pretty(document))
        write_atomic(output / IDENTITY, _pretty(identity.as_json()))
        _write_cost(output / COST, asked_now, spent, tokens_per_task(plan, records, model) if isinstance(model, Path) else None)
    return Evidence(document=document, table=table, folder=output)


def _records(
    plan: Plan, model: Path | Endpoint, identity: Identity, how: BackendSettings, cache: Path, progress: Progress | None
) -> tuple[dict[str, Record], dict[str, Mapping[str, Any]], int]:
    if isinstance(model, Endpoint):
        return _records_of_endpoint(plan, model, identity, how, cache, progress)
    logs = {t.name: _log(t, identity, how, cache) for t in plan.tasks}
    found = {name: log.sealed() for name, log in logs.items()}
    asked_now = sum(sum(len(i.requests) for i in t.items) for t in plan.tasks if found[t.name] is None)
    if asked_now:
        # Only now: a finished evaluation is read without torch.
        from kdgov.evaluation.backends.dispatch import ask  # noqa: PLC0415

        missing = [t for t in plan.tasks if found[t.name] is None]
        found.update(ask(missing, {t.name: logs[t.name] for t in missing}, model, how, progress))
    whole = {name: record for name, record in found.items() if record is not None}
    ways = {name: _way(logs[name]) for name in logs}
    return whole, ways, asked_now


def _records_of_endpoint(
    plan: Plan, endpoint: Endpoint, identity: Identity, how: BackendSettings, cache: Path, progress: Progress | None
) -> tuple[dict[str, Record], dict[str, Mapping[str, Any]], int]:
    tasks = _asked_of(plan, identity, how, cache)
    before = sum(len(one.raw.received()) for one in tasks)
    records: dict[str, Record] = {}
    if is_first():
        # One process asks and pays; the others read what it received.
        records = ask_endpoint(tasks, endpoint, reasoning=how.reasoning, reask=how.reask, progress=progress)
    barrier()
    records = records or {one.task.name: record for one in tasks if (record := one.log.sealed()) is not None}
    way = {"asked": f"{endpoint.api} endpoint", "settings": "max_tokens, temperature, stop of the plan"}
    return records, {one.task.name: way for one in tasks}, sum(len(one.requests) for one in tasks) - before


def _asked_of(plan: Plan, identity: Identity, how: BackendSettings, cache: Path) -> list[EndpointTask]:
    return [
        EndpointTask(
            task=task,
            log=(log := _log(task, identity, how, cache)),
            raw=RawLog(cache, key=log.key, requests=log.requests),
        )
        for task in plan.tasks
    ]


def _observed(plan: Plan, model: Path | Endpoint, identity: Identity, how: BackendSettings, cache: Path) -> dict[str, Any] | None:
    if not isinstance(model, Endpoint):
        return None
    return endpoint_evidence(_asked_of(plan, identity, how, cache), model, how.reasoning)


def _log(task: PlannedTask, identity: Identity, how: BackendSettings, cache: Path) -> AnswerLog:
    requests = sum(len(i.requests) for i in task.items)
    return AnswerLog(cache, key=answers_key(task, identity, how), requests=requests)


def answers_key(task: PlannedTask, identity: Identity, how: BackendSettings) -> str:
    """Digest of everything that decides a model's answers: questions, the whole model, backend, versions.

    The task's metrics are no part of it: a mended metric scores recorded answers again without asking.
    """
    facts = identity.as_json()
    who = {k: facts[k] for k in ("weights", "tokenizer", "template", "config", "model")} if "endpoint" not in facts else facts
    asked = merkle_root(digest_json([i.item_id, i.prompt_digest]) for i in task.items)
    # What an endpoint answered was paid for: other code or versions here do not change it, and it is not asked for again.
    is_local = how.endpoint is None
    code = source_digest("kdgov.evaluation.backends.dispatch") if is_local else ""
    versions = library_versions() if is_local else {}
    return digest_json(
        {
            "who": who,
            "how": how.key_json() if is_local else how.request_json(),
            "versions": versions,
            "asked": asked,
            "task": task.name,
            "code": code,
        }
    )


def _known(plan: Plan, how: BackendSettings, identity: Identity, cache: Path) -> dict[str, Sequence[Any]]:
    comparing = [t for t in plan.tasks if t.scorer.compares]
    known: dict[str, Sequence[Any]] = {}
    for task in comparing:
        record = _log(task, identity, how, cache).sealed()
        if record is None:
            raise InputError(f"{task.name} compares with the teacher, whose answers are not recorded", mend="Evaluate the teacher first.")
        known[task.name] = answers_without_thoughts(task, record, how)
    return known


def _way(log: AnswerLog) -> Mapping[str, Any]:
    try:
        return dict(json.loads(log.path.with_suffix(".way.json").read_bytes()))
    except (OSError, ValueError):
        return {}


def _classify(path: Path, texts: Sequence[str]) -> list[str]:
    from kdgov.evaluation.backends.hugging_face.classifier import classify_texts  # noqa: PLC0415 - torch only when a judge needs it

    labels: list[str] = classify_texts(path, texts)
    return labels


def _pretty(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _write_cost(path: Path, asked_now: int, spent: float, tokens: float | None) -> None:
    # Durations live apart from the evidence: they are never the same twice and decide nothing.
    told = {"requests_asked_now": asked_now, "cpu_s": round(spent, 3), "tokens_per_task": None if tokens is None else round(tokens, 3)}
    write_atomic(path, _pretty(told))


def read_evidence(folder: Path) -> Mapping[str, Any]:
    """The evidence document of a folder.

    Raises:
        InputError: if there is none or it cannot be read.
    """
    path = folder / EVALUATION
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"holds no readable {EVALUATION}", where=str(folder), mend="Run `kdgov evaluate` again.") from error
    if not isinstance(document, dict) or document.get("schema") != "kdgov.evaluation/1":
        raise InputError("is not an evaluation's evidence", where=str(path), mend="Run `kdgov evaluate` again.")
    return document
