"""Item tables from `lm_eval --output_path DIR --log_samples` (0.4.9 to 0.4.13): one row per (document, filter, metric)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdgov.digest import digest_bytes
from kdgov.errors import InputError
from kdgov.items.metric import Direction, MetricDeclaration
from kdgov.items.table import ItemTable
from kdgov.items.text_formats import json_objects, text_lines

SUITE = "lm_eval"
"""Suite name of rows that come from bare lm_eval output."""

_NAME = re.compile(r"^samples_(?P<task>.+)_(?P<date>\d{4}-\d{2}-\d{2}T\d{2}[-:]\d{2}[-:]\d{2}(?:\.\d+)?)\.jsonl$")
_RECORD_KEYS = frozenset(
    {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash", "target_hash"}
)
_TEXT_CHARACTERS = 4000

# lm_eval's higher_is_better is a ranking hint. For these metrics it contradicts what a release must not lose.
_MENDED: tuple[tuple[str, str, Direction, float | None], ...] = (
    ("wmdp*", "acc*", "lower", None),
    ("*", "pct_stereotype", "target", 0.5),
    ("*", "*pct_male_preferred*", "target", 0.5),
    ("bbq*", "*bias_score*", "target", 0.0),
    ("*bbq*", "bias_score_*", "target", 0.0),
)


def is_samples_file(file: Path) -> bool:
    """Whether a file name is one that lm_eval gives to per-sample logs."""
    return _NAME.match(file.name) is not None


def read_samples_files(files: Sequence[Path]) -> ItemTable:
    """The item table of one model's sample logs.

    Raises:
        InputError: if a task was logged twice (two runs, or two models, in one folder), or a record is not lm_eval's.
    """
    by_task: dict[str, Path] = {}
    rows: list[dict[str, Any]] = []
    for file in files:
        match = _NAME.match(file.name)
        task = match["task"] if match else file.stem
        if task in by_task:
            raise InputError(
                f"the task {task!r} was logged twice: {by_task[task].name} and {file.name}",
                where=str(file.parent),
                mend="Choosing between two runs after seeing them is no fair test: name the one you planned; keep one folder per model.",
            )
        by_task[task] = file
        rows += _rows_of(file, task)
    return ItemTable.from_rows(rows, source=str(files[0].parent))


def read_results_declarations(folders: Sequence[Path]) -> tuple[MetricDeclaration, ...]:
    """Directions stated by ``results_*.json`` beside the samples, mended where lm_eval's polarity misleads."""
    found: dict[tuple[str, str], MetricDeclaration] = {}
    for folder in folders:
        for file in sorted(folder.rglob("results_*.json")):
            for task, metrics in _higher_is_better(file).items():
                for metric, higher in metrics.items():
                    found.setdefault((task, metric), _declaration(task, metric, higher=higher))
    declared = list(found.values())
    # "exact_match,strict-match": the filter's name is part of the metric's, its direction is not.
    return tuple(declared + [_with_filter(d) for d in declared])


def _with_filter(declaration: MetricDeclaration) -> MetricDeclaration:
    return MetricDeclaration(
        suite=SUITE, task=declaration.task, metric=f"{declaration.metric},*", direction=declaration.direction, ideal=declaration.ideal
    )


def _higher_is_better(file: Path) -> Mapping[str, Mapping[str, bool]]:
    try:
        stated = json.loads("\n".join(text_lines(file))).get("higher_is_better") or {}
    except (ValueError, AttributeError) as error:
        raise InputError(f"is not an lm_eval results file: {error}", where=str(file), mend="Write it again, or move it away.") from error
    return {
        task: {m: bool(h) for m, h in metrics.items() if h is not None} for task, metrics in stated.items() if isinstance(metrics, dict)
    }


def _declaration(task: str, metric: str, *, higher: bool) -> MetricDeclaration:
    for task_glob, metric_glob, direction, ideal in _MENDED:
        mended = MetricDeclaration(suite=SUITE, task=task_glob, metric=metric_glob, direction=direction, ideal=ideal)
        if mended.covers(SUITE, task, metric):
            return MetricDeclaration(suite=SUITE, task=task, metric=metric, direction=direction, ideal=ideal)
    return MetricDeclaration(suite=SUITE, task=task, metric=metric, direction="higher" if higher else "lower")


def _rows_of(file: Path, task: str) -> list[dict[str, Any]]:
    if file.stat().st_size == 0:
        raise InputError("is empty (0 bytes)", where=str(file), mend="The evaluation that should have written it failed; run it again.")
    rows = [row for number, record in json_objects(file) for row in _rows_of_record(record, task, f"{file}, line {number}")]
    if not rows:
        raise InputError(
            "holds no per-item score", where=str(file), mend="Its metrics are computed over the whole task; log per-item ones."
        )
    return rows


def _rows_of_record(record: Mapping[str, Any], task: str, where: str) -> list[dict[str, Any]]:
    if "doc_id" not in record:
        raise InputError("has no doc_id", where=where, mend="This is no record of `lm_eval --log_samples`.")
    names = record.get("metrics")
    metrics = names if isinstance(names, list) else [key for key in record if key not in _RECORD_KEYS]
    suffix = "" if record.get("filter", "none") in ("none", None) else f",{record['filter']}"
    common = {
        "suite": SUITE,
        "task": task,
        "item_id": str(record["doc_id"]),
        "prompt_digest": _prompt_digest(record),
        "item_digest": f"sha256:{record['doc_hash']}" if isinstance(record.get("doc_hash"), str) else None,
        "label": str(record.get("target", "")),
        "prediction": _answer(record.get("filtered_resps")),
        "text": _prompt(record),
    }
    rows = []
    for name in metrics:
        score = _score(record.get(name), name)
        if score is not None:
            rows.append({**common, "metric": f"{score[0]}{suffix}", "score": score[1]})
    return rows


def _score(value: Any, name: str) -> tuple[str, float] | None:
    if isinstance(value, (bool, int, float)):
        return name, float(value)
    if value is None:
        return name, math.nan
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value) and value[1] > 0:
        # Rolling log-likelihood: (sum of log probabilities, number of words or bytes); its mean per unit is the item's score.
        return f"{name}_nats", -float(value[0]) / float(value[1])
    return None


def _prompt_digest(record: Mapping[str, Any]) -> str | None:
    arguments = record.get("arguments")
    if arguments:
        return digest_bytes(json.dumps(arguments, sort_keys=True, ensure_ascii=False).encode())
    stated = record.get("prompt_hash")
    return f"sha256:{stated}" if isinstance(stated, str) else None


def _answer(responses: Any) -> str:
    first = responses[0] if isinstance(responses, list) and len(responses) == 1 else responses
    return first if isinstance(first, str) else json.dumps(first, ensure_ascii=False)


def _prompt(record: Mapping[str, Any]) -> str:
    arguments = record.get("arguments") or {}
    first = next(iter(arguments.values()), {}) if isinstance(arguments, dict) else (arguments[0] if arguments else {})
    text = next(iter(first.values()), "") if isinstance(first, dict) else (first[0] if isinstance(first, (list, tuple)) and first else "")
    return str(text)[-_TEXT_CHARACTERS:]
