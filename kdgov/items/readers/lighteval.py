"""Item tables from lighteval's details: Parquet files with one row per (document, sampling method)."""

from __future__ import annotations

import ast
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
from kdgov.items.aggregates import limited_part, mean_faults
from kdgov.items.formats.source import Source
from kdgov.items.metric import Direction, MetricDeclaration
from kdgov.items.per_item_rules import PerItem, Unjudged, per_item, rule_of
from kdgov.items.reader import Claim, Reader, Reading, evidence_finding, not_judged
from kdgov.items.readers.lm_eval.lm_eval_samples import chances

SUITE = "lighteval"
_BATCH_ROWS = 256
_TEXTS = ("example", "full_prompt", "metrics", "choices", "gold_index")
"""Columns of details before 0.8, which hold every value as the text Python shows for it."""
_MOST_TEXT = 1 << 20
_NO_LITERAL = re.compile(r"\b(?:nan|inf)\b")
_NUMPY = re.compile(r"\b(?:np|numpy)\.\w+\(([^()]*)\)")
_LOWER = ("edit_distance", "ter")
"""The tool's own metrics of which less is better, for details without the results file that says so."""
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
    asked: dict[str, str] = {}
    for source in scores:
        for task, found, unjudged in _tasks(source):
            if task in seen and seen[task] is not source:
                what = f"the task {task!r} was logged twice: {seen[task].name} and {source.name}"
                raise InputError(what, where=str(source.path.parent), mend="Name the run you planned; keep one folder per model.")
            seen[task] = source
            rows += found
            # The same questions through another template or other examples: two prompts of one document.
            asked[f"{task}: documents"] = digest_bytes(
                "\n".join(sorted(f"{row['item_id']} {row['item_digest']}" for row in found)).encode()
            )
            findings += [not_judged(task, metric, reason) for metric, reason in sorted(unjudged.items())]
    for source, document in documents:
        findings += mean_faults(rows, _stated(document), file=source.name)
        findings += _without_details(document, seen, source)
        findings += _limited(document, rows, source)
    stated = {(task, name): higher for _, document in documents for task, name, higher, _ in _metrics_of(document)}
    return Reading(rows=rows, metrics=tuple(_declared(rows, stated)), findings=tuple(findings), asked=asked, model=_model(documents))


def _limited(document: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], source: Source) -> list[Finding]:
    """Whether ``--max-samples`` had only some documents asked; versions before 0.11 write how many a task has."""
    general, configs = document.get("config_general"), document.get("config_tasks")
    limit = general.get("max_samples") if isinstance(general, dict) else None
    asked: dict[str, set[str]] = {}
    for row in rows:
        asked.setdefault(str(row["task"]), set()).add(str(row["item_id"]))
    found = []
    for task, items in sorted(asked.items()):
        config = configs.get(task) if isinstance(configs, dict) else None
        whole = config.get("original_num_docs") if isinstance(config, dict) and limit else None
        known = whole if isinstance(whole, int) and whole > 0 else None
        found += limited_part(task, len(items), whole=known, limit=limit, file=source.name)
    return found


def _without_details(document: Mapping[str, Any], seen: Mapping[str, Source], source: Source) -> list[Finding]:
    results = document.get("results")
    stated = [str(task) for task in results if task != "all" and ":_average|" not in str(task)] if isinstance(results, dict) else []
    if not (lost := sorted(set(stated) - set(seen))):
        return []
    reason = f"{source.name} has results of {', '.join(lost)}, and no details of it lie here: not judged."
    mend = "Save the details of every task (--save-details), or leave the task out of the run."
    return [evidence_finding("samples-missing", "samples", reason, mend)]


def _tasks(source: Source) -> Iterator[tuple[str, list[dict[str, Any]], dict[str, str]]]:
    common: dict[tuple[str, str], dict[str, Any]] = {}
    values: dict[tuple[str, str], dict[str, Any]] = {}
    again: dict[str, int] = {}
    for place, (document, metrics) in enumerate(_records(source)):
        task = str(document.get("task_name") or _FILE.sub(r"\g<task>", source.path.stem))
        shown = str(document.get("query") or "")
        asked = str(document.get("question") or shown)
        # Details before 0.11 number no document, and have one row for each: equal questions are told apart by their order.
        again[asked] = again.get(asked, 0) + 1
        unnamed = _name(asked, place) + (f" ({again[asked]})" if again[asked] > 1 else "")
        name = str(document["id"] if document.get("id") not in (None, "") else unnamed)
        common.setdefault((task, name), _common(document, task, name, asked, shown))
        own = values.setdefault((task, name), {})
        for metric, value in metrics.items():
            # Every sampling method has a row of its own, in which the other methods' metrics are null.
            if own.get(metric) is None:
                own[metric] = value
            elif value is not None:
                raise InputError(f"the document {name!r} has {metric} twice", where=str(source), mend="Use the details of one run.")
        if not metrics:
            raise InputError(f"the document {name!r} has no metric that can be read", where=str(source), mend="Write the details again.")
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
    columns = [name for name in ("doc", "metric", *_TEXTS) if name in source.columns]
    try:
        file = pq.ParquetFile(source.path)
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[*columns, *_input(file.schema_arrow)]):
            for row in batch.to_pylist():
                yield _record(row)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"is not a whole Parquet file: {error}", where=str(source), mend="Write the file again.") from error


def _input(schema: pa.Schema) -> list[str]:
    """The column of what was shown, in details since 0.11 whose backend wrote it as text; its neighbours are large."""
    place = schema.get_field_index("model_response")
    if place < 0 or not pa.types.is_struct(kind := schema.field(place).type) or kind.get_field_index("input") < 0:
        return []
    return ["model_response.input"] if pa.types.is_string(kind.field("input").type) else []


def _record(row: dict[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """A document and its metrics. The bare question names the document; what was shown holds examples and chat template as well."""
    document, metrics = row.get("doc"), row.get("metric")
    if isinstance(document, dict):
        response = row.get("model_response")
        shown = response.get("input") if isinstance(response, dict) else None
        document = {**document, "question": document.get("query"), "query": shown or document.get("query")}
    else:
        row |= {name: _literal(row.get(name)) for name in ("metrics", "choices", "gold_index")}
        document = {"query": row.get("full_prompt"), "question": row.get("example")}
        document |= {name: row.get(name) for name in ("choices", "gold_index")}
        metrics = row.get("metrics")
    return document, metrics if isinstance(metrics, dict) else {}


def _literal(value: Any) -> Any:
    """A value that details before 0.8 wrote as text, such as ``"{'acc': 1}"``; others as they are."""
    if not isinstance(value, str) or len(value) > _MOST_TEXT:
        return value
    try:
        return ast.literal_eval(_NO_LITERAL.sub("None", _NUMPY.sub(r"\1", value)))
    except (MemoryError, RecursionError, SyntaxError, ValueError):
        return value


def _common(document: Mapping[str, Any], task: str, name: str, asked: str, shown: str) -> dict[str, Any]:
    choices, gold = document.get("choices"), document.get("gold_index")
    listed = choices if isinstance(choices, list) else []
    return {
        "suite": SUITE,
        "task": task,
        "item_id": name,
        "prompt_digest": digest_bytes(json.dumps([shown, listed], ensure_ascii=False).encode()),
        "item_digest": digest_bytes(json.dumps([asked, listed, gold], ensure_ascii=False).encode()),
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


def _declared(rows: Sequence[Mapping[str, Any]], stated: Mapping[tuple[str, str], Any]) -> Iterator[MetricDeclaration]:
    """Which way each judged number is better: by the rule of what it is, by the results file, by what the tool is known to write."""
    written = {(str(row["task"]), str(row["metric"])) for row in rows}
    named = {(task, _plain(judged)) for task, judged in written}
    for task, judged in sorted(written | (set(stated) - named)):
        name = _plain(judged)
        rule, higher = rule_of(name), stated.get((task, name))
        if name in _LOWER and not isinstance(higher, bool):
            higher = False
        direction: Direction | None = rule.direction or (("higher" if higher else "lower") if isinstance(higher, bool) else None)
        if direction is not None:
            yield MetricDeclaration(suite=SUITE, task=task, metric=judged, direction=direction, low=rule.low, high=rule.high)


def _plain(judged: str) -> str:
    return judged.removesuffix("_nats").removesuffix("_agreement")


def _model(documents: Sequence[tuple[Source, Any]]) -> str:
    general = [document.get("config_general") for _, document in documents if isinstance(document, dict)]
    return next((str(g["model_name"]) for g in general if isinstance(g, dict) and g.get("model_name")), "")


READER = Reader(
    name=SUITE,
    tool="lighteval",
    seen="0.13.0; 0.8.1, 0.10.0 and 0.13.0 written by their own classes; form of 0.6",
    claims=_claims,
    read=_read,
)
