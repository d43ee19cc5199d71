"""What the check reads beside the declared inputs: the calibration table that a recipe names, and the log its data is held against."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdgov.checkpoints.class_names import class_names, names_of
from kdgov.checkpoints.identity import resolve_model
from kdgov.checks.cards.release_inputs import Body, ReleaseInputs
from kdgov.checks.findings.coverage import coverage_findings
from kdgov.checks.findings.rules import Stances
from kdgov.checks.scan.data_texts import data_texts
from kdgov.checks.scan.logged_inputs import read_log
from kdgov.checks.scan.scan import ShardReport
from kdgov.checks.scan.suite_labels import label_faults, order_faults
from kdgov.digest import digest_file, is_digest
from kdgov.errors import DeclarationError, UnavailableError
from kdgov.evaluation.plan.replay_inputs import fitting_answer
from kdgov.finding import Finding
from kdgov.hub.joined_files import joined
from kdgov.pipeline.context import ReleaseContext
from kdgov.safe_parse import json_value


def calibration_table(context: ReleaseContext, named: str | None) -> dict[str, Any] | None:
    """The calibration table that a recipe names by digest or path, from the store or beside the release; None where there is none."""
    if named is None:
        return None
    path = context.path_of(named)
    tables = [path] if path.is_file() else sorted((context.store.root / "steps").rglob("calibration.json")) if is_digest(named) else []
    found = next((table for table in tables if table == path or digest_file(table) == named), None)
    try:
        value = json.loads(found.read_bytes()) if found is not None else None
    except ValueError:
        return None
    return value if isinstance(value, dict) and {"rows", "proposal"} <= value.keys() else None


def refuse_unready(context: ReleaseContext, materials: ReleaseInputs) -> None:
    """Refuse a package that training needs and that is not installed, keys under `trainer:` that do nothing, and labels of other classes.

    Raises:
        UnavailableError: naming the package.
        DeclarationError: with every task at fault.
    """
    if any(recipe.trainer.get("deepspeed") for recipe in materials.release.recipes) and importlib.util.find_spec("deepspeed") is None:
        told = "deepspeed: needs a package that is not installed: deepspeed"
        mend = "`pip install deepspeed` here and where it is trained, or use `fsdp: true`, which needs no further package."
        raise UnavailableError(told, where=f"{context.path}: distillation.trainer", mend=mend)
    for recipe in filter(lambda one: one.trainer, materials.release.recipes):
        from kdgov.distillation.loop.training_arguments import refuse_unsuitable  # noqa: PLC0415 - imports torch

        refuse_unsuitable(recipe, file=str(context.path))
    _refuse_other_classes(context, materials)


def _refuse_other_classes(context: ReleaseContext, materials: ReleaseInputs) -> None:
    """Labels that are no class of a model, and models that mean different classes by one number."""
    release, models = context.release, {}
    if materials.teacher.identity and (names := class_names(_folder(context, release.teacher.model, release.teacher.revision))):
        models["teacher"] = names
    if materials.student.identity and release.student.model:
        if names := class_names(_folder(context, release.student.model, release.student.revision)):
            models["student"] = names
    elif release.student.config is not None and models:
        own = context.path_of(release.student.config)
        models["student"] = names_of(json_value(own.read_bytes(), where=str(own)))
    faults = label_faults(materials.suites, models)
    if release.distillation is not None and len(models) == 2:
        faults += order_faults(models["teacher"], models["student"], file=str(context.path))
    if faults:
        raise DeclarationError(faults)


def _folder(context: ReleaseContext, name: str, revision: str | None) -> Path:
    return resolve_model(name, beside=context.path, revision=revision)


def covered(
    context: ReleaseContext, materials: ReleaseInputs, stances: Stances, reports: Sequence[tuple[Body, ShardReport]]
) -> list[Finding]:
    """Whether the data covers the production inputs; empty where the release names none.

    Raises:
        InputError: if the log is at fault, or an answer does not fit the models.
    """
    logged, declared = materials.logged, context.release.production_inputs
    if declared is None or logged is None:
        return []
    log = read_log(joined([file.path for file in logged.files], where=f"{context.path}: production_inputs"), declared)
    # An answer that does not fit is told here, before anything is trained.
    fitting_answer(materials, log.inputs, release=context.path)
    whole = {(body.key, report.name) for body, report in reports if report.rows and not report.damage}
    data = [file.path for body in materials.bodies for file in body.files if (body.key, file.name) in whole]
    texts = data_texts(data, log.inputs) if data else None
    return coverage_findings(texts, log.inputs, stances, hides_text=bool(logged.personal_data), distinct=log.distinct)
