"""Item tables from EvalPlus' `*_eval_results.json`: per problem the share of samples that pass ``base``, and ``plus`` as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.items.aggregates import mean_faults
from kdgov.items.formats.source import Source
from kdgov.items.metric import MetricDeclaration
from kdgov.items.reader import Claim, Reader, Reading, one_row_per_item

SUITE = "evalplus"
_PASS = ("pass", "success")
"""How the tool spells it, and how it did before 0.2.1."""


def _claims(source: Source) -> Claim:
    if source.path.suffix == ".json" and isinstance(source.first.get("eval"), dict):
        first = next(iter(source.first["eval"].values()), None)
        return "scores" if _is_old(first) or (isinstance(first, list) and first and _is_sample(first[0])) else ""
    if source.path.suffix == ".jsonl" and "task_id" in source.first and {"solution", "completion"} & set(source.first):
        return "beside"
    return ""


def _is_sample(sample: Any) -> bool:
    return isinstance(sample, dict) and "base_status" in sample


def _is_old(problem: Any) -> bool:
    return isinstance(problem, dict) and "base" in problem and "nfiles" in problem


def _read(scores: Sequence[Source], beside: Sequence[Source]) -> Reading:
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    seen: dict[str, Source] = {}
    for source in scores:
        document = source.document()
        own = one_row_per_item(row for task_id, problem in document["eval"].items() for row in _problem(str(task_id), problem, source))
        for task in {str(row["task"]) for row in own}:
            if task in seen:
                what = f"the problems of {task} were evaluated twice: {seen[task].name} and {source.name}"
                raise InputError(what, where=str(source.path.parent), mend="Name one file per model.")
            seen[task] = source
        findings += _faults(document, own, source)
        rows += own
    declared = tuple(
        MetricDeclaration(suite=SUITE, task="*", metric=metric, direction="higher", low=0.0, high=1.0) for metric in ("base", "plus")
    )
    return Reading(rows=rows, metrics=declared, findings=tuple(findings))


def _problem(task_id: str, problem: Any, source: Source) -> list[dict[str, Any]]:
    statuses = _statuses(problem)
    if not statuses:
        raise InputError(f"{task_id} has no sample", where=str(source), mend="Evaluate every problem; a missing one is not a failed one.")
    task = task_id.partition("/")[0] or SUITE
    rows = []
    for base, plus, solution in statuses:
        common = {"suite": SUITE, "task": task, "item_id": task_id, "prediction": solution}
        rows.append({**common, "metric": "base", "score": float(base in _PASS)})
        if plus is not None:
            # EvalPlus counts `plus` only where the base tests pass as well.
            rows.append({**common, "metric": "plus", "score": float(base in _PASS and plus in _PASS)})
    return rows


def _statuses(problem: Any) -> list[tuple[Any, Any, Any]]:
    if _is_old(problem):
        base, plus = problem.get("base") or [], problem.get("plus") or []
        return [(b[0], plus[n][0] if n < len(plus) else None, None) for n, b in enumerate(base) if isinstance(b, list) and b]
    listed = problem if isinstance(problem, list) else []
    return [(s.get("base_status"), s.get("plus_status"), s.get("solution")) for s in listed if _is_sample(s)]


def _faults(document: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], source: Source) -> tuple[Finding, ...]:
    stated = document.get("pass_at_k")
    if not isinstance(stated, dict):
        return ()
    tasks = {str(row["task"]) for row in rows}
    means = {
        (task, metric): float(values["pass@1"])
        for metric, values in stated.items()
        if isinstance(values, dict) and isinstance(values.get("pass@1"), (int, float)) and len(tasks) == 1
        for task in tasks
    }
    return mean_faults(rows, means, file=source.name)


READER = Reader(name=SUITE, tool="EvalPlus", seen="0.3.1; form of 0.2", claims=_claims, read=_read)
