"""Item tables from deepeval's test runs: per test case the score of every metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.digest import digest_bytes
from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.items.aggregates import count_fault
from kdgov.items.formats.source import Source
from kdgov.items.metric import MetricDeclaration
from kdgov.items.per_item_rules import scalar
from kdgov.items.reader import Claim, Reader, Reading, one_row_per_item

SUITE = "deepeval"
_CASES = ("testCases", "test_cases", "conversationalTestCases", "conversational_test_cases")
_METRICS = ("metricsData", "metrics_data", "metricsMetadata", "metrics_metadata")


def _claims(source: Source) -> Claim:
    if source.path.suffix != ".json":
        return ""
    run = _run(source.first)
    cases = _listed(run, _CASES)
    return (
        "scores"
        if any(isinstance(c, dict) and any(name in c for name in (*_METRICS, "actualOutput", "actual_output")) for c in cases[:3])
        else ""
    )


def _run(document: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = document.get("testRunData")
    return inner if isinstance(inner, dict) else document


def _listed(run: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    lists = [run.get(name) for name in names]
    return [case for listed in lists if isinstance(listed, list) for case in listed]


def _read(scores: Sequence[Source], beside: Sequence[Source]) -> Reading:
    if len(scores) > 1:
        named = ", ".join(source.name for source in scores)
        raise InputError(f"holds {len(scores)} test runs: {named}", where=str(scores[0].path.parent), mend="Name one test run per model.")
    (source,) = scores
    run = _run(source.document())
    cases = [case for case in _listed(run, _CASES) if isinstance(case, dict)]
    names = [str(_value(case, "name") or "") for case in cases]
    # Names that deepeval numbers itself, or that stand twice, do not tell one case from another: the input does.
    is_named = all(names) and len(set(names)) == len(names) and not all(name.startswith("test_case_") for name in names)
    rows, judges = [], {}
    for case, name in zip(cases, names, strict=True):
        item = name if is_named else digest_bytes(_shown(case).encode())[7:23]
        for metric in _listed(case, _METRICS):
            if isinstance(metric, dict):
                rows.append(_row(case, item, metric))
                judges[str(metric.get("name"))] = str(_value(metric, "evaluationModel", "evaluation_model") or "")
    if not rows:
        raise InputError("holds no metric of a test case", where=str(source), mend="Run the metrics of every test case.")
    common: dict[str, Any] = {"suite": SUITE, "task": "*", "direction": "higher", "low": 0.0, "high": 1.0}
    declared = tuple(MetricDeclaration(**{**common, "metric": name, "judge": judge}) for name, judge in sorted(judges.items()))
    return Reading(rows=one_row_per_item(rows), metrics=declared, findings=_faults(run, len(cases), source), model=_model(run))


def _row(case: Mapping[str, Any], item: str, metric: Mapping[str, Any]) -> dict[str, Any]:
    score = scalar(metric.get("score"))
    shown = _shown(case)
    return {
        "suite": SUITE,
        "task": "test_run",
        "item_id": item,
        "metric": str(metric.get("name")),
        # A metric that failed to run has an error and no score: missing, not zero.
        "score": math.nan if score is None or metric.get("error") else score,
        "prompt_digest": digest_bytes(shown.encode()) if shown else None,
        "label": _value(case, "expectedOutput", "expected_output"),
        "prediction": _value(case, "actualOutput", "actual_output"),
        "text": shown[-4000:],
    }


def _value(record: Mapping[str, Any], *names: str) -> Any:
    return next((record[name] for name in names if record.get(name) is not None), None)


def _shown(case: Mapping[str, Any]) -> str:
    turns = case.get("turns")
    return str(_value(case, "input") or (turns if isinstance(turns, list) else "") or "")


def _faults(run: Mapping[str, Any], cases: int, source: Source) -> tuple[Finding, ...]:
    counts = [_value(run, *names) for names in (("testPassed", "test_passed"), ("testFailed", "test_failed"))]
    if not all(isinstance(count, int) for count in counts) or not sum(counts):
        return ()
    fault = count_fault("test_run", sum(counts), cases, file=source.name)
    return () if fault is None else (fault,)


def _model(run: Mapping[str, Any]) -> str:
    stated = run.get("hyperparameters")
    return str(stated.get("model") or "") if isinstance(stated, dict) else ""


READER = Reader(name=SUITE, tool="deepeval", seen="4.3.1; forms of earlier key spellings", claims=_claims, read=_read)
