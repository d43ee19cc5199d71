"""Item tables from lighteval's details: Parquet files with one row per (document, sampling method)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kdgov.digest import digest_bytes
from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.items.aggregates import mean_faults
from kdgov.items.formats.source import Source
from kdgov.items.metric import MetricDeclaration
from kdgov.items.per_item_rules import Unjudged, per_item
from kdgov.items.reader import Claim, Reader, Reading, not_judged
from kdgov.items.readers.lm_eval.lm_eval_samples import chances

SUITE = "lighteval"
_BATCH_ROWS = 256
_TEXT_CHARACTERS = 4000


def _claims(source: Source) -> Claim:
    if source.path.suffix == ".parquet":
        columns = set(source.columns)
        return "scores" if {"doc", "metric"} <= columns or {"metrics", "full_prompt"} <= columns else ""
    if source.path.suffix == ".json" and source.name.startswith("results"):
        return "beside" if {"config_general", "results"} <= set(source.first) else ""
    return ""


def _read(scores: Sequence[Source], beside: Sequence[Source]) -> Reading:
    documents = [(source, source.document()) for source in beside]
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    seen: dict[str, Source] = {}
    for source in scores:
        for task, found, unjudged in _tasks(source):
            if task in seen and seen[task] is not source:
                what = f"the task {task!r} was logged twice: {seen[task].name} and {source.name}"
                raise InputError(what, where=str(source.path.parent), mend="Name the run you planned; keep one folder per model.")
            seen[task] = source
            rows += found
            findings += [not_judged(task, metric, reason) for metric, reason in sorted(unjudged.items())]
    for source, document in documents:
        findings += mean_faults(rows, _stated(document), file=source.name)
    declared = tuple(d for _, document in documents for d in _declared(document))
    return Reading(rows=rows, metrics=declared, findings=tuple(findings), model=_model(documents))


def _tasks(source: Source) -> Iterator[tuple[str, list[dict[str, Any]], dict[str, str]]]:
    common: dict[tuple[str, str], dict[str, Any]] = {}
    values: dict[tuple[str, str], dict[str, Any]] = {}
    for place, (document, metrics) in enumerate(_records(source)):
        task = str(document.get("task_name") or source.path.stem)
        shown = str(document.get("query") or "")
        name = str(document["id"] if document.get("id") not in (None, "") else _name(shown, place))
        common.setdefault((task, name), _common(document, task, name, shown))
        own = values.setdefault((task, name), {})
        for metric, value in metrics.items():
            # Every sampling method has a row of its own, in which the other methods' metrics are null.
            if own.get(metric) is None:
                own[metric] = value
            elif value is not None:
                raise InputError(f"the document {name!r} has {metric} twice", where=str(source), mend="Use the details of one run.")
    for task in sorted({task for task, _ in common}):
        yield task, *_rows(task, common, values)


def _rows(
    task: str, common: Mapping[tuple[str, str], Mapping[str, Any]], values: Mapping[tuple[str, str], Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    own = {name: found for (of, name), found in values.items() if of == task}
    rows: list[dict[str, Any]] = []
    unjudged: dict[str, str] = {}
    for metric in sorted({m for found in own.values() for m in found}):
        if all(found.get(metric) is None for found in own.values()):
            unjudged[metric] = f"{metric} is empty for every document"
            continue
        for name, found in own.items():
            value = per_item(metric, found.get(metric))
            if isinstance(value, Unjudged):
                unjudged[metric] = value.reason
                break
            kept = dict(common[task, name])
            choices = kept.pop("choices")
            score = math.nan if value is None else value.score
            rows.append({**kept, "metric": metric, "score": score, "chance": chances(metric, choices)})
    return [row for row in rows if row["metric"] not in unjudged], unjudged


def _records(source: Source) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    columns = [name for name in ("doc", "metric", "metrics", "full_prompt", "choices", "gold", "example_id") if name in source.columns]
    try:
        for batch in pq.ParquetFile(source.path).iter_batches(batch_size=_BATCH_ROWS, columns=columns):
            for row in batch.to_pylist():
                document = row.get("doc")
                if not isinstance(document, dict):
                    document = {"query": row.get("full_prompt"), "choices": row.get("choices"), "id": row.get("example_id")}
                metrics = row.get("metric") or row.get("metrics")
                yield document, metrics if isinstance(metrics, dict) else {}
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"is not a whole Parquet file: {error}", where=str(source), mend="Write the file again.") from error


def _common(document: Mapping[str, Any], task: str, name: str, shown: str) -> dict[str, Any]:
    choices, gold = document.get("choices"), document.get("gold_index")
    listed = choices if isinstance(choices, list) else []
    return {
        "suite": SUITE,
        "task": task,
        "item_id": name,
        "prompt_digest": digest_bytes(json.dumps([shown, listed], ensure_ascii=False).encode()),
        "label": json.dumps(gold) if gold is not None else None,
        "text": shown[-_TEXT_CHARACTERS:],
        "choices": len(listed),
    }


def _name(shown: str, place: int) -> str:
    return digest_bytes(shown.encode())[7:23] if shown else str(place)


def _stated(document: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    results = document.get("results")
    found = {}
    for task, metrics in results.items() if isinstance(results, dict) else ():
        for metric, value in metrics.items() if isinstance(metrics, dict) else ():
            if isinstance(value, (int, float)) and _corpus_mean(document, str(task), metric):
                found[str(task), str(metric)] = float(value)
    return found


def _metrics_of(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    tasks = document.get("config_tasks")
    for task, config in tasks.items() if isinstance(tasks, dict) else ():
        listed = config.get("metrics") or config.get("metric") if isinstance(config, dict) else None
        for metric in listed if isinstance(listed, list) else ():
            if isinstance(metric, dict):
                yield str(task), metric


def _corpus_mean(document: Mapping[str, Any], task: str, metric: str) -> bool:
    return any(t == task and m.get("metric_name") == metric and m.get("corpus_level_fn") == "mean" for t, m in _metrics_of(document))


def _declared(document: Mapping[str, Any]) -> Iterator[MetricDeclaration]:
    for task, metric in _metrics_of(document):
        higher = metric.get("higher_is_better")
        if isinstance(higher, bool) and isinstance(metric.get("metric_name"), str):
            direction = "higher" if higher else "lower"
            yield MetricDeclaration(suite=SUITE, task=task, metric=metric["metric_name"], direction=direction)  # type: ignore[arg-type]


def _model(documents: Sequence[tuple[Source, Any]]) -> str:
    general = [document.get("config_general") for _, document in documents if isinstance(document, dict)]
    return next((str(g["model_name"]) for g in general if isinstance(g, dict) and g.get("model_name")), "")


READER = Reader(name=SUITE, tool="lighteval", seen="0.13.0; form of the details before 0.8", claims=_claims, read=_read)
