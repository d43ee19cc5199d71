"""Item tables from `lm_eval --output_path DIR --log_samples`, 0.4.0 to 0.4.13: one row per (document, filter, metric).

Versions before mid-2024 wrote a JSON array under ``<model arguments>_<task>.jsonl``; before 0.4.6 rows do not name their filter, and
the filters follow each other in blocks; later versions write JSON lines under ``samples_<task>_<date>.jsonl``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kdgov.digest import digest_bytes
from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.items.aggregates import aggregate_fault, count_fault
from kdgov.items.formats.source import Source
from kdgov.items.metric import MetricDeclaration
from kdgov.items.per_item_rules import PerItem, Unjudged, per_item, rule_of
from kdgov.items.reader import Claim, Reader, Reading, evidence_finding, item_proxy, not_judged, not_taking_part
from kdgov.items.readers.lm_eval.lm_eval_groups import read_groups
from kdgov.items.readers.lm_eval.lm_eval_results import SUITE, Results, directions, is_results_file, read_results, results_of, settings
from kdgov.items.readers.lm_eval.lm_eval_samples import Sample, chances, paragraph_question, samples_of

_NAME = re.compile(r"^samples_(?P<task>.+?)(?:_(?P<date>\d{4}-\d{2}-\d{2}T\d{2}[-:]\d{2}[-:]\d{2}(?:\.\d+)?))?\.jsonl?$")
_CHECKED = {"mean", "perplexity", "weighted_perplexity", "bits_per_byte", "brier_score"}
_ALWAYS_MEANS = {"acc", "acc_norm", "acc_bytes", "exact_match", "perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte"}
_LEAVES_OUT = "nanmean"
"""Aggregation with which a task says that NaN is no fault: the item takes no part in the metric."""
DOCUMENTS = "documents"


@dataclass(slots=True)
class _Task:
    """What one task's samples gave."""

    name: str
    results: Results | None
    rows: list[dict[str, Any]] = field(default_factory=list)
    values: dict[tuple[str, str], list[PerItem]] = field(default_factory=dict)
    logged: dict[str, str] = field(default_factory=dict)
    unjudged: dict[str, str] = field(default_factory=dict)
    proxies: dict[str, str] = field(default_factory=dict)
    questions: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


def _claims(source: Source) -> Claim:
    if source.path.suffix not in (".json", ".jsonl"):
        return ""
    first = source.first
    if "doc_id" in first and {"arguments", "resps", "filtered_resps", "metrics"} & set(first):
        return "scores"
    if _NAME.match(source.name) and (source.path.suffix == ".jsonl" or source.first_byte == b"["):
        return "scores"
    return "beside" if is_results_file(source) else ""


def _read(scores: Sequence[Source], beside: Sequence[Source]) -> Reading:
    all_results = read_results(beside)
    by_task: dict[str, Source] = {}
    tasks = []
    for source in scores:
        name, date = _task_of(source, all_results)
        if name in by_task:
            raise InputError(
                f"the task {name!r} was logged twice: {by_task[name].name} and {source.name}",
                where=str(source.path.parent),
                mend="Choosing between two runs after seeing them is no fair test: name the one you planned; keep one folder per model.",
            )
        by_task[name] = source
        tasks.append(_read_task(source, name, results_of(name, date, all_results)))
    groups = read_groups(all_results, _means(tasks))
    asked: dict[str, str] = {}
    for task in tasks:
        asked |= settings(task.name, task.results)
        if all(task.logged.values()):
            asked[f"{task.name}: {DOCUMENTS}"] = digest_bytes("\n".join(sorted(set(task.logged.values()))).encode())
    return Reading(
        rows=[row for task in tasks for row in task.rows],
        metrics=(
            *groups.metrics,
            *(declared for task in tasks for declared in _declared(task)),
            *_declared_elsewhere(all_results, by_task),
        ),
        findings=(*(f for task in tasks for f in _findings(task)), *groups.findings, *_without_samples(all_results, by_task)),
        asked=asked,
        model=next((str(r.document["model_name"]) for r in all_results if r.document.get("model_name")), ""),
    )


def _means(tasks: Sequence[_Task]) -> dict[tuple[str, str], tuple[float, int]]:
    scores: dict[tuple[str, str], list[float]] = {}
    for task in tasks:
        for row in task.rows:
            scores.setdefault((task.name, row["metric"]), []).append(float(row["score"]))
    return {key: (math.fsum(values) / len(values), len(values)) for key, values in scores.items()}


def _task_of(source: Source, all_results: Sequence[Results]) -> tuple[str, str]:
    if match := _NAME.match(source.name):
        return match["task"], match["date"] or ""
    known = {task for r in all_results for task in (*r.tasks, *r.part("configs"))}
    ending = [task for task in known if source.path.stem == task or source.path.stem.endswith(f"_{task}")]
    if not ending:
        raise InputError(
            "holds lm_eval samples, and its name does not say of which task",
            where=str(source),
            mend="Put the run's results.json beside it: versions before mid-2024 name the task there.",
        )
    return max(ending, key=len), ""


def _read_task(source: Source, name: str, results: Results | None) -> _Task:
    task = _Task(name, results)
    for sample in samples_of(source, results.filters(name) if results else ()):
        task.logged.setdefault(sample.item_id, sample.document)
        _add(task, sample)
    for (metric, question), members in task.questions.items():
        _add_question(task, metric, question, members)
    if not task.rows and not task.unjudged:
        raise InputError(
            "holds no per-item score", where=str(source), mend="Its metrics are computed over the whole task; log per-item ones."
        )
    return task


def _add(task: _Task, sample: Sample) -> None:
    suffix = f",{sample.filter}" if sample.filter not in ("none", "") else ""
    for name, value in sample.metrics.items():
        if name == "acc_all" and (question := paragraph_question(value)):
            task.questions.setdefault((f"acc_all{suffix}", question), []).append(sample)
            continue
        found = per_item(name, value)
        if isinstance(found, Unjudged):
            task.unjudged.setdefault(name, found.reason)
        elif found is not None and math.isnan(found.score) and task.results and task.results.aggregation(task.name, name) == _LEAVES_OUT:
            task.left_out[f"{name}{suffix}"] = task.left_out.get(f"{name}{suffix}", 0) + 1
        elif found is not None:
            if found.metric != name and rule_of(name).beside:
                task.proxies[name] = found.metric
            task.values.setdefault((name, sample.filter), []).append(found)
            task.rows.append(_row(task.name, sample, found, suffix))


def _row(task: str, sample: Sample, found: PerItem, suffix: str) -> dict[str, Any]:
    return {
        "suite": SUITE,
        "task": task,
        "item_id": sample.item_id,
        "metric": f"{found.metric}{suffix}",
        "score": found.score,
        "prompt_digest": sample.prompt_digest,
        "item_digest": sample.item_digest,
        "label": sample.target if found.label is None else found.label,
        "prediction": sample.answer if found.prediction is None else found.prediction,
        "chance": chances(found.metric, sample.choices),
        "weight": found.weight,
        "text": sample.text,
    }


def _add_question(task: _Task, metric: str, question: str, members: Sequence[Sample]) -> None:
    """SuperGLUE's MultiRC: a question counts where all its answers are labelled right."""
    right = [float(bool(m.metrics["acc_all"][0]) == (m.metrics["acc_all"][1].get("label") == 1)) for m in members]
    row = _row(task.name, members[0], PerItem(score=min(right), metric=metric), "")
    digest = digest_bytes(json.dumps([m.prompt_digest for m in members]).encode())
    task.rows.append(
        {
            **row,
            "item_id": f"question {question}",
            "prompt_digest": digest,
            "item_digest": None,
            "label": "",
            "prediction": "",
            "chance": None,
        }
    )


def _declared(task: _Task) -> list[MetricDeclaration]:
    named = {name for name, _ in task.values} | {"acc_all" for _ in task.questions}
    found = []
    for declared in directions(task.name, sorted(named), task.results):
        own = [values[0] for (name, _), values in sorted(task.values.items()) if name == declared.metric]
        statistic = "weighted_mean" if any(value.weight for value in own) else "mean"
        for metric in sorted({value.metric for value in own} or {declared.metric}):
            renamed = replace(declared, metric=metric, statistic=statistic)
            # "exact_match,strict-match": the filter's name is part of the metric's, its direction is not.
            found += [renamed, replace(renamed, metric=f"{metric},*")]
    return found


def _declared_elsewhere(all_results: Sequence[Results], by_task: Mapping[str, Source]) -> list[MetricDeclaration]:
    others = {task: results for results in reversed(all_results) for task in results.part("higher_is_better") if task not in by_task}
    plain = [declared for task, results in sorted(others.items()) for declared in directions(task, (), results)]
    return [*plain, *(replace(declared, metric=f"{declared.metric},*") for declared in plain)]


def _findings(task: _Task) -> Iterable[Finding]:
    for metric, reason in sorted(task.unjudged.items()):
        yield not_judged(task.name, metric, reason)
    for metric, left in sorted(task.left_out.items()):
        yield not_taking_part(task.name, metric, left, len(task.logged))
    for metric, judged in sorted(task.proxies.items()):
        yield item_proxy(task.name, metric, judged)
    if (results := task.results) is None:
        return
    yield from results.limited(task.name, len(task.logged))
    count = results.asked_items(task.name)
    if count is not None and (fault := count_fault(task.name, count, len(task.logged), file=results.source.name)) is not None:
        # The aggregates speak of other items than these.
        yield fault
        return
    for (metric, filter_name), items in sorted(task.values.items()):
        aggregation, aggregate = results.aggregation(task.name, metric), rule_of(metric).aggregate
        stated = results.aggregate(task.name, metric, filter_name)
        if stated is None or aggregate is None or metric in task.unjudged:
            continue
        if aggregation in _CHECKED or (not aggregation and metric in _ALWAYS_MEANS):
            shown = metric if filter_name in ("none", "") else f"{metric},{filter_name}"
            fault = aggregate_fault(task.name, shown, stated, aggregate(items), items=len(items), file=results.source.name)
            if fault is not None:
                yield fault


def _without_samples(all_results: Sequence[Results], by_task: Mapping[str, Source]) -> list[Finding]:
    stated = {task: r.source.name for r in all_results for task in r.tasks if _has_number(r.part("results").get(task))}
    lost = sorted(set(stated) - set(by_task))
    if not lost:
        return []
    reason = f"{stated[lost[0]]} has results of {', '.join(lost)}, and no samples of it lie here: not judged."
    return [evidence_finding("samples-missing", "samples", reason, "Log the samples of every task, or leave the task out of the run.")]


def _has_number(results: Any) -> bool:
    return isinstance(results, dict) and any(isinstance(value, float) for value in results.values())


READER = Reader(
    name=SUITE,
    tool="lm_eval --log_samples",
    seen="0.4.2, 0.4.3, 0.4.5, 0.4.8, 0.4.13; forms of 0.4.0 to 0.4.13",
    claims=_claims,
    read=_read,
)
