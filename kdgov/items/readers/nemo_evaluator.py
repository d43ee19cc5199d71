"""Item tables from NVIDIA NeMo Evaluator bundles: `results.jsonl` of one benchmark, and `eval-*.json` beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.digest import digest_bytes
from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.items.aggregates import count_fault, limited_part, mean_faults
from kdgov.items.formats.source import Source
from kdgov.items.metric import MetricDeclaration
from kdgov.items.per_item_rules import scalar
from kdgov.items.reader import Claim, Reader, Reading, one_model, one_row_per_item

SUITE = "nemo_evaluator"
_RESUME_LOGS = ("verified_log.jsonl", "inference_log.jsonl")


def _claims(source: Source) -> Claim:
    if source.path.suffix == ".jsonl" and {"problem_idx", "reward"} <= set(source.first):
        # A run keeps a log of what it has verified so far, to resume from; its results say the same.
        return "beside" if source.name in _RESUME_LOGS else "scores"
    if source.path.suffix == ".json" and {"run_id", "benchmark", "config"} <= set(source.first):
        return "beside"
    return "beside" if source.path.suffix == ".jsonl" and "trajectory" in source.first else ""


def _read(scores: Sequence[Source], beside: Sequence[Source]) -> Reading:
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    asked: dict[str, str] = {}
    seen: dict[str, Source] = {}
    model = ""
    for source in scores:
        bundle, name = _bundle(source, beside)
        benchmark, config = _part(bundle, "benchmark"), _part(bundle, "config")
        records = list(source.records())
        named = benchmark.get("name") or config.get("benchmark") or _part(records[0][1], "metadata").get("benchmark")
        task = str(named or source.path.parent.name)
        if task in seen:
            what = f"the benchmark {task!r} was logged twice: {seen[task]} and {source}"
            raise InputError(what, where=str(source.path.parent), mend="Name the bundle you planned; keep one folder per model.")
        seen[task] = source
        found = [row for number, record in records for row in _rows(record, task, f"{source}, line {number}")]
        _refuse_doubles(records, source)
        own = one_row_per_item(found)
        findings += _faults(bundle, task, own, len(records), name)
        whole = _part(config, "shuffle").get("ds_full_size")
        findings += limited_part(
            task,
            len({row["item_id"] for row in own}),
            whole=whole if isinstance(whole, int) and whole > 0 else None,
            limit=config.get("max_problems"),
            file=name,
        )
        model = one_model(model, str(config.get("model") or ""), source)
        asked |= {f"{task}: {key}": str(config[key]) for key in ("repeats", "max_problems", "scorers") if key in config}
        rows += own
    return Reading(rows=rows, metrics=_DECLARED, findings=tuple(findings), asked=asked, model=model)


def _bundle(source: Source, beside: Sequence[Source]) -> tuple[Mapping[str, Any], str]:
    there = [s for s in beside if s.path.parent == source.path.parent and s.path.suffix == ".json"]
    if len(there) > 1:
        named = ", ".join(s.name for s in there)
        raise InputError(f"lies beside {len(there)} bundles: {named}", where=str(source), mend="Keep one bundle per folder.")
    return (there[0].document(), there[0].name) if there else ({}, "")


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _rows(record: Mapping[str, Any], task: str, where: str) -> list[dict[str, Any]]:
    if "problem_idx" not in record or "reward" not in record:
        raise InputError("has no problem_idx or no reward", where=where, mend="This is not a record of a NeMo Evaluator bundle.")
    prompt = record.get("prompt")
    shown = prompt if isinstance(prompt, str) else str(prompt or "")
    details = _part(record, "scoring_details")
    # No answer, or no judge that read it: missing, whatever number stands in its place.
    failed = bool(record.get("error") or details.get("error") or _part(details, "judge").get("error"))
    common = {
        "suite": SUITE,
        "task": task,
        "item_id": str(record["problem_idx"]),
        "prompt_digest": digest_bytes(shown.encode()) if shown else None,
        "label": record.get("expected_answer"),
        "prediction": record.get("extracted_answer"),
        "text": shown[-4000:],
    }
    numbers = {"reward": record["reward"], **_part(record, "scorer_rewards")}
    rows = []
    for metric, value in numbers.items():
        number = scalar(value)
        lost = failed or number is None or bool(_part(details, str(metric)).get("error"))
        rows.append({**common, "metric": str(metric), "score": math.nan if lost else number})
    return rows


def _refuse_doubles(records: Sequence[tuple[int, Mapping[str, Any]]], source: Source) -> None:
    seen: set[tuple[str, str]] = set()
    for number, record in records:
        if (key := (str(record["problem_idx"]), str(record.get("repeat", 0)))) in seen:
            what = f"line {number}: problem {key[0]} has its repeat {key[1]} twice"
            raise InputError(what, where=str(source), mend="Two runs were joined, or a line was copied: use one bundle.")
        seen.add(key)


def _faults(bundle: Mapping[str, Any], task: str, rows: Sequence[Mapping[str, Any]], records: int, name: str) -> list[Finding]:
    scores = _part(_part(bundle, "benchmark"), "scores")
    found = []
    if isinstance(bundle.get("n_results"), int) and (fault := count_fault(task, bundle["n_results"], records, file=name)) is not None:
        found.append(fault)
    mean = _part(scores, "summary").get("mean")
    if isinstance(mean, (int, float)):
        found += mean_faults(rows, {(task, "reward"): float(mean)}, file=name)
    return found


_DECLARED = (
    MetricDeclaration(suite=SUITE, task="*", metric="reward", direction="higher"),
    MetricDeclaration(suite=SUITE, task="*", metric="scorer:*", direction="higher", low=0.0, high=1.0),
)
READER = Reader(name=SUITE, tool="NVIDIA NeMo Evaluator", seen="0.3.0", claims=_claims, read=_read)
