"""Parity with lm-eval's own numbers, task by task: ``python -m kdgov.evaluation.parity --model PATH [--limit N] [TASK …]``.

Both ways run in one process on the same model: lm-eval's ``simple_evaluate`` with its own scorer, and kdgov's frozen plan with
the shared-prefix scorer. A row agrees when every number is the same to the last digit lm-eval prints (four decimals).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import lm_eval
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from kdgov.checkpoints.loading import load_model, load_tokenizer
from kdgov.declarations.suite import Suite
from kdgov.declarations.suite_data import HubInSuite
from kdgov.declarations.suite_parts.suite_metric import MetricInSuite
from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.declarations.suite_parts.task_index import builtin_task_file, lm_eval_version
from kdgov.evaluation.plan.build import SuiteSource, build_plan
from kdgov.evaluation.results.evaluation_run import evaluate

DIGITS = 4
MIRRORED = (
    "crows_pairs_english", "crows_pairs_english_gender", "crows_pairs_english_race_color", "truthfulqa_mc1", "truthfulqa_mc2",
    "winogender_all", "winogender_female", "winogender_male", "bbq_ambig", "bbq_disambig", "gsm8k", "blimp_anaphor_gender_agreement",
    "blimp_passive_1", "blimp_npi_present_1", "blimp_wh_island",
)  # fmt: skip
"""Built-in tasks whose data the offline mirror serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One task both ways."""

    task: str
    """Built-in task."""
    items: int
    """Items asked."""
    theirs: dict[str, float]
    """lm-eval's numbers, ``metric,filter`` → value."""
    ours: dict[str, float]
    """kdgov's."""
    largest: float
    """Largest difference of any number."""
    agrees: bool
    """Whether all are equal to the last printed digit."""
    theirs_cpu_s: float
    """Processor seconds of lm-eval, without loading."""
    ours_cpu_s: float
    """Processor seconds of kdgov, without loading the model a second time."""


def compare_task(name: str, model: Path, *, limit: int | None) -> Row:
    """One built-in task through lm-eval and through kdgov.

    Raises:
        UnavailableError: if its data are not here.
    """
    began = time.process_time()
    plan = build_plan([_source(name)], first=limit)
    with tempfile.TemporaryDirectory() as folder:
        evidence = evaluate(plan, model, Path(folder), cache=Path(folder) / "answers")
    ours_cpu = time.process_time() - began
    ours = {k: float(v) for k, v in evidence.document["tasks"][0]["aggregates"].items()}
    loaded = load_model(model, "causal_lm", dtype=torch.float32)
    lm = HFLM(pretrained=loaded, tokenizer=load_tokenizer(model), batch_size=16)
    began = time.process_time()
    manager = TaskManager(include_defaults=False, include_path=str(builtin_task_file(name).parent))
    result = lm_eval.simple_evaluate(model=lm, tasks=[name], task_manager=manager, limit=limit, bootstrap_iters=0, log_samples=False)
    theirs_cpu = time.process_time() - began
    theirs = _numbers(result["results"][name])
    shared = sorted(set(ours) & set(theirs))
    largest = max((abs(ours[k] - theirs[k]) for k in shared), default=math.inf)
    agrees = set(theirs) <= set(ours) and all(f"{ours[k]:.{DIGITS}f}" == f"{theirs[k]:.{DIGITS}f}" for k in theirs)
    return Row(
        task=name,
        items=len(plan.tasks[0].items),
        theirs=theirs,
        ours={k: ours[k] for k in shared},
        largest=largest,
        agrees=agrees,
        theirs_cpu_s=theirs_cpu,
        ours_cpu_s=ours_cpu,
    )


def _source(name: str) -> SuiteSource:
    # Every metric the task gives is aggregated; one declared per task is enough to make it a suite.
    metric = MetricInSuite(metric="acc", source=_FIRST.get(name.split("_")[0], "acc"), direction="higher")
    suite = Suite(schema="kdgov.suite/1", name="parity", tasks=[TaskInSuite(task=name, hub=HubInSuite(id="builtin"), metrics=[metric])])
    return SuiteSource(suite=suite, path=Path("parity/suite.yaml"))


_FIRST = {"crows": "pct_stereotype", "gsm8k": "exact_match"}


def _numbers(results: Mapping[str, object]) -> dict[str, float]:
    # NaN appears where the mirror lacks a category; it can be neither equal nor different.
    named = {k: v for k, v in results.items() if "," in k and "_stderr," not in k}
    return {k: float(v) for k, v in named.items() if isinstance(v, (int, float)) and math.isfinite(v)}


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| task | items | number | lm-eval | kdgov | same |", "|---|---|---|---|---|---|"]
    for row in rows:
        for number, (key, value) in enumerate(sorted(row.theirs.items())):
            name = f"{row.task} | {row.items}" if number == 0 else " | "
            own, other = f"{row.ours.get(key, math.nan):.{DIGITS}f}", f"{value:.{DIGITS}f}"
            verdict = "yes" if own == other else "**no**"
            lines.append(f"| {name} | {key.removesuffix(',none')} | {other} | {own} | {verdict} |")
    agreed = sum(r.agrees for r in rows)
    lines.append(f"\n{agreed} of {len(rows)} tasks agree in every number to {DIGITS} decimals (lm-eval {lm_eval_version()}).")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the parity table; 1 where a number differs."""
    parser = argparse.ArgumentParser(prog="python -m kdgov.evaluation.parity", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="checkpoint folder")
    parser.add_argument("--limit", type=int, default=None, help="first so many items of each task, as lm-eval counts")
    parser.add_argument("--json", type=Path, default=None, help="also write the rows here")
    parser.add_argument("tasks", nargs="*", default=list(MIRRORED), help="built-in tasks; default those of the mirror")
    given = parser.parse_args(arguments)
    rows = []
    for name in given.tasks:
        rows.append(compare_task(name, given.model, limit=given.limit))
        sys.stderr.write(f"  {name}: {'same' if rows[-1].agrees else 'DIFFERENT'}, largest difference {rows[-1].largest:.2g}\n")
    sys.stdout.write(table(rows))
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(r) for r in rows], indent=1), encoding="utf-8")
    return 0 if all(r.agrees for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
