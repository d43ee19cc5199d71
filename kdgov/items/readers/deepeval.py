"""Item tables from deepeval's test runs: per test case the score of every metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.digest import digest_bytes
from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.items.aggregates import count_fault, mean_faults
from kdgov.items.formats.source import Source
from kdgov.items.metric import Direction, MetricDeclaration
from kdgov.items.per_item_rules import scalar
from kdgov.items.reader import Claim, Reader, Reading, one_row_per_item

SUITE = "deepeval"
_CASES = ("testCases", "test_cases", "conversationalTestCases", "conversational_test_cases")
_LOWER = frozenset({"Bias", "Toxicity", "Hallucination", "Misuse"})
"""Metrics of deepeval whose score is a share of harm: the threshold is the most that passes."""
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
    source = _one_run(scores)
    run = _run(source.document())
    cases = [case for case in _listed(run, _CASES) if isinstance(case, dict)]
    names = [str(_value(case, "name") or "") for case in cases]
    # Names that deepeval numbers itself, or that stand twice, do not tell one case from another: the input does.
    is_named = all(names) and len(set(names)) == len(names) and not all(name.startswith("test_case_") for name in names)
    rows = []
    measured: dict[str, list[Mapping[str, Any]]] = {}
    for case, name in zip(cases, names, strict=True):
        item = name if is_named else digest_bytes(_shown(case).encode())[7:23]
        for metric in _listed(case, _METRICS):
            if isinstance(metric, dict):
                rows.append(_row(case, item, metric))
                measured.setdefault(str(metric.get("name")), []).append(metric)
    if not rows:
        raise InputError("holds no metric of a test case", where=str(source), mend="Run the metrics of every test case.")
    declared = tuple(_declared(name, found, source) for name, found in sorted(measured.items()))
    findings = (*_faults(run, len(cases), source), *mean_faults(rows, _stated(run), file=source.name))
    return Reading(rows=one_row_per_item(rows), metrics=declared, findings=findings, model=_model(run))


def _one_run(scores: Sequence[Source]) -> Source:
    """The test run; of deepeval's two hidden copies of the latest one, the full one."""
    full = [source for source in scores if source.name == ".latest_run_full.json"]
    if len(scores) > 1 and not (full and all(source.name.startswith(".latest_") for source in scores)):
        named = ", ".join(source.name for source in scores)
        raise InputError(f"holds {len(scores)} test runs: {named}", where=str(scores[0].path.parent), mend="Name one test run per model.")
    return full[0] if full else scores[0]


def _declared(name: str, measured: Sequence[Mapping[str, Any]], source: Source) -> MetricDeclaration:
    """Which way a metric is better: as its own successes say, else by its name.

    Raises:
        InputError: if cases above and below the threshold succeeded alike.
    """
    low, high = (any(_side(metric) == side for metric in measured) for side in ("lower", "higher"))
    if low and high:
        what = f"{name} succeeds above its threshold in some cases and below it in others"
        raise InputError(what, where=str(source), mend="Let a metric have one direction, and name it otherwise where it changes.")
    is_lower = low or (not high and name.partition(" [")[0] in _LOWER)
    judge = str(next((j for m in measured if (j := _value(m, "evaluationModel", "evaluation_model"))), ""))
    direction: Direction = "lower" if is_lower else "higher"
    return MetricDeclaration(suite=SUITE, task="*", metric=name, direction=direction, low=0.0, high=1.0, judge=judge)


def _side(metric: Mapping[str, Any]) -> str:
    score, threshold, success = scalar(metric.get("score")), scalar(metric.get("threshold")), metric.get("success")
    if score is None or threshold is None or not isinstance(success, bool) or not abs(score - threshold) > 0.0:
        return ""
    return "higher" if (score > threshold) is success else "lower"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _stated(run: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """Means of the scores that the run lists per metric, where no case failed to run."""
    listed = _value(run, "metricsScores", "metrics_scores")
    found = {}
    for metric in listed if isinstance(listed, list) else ():
        values = metric.get("scores") if isinstance(metric, dict) else None
        if isinstance(values, list) and values and not metric.get("errors") and all(_is_number(v) for v in values):
            found["test_run", str(metric.get("metric"))] = math.fsum(values) / len(values)
    return found


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
    """What the model was shown; of a conversation the scenario, or the user's turns, for the others are the model's own."""
    turns = case.get("turns")
    said = [str(t.get("content")) for t in turns if isinstance(t, dict) and t.get("role") == "user"] if isinstance(turns, list) else []
    return str(_value(case, "input", "scenario") or "\n".join(said))


def _faults(run: Mapping[str, Any], cases: int, source: Source) -> tuple[Finding, ...]:
    counts = [_value(run, *names) for names in (("testPassed", "test_passed"), ("testFailed", "test_failed"))]
    if not all(isinstance(count, int) for count in counts) or not sum(counts):
        return ()
    fault = count_fault("test_run", sum(counts), cases, file=source.name)
    return () if fault is None else (fault,)


def _model(run: Mapping[str, Any]) -> str:
    stated = run.get("hyperparameters")
    return str(stated.get("model") or "") if isinstance(stated, dict) else ""


READER = Reader(
    name=SUITE,
    tool="deepeval",
    seen="4.3.1, also conversations and metrics of harm; forms of earlier key spellings",
    claims=_claims,
    read=_read,
)
