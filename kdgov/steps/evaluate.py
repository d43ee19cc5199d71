"""The evaluation step: teacher, student and a no-skill control answer one plan.

Each model's part is a finished result of its own, so a second student pays nothing for the teacher. torch and lm-eval are
loaded only when something has to be asked.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov.checkpoints.identity import ModelIdentity, model_identity, resolve_model
from kdgov.digest import digest_file, digest_json, write_atomic
from kdgov.evaluate.comparison import compare_evidence
from kdgov.evaluate.how import How
from kdgov.evaluate.sources import suites_digest
from kdgov.items.files import read_items
from kdgov.steps.context import ReleaseContext, code_digest
from kdgov.steps.distill import distill_step
from kdgov.steps.store import Finished

STEP = "evaluate"
MODEL_STEP = "evaluate-model"
PLAN, FINDINGS = "plan.json", "findings.json"
_MODEL_FILES = ("items.parquet", "evidence.json", "identity.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One model of a release and the key of its evaluation."""

    role: str
    """teacher, student, control or root."""
    path: Path
    """Checkpoint folder."""
    identity: ModelIdentity
    """Who it is."""
    key: str
    """Digest of everything that decides its evaluation."""


def evaluate_step(context: ReleaseContext) -> Finished:
    """Evaluate teacher, student and control on one plan; finished parts are reused without loading torch or lm-eval.

    The folder holds ``plan.json``, ``teacher/``, ``student/`` and ``control/`` (each with ``items.parquet``, ``evidence.json``
    and ``identity.json``), ``findings.json`` (whether the two were asked the same), ``disaggregation.json`` and
    ``efficiency.json`` (measured, never part of a decision's digest).

    Raises:
        InputError: if suites and models do not fit together.
        UnavailableError: if hub data or the store are not to be had.
    """
    distilled = distill_step(context)
    student = distilled.folder / str(distilled.facts["student"])
    teacher = resolve_model(context.release.teacher.model, beside=context.path, revision=context.release.teacher.revision)
    how = how_of()
    asked = _asked(context, teacher, student, how)
    key = digest_json({"models": {a.role: a.key for a in asked}, "code": code_digest("evaluate"), "step": 1})
    if (finished := context.store.finished(STEP, key)) is not None:
        return finished
    parts = _parts(context, asked, how)
    folder = context.store.working(STEP, key)
    for role, part in parts.items():
        _bring(part.folder, folder / role)
    shutil.copyfile(parts["teacher"].folder / PLAN, folder / PLAN)
    facts = _facts(folder, asked)
    _measure(context, asked, folder)
    return context.store.finish(STEP, key, facts)


def how_of() -> How:
    """How models are asked, from the environment: ``KDGOV_DTYPE``, ``KDGOV_DEVICE``, ``KDGOV_BATCH_TOKENS``, ``KDGOV_BACKEND``."""
    plain = How()
    return How(
        backend=os.environ.get("KDGOV_BACKEND", plain.backend),
        dtype=os.environ.get("KDGOV_DTYPE", plain.dtype),
        device=os.environ.get("KDGOV_DEVICE", plain.device),
        batch_tokens=int(os.environ.get("KDGOV_BATCH_TOKENS", str(plain.batch_tokens))),
    )


def _asked(context: ReleaseContext, teacher: Path, student: Path, how: How) -> list[Asked]:
    release = context.release
    suites = suites_digest(release.suites, beside=context.path)
    logged = ""
    if release.production_inputs is not None:
        logged = digest_json([release.production_inputs.field, digest_file(context.path_of(release.production_inputs.path))])
    common = {"suites": suites, "logged": logged, "how": how.as_json(), "code": code_digest("evaluate", "items")}
    first = model_identity(teacher)
    models = [("teacher", teacher, first), ("student", student, model_identity(student))]
    if release.teacher.root is not None:
        root = resolve_model(release.teacher.root, beside=context.path)
        models.append(("root", root, model_identity(root)))
    found = [
        Asked(role=role, path=path, identity=who, key=digest_json({**common, "model": who.as_json(), "teacher": first.weights}))
        for role, path, who in models
    ]
    shape = {**common, "config": found[1].identity.config, "tokenizer": found[1].identity.tokenizer, "teacher": first.weights}
    found.append(Asked(role="control", path=student, identity=found[1].identity, key=digest_json({**shape, "control": 1})))
    return found


def _parts(context: ReleaseContext, asked: list[Asked], how: How) -> dict[str, Finished]:
    parts = {a.role: context.store.finished(MODEL_STEP, a.key) for a in asked}
    if all(parts.values()):
        return {role: part for role, part in parts.items() if part is not None}
    # Here, not above: whoever reuses results should not wait for torch and lm-eval.
    work = importlib.import_module("kdgov.evaluate.work")
    plan = work.release_plan(context.release, context.path, logged=_logged(context), progress=context.progress)
    done: dict[str, Finished] = {}
    for one in asked:
        finished = parts[one.role]
        if finished is None:
            folder = context.store.working(MODEL_STEP, one.key)
            facts: Mapping[str, Any] = work.evaluate_one(
                plan,
                one.path,
                folder,
                role=one.role,
                teacher=asked[0].path,
                cache=context.store.root / "answers",
                how=how,
                progress=context.progress,
            )
            finished = context.store.finish(MODEL_STEP, one.key, facts)
        done[one.role] = finished
    return done


def _logged(context: ReleaseContext) -> tuple[Path, str] | None:
    inputs = context.release.production_inputs
    return None if inputs is None else (context.path_of(inputs.path), inputs.field)


def _bring(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in _MODEL_FILES:
        shutil.copyfile(source / name, target / name)


def _facts(folder: Path, asked: list[Asked]) -> dict[str, Any]:
    documents = {a.role: json.loads((folder / a.role / "evidence.json").read_bytes()) for a in asked}
    tables = {role: read_items(folder / role / "items.parquet", with_text=False) for role in ("teacher", "student")}
    findings = compare_evidence(
        documents["teacher"], documents["student"], teacher_table=tables["teacher"], student_table=tables["student"]
    )
    write_atomic(folder / FINDINGS, _pretty({"findings": [f.as_json() for f in findings]}))
    stopping = [f for f in findings if f.stops]
    tasks = documents["teacher"]["tasks"]
    items = sum(t["items"] for t in tasks)
    summary = f"{len(tasks)} tasks, {items:,} items, plan {documents['teacher']['plan'][7:19]}"
    if stopping:
        summary += f"; not comparable: {stopping[0].reason}"
    return {
        "plan": documents["teacher"]["plan"],
        "teacher_evidence": digest_file(folder / "teacher" / "evidence.json"),
        "student_evidence": digest_file(folder / "student" / "evidence.json"),
        "items": items,
        "findings": len(stopping),
        "summary": summary,
        "student_path": str(asked[1].path),
        "teacher_path": str(asked[0].path),
    }


def _measure(context: ReleaseContext, asked: list[Asked], folder: Path) -> None:
    work = importlib.import_module("kdgov.evaluate.after")
    work.write_disaggregation(folder)
    work.write_efficiency(asked[0].path, asked[1].path, folder, price=context.release.price, progress=context.progress)


def _pretty(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()
