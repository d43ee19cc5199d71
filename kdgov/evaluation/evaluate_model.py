"""One model on some suites, or two until a policy has decided, without a release: what `kdgov evaluate --model` does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kdgov.checkpoints.identity import resolve_model
from kdgov.decision.policy import Policy
from kdgov.digest import write_atomic
from kdgov.errors import InputError
from kdgov.evaluation.backends.distributed import barrier
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.early_stopping import BATCH_ITEMS, EarlyStop, ask_until_decided
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.plan.request import Plan
from kdgov.evaluation.results.evaluation_run import evaluate
from kdgov.evaluation.scoring.judge_labels import read_labels
from kdgov.evidence.bundle_layout import PLAN
from kdgov.items.results import Results
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
    _write_json(out / PLAN, plan.as_json())
    return dict(evidence.document)


STOPPED = "early_stop.json"
"""File that says how far each task was asked."""


def evaluate_pair_until_decided(
    teacher: Path,
    student: Path,
    suites: Sequence[str],
    out: Path,
    *,
    policy: Policy,
    batch: int = BATCH_ITEMS,
    tasks: Sequence[str] = (),
    limit: int | None = None,
    how: BackendSettings | None = None,
    progress: Progress | None = None,
) -> EarlyStop:
    """Ask both models in batches, each task until the policy's sequential criteria have decided it.

    Every batch is a folder ``batch-1``, ``batch-2`` … with ``teacher/`` and ``student/``, each as `evaluate_single` writes it;
    ``early_stop.json`` says how far each task was asked. `kdgov gate --more` judges the folders.

    Args:
        teacher: checkpoint folder.
        student: checkpoint folder.
        suites: names of shipped suites, or folders.
        out: folder to write to; batches that an earlier run asked there are not asked again.
        policy: has at least one ``sequential`` criterion.
        batch: items of each open task per batch.
        tasks: patterns of task names; none: all of them.
        limit: at most so many items of each task, drawn by hash.
        how: backend, dtype, device, batch, of both models.
        progress: called as ``progress(label, done, total)``.

    Raises:
        InputError: if a model, a suite or the policy is at fault.
    """
    how = how or BackendSettings()
    if how.address or how.endpoint is not None:
        raise InputError("names one endpoint for two models", where="--until-decided", mend="Leave --address out.")
    models = {role: resolve_model(str(path), beside=Path.cwd() / "here") for role, path in (("teacher", teacher), ("student", student))}
    plan = build_plan(read_suites(suites), tasks=tasks, limit=limit, progress=progress)

    def ask(part: Plan, number: int) -> tuple[Results, Results]:
        found = []
        for role, path in models.items():
            folder = out / f"batch-{number}" / role
            told = None if progress is None else partial(_told, progress, f"batch {number}, {role}: ")
            made = evaluate(part, path, folder, cache=out / "answers", how=how, reference=models["teacher"], progress=told)
            _write_json(folder / PLAN, part.as_json())
            barrier()
            # What was written is not read again: a process with a foreign suite's code may write here and not read.
            found.append(Results(table=made.table, metrics=made.declarations, evidence=made.document, readers=("item_table",)))
        return found[0], found[1]

    stopped = ask_until_decided(plan, policy, ask, batch=batch)
    _write_json(out / STOPPED, stopped.as_json())
    return stopped


def _told(progress: Progress, begins: str, label: str, done: int, total: int) -> None:
    progress(begins + label, done, total)


def _write_json(path: Path, document: dict[str, Any]) -> None:
    if is_first():
        write_atomic(path, (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())
