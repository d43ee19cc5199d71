"""Item tables from `lm_eval --write_out` of version 0.3: one ``<task>_write_out_info.json`` per task, every value as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.digest import digest_bytes
from kdgov.finding import Finding
from kdgov.items.aggregates import aggregate_fault
from kdgov.items.formats.source import Source
from kdgov.items.metric import MetricDeclaration
from kdgov.items.per_item_rules import PerItem, Unjudged, per_item, rule_of
from kdgov.items.reader import Claim, Reader, Reading, item_proxy, not_judged
from kdgov.items.readers.lm_eval.lm_eval_results import SUITE, Results, directions, is_results_file, read_results, results_of, settings
from kdgov.items.readers.lm_eval.lm_eval_samples import chances

_ENDING = "_write_out_info.json"
_NOT_METRICS = ("doc_id", "truth", "pred", "gold", "missing")


def _claims(source: Source) -> Claim:
    if source.name.endswith(_ENDING):
        return "scores"
    return "beside" if is_results_file(source) else ""


def _read(scores: Sequence[Source], beside: Sequence[Source]) -> Reading:
    all_results = read_results(beside)
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    declared: list[MetricDeclaration] = []
    asked: dict[str, str] = {}
    for source in scores:
        task = source.name.removesuffix(_ENDING)
        results = results_of(task, "", all_results)
        values: dict[str, list[PerItem]] = {}
        unjudged: dict[str, str] = {}
        for record in _records(source):
            for name in (n for n in record if n not in _NOT_METRICS and not n.startswith(("prompt_", "logit_"))):
                found = per_item(name, _parsed(record[name]))
                if isinstance(found, Unjudged):
                    unjudged.setdefault(name, found.reason)
                elif found is not None:
                    values.setdefault(name, []).append(found)
                    rows.append(_row(task, record, found))
        findings += [not_judged(task, name, reason) for name, reason in sorted(unjudged.items())]
        proxies = {name: v[0].metric for name, v in sorted(values.items()) if rule_of(name).beside and v[0].metric != name}
        findings += [item_proxy(task, name, judged) for name, judged in proxies.items()]
        findings += _aggregates(task, values, results)
        findings += results.limited(task, max(map(len, values.values()), default=0)) if results else []
        declared += directions(task, sorted(values), results)
        asked |= settings(task, results)
    return Reading(rows=rows, metrics=tuple(declared), findings=tuple(findings), asked=asked)


def _records(source: Source) -> list[Mapping[str, Any]]:
    document = source.document()
    # Forks write an object of records by number.
    listed = list(document.values()) if isinstance(document, dict) else document
    return [record for record in listed if isinstance(record, dict)] if isinstance(listed, list) else []


def _parsed(value: Any) -> Any:
    """Version 0.3 writes ``str(value)`` of numbers, booleans and tuples."""
    if not isinstance(value, str) or not value.startswith(("(", "[")):
        return value
    try:
        return json.loads(value.replace("(", "[").replace(")", "]"))
    except (ValueError, RecursionError):
        return value


def _row(task: str, record: Mapping[str, Any], found: PerItem) -> dict[str, Any]:
    prompts = [str(record[name]) for name in sorted(record) if name.startswith("prompt_")]
    choices = sum(name.startswith("logit_") for name in record)
    return {
        "suite": SUITE,
        "task": task,
        "item_id": str(record.get("doc_id")),
        "metric": found.metric,
        "score": found.score,
        "prompt_digest": digest_bytes(json.dumps(prompts, ensure_ascii=False).encode()) if prompts else None,
        "label": str(record.get("truth", "")) if found.label is None else found.label,
        "prediction": found.prediction,
        "chance": chances(found.metric, choices),
        "weight": found.weight,
        "text": prompts[0][-4000:] if prompts else None,
    }


def _aggregates(task: str, values: Mapping[str, list[PerItem]], results: Results | None) -> list[Finding]:
    found: list[Finding | None] = []
    if results is None:
        return []
    for metric, items in sorted(values.items()):
        stated, aggregate = results.aggregate(task, metric, "none"), rule_of(metric).aggregate
        if stated is not None and aggregate is not None and metric in ("acc", "acc_norm", "em", "exact_match"):
            found.append(aggregate_fault(task, metric, stated, aggregate(items), items=len(items), file=results.source.name))
    return [fault for fault in found if fault is not None]


READER = Reader(name="lm_eval_write_out", tool="lm_eval --write_out", seen="form of 0.3.0", claims=_claims, read=_read)
