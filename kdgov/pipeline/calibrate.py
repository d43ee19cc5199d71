"""Calibration of a recipe: which temperature and weights to start from, with the table that led there."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kdgov.declarations.distillation import Distillation
from kdgov.digest import digest_file, digest_json, write_atomic
from kdgov.errors import InputError
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.distill import step_key
from kdgov.pipeline.finished_work.step_results import CalibrateResult
from kdgov.pipeline.generation.generate_step import generation_helpers
from kdgov.pipeline.inputs.distill_inputs import DistillInputs, distill_inputs
from kdgov.source_digest import source_digest

TABLE = "calibration.json"


def calibrate_step(context: ReleaseContext, grid: Mapping[str, Sequence[float]] | None = None) -> CalibrateResult:
    """Try temperatures and weights on a held-out split; the result holds ``table`` (text), ``proposal`` and ``digest``.

    Args:
        context: the release.
        grid: what is tried beyond temperatures and mixes, with its values; see `kdgov.distillation.calibration.search_grid`.

    Raises:
        InputError: if the release has no soft targets to calibrate, too little data to hold some out, or not what the grid asks.
    """
    inputs = distill_inputs(context)
    recipe = context.release.distillation
    if recipe is None:
        raise InputError("has no distillation to calibrate", where=str(context.path), mend="Add `distillation:` with soft_targets.")
    wanted = {axis: [float(value) for value in values] for axis, values in (grid or {}).items()}
    # The digest of an earlier table in the recipe makes no other table.
    same = replace(context, release=context.release.model_copy(update={"distillation": recipe.model_copy(update={"calibration": None})}))
    key = digest_json({"distill": step_key(same, inputs), "grid": wanted, "code": source_digest("kdgov.pipeline.calibrate")})
    if (finished := context.store.finished(CalibrateResult, key)) is not None:
        return finished
    with context.store.work(CalibrateResult, key, tell=context.wait) as work:
        if work.finished is not None:
            return work.finished
        table = _table(context, recipe, inputs, wanted)
        write_atomic(work.folder / TABLE, json.dumps(table, indent=2, sort_keys=True).encode() + b"\n")
        digest = digest_file(work.folder / TABLE)
        return work.finish(table=f"{table['text']}\n\ncalibration: {digest}", proposal=table["proposal"], digest=digest)


def _table(context: ReleaseContext, recipe: Distillation, inputs: DistillInputs, grid: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    work = importlib.import_module("kdgov.distillation.make_student")
    work.set_threads(context.release.threads)
    student = context.release.student
    table: dict[str, Any] = work.calibrated(
        recipe=recipe,
        teacher=inputs.source,
        further_teachers=inputs.further,
        student=student,
        student_path=inputs.student_path,
        student_config=None if student.config is None else context.path_of(student.config),
        data_files=inputs.data,
        data_uses=inputs.uses,
        prompt_files=inputs.prompts,
        progress=context.progress,
        helpers=generation_helpers(context),
        grid=grid,
    )
    return table
