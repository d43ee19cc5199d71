"""Item tables from lighteval's details: Parquet files with one row per (document, sampling method)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kdgov.digest import digest_bytes
from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.items.aggregates import mean_faults
from kdgov.items.formats.source import Source
from kdgov.items.metric import Direction, MetricDeclaration
from kdgov.items.per_item_rules import PerItem, Unjudged, per_item, rule_of
from kdgov.items.reader import Claim, Reader, Reading, not_judged
from kdgov.items.readers.lm_eval.lm_eval_samples import chances

SUITE = "lighteval"
_BATCH_ROWS = 256
_FILE = re.compile(r"^details_(?P<task>.+?)(?:_\d{4}-\d{2}-\d{2}T[\d.:-]+)?$")
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
    again: dict[str, int] = {}
    for place, (document, metrics) in enumerate(_records(source)):
        task = str(document.get("task_name") or _FILE.sub(r"\g<task>", source.path.stem))
        shown = str(document.get("query") or "")
        # Details before 0.8 number no document, and have one row for each: equal prompts are told apart by their order.
        again[shown] = again.get(shown, 0) + 1
        unnamed = _name(shown, place) + (f" ({again[shown]})" if again[shown] > 1 else "")
        name = str(document["id"] if document.get("id") not in (None, "") else unnamed)
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
            value = per_item(metric, _pair(found.get(metric)))
            if isinstance(value, Unjudged):
                unjudged[metric] = value.reason
                break
            kept = dict(common[task, name])
            right, choices = kept.pop("right"), kept.pop("choices")
            found_here = value or PerItem(score=math.nan, metric=metric)
            judged = found_here.metric
            if found_here.label is not None:
                kept |= {"label": found_here.label, "prediction": found_here.prediction}
            chance = chances(judged, choices)
            if chance is not None and right > 1:
                # Several right answers of a generation are no choices: whoever knows nothing hits none of them.
                chance = None if right >= choices else right / choices
            rows.append({**kept, "metric": judged, "score": found_here.score, "chance": chance, "weight": found_here.weight})
    return [row for row in rows if row["metric"] not in unjudged], unjudged


def _pair(value: Any) -> Any:
    """What a corpus statistic takes of an item, in the form of the per-item rules: units and log-likelihood, gold and prediction."""
    if not isinstance(value, dict):
        return value
    if {"logprobs", "weights"} == set(value):
        totals = [math.fsum(part) if isinstance(part, list) else part for part in (value["logprobs"], value["weights"])]
        return totals if None not in totals else None
    if {"golds", "preds"} == set(value):
        sides = [part[0] if isinstance(part, list) and len(part) == 1 else part for part in (value["golds"], value["preds"])]
        return value if any(isinstance(side, list) for side in sides) else sides
    return value


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
        "right": len(gold) if isinstance(gold, list) else 1,
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


def _metrics_of(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, Any]]:
    """Task, metric, whether higher is better and name of the corpus function; a group of metrics is listed as one, with several names."""
    tasks = document.get("config_tasks")
    for task, config in tasks.items() if isinstance(tasks, dict) else ():
        listed = config.get("metrics") or config.get("metric") if isinstance(config, dict) else None
        for metric in listed if isinstance(listed, list) else ():
            named = metric.get("metric_name") if isinstance(metric, dict) else None
            for name in named if isinstance(named, list) else [named]:
                values = [metric.get(key) if isinstance(metric, dict) else None for key in ("higher_is_better", "corpus_level_fn")]
                higher, corpus = (value.get(name) if isinstance(value, dict) else value for value in values)
                if isinstance(name, str):
                    yield str(task), name, higher, corpus


def _corpus_mean(document: Mapping[str, Any], task: str, metric: str) -> bool:
    return any(t == task and name == metric and corpus == "mean" for t, name, _, corpus in _metrics_of(document))


def _declared(document: Mapping[str, Any]) -> Iterator[MetricDeclaration]:
    for task, name, higher, _ in _metrics_of(document):
        rule = rule_of(name)
        # The number of an item may be another one than the metric's: nats per word under the name of a perplexity.
        judged = f"{name}_nats" if name in ("word_perplexity", "byte_perplexity") else f"{name}_agreement" if rule.beside else name
        direction: Direction | None = rule.direction or (("higher" if higher else "lower") if isinstance(higher, bool) else None)
        if direction is not None:
            yield MetricDeclaration(suite=SUITE, task=task, metric=judged, direction=direction, low=rule.low, high=rule.high)


def _model(documents: Sequence[tuple[Source, Any]]) -> str:
    general = [document.get("config_general") for _, document in documents if isinstance(document, dict)]
    return next((str(g["model_name"]) for g in general if isinstance(g, dict) and g.get("model_name")), "")


READER = Reader(name=SUITE, tool="lighteval", seen="0.13.0; form of the details before 0.8", claims=_claims, read=_read)
