"""Item tables from promptfoo's outputs, JSON, JSON lines and CSV: per test case the score and every named score."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdgov.digest import digest_bytes
from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.items.aggregates import count_fault, mean_faults
from kdgov.items.formats.source import Source
from kdgov.items.per_item_rules import scalar
from kdgov.items.reader import Claim, Reader, Reading, one_row_per_item
from kdgov.safe_parse import json_value

SUITE = "promptfoo"
_CSV = {"Status", "Score", "Grader Reason"}
_ERROR = 2
"""promptfoo's ``failureReason`` of a request that failed: no answer, so no score."""


def _claims(source: Source) -> Claim:
    match source.path.suffix:
        case ".json":
            return "scores" if isinstance(_part(source.first, "results").get("results"), list) else ""
        case ".jsonl":
            return "scores" if {"promptIdx", "testIdx"} <= set(source.first) or {"gradingResult", "testCase"} <= set(source.first) else ""
        case ".csv":
            return "scores" if set(source.header) >= _CSV else ""
    return ""


def _read(scores: Sequence[Source], beside: Sequence[Source]) -> Reading:
    best = _one_form(scores)
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    providers: set[str] = set()
    for source in best:
        own, provider = _read_csv(source) if source.path.suffix == ".csv" else _read_results(source)
        providers |= provider
        rows += own
        findings += _faults(source, own)
    if len(providers) > 1:
        named = ", ".join(sorted(providers))
        raise InputError(f"holds results of {len(providers)} providers: {named}", where=str(best[0]), mend="Write one output per model.")
    return Reading(rows=one_row_per_item(rows), findings=tuple(findings), model="".join(providers))


def _one_form(scores: Sequence[Source]) -> list[Source]:
    """One evaluation is often written in several forms: the one that says most is read."""
    by_stem: dict[str, Source] = {}
    for ending in (".json", ".jsonl", ".csv"):
        for source in scores:
            if source.path.suffix == ending:
                by_stem.setdefault(str(source.path.with_suffix("")), source)
    found = list(by_stem.values())
    if len(found) > 1:
        named = ", ".join(source.name for source in found)
        raise InputError(f"holds {len(found)} promptfoo outputs: {named}", where=str(found[0].path.parent), mend="Name one file per model.")
    return found


def _read_results(source: Source) -> tuple[list[dict[str, Any]], set[str]]:
    rows: list[dict[str, Any]] = []
    providers: set[str] = set()
    results = list(_results(source))
    names = _names([(_described(result), _digest(_variables(result))) for result in results])
    metrics = _metrics(results)
    for result, name in zip(results, names, strict=True):
        providers.add(_provider(result.get("provider")))
        prompt = _part(result, "prompt")
        raw, response = str(prompt.get("raw") or ""), result.get("response")
        failed = result.get("failureReason") == _ERROR or (bool(result.get("error")) and not result.get("gradingResult"))
        common = {
            "suite": SUITE,
            "task": _task(result),
            "item_id": name,
            "prompt_digest": digest_bytes(raw.encode()) if raw else None,
            "prediction": _text(response.get("output") if isinstance(response, dict) else response),
            "text": raw[-4000:],
        }
        # A failed request names no metric: it is missing in every one that the others have.
        stated = dict.fromkeys(metrics[_task(result)]) if failed else {"score": result.get("score"), **_part(result, "namedScores")}
        for metric, value in stated.items():
            rows.append({**common, "metric": str(metric), "score": math.nan if failed else _number(value)})
    return rows, providers


def _task(result: Mapping[str, Any]) -> str:
    prompt = _part(result, "prompt")
    return str(prompt.get("label") or prompt.get("display") or f"prompt {result.get('promptIdx', 0)}")[:200]


def _metrics(results: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Metrics of every prompt that at least one of its answers has."""
    found: dict[str, dict[str, None]] = {}
    for result in results:
        found.setdefault(_task(result), {"score": None}).update(dict.fromkeys(map(str, _part(result, "namedScores"))))
    return {task: list(names) for task, names in found.items()}


def _described(result: Mapping[str, Any]) -> str:
    return str(_part(result, "testCase").get("description") or result.get("description") or "")


def _variables(result: Mapping[str, Any]) -> Any:
    return result.get("vars") if isinstance(result.get("vars"), dict) else _part(result, "testCase").get("vars")


def _names(cases: Sequence[tuple[str, str]]) -> list[str]:
    """Names of test cases from their description and the digest of their variables; a description of many cases names none of them."""
    meant: dict[str, set[str]] = {}
    for described, digest in cases:
        meant.setdefault(described, set()).add(digest)
    return [d if d and len(meant[d]) == 1 else f"{d} {digest}".strip() for d, digest in cases]


def _results(source: Source) -> Iterator[Mapping[str, Any]]:
    if source.path.suffix == ".jsonl":
        yield from (record for _, record in source.records())
        return
    listed = _part(source.document(), "results").get("results")
    if not isinstance(listed, list) or not listed:
        raise InputError("holds no result of promptfoo", where=str(source), mend="Write it with `promptfoo eval --output FILE.json`.")
    yield from (result for result in listed if isinstance(result, dict))


def _read_csv(source: Source) -> tuple[list[dict[str, Any]], set[str]]:
    lines = csv.reader(io.StringIO(source.path.read_bytes().decode("utf-8-sig", errors="strict"), newline=""))
    try:
        header, *body = list(lines)
    except (ValueError, csv.Error) as error:
        raise InputError(f"is no CSV of promptfoo: {error}", where=str(source), mend="Write JSON instead.") from error
    # Every pair of provider and prompt repeats the same column names; the column before the first of them holds its answers.
    starts = [place - (2 if header[place - 1] == "Reasoning" else 1) for place, name in enumerate(header) if name == "Status"]
    rows: list[dict[str, Any]] = []
    providers = set()
    for start, end in zip(starts, [*starts[1:], len(header)], strict=True):
        own, provider = _csv_block(source, header, body, (starts[0], start, end))
        rows += own
        providers.add(provider)
    return rows, providers


def _csv_block(
    source: Source, header: Sequence[str], body: Sequence[Sequence[str]], places: tuple[int, int, int]
) -> tuple[list[dict[str, Any]], str]:
    """Rows of one prompt, and its provider; the variables stand before the first block."""
    variables, start, end = places
    column = {name: place for place, name in enumerate(header[:end]) if place >= start or name == "Description"}
    label = header[start]
    provider, _, prompt = label[1:].partition("] ") if label.startswith("[") else ("", "", label)
    cases = []
    for line in body:
        if len(line) != len(header):
            what = f"line has {len(line)} cells where the header has {len(header)}"
            raise InputError(what, where=str(source), mend="The file may be cut short.")
        own = [v for name, v in zip(header[:variables], line[:variables], strict=True) if name != "Description"]
        cases.append((line[column["Description"]] if "Description" in column else "", _digest(own)))
    found: list[dict[str, Any]] = []
    seen: dict[str, None] = {"score": None}
    for line, name in zip(body, _names(cases), strict=True):
        common = {"suite": SUITE, "task": prompt[:200] or "prompt 0", "item_id": name, "prediction": line[start]}
        failed = line[column["Status"]] == "ERROR"
        named = json_value(line[column["Named Scores"]] or "{}", where=str(source)) if "Named Scores" in column else {}
        stated = {"score": line[column["Score"]], **(named if isinstance(named, dict) else {})}
        seen |= dict.fromkeys(stated)
        found += [{**common, "failed": failed, "metric": str(m), "score": math.nan if failed else _number(v)} for m, v in stated.items()]
    # A failed request names no metric: it is missing in every one that the others have.
    lost = [row for row in found if row["failed"] and row["metric"] == "score"]
    found += [{**row, "metric": metric} for row in lost for metric in seen if metric != "score"]
    return [{key: value for key, value in row.items() if key != "failed"} for row in found], provider


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float:
    number = scalar(value)
    return math.nan if number is None else number


def _provider(provider: Any) -> str:
    return str(provider.get("label") or provider.get("id")) if isinstance(provider, dict) else str(provider or "")


def _digest(variables: Any) -> str:
    return digest_bytes(json.dumps(variables, sort_keys=True, ensure_ascii=False).encode())[7:23]


def _text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _faults(source: Source, rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Promptfoo's own sums of each prompt held against the rows."""
    inner = source.document().get("results") if source.path.suffix == ".json" else None
    prompts = inner.get("prompts") if isinstance(inner, dict) else None
    tasks = list(dict.fromkeys(str(row["task"]) for row in rows))
    if not isinstance(prompts, list) or len(prompts) != len(tasks):
        return []
    found: list[Finding] = []
    for prompt in prompts:
        stated = _part(prompt, "metrics") if isinstance(prompt, dict) else {}
        label = str((prompt.get("label") or prompt.get("display") if isinstance(prompt, dict) else "") or "")[:200]
        task = tasks[0] if len(tasks) == 1 else label
        own = [row for row in rows if row["task"] == task]
        counts = [stated.get(name) or 0 for name in ("testPassCount", "testFailCount", "testErrorCount")]
        fault = count_fault(task, sum(counts), sum(row["metric"] == "score" for row in own), file=source.name) if any(counts) else None
        sums, numbers = _part(stated, "namedScores"), _part(stated, "namedScoresCount")
        means = {(task, m): float(v) / numbers[m] for m, v in sums.items() if numbers.get(m) and isinstance(v, (int, float))}
        found += [*([] if fault is None else [fault]), *mean_faults(own, means, file=source.name)]
    return found


READER = Reader(
    name=SUITE,
    tool="promptfoo",
    seen="0.121.20: JSON, JSON lines and CSV, with several prompts, repeats and failed requests",
    claims=_claims,
    read=_read,
)
