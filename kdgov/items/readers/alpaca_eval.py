"""Item tables from AlpacaEval's `annotations.json`: per instruction the share of the comparison that the model won."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.digest import digest_bytes
from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.items.aggregates import mean_faults
from kdgov.items.formats.source import Source
from kdgov.items.metric import MetricDeclaration
from kdgov.items.per_item_rules import scalar
from kdgov.items.reader import Claim, Reader, Reading, one_row_per_item

SUITE = "alpaca_eval"
METRIC = "win"
_TIE = 1.5


def _claims(source: Source) -> Claim:
    if source.path.suffix in (".json", ".jsonl") and {"instruction", "preference", "output_1", "output_2"} <= set(source.first):
        return "scores"
    if source.path.suffix == ".csv" and "win_rate" in source.header:
        return "beside"
    if source.path.suffix == ".json" and {"instruction", "output", "generator"} <= set(source.first):
        return "beside"
    return ""


def _read(scores: Sequence[Source], beside: Sequence[Source]) -> Reading:
    rows: list[dict[str, Any]] = []
    models: set[str] = set()
    references: set[str] = set()
    judges: set[str] = set()
    for source in scores:
        for number, record in source.records():
            if "preference" not in record or "instruction" not in record:
                raise InputError(f"record {number} has no preference", where=str(source), mend="This is no annotation of AlpacaEval.")
            models.add(str(record.get("generator_2")))
            references.add(str(record.get("generator_1")))
            judges.add(str(record.get("annotator")))
            rows.append(_row(record))
    _refuse_mixed(rows, models, scores[0])
    if len(models) > 1:
        named = ", ".join(sorted(models))
        raise InputError(f"holds annotations of {len(models)} models: {named}", where=str(scores[0]), mend="One file per model.")
    judge = ",".join(sorted(judges))
    declared = MetricDeclaration(suite=SUITE, task="*", metric=METRIC, direction="higher", judge=judge)
    own = one_row_per_item(rows)
    asked = {"reference outputs": ", ".join(sorted(references)), "annotator": judge}
    return Reading(rows=own, metrics=(declared,), findings=_faults(own, models, beside), asked=asked, model="".join(models))


def _refuse_mixed(rows: Sequence[Mapping[str, Any]], models: set[str], source: Source) -> None:
    """An annotator's cache holds the answers of every model that was ever compared, and names none of them."""
    if models != {"None"}:
        return
    answers: dict[str, set[str]] = {}
    for row in rows:
        answers.setdefault(str(row["item_id"]), set()).add(str(row["prediction"]))
    if any(len(found) > 1 for found in answers.values()):
        what = "names no model, and holds several answers to one instruction: an annotator's cache"
        raise InputError(what, where=str(source), mend="Name the annotations.json that alpaca_eval wrote for the model.")


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    instruction = "\n".join(str(record[name]) for name in ("instruction", "input") if record.get(name))
    reference = str(record.get("output_1"))
    return {
        "suite": SUITE,
        "task": str(record.get("dataset") or SUITE),
        "item_id": digest_bytes(instruction.encode())[7:23],
        "metric": METRIC,
        "score": _share(record["preference"]),
        "prompt_digest": digest_bytes(instruction.encode()),
        "item_digest": digest_bytes(f"{instruction}\n{reference}".encode()),
        "prediction": str(record.get("output_2")),
        "text": instruction[-4000:],
    }


def _share(preference: Any) -> float:
    """Preferences run from 1, the reference won, to 2, the model won; 0 and 1.5 are ties."""
    number = scalar(preference)
    if number is None or math.isnan(number):
        return math.nan
    return (_TIE if number == 0 else number) - 1.0


def _faults(rows: Sequence[Mapping[str, Any]], models: set[str], beside: Sequence[Source]) -> tuple[Finding, ...]:
    found: list[Finding] = []
    tasks = {str(row["task"]) for row in rows}
    for source in beside:
        if source.path.suffix != ".csv" or len(tasks) != 1:
            continue
        for line in csv.DictReader(io.StringIO(source.head.decode("utf-8-sig", errors="replace"))):
            rate = scalar(line.get("win_rate"))
            if line.get("") in models and rate is not None and not math.isnan(rate):
                found += mean_faults(rows, {(next(iter(tasks)), METRIC): rate}, file=source.name, scale=100.0)
    return tuple(found)


READER = Reader(name=SUITE, tool="AlpacaEval", seen="0.6.6", claims=_claims, read=_read)
