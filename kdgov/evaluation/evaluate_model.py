"""One model on some suites, without a release: what `kdgov evaluate --model` does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdgov.checkpoints.identity import resolve_model
from kdgov.digest import write_atomic
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.results.evaluation_run import evaluate
from kdgov.evaluation.scoring.judge_labels import read_labels
from kdgov.evidence.bundle_layout import PLAN
from kdgov.processes import is_first
from kdgov.progress import Progress


def evaluate_single(
    model: Path,
    suites: Sequence[str],
    out: Path,
    *,
    tasks: Sequence[str] = (),
    limit: int | None = None,
    how: BackendSettings | None = None,
    progress: Progress | None = None,
    labels: Sequence[Path] = (),
) -> dict[str, Any]:
    """Evaluate one checkpoint into a folder and return its evidence document; recorded answers in the folder are reused.

    Args:
        model: checkpoint folder.
        suites: names of shipped suites, or folders.
        out: folder to write to.
        tasks: patterns of task names; none: all of them.
        limit: at most so many items of each task, drawn by hash.
        how: backend, dtype, device, batch.
        progress: called as ``progress(label, done, total)``.
        labels: files that people filled in, written by `kdgov judge label`.

    Raises:
        InputError: if the model or a suite is at fault.
    """
    path = resolve_model(str(model), beside=Path.cwd() / "here")
    plan = build_plan(read_suites(suites), tasks=tasks, limit=limit, progress=progress)
    evidence = evaluate(plan, path, out, cache=out / "answers", how=how, progress=progress, labels=read_labels(labels) if labels else None)
    if is_first():
        write_atomic(out / PLAN, (json.dumps(plan.as_json(), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())
    return dict(evidence.document)
