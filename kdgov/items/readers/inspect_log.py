"""Item tables from Inspect ``.eval`` logs: a zip whose ``samples/*.json`` hold one scored sample each."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdgov.digest import digest_json
from kdgov.errors import InputError
from kdgov.items.table import ItemTable

SUITE = "inspect"
"""Suite name of rows that come from Inspect logs."""

_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0}


def read_inspect_log(file: Path) -> ItemTable:
    """The item table of one Inspect log; a failed or unscored sample has the score NaN, which the gate refuses.

    Grades C, P, I count 1, 0.5 and 0; a scorer that returns a mapping gives one metric per key.

    Raises:
        InputError: if the file is no whole Inspect log or the run did not finish.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            header = json.loads(archive.read("header.json"))
            names = sorted(n for n in archive.namelist() if n.startswith("samples/") and n.endswith(".json"))
            samples = [json.loads(archive.read(name)) for name in names]
    except (zipfile.BadZipFile, KeyError, ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"is not a whole Inspect log: {error}", where=str(file), mend="Run the evaluation to its end and name its .eval file."
        ) from error
    status = header.get("status")
    if status != "success":
        raise InputError(
            f"is the log of a run with status {status!r}", where=str(file), mend="Only a finished run can be judged; resume it."
        )
    task = str(header.get("eval", {}).get("task", file.stem))
    rows = [row for sample in samples for row in _rows(sample, task)]
    return ItemTable.from_rows(rows, source=str(file))


def _rows(sample: Mapping[str, Any], task: str) -> list[dict[str, Any]]:
    epoch = int(sample.get("epoch", 1))
    name = str(sample.get("id"))
    shown = sample.get("input")
    common = {
        "suite": SUITE,
        "task": task,
        "item_id": name if epoch == 1 else f"{name}#{epoch}",
        "cluster": name,
        "prompt_digest": digest_json(_prompts(sample)),
        "label": sample.get("target"),
        "text": shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False),
    }
    rows = []
    for scorer, score in (sample.get("scores") or {"score": {"value": None}}).items():
        value = score.get("value")
        for metric, part in value.items() if isinstance(value, dict) else [(None, value)]:
            label = scorer if metric is None else f"{scorer}/{metric}"
            rows.append({**common, "metric": label, "score": _number(part), "prediction": score.get("answer")})
    return rows


def _prompts(sample: Mapping[str, Any]) -> Any:
    shown = sample.get("input")
    if isinstance(shown, list):
        return [{"role": m.get("role"), "content": m.get("content")} for m in shown if isinstance(m, dict)]
    return [shown, sample.get("choices")]


def _number(value: Any) -> float:
    if isinstance(value, (bool, int, float)):
        return float(value)
    if isinstance(value, str) and value in _GRADES:
        return _GRADES[value]
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
