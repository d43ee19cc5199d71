"""What an evaluation writes of itself: rows of the item table, facts of each task, the evidence document."""

from __future__ import annotations

import importlib.metadata
import math
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kdgov import __version__
from kdgov.checkpoints.endpoint_identity import Identity
from kdgov.digest import digest_json
from kdgov.evaluation.backends.response_log import Record
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.media import FILE
from kdgov.evaluation.plan.planned_groups import group_declaration, group_value
from kdgov.evaluation.plan.request import Plan, PlannedItem, PlannedTask, shown_text
from kdgov.evaluation.scoring.scores import ItemScore
from kdgov.items.metric import MetricDeclaration
from kdgov.items.table import ItemTable, MetricKey
from kdgov.items.text_digest import text_digest

_TEXT_LIMIT = 400
_LIBRARIES = ("torch", "transformers", "tokenizers", "lm_eval", "datasets")


def item_rows(task: PlannedTask, scores: Sequence[ItemScore], again: Mapping[tuple[str, str], float] | None = None) -> list[dict[str, Any]]:
    """Rows of the item table for one task's scores; of personal tasks nothing readable is kept, only digests and lengths.

    Args:
        task: what was asked.
        scores: what came out.
        again: (item, metric) → what the item scored when it was asked a second time.
    """
    items = {i.item_id: i for i in task.items}
    is_personal = task.scorer.declared.sensitive == "personal"
    rows = []
    for score in scores:
        item = items[score.item_id]
        texts = {"prediction": score.prediction, "label": score.label, "text": score.text or _shown(item)}
        if is_personal:
            texts = {k: text_digest(str(v)) if v is not None else v for k, v in texts.items()}
        if is_personal and task.kind == "canary_exposure":
            texts.update(text="", prediction=score.prediction, label=score.label)
        rows.append(
            {
                "suite": task.suite,
                "task": task.task,
                "item_id": score.item_id,
                "metric": score.metric,
                "score": score.score,
                "cluster": item.cluster,
                **({"group": dict(item.group)} if item.group else {}),
                "prompt_digest": item.prompt_digest,
                "item_digest": item.item_digest,
                "confidence": score.confidence,
                **({} if score.gold is None else {"gold": score.gold}),
                **({"again": again[at]} if again and (at := (score.item_id, score.metric)) in again else {}),
                **({} if score.weight is None else {"weight": score.weight}),
                **texts,
            }
        )
    return rows


def _shown(item: PlannedItem) -> str:
    return shown_text(item.requests[0].context).removeprefix(FILE)[-_TEXT_LIMIT:]


def task_evidence(
    task: PlannedTask,
    record: Record,
    way: Mapping[str, Any],
    scores: Sequence[ItemScore],
    aggregates: Mapping[str, float],
    judges: Mapping[str, Any],
) -> dict[str, Any]:
    """What the evidence says of one task."""
    owner = [item.item_id for item in task.items for _ in item.requests]
    truncated = sorted({owner[a.index] for a in record.answers if a.is_truncated})
    not_finite = sorted({s.item_id for s in scores if not math.isfinite(s.score)})
    return {
        "suite": task.suite,
        "task": task.task,
        "root": task.root,
        "settings": dict(task.settings),
        "items": len(task.items),
        "of_whole": task.of_whole,
        **task.in_part,
        "requests": len(record.answers),
        "answers": record.digest,
        "delivered": digest_json([a.delivered for a in record.answers]),
        "way": dict(way),
        "truncated": len(truncated),
        "truncated_items": truncated[:10],
        "not_finite": len(not_finite),
        "not_finite_items": not_finite[:10],
        "judges": {name: {**task.settings.get("judges", {}).get(name, {}), **facts} for name, facts in judges.items()},
        "aggregates": {k: _number(v) for k, v in sorted(aggregates.items())},
        "means": _means(task, scores, aggregates),
    }


def _means(task: PlannedTask, scores: Sequence[ItemScore], aggregates: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Means of every declared metric, with how many items say that they take no part in it, and what the task's own number is."""
    found = means_of(scores)
    for metric in task.metrics:
        mean, (source, own) = found.get(metric["metric"], {}), _own_number(metric, aggregates)
        if own is not None and not mean.get("missing") and (there := mean.get("mean")) is not None:
            # A perplexity, an F1, words by their number: no plain mean over items.
            mean |= {} if math.isclose(own, there, rel_tol=1e-9, abs_tol=1e-12) else {"of_task": own, "source": source}
    scored = Counter(score.metric for score in scores)
    for name in task.settings.get("not_applicable", {}):
        found.setdefault(name, {"mean": None, "missing": 0})["not_applicable"] = len(task.items) - scored[name]
    return found


def _own_number(metric: Mapping[str, Any], aggregates: Mapping[str, float]) -> tuple[str, float | None]:
    """What the task itself makes of a metric over its items, and its name there; None of a judge's, and of what kdgov adds to a task."""
    wanted = () if metric.get("judge") else (metric.get("source") or "", metric["metric"])
    of_filter = metric.get("filter")
    keys = [k for name in wanted for k in aggregates if k.rpartition(",")[0] == name and of_filter in (None, k.rpartition(",")[2])]
    if not keys or not math.isfinite(aggregates[keys[0]]):
        return "", None
    return keys[0].rpartition(",")[0], aggregates[keys[0]]


def means_of(scores: Sequence[ItemScore]) -> dict[str, dict[str, Any]]:
    """Mean of every metric as the suite names it, over the items that have one, and how many have none."""
    found: dict[str, dict[str, Any]] = {}
    for name in sorted({score.metric for score in scores}):
        values = [score.score for score in scores if score.metric == name]
        there = [value for value in values if math.isfinite(value)]
        mean = math.fsum(there) / len(there) if there else None
        found[name] = {"mean": mean, "missing": len(values) - len(there)}
    return found


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def evidence_document(
    plan: Plan,
    identity: Identity,
    how: BackendSettings,
    tasks: Sequence[Mapping[str, Any]],
    table: ItemTable,
    *,
    endpoint: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of ``evidence.json``; no duration and no path is part of it."""
    return {
        "schema": "kdgov.evaluation/1",
        "plan": plan.root,
        "model": identity.as_json(),
        "how": how.as_json(),
        "versions": library_versions(),
        "tasks": list(tasks),
        "metrics": [d.as_json() for d in _weighed(_declared(plan), table)],
        **({"groups": [{**group.as_json(), "value": group_value(group, table, tasks)} for group in plan.groups]} if plan.groups else {}),
        "items": table.content_digest,
        "rows": len(table),
        **({"endpoint": dict(endpoint)} if endpoint is not None else {}),
    }


def _declared(plan: Plan) -> list[MetricDeclaration]:
    found = [declared for task in plan.tasks for declared in declarations_of(task)]
    sizes = {(task.suite, task.task): len(task.items) for task in plan.tasks}
    for group in (group for group in plan.groups if not group.of_numbers):
        found.append(group_declaration(group, found, {task: n for (suite, task), n in sizes.items() if suite == group.suite}))
    return found


def _weighed(declared: Sequence[MetricDeclaration], table: ItemTable) -> list[MetricDeclaration]:
    """The metrics with what their tasks' numbers are of the items: a mean by weight where the items have weights."""
    found = []
    for one in declared:
        rows = table.partitions.get(MetricKey(one.suite, one.task, one.metric))
        is_weighed = rows is not None and not one.members and table.has("weight") and table.column("weight", rows).null_count == 0
        found.append(replace(one, statistic="weighted_mean") if is_weighed else one)
    return found


def declarations_of(task: PlannedTask) -> list[MetricDeclaration]:
    """A task's metrics as the gate reads them."""
    found = []
    for metric in task.metrics:
        low, high = metric.get("range") or (None, None)
        judge = metric.get("judge") or ""
        facts = task.settings.get("judges", {}).get(judge, {})
        found.append(
            MetricDeclaration(
                suite=task.suite,
                task=task.task,
                metric=metric["metric"],
                direction=metric["direction"],
                ideal=metric.get("ideal"),
                chance=metric.get("chance"),
                low=low,
                high=high,
                judge=f"{judge}@{facts.get('digest', '')}" if judge else "",
                harmful=task.scorer.declared.sensitive == "harmful" if task.scorer else False,
            )
        )
    return found


def library_versions() -> dict[str, str]:
    """Versions of everything that can change an answer."""
    found = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"kdgov": __version__, "python": platform.python_version(), **found}
