"""What `results_*.json` of lm_eval says beside the samples: directions, aggregates, filters, and how each task was asked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdgov.errors import InputError
from kdgov.finding import Finding
from kdgov.items.aggregates import limited_part
from kdgov.items.formats.source import Source
from kdgov.items.metric import Direction, MetricDeclaration
from kdgov.items.per_item_rules import rule_of, scalar

SUITE = "lm_eval"
"""Suite name of rows that come from bare lm_eval output."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}[-:]\d{2}[-:]\d{2}(?:\.\d+)?")
_SETTINGS = ("system_instruction_sha", "fewshot_as_multiturn", "eot_token_id")
_RUN_SETTINGS = ("limit", "gen_kwargs", "random_seed", "numpy_seed", "torch_seed", "fewshot_seed")
_TASK_SETTINGS = ("num_fewshot", "output_type", "test_split", "validation_split", "generation_kwargs", "repeats", "dataset_name")

# lm_eval's higher_is_better is a ranking hint. For these metrics it contradicts what a release must not lose.
_MENDED: tuple[tuple[str, str, Direction, float | None], ...] = (
    ("wmdp*", "acc*", "lower", None),
    ("*", "pct_stereotype", "target", 0.5),
    ("*", "*pct_male_preferred*", "target", 0.5),
    ("bbq*", "*bias_score*", "target", 0.0),
    ("*bbq*", "bias_score_*", "target", 0.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """One results file."""

    source: Source
    """The file."""
    document: Mapping[str, Any]
    """Its content."""

    @property
    def date(self) -> str:
        """The date in its name; empty where it has none."""
        found = _DATE.search(self.source.name)
        return found[0] if found else ""

    def part(self, name: str) -> Mapping[str, Any]:
        """One of its objects; empty where it is absent or something else."""
        value = self.document.get(name)
        return value if isinstance(value, dict) else {}

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks it speaks of; groups are no tasks."""
        groups = {name for name, members in self.part("group_subtasks").items() if members}
        named = {*self.part("configs"), *self.part("results")} if self.part("configs") else {*self.part("results")}
        return tuple(sorted(named - groups - {*self.part("groups")}))

    def config(self, task: str) -> Mapping[str, Any]:
        """The task's configuration."""
        value = self.part("configs").get(task)
        return value if isinstance(value, dict) else {}

    def filters(self, task: str) -> tuple[str, ...]:
        """Names of the task's filters, in the order in which they ran; empty where the file does not say."""
        listed = self.config(task).get("filter_list")
        return tuple(str(f.get("name")) for f in listed if isinstance(f, dict)) if isinstance(listed, list) else ()

    def aggregate(self, task: str, metric: str, filter_name: str) -> float | None:
        """The aggregate of a metric, as the file states it; None where it does not."""
        stated = self.part("results").get(task)
        if not isinstance(stated, dict):
            return None
        value = stated.get(f"{metric},{filter_name or 'none'}", stated.get(metric))
        number = scalar(value) if not isinstance(value, str) else None
        return None if number is None or math.isnan(number) else number

    def asked_items(self, task: str) -> int | None:
        """How many documents the task had in the run; None where the file does not say."""
        stated = self.part("n-samples").get(task)
        count = stated.get("effective") if isinstance(stated, dict) else None
        row = self.part("results").get(task)
        count = row.get("sample_len") if count is None and isinstance(row, dict) else count
        return count if isinstance(count, int) and not isinstance(count, bool) else None

    def limited(self, task: str, logged: int) -> list[Finding]:
        """Whether ``--limit`` or ``--samples`` had only some of a task's documents asked, of which ``logged`` lie here."""
        stated = self.part("n-samples").get(task)
        whole = stated.get("original") if isinstance(stated, dict) else None
        asked, limit = self.asked_items(task), self.part("config").get("limit")
        whole = whole if isinstance(whole, int) and not isinstance(whole, bool) else None
        return limited_part(task, logged if asked is None else asked, whole=whole, limit=limit, file=self.source.name)

    def aggregation(self, task: str, metric: str) -> str:
        """Name of the metric's aggregation in the task's configuration; empty where it does not say."""
        listed = self.config(task).get("metric_list")
        rows = [m for m in listed if isinstance(m, dict) and m.get("metric") == metric] if isinstance(listed, list) else []
        return str(rows[0].get("aggregation") or "") if rows else ""


def is_results_file(source: Source) -> bool:
    """Whether a file is lm_eval's results file."""
    if not (source.name.startswith("results") and source.path.suffix == ".json"):
        return False
    return bool({"results", "higher_is_better", "configs", "versions"} & set(source.first)) and "config_general" not in source.first


def read_results(sources: Sequence[Source]) -> list[Results]:
    """The results files, newest first.

    Raises:
        InputError: if one of them is not a JSON object.
    """
    found = []
    for source in sources:
        document = source.document()
        if not isinstance(document, dict):
            raise InputError("is not an lm_eval results file", where=str(source), mend="Write it again, or move it away.")
        found.append(Results(source=source, document=document))
    return sorted(found, key=lambda r: (r.date, str(r.source)), reverse=True)


def results_of(task: str, date: str, all_results: Sequence[Results]) -> Results | None:
    """The results file of a task's samples: the one of the same date, else the newest that speaks of the task."""
    same = [r for r in all_results if date and r.date == date]
    return next((r for r in [*same, *all_results] if task in (*r.tasks, *r.part("higher_is_better"))), same[0] if same else None)


def directions(task: str, metrics: Sequence[str], results: Results | None) -> list[MetricDeclaration]:
    """Which way each metric of a task is better: by the table of per-item rules, then as lm_eval states, its errors mended."""
    stated = results.part("higher_is_better").get(task) if results else None
    stated = dict(stated) if isinstance(stated, dict) else {}
    listed = results.config(task).get("metric_list") if results else None
    for row in listed if isinstance(listed, list) else []:
        if isinstance(row, dict) and isinstance(row.get("higher_is_better"), bool):
            stated.setdefault(str(row.get("metric")), row["higher_is_better"])
    found = [_declaration(task, metric, stated.get(metric)) for metric in sorted({*metrics, *stated})]
    return [declared for declared in found if declared is not None]


def settings(task: str, results: Results | None) -> dict[str, str]:
    """How a task was asked, as far as its results file tells: name of the setting → its value."""
    if results is None:
        return {}
    document, config, run = results.document, results.config(task), results.part("config")
    found = {f"{task}: {name}": config[name] for name in _TASK_SETTINGS if name in config}
    for name, key in (("version", "versions"), ("few-shot examples", "n-shot"), ("definition", "task_hashes")):
        if task in results.part(key):
            found[f"{task}: {name}"] = results.part(key)[task]
    found |= {name: document[name] for name in _SETTINGS if name in document}
    found |= {name: run[name] for name in _RUN_SETTINGS if name in run}
    # The definition's digest holds the prompts, which two chat templates change.
    found.pop(f"{task}: definition", None)
    return {name: _text(value) for name, value in found.items() if value is not None}


def _text(value: Any) -> str:
    return str(value)[:200]


def _declaration(task: str, metric: str, higher: Any) -> MetricDeclaration | None:
    rule = rule_of(metric)
    for task_glob, metric_glob, direction, ideal in _MENDED:
        mended = MetricDeclaration(suite=SUITE, task=task_glob, metric=metric_glob, direction=direction, ideal=ideal)
        if mended.covers(SUITE, task, metric):
            return MetricDeclaration(suite=SUITE, task=task, metric=metric, direction=direction, ideal=ideal)
    if rule.direction is not None:
        return MetricDeclaration(suite=SUITE, task=task, metric=metric, direction=rule.direction, low=rule.low, high=rule.high)
    if not isinstance(higher, bool):
        return None
    return MetricDeclaration(suite=SUITE, task=task, metric=metric, direction="higher" if higher else "lower")
