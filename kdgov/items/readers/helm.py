"""Item tables from HELM's `per_instance_stats.json`: one row per (instance, statistic)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.items.aggregates import mean_faults
from kdgov.items.formats.source import Source
from kdgov.items.reader import Claim, Reader, Reading, not_judged, one_row_per_item

SUITE = "helm"
_BESIDE = ("run_spec.json", "stats.json", "scenario.json", "scenario_state.json", "instances.json", "display_predictions.json",
           "display_requests.json", "scenario_metadata.json", "costs.json", "run_manifest.json")  # fmt: skip
_BOOKKEEPING = ("num_*", "finish_reason_*", "inference_*", "training_*", "batch_size", "*_cost", "max_prob", "logprob", "logprob_*",
                "predicted_index", "none")  # fmt: skip
"""Statistics of how a run went, which say nothing of how good an answer is."""
_MODEL = re.compile(r"[,:]?\bmodel(?:_deployment)?=[^,]*")


def _claims(source: Source) -> Claim:
    if source.path.suffix != ".json":
        return ""
    if source.name.endswith("per_instance_stats.json") or {"instance_id", "stats"} <= set(source.first):
        return "scores"
    return "beside" if source.name in _BESIDE else ""


def _read(scores: Sequence[Source], beside: Sequence[Source]) -> Reading:
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    model = ""
    seen: dict[str, Source] = {}
    for source in scores:
        spec = _beside(source, "run_spec.json", beside)
        name = str(spec.get("name") or source.path.parent.name)
        task = _MODEL.sub("", name).strip(",:") or name
        adapter = spec.get("adapter_spec")
        model = model or str(adapter.get("model") or "" if isinstance(adapter, dict) else "")
        if task in seen:
            what = f"the run {task!r} was logged twice: {seen[task]} and {source}"
            raise InputError(what, where=str(source.path.parent), mend="Name the run you planned; keep one folder per model.")
        seen[task] = source
        found = [row for number, record in source.records() for row in _rows(record, task, f"{source}, record {number}")]
        if not found:
            findings.append(not_judged(task, "*", f"{source.name} holds no statistic of how good an answer is"))
        own = one_row_per_item(found)
        findings += mean_faults(own, _stated(source, task, beside), file="stats.json")
        rows += own
        source.forget()
    return Reading(rows=rows, findings=tuple(findings), model=model)


def _beside(source: Source, name: str, beside: Sequence[Source]) -> Mapping[str, Any]:
    there = [s for s in beside if s.path.parent == source.path.parent and s.name == name]
    document = there[0].document() if there else {}
    return document if isinstance(document, dict) else {}


def _rows(record: Mapping[str, Any], task: str, where: str) -> list[dict[str, Any]]:
    stats = record.get("stats")
    if "instance_id" not in record or not isinstance(stats, list):
        raise InputError("has no instance_id or no stats", where=where, mend="This is no record of HELM's per_instance_stats.json.")
    perturbation = record.get("perturbation")
    suffix = f" [{perturbation.get('name')}]" if isinstance(perturbation, dict) else ""
    rows = []
    for stat in stats:
        named = stat.get("name") if isinstance(stat, dict) else None
        metric = str(named.get("name") if isinstance(named, dict) else named)
        if not isinstance(stat, dict) or any(fnmatchcase(metric, known) for known in _BOOKKEEPING) or not stat.get("count", 1):
            continue
        mean = stat.get("mean")
        if mean is None and stat.get("count"):
            mean = stat.get("sum", 0.0) / stat["count"]
        item = f"{record['instance_id']}{suffix}"
        if isinstance(mean, (bool, int, float)):
            # A train trial asks the same instance again: a repeat, not another item.
            rows.append(
                {"suite": SUITE, "task": task, "item_id": item, "cluster": str(record["instance_id"]), "metric": metric, "score": mean}
            )
    return rows


def _stated(source: Source, task: str, beside: Sequence[Source]) -> dict[tuple[str, str], float]:
    there = [s for s in beside if s.path.parent == source.path.parent and s.name == "stats.json"]
    found: dict[tuple[str, str], list[float]] = {}
    for stat in there[0].document() if there else ():
        named = stat.get("name") if isinstance(stat, dict) else None
        if isinstance(named, dict) and "perturbation" not in named and named.get("split") in (None, "test") and "mean" in stat:
            found.setdefault((task, str(named.get("name"))), []).append(float(stat["mean"]))
    has_perturbations = any("perturbation" in (s.get("name") or {}) for s in (there[0].document() if there else ()) if isinstance(s, dict))
    return {} if has_perturbations else {key: means[0] for key, means in found.items() if len(means) == 1}


READER = Reader(name=SUITE, tool="HELM per_instance_stats.json", seen="form of 0.5", claims=_claims, read=_read)
