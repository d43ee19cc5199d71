"""Item tables from OpenAI evals' log: JSON lines of a spec, of events per sample, and of a final report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.digest import digest_bytes
from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.items.aggregates import limited_part, mean_faults
from kdgov.items.formats.source import Source
from kdgov.items.metric import MetricDeclaration
from kdgov.items.per_item_rules import scalar
from kdgov.items.reader import Claim, Reader, Reading, not_judged, one_model, one_row_per_item

SUITE = "openai_evals"
_GRADED = ("correct", "score")


def _claims(source: Source) -> Claim:
    if source.path.suffix not in (".jsonl", ".json"):
        return ""
    spec = source.first.get("spec")
    return "scores" if isinstance(spec, dict) and {"eval_name", "completion_fns", "run_id", "base_eval"} & set(spec) else ""


def _read(scores: Sequence[Source], beside: Sequence[Source]) -> Reading:
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    seen: dict[str, Source] = {}
    model = ""
    for source in scores:
        task, report, found, unjudged, asked, limit = _log(source)
        if task in seen:
            what = f"the eval {task!r} was logged twice: {seen[task].name} and {source.name}"
            raise InputError(what, where=str(source.path.parent), mend="Name the run you planned; keep one folder per model.")
        seen[task] = source
        model = one_model(model, asked, source)
        own = one_row_per_item(found)
        findings += [not_judged(task, metric, reason) for metric, reason in sorted(unjudged.items())]
        accuracy = report.get("accuracy")
        if isinstance(accuracy, (int, float)) and any(row["metric"] == "match" for row in own):
            findings += mean_faults(own, {(task, "match"): float(accuracy)}, file=f"the final report of {source.name}")
        findings += limited_part(task, len({row["item_id"] for row in own}), limit=limit, file=f"the spec of {source.name}")
        rows += own
    return Reading(rows=rows, metrics=_DECLARED, findings=tuple(findings), model=model)


def _log(source: Source) -> tuple[str, Mapping[str, Any], list[dict[str, Any]], dict[str, str], str, Any]:
    spec: Mapping[str, Any] = {}
    report: Mapping[str, Any] | None = None
    rows: list[dict[str, Any]] = []
    unjudged: dict[str, str] = {}
    prompts: dict[str, str] = {}
    started: set[str] = set()
    for _, event in source.records():
        if isinstance(event.get("spec"), dict):
            spec = event["spec"]
        elif isinstance(event.get("final_report"), dict):
            report = event["final_report"]
        elif event.get("sample_id") is not None:
            started.add(str(event["sample_id"]))
            if event.get("type") == "sampling" and isinstance(event.get("data"), dict):
                prompts.setdefault(str(event["sample_id"]), _shown(event["data"].get("prompt")))
            else:
                rows += _event(event, unjudged)
    if report is None:
        what = "has no final report: the run was killed"
        raise InputError(what, where=str(source), mend="Run the eval to its end; a part of the samples proves nothing.")
    task = str(spec.get("eval_name") or spec.get("base_eval") or source.path.stem)
    rows += _unscored(rows, started)
    for row in rows:
        shown = prompts.get(row["item_id"])
        digest = None if shown is None else digest_bytes(shown.encode())
        row.update(suite=SUITE, task=task, text=None if shown is None else shown[-4000:], prompt_digest=digest)
    completion, run = spec.get("completion_fns"), spec.get("run_config")
    model = ",".join(map(str, completion)) if isinstance(completion, list) else ""
    return task, report, rows, unjudged, model, run.get("max_samples") if isinstance(run, dict) else None


def _unscored(rows: Sequence[Mapping[str, Any]], started: set[str]) -> list[dict[str, Any]]:
    """Rows without a score for the samples that were asked and never scored: missing, not left out."""
    metrics = sorted({str(row["metric"]) for row in rows})
    lost = sorted(started - {str(row["item_id"]) for row in rows})
    return [{"item_id": item, "metric": metric, "score": math.nan} for item in lost for metric in metrics]


def _event(event: Mapping[str, Any], unjudged: dict[str, str]) -> list[dict[str, Any]]:
    data = event.get("data")
    kind = str(event.get("type"))
    if not isinstance(data, dict) or kind in ("raw_sample", "error", "extra", "cond_logp", "pick_option"):
        return []
    common = {
        "item_id": str(event["sample_id"]),
        "label": _text(data.get("expected")),
        "prediction": _text(data.get("sampled", data.get("picked"))),
    }
    if kind == "match":
        return [{**common, "metric": "match", "score": scalar(data.get("correct")), "chance": _chance(data)}]
    found = []
    for name, value in data.items():
        number = scalar(value) if isinstance(value, (bool, int, float)) else None
        if number is not None:
            found.append({**common, "metric": name if kind == "metrics" else f"{kind}/{name}", "score": number})
        elif kind == "metrics" and name in _GRADED:
            unjudged[name] = f"{name} is no number in every event"
    return found


def _chance(data: Mapping[str, Any]) -> float | None:
    """1 / options, where options are offered that are not all right."""
    options, expected = data.get("options"), data.get("expected")
    right = expected if isinstance(expected, list) else [expected]
    if not isinstance(options, list) or not all(isinstance(o, str) for o in options):
        return None
    hits = sum(option in right for option in options)
    return hits / len(options) if 0 < hits < len(options) else None


def _text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False)


_DECLARED = tuple(
    MetricDeclaration(suite=SUITE, task="*", metric=name, direction="higher", low=0.0, high=1.0)
    for name in ("match", "accuracy", "f1_score")
)
READER = Reader(name=SUITE, tool="OpenAI evals", seen="3.0.1 (Match, FuzzyMatch, Includes)", claims=_claims, read=_read)
