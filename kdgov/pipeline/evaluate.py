"""The evaluation step: teacher, student and a no-skill control answer one plan.

Each model's part is a finished result of its own, so a second student pays nothing for the teacher. torch and lm-eval are
loaded only when something has to be asked.
"""

from __future__ import annotations

import datetime
import importlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from kdgov.decision.criteria.cost_ratio import COUNTED, DECLARED
from kdgov.declarations.policy_file import load_policy
from kdgov.digest import digest_file, digest_json, write_atomic
from kdgov.errors import InputError
from kdgov.evaluation.backends.distributed import barrier
from kdgov.evaluation.release_settings import cost_line
from kdgov.evaluation.results.comparability import compare_evidence, stopping
from kdgov.evidence.bundle_layout import EVALUATION, FINDINGS, FURTHER_FILES, ITEMS, PLAN, ROLE_FILES
from kdgov.evidence.derivation.evaluation_statement import sign_evaluation
from kdgov.finding import Finding
from kdgov.items.files import read_items
from kdgov.pipeline.asked_models.models_asked import Asked, asked_models, label_files, teacher_source
from kdgov.pipeline.confined.release_calls import suite_calls
from kdgov.pipeline.confined.suite_calls import SuiteCalls
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.finished_work.step_results import DistillResult, EvaluateResult, ModelEvaluation, StepResult
from kdgov.pipeline.finished_work.store import Work
from kdgov.pipeline.forecast.model_fit import refuse_idle_thinking
from kdgov.processes import is_first
from kdgov.progress import silent
from kdgov.quantities import quantity
from kdgov.recording.client.signers import evaluation_signing_for
from kdgov.source_digest import source_digest

R = TypeVar("R", bound=StepResult)


def evaluate_step(context: ReleaseContext, distilled: DistillResult) -> EvaluateResult:
    """Evaluate teacher, student and control on one plan; finished parts are reused without loading torch or lm-eval.

    The folder holds ``plan.json``, ``teacher/``, ``student/`` and ``control/`` (each with ``items.parquet``, ``evidence.json``
    and ``identity.json``), ``findings.json`` (whether the two were asked the same), ``disaggregation.json`` and
    ``efficiency.json`` (measured, never part of a decision's digest).

    Raises:
        InputError: if suites and models do not fit together.
        UnavailableError: if hub data or the store are not to be had.
    """
    allowed = load_policy(context.policy_path()).allowed_differences
    return _under(_evaluated(context, distilled), allowed)


def _evaluated(context: ReleaseContext, distilled: DistillResult) -> EvaluateResult:
    refuse_idle_thinking(context)
    # Of several processes, none reads the student before the first has sealed it.
    barrier()
    asked = asked_models(context, teacher_source(context), context.release.student.endpoint or distilled.checkpoint)
    key = digest_json(
        {
            "models": {a.role: a.key for a in asked},
            "efficiency": context.release.evaluation.efficiency,
            **({"measured": limits} if (limits := _cost_limits(context)) else {}),
            "code": source_digest("kdgov.pipeline.evaluate"),
            "step": 1,
        }
    )
    places = {f"{one.role}_path": str(one.source) if isinstance(one.source, Path) else "" for one in asked[:2]}
    if (finished := context.store.finished(EvaluateResult, key, **places)) is not None:
        return finished
    with context.store.work(EvaluateResult, key, tell=context.wait, **places) as work:
        if work.finished is not None:
            return work.finished
        with suite_calls(context) as calls:
            parts = _parts(context, calls, asked)
            if is_first():
                finished = work.finish(**_joined(context, calls, asked, parts, work.folder))
        barrier()
        return finished or _of_another_process(context, context.store.finished(EvaluateResult, key, **places))


def _joined(
    context: ReleaseContext, calls: SuiteCalls, asked: list[Asked], parts: Mapping[str, ModelEvaluation], folder: Path
) -> dict[str, Any]:
    for role, part in parts.items():
        _bring(part.folder, folder / role)
    shutil.copyfile(parts["teacher"].folder / PLAN, folder / PLAN)
    facts = _facts(folder, asked)
    _measure(context, calls, asked, folder, {role: _tokens(part.folder) for role, part in parts.items()})
    return facts


def _of_another_process(context: ReleaseContext, finished: R | None) -> R:
    if finished is None:
        raise InputError(
            "the first process did not finish the evaluation", where=str(context.path), mend="Run the same command again: it goes on."
        )
    return finished


def _under(finished: EvaluateResult, allowed: tuple[str, ...]) -> EvaluateResult:
    # What is stored is the same under every policy, so that a policy changed after the fact finds the results it was sealed with.
    document = json.loads((finished.folder / FINDINGS).read_bytes())
    found = stopping([Finding(**f) for f in document["findings"]], allowed)
    summary = finished.summary
    if found:
        summary += f"; not comparable: {found[0].reason}"
    return replace(finished, findings=len(found), summary=summary)


def _parts(context: ReleaseContext, calls: SuiteCalls, asked: list[Asked]) -> dict[str, ModelEvaluation]:
    done: dict[str, ModelEvaluation] = {}
    # Nothing is loaded, and no process started, before something has to be asked: whoever reuses results should not wait.
    purpose = digest_json([one.key for one in asked])
    for one in asked:
        if (known := context.store.finished(ModelEvaluation, one.key)) is not None:
            done[one.role] = known
            continue
        with context.store.work(ModelEvaluation, one.key, tell=context.wait) as work:
            done[one.role] = work.finished or _part(context, calls, one, asked[0], work, purpose)
    return done


def _part(
    context: ReleaseContext, calls: SuiteCalls, one: Asked, teacher: Asked, work: Work[ModelEvaluation], purpose: str
) -> ModelEvaluation:
    facts: Mapping[str, Any] = calls.call(
        "evaluate_role",
        folder=work.folder,
        context=replace(context, progress=silent),
        purpose=purpose,
        role=one.role,
        model=one.source,
        teacher=teacher.source,
        identity=one.identity,
        teacher_identity=teacher.identity,
        how=one.how,
        teacher_how=teacher.how,
        cache=calls.answers,
        labels=label_files(context),
    )
    barrier()
    if is_first():
        # At once and here: later nobody could tell whether these tables are what the model answered.
        sign_evaluation(work.folder, evaluation_signing_for(context.store.root).signers, at=datetime.datetime.now(datetime.UTC))
    finished = work.finish(**facts) if is_first() else None
    barrier()
    return finished or _of_another_process(context, context.store.finished(ModelEvaluation, one.key))


def _bring(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in (*ROLE_FILES, *FURTHER_FILES):
        if name in ROLE_FILES or (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def _facts(folder: Path, asked: list[Asked]) -> dict[str, Any]:
    documents = {a.role: json.loads((folder / a.role / EVALUATION).read_bytes()) for a in asked}
    tables = {role: read_items(folder / role / ITEMS, with_text=False) for role in ("teacher", "student")}
    findings = compare_evidence(
        documents["teacher"], documents["student"], teacher_table=tables["teacher"], student_table=tables["student"]
    )
    write_atomic(folder / FINDINGS, _pretty({"findings": [f.as_json() for f in findings]}))
    tasks = documents["teacher"]["tasks"]
    items = sum(t["items"] for t in tasks)
    summary = f"{quantity(len(tasks), 'task')}, {quantity(items, 'item')}, plan {documents['teacher']['plan'][7:19]}"
    usage = {role: document["endpoint"]["usage"] for role, document in documents.items() if document.get("endpoint")}
    summary += "".join(f"; {role}: {cost_line(used)}" for role, used in usage.items())
    return {
        "usage": usage,
        "plan": documents["teacher"]["plan"],
        "teacher_evidence": digest_file(folder / "teacher" / EVALUATION),
        "student_evidence": digest_file(folder / "student" / EVALUATION),
        "items": items,
        "summary": summary,
    }


def _tokens(folder: Path) -> float | None:
    """Tokens per task, as the evaluation of one model counted them."""
    try:
        value = json.loads((folder / "cost.json").read_bytes()).get("tokens_per_task")
    except (FileNotFoundError, ValueError):
        return None
    return float(value) if isinstance(value, (int, float)) else None


def _measure(context: ReleaseContext, calls: SuiteCalls, asked: list[Asked], folder: Path, tokens: Mapping[str, float | None]) -> None:
    work = importlib.import_module("kdgov.evaluation.results.pair_reports")
    work.write_disaggregation(folder)
    models = {one.role: one.source for one in asked[:2]}
    if context.release.evaluation.efficiency and all(isinstance(source, Path) for source in models.values()):
        how = asked[1].how
        measured = calls.trusted(
            "measure_cost",
            teacher=models["teacher"],
            student=models["student"],
            limits=_cost_limits(context),
            device=how.device,
            dtype=how.dtype,
            shard=how.is_spread,
        )
        work.write_efficiency(measured, folder, price=context.release.price, tokens=tokens)


def _cost_limits(context: ReleaseContext) -> dict[str, list[float]]:
    """Quantity → ratios that the policy sets for what is measured: turns are added until they are decided."""
    found: dict[str, list[float]] = {}
    for criterion in load_policy(context.policy_path()).criteria:
        if criterion.kind == "efficiency" and criterion.measure not in COUNTED | DECLARED:
            limits = [limit for limit in (criterion.max_ratio, criterion.min_ratio) if limit is not None]
            found[criterion.measure] = sorted({*found.get(criterion.measure, []), *limits})
    return dict(sorted(found.items()))


def _pretty(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()
