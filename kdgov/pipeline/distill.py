"""The distillation step: a student from the release, or the identity of the student that was trained elsewhere.

torch is loaded only when something has to be trained.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from kdgov.checkpoints.endpoint_identity import endpoint_identity
from kdgov.checkpoints.identity import ModelIdentity, endpoint_facts, model_identity, resolve_model
from kdgov.declarations.cards import load_dataset_card
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.release import StudentDeclaration
from kdgov.digest import digest_file, digest_json, write_atomic
from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import DISTILLATION
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.finished_work.step_results import DistillResult, GenerateResult
from kdgov.pipeline.generation.generate_step import copy_written, generate_step, generation_helpers, teacher_text_terms
from kdgov.pipeline.stages.staged_distillation import staged_distillation
from kdgov.processes import is_first
from kdgov.quantities import quantity
from kdgov.source_digest import source_digest

_POLL_S = 0.5
_LIBRARIES = ("torch", "transformers", "accelerate", "tokenizers", "peft", "torchao")


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillInputs:
    """What the step works on, resolved and identified."""

    source: Path | Endpoint
    """Folder of the teacher, or the endpoint where it can only be asked."""
    teacher: Mapping[str, Any]
    """Its identity, or what is declared of the endpoint."""
    student_path: Path | None
    """Folder of ``student.model``; None where the student starts from layers or a configuration."""
    student: ModelIdentity | None
    """Its identity."""
    data: tuple[Path, ...]
    """Files to learn from, in the order the release names them."""
    prompts: tuple[Path, ...]
    """Files of prompts that terms name."""
    logits: tuple[Path, ...] = ()
    """Files with the teacher's distributions, where they were written elsewhere."""


def distill_step(context: ReleaseContext) -> DistillResult:
    """Train the student through every stage, or identify the given one; a finished result is reused without loading torch.

    The folder holds ``student/`` (where it was trained here), ``distillation.json`` and ``losses.json``.

    Raises:
        InputError: if release, models and data do not fit together, or a loss is not finite.
        UnavailableError: if a hub, an endpoint, memory or the store is not to be had.
    """
    return staged_distillation(context, _one_stage) if context.release.stages else _one_stage(context)


def _one_stage(context: ReleaseContext) -> DistillResult:
    inputs = distill_inputs(context)
    teacher_path = str(inputs.source.resolve()) if isinstance(inputs.source, Path) else ""
    if context.release.distillation is None and context.release.student.quantization is None:
        return _given(context, inputs, teacher_path)
    key = step_key(context, inputs)
    if (finished := context.store.finished(DistillResult, key, teacher_path=teacher_path)) is not None:
        return finished
    written = generate_step(context, inputs) if teacher_text_terms(context) else None
    with context.store.work(DistillResult, key, tell=context.wait, teacher_path=teacher_path) as work:
        if work.finished is not None:
            return work.finished
        if context.release.distillation is None and not is_first():
            # Quantising is the first process's work alone.
            return _awaited(context, key, teacher_path)
        return work.finish(**_trained(context, inputs, work.folder, written))


def _awaited(context: ReleaseContext, key: str, teacher_path: str) -> DistillResult:
    while (finished := context.store.finished(DistillResult, key, teacher_path=teacher_path)) is None:
        time.sleep(_POLL_S)
    return finished


def distill_inputs(context: ReleaseContext) -> DistillInputs:
    """Resolve and identify everything the release names for this step.

    Raises:
        InputError: if a model or a file is absent or is not what its card pins.
    """
    release = context.release
    source = release.teacher.endpoint or resolve_model(release.teacher.model, beside=context.path, revision=release.teacher.revision)
    student_path = None
    if release.student.model is not None:
        student_path = resolve_model(release.student.model, beside=context.path, revision=release.student.revision)
    terms = release.distillation.terms if release.distillation is not None else []
    cache = release.distillation.cache if release.distillation is not None else None
    prompts = tuple(context.path_of(term.prompts) for term in terms if term.kind == "teacher_text" and term.prompts is not None)
    return DistillInputs(
        source=source,
        teacher=model_identity(source).as_json() if isinstance(source, Path) else endpoint_facts(source),
        student_path=student_path,
        student=None if student_path is None else model_identity(student_path),
        data=tuple(data_files(context)) if release.distillation is not None else (),
        prompts=prompts,
        logits=tuple(context.path_of(name) for name in cache.files) if cache is not None else (),
    )


def data_files(context: ReleaseContext) -> list[Path]:
    """Files of the release's data, as its cards name and pin them.

    Raises:
        InputError: if a card names no file, or a file is absent or not the pinned one.
    """
    files: list[Path] = []
    for item in context.release.data:
        if item.path is not None:
            files.append(_file(context.path_of(item.path)))
            continue
        card_path = context.path_of(str(item.card))
        card = load_dataset_card(card_path)
        if not card.files:
            raise InputError("names no file", where=str(card_path), mend="Add `files:` with the path and digest of each.")
        for entry in card.files:
            beside = card_path.parent / entry.path
            file = beside if beside.exists() else Path(entry.path)
            if not file.is_file():
                raise InputError(f"files: names {entry.path!r}, which does not exist", where=str(card_path), mend="Correct the path.")
            if entry.digest is not None and digest_file(file) != entry.digest:
                raise InputError(
                    f"files: {entry.path} is not what the card pins: it has {digest_file(file)}, the card says {entry.digest}",
                    where=str(card_path),
                    mend="Restore the file, or review it and write its new digest into the card.",
                )
            files.append(file)
    return files


def _file(path: Path) -> Path:
    if path.is_dir():
        raise InputError(
            "is a folder; data are files",
            where=str(path),
            mend='Name a file in it. Of images write a .jsonl beside them, a line each: {"image": "cat/1.png", "label": "cat"}.',
        )
    return path


def step_key(context: ReleaseContext, inputs: DistillInputs) -> str:
    """Digest of everything that decides the student."""
    student: StudentDeclaration = context.release.student
    recipe = context.release.distillation
    config = None if student.config is None else digest_file(context.path_of(student.config))
    return digest_json(
        {
            "teacher": dict(inputs.teacher),
            "student": [student.keep_layers, config, inputs.student.as_json() if inputs.student else None],
            **({"prune": student.prune.model_dump()} if student.prune is not None else {}),
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
        student=release.student,
        student_path=inputs.student_path,
        student_config=None if release.student.config is None else context.path_of(release.student.config),
        data_files=inputs.data,
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
    what = f"{quantity(mine['parameters'], 'parameter')}" if "parameters" in mine else f"{mine['generator']}, an endpoint"
    what += (
        f", {mine['parameters'] / max(1, theirs['parameters']):.0%} of the teacher's"
        if {"parameters"} <= mine.keys() & theirs.keys()
        else ""
    )
    return {
        "trained": trained,
        "summary": what if trained else f"given: {what}",
        "identity": mine,
        "teacher": theirs,
        "warnings": list(record.get("warnings", ())),
    }
