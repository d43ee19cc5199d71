"""Calibration of a recipe: which temperature and weights to start from, with the table that led there."""

from __future__ import annotations

import importlib
import json

from kdgov.digest import digest_file, digest_json, write_atomic
from kdgov.errors import InputError
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.distill import distill_inputs, step_key
from kdgov.pipeline.store import StepResult
from kdgov.source_digest import source_digest

STEP = "calibrate"
TABLE = "calibration.json"


def calibrate_step(context: ReleaseContext) -> StepResult:
    """Try temperatures and weights on a held-out split; the facts hold ``table`` (text), ``proposal`` and ``digest``.

    Raises:
        InputError: if the release has no soft targets to calibrate, or too little data to hold some out.
    """
    inputs = distill_inputs(context)
    recipe = context.release.distillation
    if recipe is None:
        raise InputError("has no distillation to calibrate", where=str(context.path), mend="Add `distillation:` with soft_targets.")
    key = digest_json({"distill": step_key(context, inputs), "code": source_digest("kdgov.pipeline.calibrate")})
    finished = context.store.finished(STEP, key)
    if finished is not None:
        return finished
    work = importlib.import_module("kdgov.distillation.make_student")
    work.set_threads(context.release.threads)
    student = context.release.student
    table = work.calibrated(
        recipe=recipe,
        teacher=inputs.source,
        student=student,
        student_path=inputs.student_path,
        student_config=None if student.config is None else context.path_of(student.config),
        data_files=inputs.data,
        progress=context.progress,
    )
    folder = context.store.working(STEP, key)
    write_atomic(folder / TABLE, json.dumps(table, indent=2, sort_keys=True).encode() + b"\n")
    digest = digest_file(folder / TABLE)
    facts = {"table": f"{table['text']}\n\ncalibration: {digest}", "proposal": table["proposal"], "digest": digest}
    return context.store.finish(STEP, key, facts)
