"""Item tables from HELM's `per_instance_stats.json`: one row per (instance, perturbation, statistic)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from kdgov.digest import digest_bytes
from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.items.aggregates import aggregate_fault, limited_part
from kdgov.items.formats.source import Source
from kdgov.items.metric import Direction, MetricDeclaration
from kdgov.items.reader import Claim, Reader, Reading, not_judged, one_model, one_row_per_item

SUITE = "helm"
_BESIDE = ("run_spec.json", "stats.json", "scenario.json", "scenario_state.json", "instances.json", "display_predictions.json",
           "display_requests.json", "scenario_metadata.json", "costs.json", "run_manifest.json")  # fmt: skip
_BOOKKEEPING = ("num_*", "finish_reason_*", "inference_*", "training_*", "batch_size", "*_cost", "max_prob", "logprob", "logprob_*",
                "predicted_index", "prompt_truncated", "prompt_length", "max_num_*", "none")  # fmt: skip
"""Statistics of how a run went, which say nothing of how good an answer is."""
_KNOWN: tuple[tuple[str, Direction, float, float | None], ...] = (
    *((name, "higher", 0.0, 1.0) for name in ("*exact_match*", "*f1_score", "rouge_*", "bleu_*", "*accuracy", "*correctness")),
    *((name, "lower", 0.0, 1.0) for name in ("toxic_frac", "*_leakage_rate", "error_rate", "nudity_frac", "nsfw_frac")),
    ("bits_per_byte", "lower", 0.0, None),
)
"""Statistics whose direction HELM's schemas agree on: glob, direction, smallest and largest value."""
_CHOSEN = "*exact_match*"
_ASKED = ("method", "instructions", "max_train_instances", "num_train_trials", "num_outputs", "temperature", "max_tokens", "stop_sequences")
_MODEL = re.compile(r"[,:]?\bmodel(?:_deployment)?=[^,]*")
_MOST_INSTANCE_BYTES = 64 << 20


def _claims(source: Source) -> Claim:
    if source.path.suffix != ".json":
        return ""
    if source.name.endswith("per_instance_stats.json") or {"instance_id", "stats"} <= set(source.first):
        return "scores"
    return "beside" if source.name in _BESIDE else ""


def _read(scores: Sequence[Source], beside: Sequence[Source]) -> Reading:
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    asked: dict[str, str] = {}
    model = ""
    seen: dict[str, Source] = {}
    for source in scores:
        spec = _beside(source, "run_spec.json", beside)
        name = str(spec.get("name") or source.path.parent.name)
        task = _MODEL.sub("", name).strip(",:") or name
        adapter = spec.get("adapter_spec")
        adapter = adapter if isinstance(adapter, dict) else {}
        model = one_model(model, str(adapter.get("model") or ""), source)
        if task in seen:
            what = f"the run {task!r} was logged twice: {seen[task]} and {source}"
            raise InputError(what, where=str(source.path.parent), mend="Name the run you planned; keep one folder per model.")
        seen[task] = source
        records = list(source.records())
        is_choice = str(adapter.get("method") or "").startswith("multiple_choice")
        shown = _instances(source, beside)
        found = [
            row for number, record in records for row in _rows(record, task, f"{source}, record {number}", is_choice=is_choice, shown=shown)
        ]
        if not found:
            findings.append(not_judged(task, "*", f"{source.name} holds no statistic of how good an answer is"))
        findings += _faults(source, task, [record for _, record in records], beside)
        instances = len({row["cluster"] for row in found})
        findings += limited_part(task, instances, limit=adapter.get("max_eval_instances"), file="run_spec.json")
        rows += one_row_per_item(found)
        asked |= {f"{task}: {key}": str(adapter[key]) for key in _ASKED if key in adapter}
        source.forget()
    return Reading(rows=rows, metrics=_DECLARED, findings=tuple(findings), asked=asked, model=model)


def _near(source: Source, name: str, beside: Sequence[Source]) -> Source | None:
    return next((s for s in beside if s.path.parent == source.path.parent and s.name == name), None)


def _beside(source: Source, name: str, beside: Sequence[Source]) -> Mapping[str, Any]:
    there = _near(source, name, beside)
    document = there.document() if there else {}
    return document if isinstance(document, dict) else {}


def _perturbed(perturbation: Any) -> str:
    """Name of a perturbation with what sets it apart from others of its name; empty for the original."""
    if not isinstance(perturbation, dict):
        return ""
    further = {k: v for k, v in perturbation.items() if k not in ("name", "robustness", "fairness", "computed_on", "seed")}
    return f" [{perturbation.get('name')}{' ' + json.dumps(further, sort_keys=True) if further else ''}]"


def _instances(source: Source, beside: Sequence[Source]) -> dict[str, tuple[str, str]]:
    """Item → its text, and its text with all references, where the run kept its instances."""
    there = _near(source, "instances.json", beside)
    if there is None or there.path.stat().st_size > _MOST_INSTANCE_BYTES:
        return {}
    found = {}
    for _, instance in there.records():
        given = instance.get("input")
        text = str(given.get("text") or "") if isinstance(given, dict) else str(given or "")
        whole = json.dumps([given, instance.get("references")], sort_keys=True, ensure_ascii=False)
        found[f"{instance.get('id')}{_perturbed(instance.get('perturbation'))}"] = (text, whole)
    return found


def _measured(stats: Sequence[Any]) -> Iterator[tuple[str, float]]:
    """Name and mean of every statistic that was counted."""
    for stat in stats:
        named = stat.get("name") if isinstance(stat, dict) else None
        if not isinstance(stat, dict) or not stat.get("count", 1):
            continue
        mean = stat.get("mean")
        if mean is None and stat.get("count"):
            mean = stat.get("sum", 0.0) / stat["count"]
        if isinstance(mean, (bool, int, float)):
            yield str(named.get("name") if isinstance(named, dict) else named), float(mean)


def _rows(
    record: Mapping[str, Any], task: str, where: str, *, is_choice: bool, shown: Mapping[str, tuple[str, str]]
) -> list[dict[str, Any]]:
    stats = record.get("stats")
    if "instance_id" not in record or not isinstance(stats, list):
        raise InputError("has no instance_id or no stats", where=where, mend="This is not a record of HELM's per_instance_stats.json.")
    item = f"{record['instance_id']}{_perturbed(record.get('perturbation'))}"
    measured = dict(_measured(stats))
    text, whole = shown.get(item, (None, None))
    # A train trial asks the same instance again: a repeat, not another item.
    common = {
        "suite": SUITE,
        "task": task,
        "item_id": item,
        "cluster": str(record["instance_id"]),
        "item_digest": None if whole is None else digest_bytes(whole.encode()),
        "text": None if text is None else text[-4000:],
    }
    choices = measured.get("num_references", 0.0) if is_choice else 0.0
    rows = []
    for metric, mean in measured.items():
        if not any(fnmatchcase(metric, known) for known in _BOOKKEEPING):
            chance = 1.0 / choices if choices > 1 and fnmatchcase(metric, _CHOSEN) else None
            rows.append({**common, "metric": metric, "score": mean, "chance": chance})
    size = measured.get("num_bytes", 0.0)
    if not rows and size > 0 and "logprob" in measured:
        # Language modelling: HELM's own aggregate is the mean over bytes.
        rows.append({**common, "metric": "bits_per_byte", "score": -measured["logprob"] / size / math.log(2), "weight": size})
    return rows


Context = tuple[str, str]
"""Name of a statistic, and split, sub-split and perturbation as one text."""


def _context(named: Any) -> Context | None:
    """Name and place of a statistic; None for those that only summaries have, such as the worst over all perturbations."""
    if not isinstance(named, dict):
        return None
    perturbation = named.get("perturbation")
    if isinstance(perturbation, dict) and perturbation.get("computed_on", "perturbed") != "perturbed":
        return None
    return str(named.get("name")), json.dumps({k: v for k, v in named.items() if k != "name"}, sort_keys=True)


def _faults(source: Source, task: str, records: Sequence[Mapping[str, Any]], beside: Sequence[Source]) -> list[Finding]:
    """HELM's own means held against the instances: of every trial the mean over all counts, of them the mean over trials."""
    there = _near(source, "stats.json", beside)
    totals: dict[tuple[Context, Any], list[float]] = {}
    for record in records if there else ():
        for stat in record.get("stats") or ():
            if isinstance(stat, dict) and stat.get("count") and (context := _context(stat.get("name"))) is not None:
                total = totals.setdefault((context, record.get("train_trial_index", 0)), [0.0, 0.0])
                total[0] += float(stat["sum"] if "sum" in stat else stat["mean"] * stat["count"])
                total[1] += float(stat["count"])
    trials: dict[Context, list[float]] = {}
    for (context, _), (total_sum, count) in totals.items():
        trials.setdefault(context, []).append(total_sum / count)
    found = []
    for stat in there.document() if there else ():
        context = _context(stat.get("name")) if isinstance(stat, dict) else None
        if context in trials and isinstance(stat.get("mean"), (int, float)) and not any(fnmatchcase(context[0], b) for b in _BOOKKEEPING):
            own = math.fsum(trials[context]) / len(trials[context])
            found.append(aggregate_fault(task, context[0], float(stat["mean"]), own, items=len(records), file="stats.json"))
    return [fault for fault in found if fault is not None]


_DECLARED = tuple(
    MetricDeclaration(suite=SUITE, task="*", metric=name, direction=direction, low=low, high=high) for name, direction, low, high in _KNOWN
)
READER = Reader(name=SUITE, tool="HELM per_instance_stats.json", seen="0.5 (written by its own classes)", claims=_claims, read=_read)
