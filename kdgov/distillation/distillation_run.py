"""One distillation from files to files."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kdgov.checkpoints.identity import ModelIdentity, model_identity
from kdgov.checkpoints.loading import freeze, load_model, without_bars
from kdgov.declarations.distillation import Attention, Distillation, UniversalLogits
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.digest import digest_bytes, write_atomic
from kdgov.distillation import distillation_record as provenance
from kdgov.distillation.data.batch_order import batch_order
from kdgov.distillation.data.tokenization import Planned, TokenCollator
from kdgov.distillation.distillation_record import DistillationRecord
from kdgov.distillation.generation.ratings import Helpers
from kdgov.distillation.inputs import DistillationInputs, gather_inputs, sampled_term
from kdgov.distillation.learner import Learner
from kdgov.distillation.memory import kept_heap, memory_advice
from kdgov.distillation.sampling import StudentSampler
from kdgov.distillation.students import StudentStart, build_student, copy_companions
from kdgov.distillation.teacher_cache.cache import LogitCache, cached_collator, header_of
from kdgov.distillation.training import DistillationTrainer, training_arguments
from kdgov.distillation.training_progress import last_whole_checkpoint, training_curves
from kdgov.errors import InputError
from kdgov.evidence.bundle_layout import TRAINING_CURVES
from kdgov.processes import is_first, world_size
from kdgov.progress import Progress, silent
from kdgov.quantities import quantity

STUDENT = "student"
ADAPTER = "adapter"
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
) -> DistillationRecord:
    """Train a student and write it, with the record of what was trained, into a folder.

    Written are ``<output>/student/`` (a transformers checkpoint with tokenizer and record), ``<output>/losses.json`` (every
    step's terms), ``<output>/training-curves.json`` (`training_curves`) and ``<output>/kdgov-distillation.json``.
    A run that was killed resumes from its last whole checkpoint under ``<output>/checkpoints/`` and ends, on a CPU, with the
    very weights an uninterrupted run ends with.

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

    Raises:
        InputError: if recipe, models and data do not fit together, or a loss is not finite.
        UnavailableError: if memory runs out, or an endpoint cannot be reached.
    """
    output.mkdir(parents=True, exist_ok=True)
    root = cache_root or output.parent / "teacher-cache"
    with memory_advice(recipe), kept_heap():
        material = gather_inputs(
            recipe, teacher, student, data_files, output, prompt_files=prompt_files, cache_root=root, progress=progress, helpers=helpers
        )
        return _run(material, output, progress)


def _run(material: DistillationInputs, output: Path, progress: Progress) -> DistillationRecord:
    recipe, prepared = material.recipe, material.prepared
    progress("loading the models", 0, 0)
    teacher, student = load_models(material)
    warnings = [*_fit(teacher, student, material), *_left_out(material)]
    cache = _cache(material, teacher, progress)
    collate: Any = prepared.collate
    if cache is not None and isinstance(collate, TokenCollator):
        collate, teacher = cached_collator(collate, cache), None
    before = memory_sums(teacher)
    order = batch_order(
        prepared.lengths, steps=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed, by_length=recipe.length_bucketing
    )
    planned = Planned(prepared.items, order)
    learner = Learner(student, teacher, recipe, task=material.task, problem=material.prepared.problem)
    learner.add_projections(collate([planned[0]]))
    checkpoints = output / _CHECKPOINTS
    trainer = DistillationTrainer(
        model=learner,
        args=training_arguments(recipe, checkpoints, world_size=world_size()),
        data_collator=collate,
        train_dataset=planned,
        examples=prepared.items,
        progress=progress,
        run=material.run,
        sampler=_sampler(material),
    )
    resume_from = last_whole_checkpoint(checkpoints, material.run) if checkpoints.is_dir() else None
    trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))
    if memory_sums(teacher) != before or _identity_now(material) != material.teacher:
        raise InputError(
            "the teacher changed while the student was trained",
            where=str(material.teacher_path),
            mend="Leave its folder alone during a run, and start again.",
        )
    progress("saving", 0, 0)
    _save_student(trainer, output, material)
    counts = {
        "learnt_from": len(prepared.items),
        "left_out": len(prepared.left_out),
        "cut_short": prepared.truncated,
        "order": digest_bytes(order.tobytes()),
        "tokens": int(prepared.lengths[order].sum()),
    }
    record = _record(material, output / STUDENT, trainer, warnings, counts, {} if cache is None else cache.facts())
    if trainer.is_world_process_zero():
        provenance.write_record(record, output / STUDENT, output)
        rows = [dict(zip(learner.names, step, strict=True)) for step in trainer.curve]
        write_atomic(output / LOSSES, json.dumps(rows).encode())
        write_atomic(output / TRAINING_CURVES, json.dumps(training_curves(rows, trainer.lr_scheduler), sort_keys=True).encode())
        shutil.rmtree(checkpoints, ignore_errors=True)
    return record


def _identity_now(material: DistillationInputs) -> ModelIdentity | None:
    return None if material.teacher_path is None else model_identity(material.teacher_path, verify=True)


def load_models(material: DistillationInputs) -> tuple[Any, Any]:
    """The frozen teacher (None where it is an endpoint) and the student before its first step."""
    attention = "eager" if any(isinstance(term, Attention) for term in material.recipe.terms) else None
    # A CPU computes bfloat16 slower than float32; an accelerator takes the teacher as stored.
    dtype = None if torch.cuda.is_available() else torch.float32
    teacher = None
    if material.teacher_path is not None:
        teacher = freeze(load_model(material.teacher_path, material.task, dtype=dtype, attention=attention))
    student = build_student(material.start, teacher, material.task, seed=material.recipe.seed, attention=attention)
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
    )


def _cache(material: DistillationInputs, teacher: Any, progress: Progress) -> LogitCache | None:
    declared = material.recipe.cache
    if declared is None or material.teacher is None:
        return None
    if material.task != "causal_lm" or not isinstance(material.prepared.collate, TokenCollator):
        raise InputError("is for language models", where="distillation.cache", mend="Remove `cache:`: a classifier's answers are small.")
    header = header_of(material.recipe, declared, material.teacher)
    named = declared.folder

    def opened() -> LogitCache:
        return LogitCache.shared(material.cache_root, header) if named is None else LogitCache(material.cache_root, header)

    cache = opened()
    while not is_first() and cache.missing(material.prepared.items):
        # One process asks the teacher; the others read what it wrote.
        time.sleep(_POLL_S)
        cache = opened()
    cache.fill(material.prepared.items, teacher, material.prepared.collate, progress)
    return cache


def _fit(teacher: Any, student: Any, material: DistillationInputs) -> Iterator[str]:
    if material.teacher is None:
        yield f"the teacher is an endpoint: {', '.join(material.teacher_facts['not_available'])} are not available and were not checked"
        return
    sizes = [_classes(model) for model in (teacher, student)]
    across = any(isinstance(term, UniversalLogits) for term in material.recipe.terms)
    if sizes[0] != sizes[1] and not across and material.start_facts.get("model", {}).get("tokenizer") in (None, material.teacher.tokenizer):
        raise InputError(
            f"the teacher answers over {sizes[0]} classes or tokens, the student over {sizes[1]}",
            where="student",
            mend="Give the student's configuration the teacher's vocab_size (or num_labels).",
        )
    counts = [sum(p.numel() for p in model.parameters()) for model in (teacher, student)]
    if counts[1] >= counts[0]:
        yield f"the student ({quantity(counts[1], 'parameter')}) is not smaller than the teacher ({counts[0]:,})"


def _classes(model: Any) -> int:
    head = model.get_output_embeddings()
    return int(head.weight.shape[0]) if head is not None else int(model.config.num_labels)


def _left_out(material: DistillationInputs) -> Iterator[str]:
    prepared = material.prepared
    if prepared.left_out:
        first = prepared.left_out[0]
        yield f"{len(prepared.left_out)} examples leave nothing to learn within max_length and were left out, the first: {first}"
    if material.ignored_keys:
        told = ", ".join(f"`{key}` ({count:,} lines)" for key, count in material.ignored_keys.items())
        yield f"not learnt from: {told}"
    if prepared.truncated:
        yield f"{quantity(prepared.truncated, 'example')} were cut to max_length {material.recipe.max_length}"


def memory_sums(model: Any) -> dict[str, int]:
    """Sum of every tensor's bytes, read as whole numbers, where it lies: any step of training would change it."""
    return {name: _sum_of_bytes(tensor) for name, tensor in model.state_dict().items()} if model is not None else {}


def _sum_of_bytes(tensor: torch.Tensor) -> int:
    if hasattr(tensor, "__tensor_flatten__"):
        # A quantised weight: numbers and scales, each a tensor of its own.
        return sum(_sum_of_bytes(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])
    numbers = tensor.detach().contiguous().flatten().view(torch.uint8)
    return int((numbers.view(torch.int64) if numbers.numel() % 8 == 0 else numbers).sum(dtype=torch.int64))


def _save_student(trainer: DistillationTrainer, output: Path, material: DistillationInputs) -> None:
    recipe, folder = material.recipe, output / STUDENT
    dtype = getattr(torch, recipe.save_dtype or recipe.dtype)
    state = None
    if trainer.is_fsdp_enabled:
        whole = trainer.accelerator.get_state_dict(trainer.model_wrapped)
        state = {name.removeprefix("student."): tensor.to(dtype) for name, tensor in whole.items() if name.startswith("student.")}
    if trainer.is_world_process_zero():
        model = trainer.accelerator.unwrap_model(trainer.model).student
        with without_bars():
            if hasattr(model, "merge_and_unload"):
                model.save_pretrained(str(output / ADAPTER))
                model = model.merge_and_unload()
            shutil.rmtree(folder, ignore_errors=True)
            model.to(dtype).save_pretrained(str(folder), state_dict=state)
        copy_companions(material.tokenizer_path, folder)
    trainer.accelerator.wait_for_everyone()


def _record(
    material: DistillationInputs,
    folder: Path,
    trainer: DistillationTrainer,
    warnings: Sequence[str],
    counts: Mapping[str, Any],
    cache: Mapping[str, Any],
) -> DistillationRecord:
    recipe = material.recipe
    student = model_identity(folder)
    is_counted = material.task not in ("image_classification", "audio_classification")
    per_token = 6 * student.parameters + (0 if cache or material.teacher is None else 2 * material.teacher.parameters)
    return DistillationRecord(
        schema=provenance.SCHEMA,
        run=material.run,
        task=material.task,
        teacher=dict(material.teacher_facts),
        student_start=dict(material.start_facts),
        student=student.as_json(),
        data=dict(material.data),
        examples={key: value for key, value in counts.items() if key != "tokens"},
        recipe=recipe.model_dump(mode="json"),
        teacher_text=material.shards,
        cache=cache,
        warnings=tuple(warnings),
        seed=recipe.seed,
        steps=recipe.steps,
        tokens=counts["tokens"],
        flops=per_token * counts["tokens"] if is_counted else 0,
        environment=provenance.environment(
            threads=torch.get_num_threads(), device=trainer.args.device.type, processes=trainer.args.world_size
        ),
        code=provenance.code_version(),
    )
