"""One distillation from files to files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from kdgov.checkpoints.identity import ModelIdentity, model_identity
from kdgov.checkpoints.loading import freeze, load_model
from kdgov.checkpoints.text_pooling import Pooling, pooling_of
from kdgov.declarations.data_parts.data_use import DataUse
from kdgov.declarations.distillation import Attention, Distillation
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.digest import digest_bytes, write_atomic
from kdgov.distillation import distillation_record as provenance
from kdgov.distillation.data.batch_order import batch_order
from kdgov.distillation.data.packing import PackingCollator, refuse_unless_apart
from kdgov.distillation.data.tokenization import Planned, TokenCollator
from kdgov.distillation.distillation_record import DistillationRecord
from kdgov.distillation.generation.ratings import Helpers
from kdgov.distillation.inputs import DistillationInputs, gather_inputs, sampled_term
from kdgov.distillation.learner import Learner
from kdgov.distillation.loop.compiled_student import compile_options, compiler_faults
from kdgov.distillation.loop.held_out import Watch, split
from kdgov.distillation.loop.longest_input import refuse_too_long
from kdgov.distillation.loop.loss_log import LOSS_LINES, LossLog
from kdgov.distillation.loop.models_fit import warnings_of, with_fitted_vocabulary
from kdgov.distillation.loop.training_arguments import argument_faults, refuse_unready, training_arguments
from kdgov.distillation.memory import kept_heap, memory_advice
from kdgov.distillation.mixture.teachers_at_hand import load_further
from kdgov.distillation.sampling import StudentSampler
from kdgov.distillation.saving import STUDENT, memory_sums, record_of, save_student, settle
from kdgov.distillation.starts.pruning import calibration_inputs, prune
from kdgov.distillation.students import StudentStart, build_student
from kdgov.distillation.teacher_cache.cache import cached_collator
from kdgov.distillation.teacher_cache.opened_cache import opened_cache
from kdgov.distillation.training import DistillationTrainer
from kdgov.distillation.training_progress import agreed_checkpoint, training_curves
from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import TRAINING_CURVES
from kdgov.processes import is_first, world_size
from kdgov.progress import Progress, silent

LOSSES = "losses.json"
_CHECKPOINTS = "checkpoints"
_POLL_S = 1.0


def distill(
    recipe: Distillation,
    teacher: Path | Endpoint,
    student: StudentStart,
    data_files: Sequence[Path],
    output: Path,
    *,
    prompt_files: Sequence[Path] = (),
    cache_root: Path | None = None,
    helpers: Helpers | None = None,
    progress: Progress = silent,
    data_uses: Sequence[DataUse] = (),
    further_teachers: Sequence[Path] = (),
) -> DistillationRecord:
    """Train a student and write it, with the record of what was trained, into a folder.

    Written are ``<output>/student/`` (a transformers checkpoint with tokenizer and record), ``<output>/losses.jsonl`` (every
    step's terms as they come, and each measurement on held-out examples), ``<output>/losses.json`` (the steps alone, at the end),
    ``<output>/training-curves.json`` (`training_curves`) and ``<output>/kdgov-distillation.json``.
    A run that was killed resumes from its last whole checkpoint under ``<output>/checkpoints/`` and ends, on a CPU, with the very
    weights an uninterrupted run ends with.

    Args:
        recipe: what is added up, over which steps.
        teacher: checkpoint folder, or the endpoint where all there is can be asked.
        student: where the student starts.
        data_files: JSON lines or text.
        output: folder to write into.
        prompt_files: files that ``teacher_text`` terms name, in their order.
        cache_root: where teacher caches of many runs lie; default beside the output.
        helpers: where answers of teachers lie and what filters of written text need; default beside the output.
        progress: told every step.
        data_uses: weight and columns per data file; empty: as they are.
        further_teachers: folders of the teachers that the recipe names beside the first, in its order.

    Raises:
        InputError: if recipe, models and data do not fit together, or a loss is not finite.
        UnavailableError: if memory runs out, or an endpoint cannot be reached.
    """
    output.mkdir(parents=True, exist_ok=True)
    root = cache_root or output.parent / "teacher-cache"
    refuse_unready(recipe, output / _CHECKPOINTS, world_size=world_size(), has_adapter=student.adapter is not None)
    with memory_advice(recipe), kept_heap():
        material = gather_inputs(
            recipe, teacher, student, data_files, output,
            prompt_files=prompt_files, cache_root=root, progress=progress, helpers=helpers, data_uses=data_uses,
            further_teachers=further_teachers,
        )  # fmt: skip
        return _run(material, output, progress)


def _run(material: DistillationInputs, output: Path, progress: Progress) -> DistillationRecord:
    recipe = material.recipe
    progress("loading the models", 0, 0)
    teacher, student = load_models(material)
    further = load_further(material.further, material.task, dtype=teacher_dtype())
    material = with_fitted_vocabulary(material, teacher, student, further)
    for one in (teacher, *further):
        refuse_too_long(material.prepared.items, one, student, recipe)
    warnings = list(warnings_of(material, teacher, student, further))
    cache = opened_cache(material, teacher, progress)
    collate: Any = _packed(material, {"teacher": teacher, "student": student, **_named(further)})
    if cache is not None:
        collate, teacher = cached_collator(collate, cache), None
    learnt, kept_out = split(material.prepared, recipe.held_out, seed=recipe.seed)
    order = batch_order(
        learnt.lengths, steps=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed, by_length=recipe.length_bucketing
    )
    planned = Planned(learnt.items, order)
    learner = Learner(
        student, teacher, recipe, task=material.task, problem=learnt.problem, vocabulary=material.vocabulary, pooling=_pooling(material),
        further=further,
    )  # fmt: skip
    batch = collate([planned[0]])
    learner.add_projections(batch)
    for one in (teacher, *further):
        settle(one, batch)
    before = [memory_sums(one) for one in (teacher, *further)]
    trainer = _trainer(material, learner, collate, planned, kept_out, output, progress)
    resume_from = agreed_checkpoint(output / _CHECKPOINTS, material.run)
    with compiler_faults():
        trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))
    if [memory_sums(one) for one in (teacher, *further)] != before or _identities_now(material) != _identities(material):
        raise InputError(
            "a teacher changed while the student was trained",
            where=str(material.teacher_path),
            mend="Leave its folder alone during a run, and start again.",
        )
    progress("saving", 0, 0)
    best = None if trainer.watch is None else trainer.watch.load_best(learner)
    save_student(trainer, output, material)
    counts = {
        "learnt_from": len(learnt.items),
        "left_out": len(material.prepared.left_out),
        "cut_short": material.prepared.truncated,
        "order": digest_bytes(order.tobytes()),
        "tokens": int(learnt.lengths[order[: trainer.state.global_step * recipe.batch_size]].sum()),
    }
    record = record_of(material, output / STUDENT, trainer, warnings, counts, {} if cache is None else cache.facts(), best=best)
    if trainer.is_world_process_zero():
        provenance.write_record(record, output / STUDENT, output)
        rows = [{name: value for name, value in row.items() if name != "step"} for row in trainer.rows()]
        write_atomic(output / LOSSES, json.dumps(rows).encode())
        write_atomic(output / TRAINING_CURVES, json.dumps(training_curves(rows, trainer.lr_scheduler), sort_keys=True).encode())
        shutil.rmtree(output / _CHECKPOINTS, ignore_errors=True)
    return record


def _pooling(material: DistillationInputs) -> tuple[Pooling, Pooling]:
    """How the student's and the teacher's embeddings come about, as their folders say."""
    if material.task != "embedding" or material.teacher_path is None:
        return Pooling(), Pooling()
    return pooling_of(material.tokenizer_path), pooling_of(material.teacher_path)


def _named(further: Sequence[Any]) -> dict[str, Any]:
    return {f"teacher {number}": one for number, one in enumerate(further, 2)}


def _packed(material: DistillationInputs, models: dict[str, Any]) -> Any:
    """What makes batches: with several examples a row, where that is declared and neither model sees across them."""
    plain = material.prepared.collate
    if not material.recipe.packing:
        return plain
    if material.task != "causal_lm" or not isinstance(plain, TokenCollator):
        raise InputError("is for causal language models", where="distillation.packing", mend="Remove `packing:`.")
    packing = PackingCollator(plain=plain, width=material.recipe.max_length)
    refuse_unless_apart(models, material.prepared.items, packing)
    return packing


def _trainer(
    material: DistillationInputs,
    learner: Learner,
    collate: Any,
    planned: Planned,
    kept_out: Sequence[Any],
    output: Path,
    progress: Progress,
) -> DistillationTrainer:
    recipe, checkpoints = material.recipe, output / _CHECKPOINTS
    args = training_arguments(recipe, checkpoints, world_size=world_size())
    if options := compile_options(recipe):
        learner.compile_student(options)
    watch = None
    if recipe.held_out is not None:
        size = args.per_device_train_batch_size
        watch = Watch(rule=recipe.held_out, items=kept_out, collate=collate, batch_size=size, folder=checkpoints)
    with argument_faults():
        return DistillationTrainer(
            model=learner,
            args=args,
            data_collator=collate,
            train_dataset=planned,
            examples=planned.examples,
            progress=progress,
            run=material.run,
            sampler=_sampler(material),
            watch=watch,
            log=LossLog(output / LOSS_LINES if is_first() else None),
            cpu_dtype=getattr(torch, recipe.dtype),
        )


def _identities(material: DistillationInputs) -> list[ModelIdentity | None]:
    return [material.teacher, *(one.identity for one in material.further)]


def _identities_now(material: DistillationInputs) -> list[ModelIdentity | None]:
    paths = [material.teacher_path, *(one.path for one in material.further)]
    return [None if path is None else model_identity(path, verify=True) for path in paths]


def teacher_dtype() -> torch.dtype | None:
    """Type a teacher computes in: a CPU takes float32, in which it is faster; an accelerator what is stored."""
    return None if torch.cuda.is_available() else torch.float32


def load_models(material: DistillationInputs) -> tuple[Any, Any]:
    """The frozen teacher (None where it is an endpoint) and the student before its first step."""
    attention = "eager" if any(isinstance(term, Attention) for term in material.recipe.terms) else None
    teacher = None
    if material.teacher_path is not None:
        teacher = freeze(load_model(material.teacher_path, material.task, dtype=teacher_dtype(), attention=attention))
    student = build_student(material.start, teacher, material.task, seed=material.recipe.seed, attention=attention)
    if material.start.prune:
        student = prune(student, material.start.prune, calibration_inputs(material.prepared, material.start.calibration))
    return teacher, student


def _sampler(material: DistillationInputs) -> StudentSampler | None:
    term = sampled_term(material.recipe)
    if term is None:
        return None
    prepared = material.prepared
    return StudentSampler(
        term=term,
        pad_id=prepared.pad_id,
        end_id=prepared.end_id,
        seed=material.recipe.seed,
        by_example=material.recipe.weighting == "example",
        known=material.vocabulary.student,
    )
