"""Item tables from Inspect logs, ``.eval`` and ``.json``: one row per (sample, scorer), epochs reduced as Inspect reduces them.

A ``.eval`` file is a zip whose ``samples/*.json`` hold one scored sample each; since 2026 its members are Zstandard-compressed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdgov.digest import digest_bytes
from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.items.aggregates import count_fault, limited_part, mean_faults
from kdgov.items.formats.source import Source
from kdgov.items.formats.zip_members import open_members
from kdgov.items.metric import MetricDeclaration
from kdgov.items.reader import Claim, Reader, Reading, not_judged, one_model
from kdgov.items.readers.inspect_values import is_graded, no_number, number, reduced
from kdgov.safe_parse import json_value

SUITE = "inspect"
"""Suite name of rows that come from Inspect logs."""

_TEXT_CHARACTERS = 4000


def _claims(source: Source) -> Claim:
    if source.path.suffix == ".eval":
        return "scores"
    if source.path.suffix == ".json" and {"version", "status", "eval"} <= set(source.first):
        return "scores"
    return ""


def _read(scores: Sequence[Source], beside: Sequence[Source]) -> Reading:
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    metrics: dict[tuple[str, str], MetricDeclaration] = {}
    asked: dict[str, str] = {}
    by_task: dict[str, Source] = {}
    model = ""
    for source in scores:
        header, samples = _opened(source)
        task = _task(header, source)
        if task in by_task:
            what = f"the task {task!r} was logged twice: {by_task[task].name} and {source.name}"
            raise InputError(what, where=str(source.path.parent), mend="Name the log you planned; keep one folder per model.")
        by_task[task] = source
        found, unjudged, graded, asked_samples = _rows(header, samples, task, source)
        rows += found
        findings += [not_judged(task, metric, reason) for metric, reason in sorted(unjudged.items())]
        for metric in graded:
            metrics[task, metric] = MetricDeclaration(suite=SUITE, task=task, metric=metric, direction="higher", low=0.0, high=1.0)
        if (fault := _incomplete(header, task, asked_samples, source)) is not None:
            findings.append(fault)
        findings += _limited(header, task, len({row["item_id"] for row in found}), source)
        findings += mean_faults(found, _stated(header, task, {row["metric"] for row in found}), file=source.name)
        asked |= {f"{task}: {name}": str(value) for name, value in _settings(header).items()}
        model = one_model(model, str(_part(header, "eval").get("model") or ""), source)
    return Reading(rows=rows, metrics=tuple(metrics.values()), findings=tuple(findings), asked=asked, model=model)


def _opened(source: Source) -> tuple[Mapping[str, Any], Iterator[Mapping[str, Any]]]:
    if source.path.suffix == ".json":
        document = source.document()
        _check_status(document, source)
        listed = document.get("samples")
        return document, (s for s in (listed if isinstance(listed, list) else ()) if isinstance(s, dict))
    source.head  # noqa: B018 - an empty file, a Git-LFS pointer or a gzip says so
    try:
        members = open_members(source.path)
    except InputError as error:
        raise InputError(f"is not a whole Inspect log: {error.what}", where=str(source), mend="Copy or write the file again.") from error
    names = members.names()
    if "header.json" not in names:
        what = "is not a whole Inspect log: it has no header.json, so the run did not finish"
        raise InputError(what, where=str(source), mend="Run the evaluation to its end and name its .eval file.")
    header = json_value(members.read("header.json"), where=f"{source}: header.json")
    _check_status(header, source)
    inside = [name for name in names if name.startswith("samples/") and name.endswith(".json")]
    return header, (json_value(members.read(name), where=f"{source}: {name}") for name in inside)


def _check_status(header: Any, source: Source) -> None:
    status = header.get("status") if isinstance(header, dict) else None
    if status != "success":
        raise InputError(
            f"is the log of a run with status {status!r}", where=str(source), mend="Only a finished run can be judged; resume it."
        )
    if header.get("invalidated"):
        raise InputError("is a log that was marked invalid", where=str(source), mend="Run the evaluation again.")


def _task(header: Mapping[str, Any], source: Source) -> str:
    return str(_part(header, "eval").get("task") or source.path.stem)


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _settings(header: Mapping[str, Any]) -> dict[str, Any]:
    evaluated = _part(header, "eval")
    found = {"task version": evaluated.get("task_version"), "task arguments": json.dumps(evaluated.get("task_args"), sort_keys=True)}
    found |= {"epochs": _part(evaluated, "config").get("epochs"), "reducer": _reducers(header)}
    return {name: value for name, value in found.items() if value is not None}


def _reducers(header: Mapping[str, Any]) -> list[str]:
    stated = _part(_part(header, "eval"), "config").get("epochs_reducer")
    return [str(name) for name in stated] if isinstance(stated, list) and stated else ["mean"]


def _stated(header: Mapping[str, Any], task: str, metrics: set[str]) -> dict[tuple[str, str], float]:
    """Means that the log itself states of its scores; others of its metrics are no means of items."""
    found: dict[tuple[str, str], float] = {}
    listed = _part(header, "results").get("scores")
    for score in listed if isinstance(listed, list) else ():
        if not isinstance(score, dict) or score.get("unscored_samples"):
            continue
        name, scorer, reducer = (str(score.get(key) or "") for key in ("name", "scorer", "reducer"))
        own = next((m for m in (f"{name}:{reducer}", f"{scorer}/{name}", name) if m in metrics), None)
        for mean in ("accuracy", "mean"):
            value = _part(_part(score, "metrics"), mean).get("value")
            if own is not None and isinstance(value, (int, float)):
                found[task, own] = float(value)
    return found


def _has_accuracy(header: Mapping[str, Any], metric: str) -> bool:
    """Whether the log states an accuracy of a scorer: its scores are shares, and more is better."""
    listed = _part(header, "results").get("scores")
    own = [s for s in listed if isinstance(s, dict) and s.get("name") == metric] if isinstance(listed, list) else []
    return any("accuracy" in _part(score, "metrics") for score in own)


def _incomplete(header: Mapping[str, Any], task: str, found: int, source: Source) -> Finding | None:
    """The finding that the log speaks of another number of samples than it holds; a run that stops early says so itself."""
    results = _part(header, "results")
    stated = results.get("total_samples")
    if not isinstance(stated, int) or isinstance(stated, bool) or results.get("early_stopping"):
        return None
    return count_fault(task, stated, found, file=source.name)


def _limited(header: Mapping[str, Any], task: str, asked: int, source: Source) -> list[Finding]:
    """Whether ``--limit`` or ``--sample-id`` had only some samples of the data set asked, which the log counts whole."""
    evaluated = _part(header, "eval")
    chosen, whole = _part(evaluated, "config"), _part(evaluated, "dataset").get("samples")
    limit, named = chosen.get("limit"), chosen.get("sample_id")
    if limit is None and named is None:
        return []
    if isinstance(whole, int) and not isinstance(whole, bool) and whole > 0:
        return limited_part(task, asked, whole=whole, file=source.name)
    # Without the data set's size: a range, or samples by name, are a choice; a number is one where it is reached.
    return limited_part(task, asked, limit=asked if isinstance(limit, list) or limit is None else limit, file=source.name)


def _rows(
    header: Mapping[str, Any], samples: Iterator[Mapping[str, Any]], task: str, source: Source
) -> tuple[list[dict[str, Any]], dict[str, str], list[str], int]:
    """Rows, metrics that have no number with the reason, metrics that are grades, and how many samples there are."""
    values: dict[tuple[str, str], list[Any]] = {}
    common: dict[str, dict[str, Any]] = {}
    answers: dict[tuple[str, str], Any] = {}
    epochs: set[tuple[str, str]] = set()
    for sample in samples:
        name, epoch = str(sample.get("id")), str(sample.get("epoch") or 1)
        if (name, epoch) in epochs:
            raise InputError(f"the sample {name!r} stands twice in epoch {epoch}", where=str(source), mend="Use the log of one run.")
        epochs.add((name, epoch))
        common.setdefault(name, _common(sample, task))
        for metric, value, answer in _scores(sample):
            values.setdefault((metric, name), []).append(value)
            answers.setdefault((metric, name), answer)
    metrics = sorted({metric for metric, _ in values})
    if not metrics:
        raise InputError("holds no scored sample", where=str(source), mend="Run the evaluation with a scorer.")
    rows, unjudged, graded = [], {}, []
    accuracies = {name for name in metrics if _has_accuracy(header, name)}
    for metric in metrics:
        own = {name: values.get((metric, name), [None]) for name in common}
        reason = no_number(metric, [v for listed in own.values() for v in listed])
        if reason:
            unjudged[metric] = reason
            continue
        stated = [v for listed in own.values() for v in listed]
        if is_graded(stated) or (metric in accuracies and all(0.0 <= number(v) <= 1.0 for v in stated)):
            graded.append(metric)
        for reducer in (reducers := _reducers(header)):
            label = metric if len(reducers) == 1 else f"{metric}:{reducer}"
            if label != metric and metric in graded:
                graded.append(label)
            for name, listed in own.items():
                score = reduced(listed, reducer, source)
                choices = common[name].get("choices", 0)
                chance = 1.0 / choices if metric == "choice" and choices > 1 else None
                kept = {key: value for key, value in common[name].items() if key != "choices"}
                rows.append({**kept, "metric": label, "score": score, "prediction": answers.get((metric, name)), "chance": chance})
    return rows, unjudged, graded, len(epochs)


def _common(sample: Mapping[str, Any], task: str) -> dict[str, Any]:
    shown = sample.get("input")
    choices = sample.get("choices")
    return {
        "suite": SUITE,
        "task": task,
        "item_id": str(sample.get("id")),
        "prompt_digest": digest_bytes(json.dumps(_prompts(sample), sort_keys=True, ensure_ascii=False).encode()),
        "label": sample.get("target"),
        "text": (shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False))[-_TEXT_CHARACTERS:],
        "choices": len(choices) if isinstance(choices, list) else 0,
    }


def _scores(sample: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    scores = sample.get("scores")
    if not isinstance(scores, dict):
        single = sample.get("score")
        scores = {"score": single} if isinstance(single, dict) else {}
    for scorer, score in scores.items():
        value = score.get("value") if isinstance(score, dict) else score
        answer = score.get("answer") if isinstance(score, dict) else None
        parts: list[tuple[str, Any]]
        if isinstance(value, dict):
            parts = [(f"{scorer}/{key}", part) for key, part in value.items()]
        elif isinstance(value, list):
            parts = [(f"{scorer}/{place}", part) for place, part in enumerate(value)]
        else:
            parts = [(scorer, value)]
        yield from ((metric, part, answer) for metric, part in parts)


def _prompts(sample: Mapping[str, Any]) -> Any:
    shown = sample.get("input")
    if isinstance(shown, list):
        return [{"role": m.get("role"), "content": m.get("content")} for m in shown if isinstance(m, dict)]
    return [shown, sample.get("choices")]


READER = Reader(
    name=SUITE,
    tool="Inspect",
    seen="0.3.58, 0.3.140, 0.3.285, .eval and .json, also with epochs by one and several reducers",
    claims=_claims,
    read=_read,
)
