"""The distillation step: a student from the release, or the identity of the student that was trained elsewhere.

torch is loaded only when something has to be trained.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from kdgov.checkpoints.endpoint_identity import endpoint_identity
from kdgov.checkpoints.identity import model_identity
from kdgov.checkpoints.layer_choice import as_plain
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.release import StudentDeclaration
from kdgov.digest import digest_file, digest_json, write_atomic
from kdgov.errors import BlockedError, InputError
from kdgov.evidence.bundle_layout import DISTILLATION
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.finished_work.step_results import DistillResult, GenerateResult
from kdgov.pipeline.finished_work.store import NotFinishedError, ReadOnlyStore
from kdgov.pipeline.generation.generate_step import copy_written, generate_step, generation_helpers, teacher_text_terms
from kdgov.pipeline.inputs.distill_inputs import DistillInputs, distill_inputs
from kdgov.pipeline.stages.staged_distillation import staged_distillation
from kdgov.pipeline.stages.told_size import told_size, told_stop
from kdgov.processes import is_first
from kdgov.source_digest import source_digest

_POLL_S = 0.5
_LIBRARIES = ("torch", "transformers", "accelerate", "tokenizers", "peft", "torchao")


def distill_step(context: ReleaseContext) -> DistillResult:
    """Train the student through every stage, or identify the given one; a finished result is reused without loading torch.

    The folder holds ``student/`` (where it was trained here), ``distillation.json`` and ``losses.json``.

    Raises:
        InputError: if release, models and data do not fit together, or a loss is not finite.
        BlockedError: if the scan of what a teacher wrote found what the policy does not let pass.
        UnavailableError: if a hub, an endpoint, memory or the store is not to be had.
    """
    return staged_distillation(context, _one_stage) if context.release.stages else _one_stage(context)


def student_at_hand(context: ReleaseContext) -> bool:
    """Whether the student of this recipe was made before, so that nothing would be trained or asked for it."""
    try:
        distill_step(replace(context, store=ReadOnlyStore(context.store.root)))
    except NotFinishedError:
        return False
    return True


def _one_stage(context: ReleaseContext) -> DistillResult:
    inputs = distill_inputs(context)
    teacher_path = str(inputs.source.resolve()) if isinstance(inputs.source, Path) else ""
    if context.release.distillation is None and context.release.student.quantization is None:
        return _given(context, inputs, teacher_path)
    key = step_key(context, inputs)
    if (finished := context.store.finished(DistillResult, key, teacher_path=teacher_path)) is not None:
        return finished
    # Whoever started this: a command that prints the findings has looked before.
    written = refuse_blocked_text(context, inputs)
    with context.store.work(DistillResult, key, tell=context.wait, teacher_path=teacher_path) as work:
        if work.finished is not None:
            return work.finished
        if context.release.distillation is None and not is_first():
            # Quantising is the first process's work alone.
            return _awaited(context, key, teacher_path)
        return work.finish(**_trained(context, inputs, work.folder, written))


def refuse_blocked_text(context: ReleaseContext, inputs: DistillInputs | None = None) -> GenerateResult | None:
    """What the teacher wrote for this recipe, None where it writes nothing; a finished result is reused.

    Raises:
        BlockedError: if the scan of it found what the policy does not let pass.
    """
    if not teacher_text_terms(context):
        return None
    written = generate_step(context, inputs or distill_inputs(context))
    if written.stops:
        raise BlockedError(
            f"what the teacher wrote stops this release ({', '.join(written.stopped_by)}); nothing was trained",
            where=written.findings,
            mend="Look at findings.json there; drop those answers with a filter, or ask differently.",
        )
    return written


def _awaited(context: ReleaseContext, key: str, teacher_path: str) -> DistillResult:
    while (finished := context.store.finished(DistillResult, key, teacher_path=teacher_path)) is None:
        time.sleep(_POLL_S)
    return finished


def step_key(context: ReleaseContext, inputs: DistillInputs) -> str:
    """Digest of everything that decides the student."""
    student: StudentDeclaration = context.release.student
    recipe = context.release.distillation
    config = None if student.config is None else digest_file(context.path_of(student.config))
    return digest_json(
        {
            "teacher": dict(inputs.teacher),
            "student": [as_plain(student.keep_layers), config, inputs.student.as_json() if inputs.student else None],
            **({"prune": student.prune.model_dump()} if student.prune is not None else {}),
            **({"further_teachers": [model_identity(path).as_json() for path in inputs.further]} if inputs.further else {}),
            **({"media": inputs.media} if inputs.media else {}),
            **({"data_weights": [use.weight for use in inputs.uses]} if any(use.weight != 1 for use in inputs.uses) else {}),
            **({"data_columns": [dict(use.columns) for use in inputs.uses]} if any(use.columns for use in inputs.uses) else {}),
            "adapter": student.adapter,
            "quantization": student.quantization,
            "data": [digest_file(path) for path in (*inputs.data, *inputs.prompts, *inputs.logits)],
            "recipe": None if recipe is None else recipe.model_dump(mode="json"),
            "threads": context.release.threads,
            "code": source_digest("kdgov.pipeline.distill"),
            "libraries": {name: _version(name) for name in _LIBRARIES},
        }
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def _trained(context: ReleaseContext, inputs: DistillInputs, folder: Path, written: GenerateResult | None) -> dict[str, Any]:
    if written is not None and is_first():
        copy_written(written, folder)
    # Here, not above: whoever reuses a result should not wait for torch.
    work = importlib.import_module("kdgov.distillation.make_student")
    release = context.release
    work.set_threads(release.threads)
    record: Mapping[str, Any] = work.make_student(
        recipe=release.distillation,
        teacher=inputs.source,
        further_teachers=inputs.further,
        student=release.student,
        student_path=inputs.student_path,
        student_config=None if release.student.config is None else context.path_of(release.student.config),
        data_files=inputs.data,
        data_uses=inputs.uses,
        prompt_files=inputs.prompts,
        cache_root=_cache_root(context),
        output=folder,
        progress=context.progress,
        helpers=generation_helpers(context),
    )
    if is_first():
        # No other may write: the first may have sealed the folder already.
        write_atomic(folder / DISTILLATION, json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n")
    return _facts(inputs, record, trained=release.distillation is not None)


def _cache_root(context: ReleaseContext) -> Path:
    recipe = context.release.distillation
    named = recipe.cache.folder if recipe is not None and recipe.cache is not None else None
    return context.store.root / "teacher-cache" if named is None else context.path_of(named)


def _given(context: ReleaseContext, inputs: DistillInputs, teacher_path: str) -> DistillResult:
    if (endpoint := context.release.student.endpoint) is not None:
        return _asked_elsewhere(context, inputs, endpoint, teacher_path)
    if inputs.student_path is None or inputs.student is None:
        raise InputError("names no finished student", where=str(context.path), mend="Set `student.model`, or add `distillation:`.")
    # Where it lies is told, not kept: the identity of the student is what counts.
    places = {"student": str(inputs.student_path.resolve()), "teacher_path": teacher_path}
    return _identified(context, inputs, inputs.student.as_json(), places)


def _asked_elsewhere(context: ReleaseContext, inputs: DistillInputs, endpoint: Endpoint, teacher_path: str) -> DistillResult:
    """The student that can only be asked: what is declared of it."""
    return _identified(
        context, inputs, endpoint_identity(endpoint, is_subject=True).as_json(), {"student": "", "teacher_path": teacher_path}
    )


def _identified(context: ReleaseContext, inputs: DistillInputs, mine: dict[str, Any], places: Mapping[str, str]) -> DistillResult:
    theirs = dict(inputs.teacher)
    key = digest_json({"given": True, "student": mine, "teacher": theirs, "code": source_digest("kdgov.pipeline.distill")})
    if (finished := context.store.finished(DistillResult, key, **places)) is not None:
        return finished
    with context.store.work(DistillResult, key, tell=context.wait, **places) as work:
        if work.finished is not None:
            return work.finished
        record = {"schema": "kdgov.distillation/1", "trained": False, "student": mine, "teacher": theirs}
        if is_first():
            write_atomic(work.folder / DISTILLATION, json.dumps(record, indent=2, sort_keys=True).encode() + b"\n")
        return work.finish(**_facts(inputs, record, trained=False))


def _facts(inputs: DistillInputs, record: Mapping[str, Any], *, trained: bool) -> dict[str, Any]:
    mine, theirs = record["student"], dict(inputs.teacher)
    what = told_size(mine, theirs)
    return {
        "trained": trained,
        "summary": what + told_stop(record) if trained else f"given: {what}",
        "identity": mine,
        "teacher": theirs,
        "warnings": list(record.get("warnings", ())),
    }
