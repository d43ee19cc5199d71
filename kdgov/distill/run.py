"""One distillation from files to files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdgov.checkpoints.identity import ModelIdentity, model_identity
from kdgov.checkpoints.loading import Task, freeze, load_model, load_tokenizer, task_of, without_bars
from kdgov.declare.distillation import Attention, Distillation, HardLabels, TeacherText, UniversalLogits
from kdgov.digest import digest_bytes, digest_file, digest_json, write_atomic
from kdgov.distill import provenance
from kdgov.distill.examples import Example, read_examples
from kdgov.distill.learner import Learner
from kdgov.distill.order import batch_order
from kdgov.distill.progress import Progress, last_whole_checkpoint, silent
from kdgov.distill.provenance import DistillationRecord
from kdgov.distill.students import StudentStart, build_student, copy_companions
from kdgov.distill.tokens import Planned, TokenCollator, Tokenized, tokenized
from kdgov.distill.training import DistillationTrainer, train, training_arguments
from kdgov.errors import InputError, UnavailableError

STUDENT = "student"
LOSSES = "losses.json"
_CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Material:
    """What a run is made of, before any model is loaded."""

    recipe: Distillation
    task: Task
    teacher_path: Path
    teacher: ModelIdentity
    start: StudentStart
    start_facts: Mapping[str, Any]
    examples: Sequence[Example]
    data: Mapping[str, str]
    tokens: Tokenized
    pad_id: int
    run: str


def distill(
    recipe: Distillation,
    teacher_path: Path,
    student: StudentStart,
    data_files: Sequence[Path],
    output: Path,
    *,
    progress: Progress = silent,
) -> DistillationRecord:
    """Train a student and write it, with the record of what was trained, into a folder.

    Written are ``<output>/student/`` (a transformers checkpoint with tokenizer and record), ``<output>/losses.json`` (every
    step's terms) and ``<output>/kdgov-distillation.json``. A run that was killed resumes from its last whole checkpoint
    under ``<output>/checkpoints/`` and ends, on a CPU, with the very weights an uninterrupted run ends with.

    Args:
        recipe: what is added up, over which steps.
        teacher_path: checkpoint folder.
        student: where the student starts.
        data_files: JSON lines or text.
        output: folder to write into.
        progress: told every step.

    Raises:
        InputError: if recipe, models and data do not fit together, or a loss is not finite.
        UnavailableError: if memory runs out.
    """
    material = _gather(recipe, teacher_path, student, data_files, progress)
    output.mkdir(parents=True, exist_ok=True)
    with _memory_advice(recipe):
        return _run(material, output, progress)


def _gather(recipe: Distillation, teacher_path: Path, start: StudentStart, data_files: Sequence[Path], progress: Progress) -> _Material:
    task: Task = task_of(teacher_path) if recipe.task == "auto" else recipe.task
    progress("reading the teacher's identity", 0, 0)
    teacher = model_identity(teacher_path)
    facts = start_facts(start, recipe, teacher)
    if not data_files:
        raise InputError("names no file to learn from", where="data", mend="Add a card or a file.")
    examples = read_examples(data_files)
    tokenizer = load_tokenizer(teacher_path)
    progress("tokenising", 0, 0)
    tokens = tokenized(examples, tokenizer, recipe)
    data = {path.name: digest_file(path) for path in data_files}
    pad = next((i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0)
    return _Material(
        recipe=recipe,
        task=task,
        teacher_path=teacher_path,
        teacher=teacher,
        start=start,
        start_facts=facts,
        examples=examples,
        data=data,
        tokens=tokens,
        pad_id=pad,
        run=run_digest(recipe, teacher, facts, sorted(data.values())),
    )


def start_facts(start: StudentStart, recipe: Distillation, teacher: ModelIdentity) -> dict[str, Any]:
    """What the record says about where the student starts.

    Raises:
        InputError: if it starts from a model with another tokenizer than the teacher's, and a term compares tokens.
    """
    facts: dict[str, Any] = {"quantization": start.quantization, "adapter": dict(start.adapter) if start.adapter else None}
    if start.keep_layers is not None:
        keep = start.keep_layers
        return facts | {"keep_layers": keep if isinstance(keep, str) else list(keep), "weights": teacher.weights}
    if start.config is not None:
        return facts | {"config": digest_file(start.config)}
    if start.model is None:
        raise InputError("says nowhere to start", where="student", mend="Set one of keep_layers, config, model.")
    identity = model_identity(start.model)
    compares = [term.kind for term in recipe.terms if not isinstance(term, (HardLabels, TeacherText, UniversalLogits))]
    if identity.tokenizer != teacher.tokenizer and compares:
        raise InputError(
            f"the tokenizers differ: the teacher's is {teacher.tokenizer}, the student's {identity.tokenizer}; "
            f"{', '.join(compares)} would compare unrelated tokens",
            where="student.model",
            mend="Start from a student with the teacher's tokenizer, or use `kind: universal_logits` or `kind: teacher_text`.",
        )
    return facts | {"model": identity.as_json()}


def run_digest(recipe: Distillation, teacher: ModelIdentity, facts: Mapping[str, Any], data: Sequence[str]) -> str:
    """Digest of everything that decides the trained weights, on one kind of machine."""
    libraries = {name: metadata.version(name) for name in ("torch", "transformers", "accelerate", "tokenizers")}
    return digest_json(
        {
            "teacher": [teacher.weights, teacher.tokenizer, teacher.template, teacher.config],
            "student": dict(facts),
            "data": list(data),
            "recipe": recipe.model_dump(mode="json"),
            "code": provenance.code_version(),
            "libraries": libraries,
        }
    )


def _run(material: _Material, output: Path, progress: Progress) -> DistillationRecord:
    recipe, examples = material.recipe, material.tokens.examples
    progress("loading the models", 0, 0)
    teacher, student = _load(material)
    warnings = [*_fit(teacher, student, material), *_left_out(material)]
    before = memory_digest(teacher)
    lengths = np.array([len(example.ids) for example in examples], dtype=np.int64)
    order = batch_order(lengths, steps=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed, by_length=recipe.length_bucketing)
    collator = TokenCollator(pad_id=material.pad_id, by_example=recipe.weighting == "example")
    learner = Learner(student, teacher, recipe, is_causal=material.task == "causal_lm")
    planned = Planned(examples, order)
    learner.add_projections(collator([planned[0]]))
    checkpoints = output / _CHECKPOINTS
    arguments = training_arguments(recipe, checkpoints, world_size=int(os.environ.get("WORLD_SIZE", "1")))
    trainer = DistillationTrainer(
        model=learner,
        args=arguments,
        data_collator=collator,
        train_dataset=planned,
        examples=examples,
        progress=progress,
        run=material.run,
    )
    train(trainer, learner, resume_from=last_whole_checkpoint(checkpoints, material.run) if checkpoints.is_dir() else None)
    if memory_digest(teacher) != before or model_identity(material.teacher_path, verify=True) != material.teacher:
        raise InputError(
            "the teacher changed while the student was trained",
            where=str(material.teacher_path),
            mend="Leave its folder alone during a run, and start again.",
        )
    progress("saving", 0, 0)
    folder = output / STUDENT
    _save_student(trainer, student, folder, material)
    record = _record(material, folder, trainer, warnings, order, lengths)
    if trainer.is_world_process_zero():
        provenance.write_record(record, folder, output)
        rows = [dict(zip(learner.names, step, strict=True)) for step in trainer.curve]
        write_atomic(output / LOSSES, json.dumps(rows).encode())
        shutil.rmtree(checkpoints, ignore_errors=True)
    return record


def _load(material: _Material) -> tuple[Any, Any]:
    attention = "eager" if any(isinstance(term, Attention) for term in material.recipe.terms) else None
    # A CPU computes bfloat16 slower than float32; an accelerator takes the teacher as stored.
    dtype = None if torch.cuda.is_available() else torch.float32
    teacher = freeze(load_model(material.teacher_path, material.task, dtype=dtype, attention=attention))
    student = build_student(material.start, teacher, material.task, seed=material.recipe.seed, attention=attention)
    return teacher, student


def _fit(teacher: Any, student: Any, material: _Material) -> Iterator[str]:
    sizes = [_classes(model) for model in (teacher, student)]
    if sizes[0] != sizes[1] and not any(isinstance(term, UniversalLogits) for term in material.recipe.terms):
        raise InputError(
            f"the teacher answers over {sizes[0]} classes or tokens, the student over {sizes[1]}",
            where="student",
            mend="Give the student's configuration the teacher's vocab_size (or num_labels).",
        )
    counts = [sum(p.numel() for p in model.parameters()) for model in (teacher, student)]
    if counts[1] >= counts[0]:
        yield f"the student ({counts[1]:,} parameters) is not smaller than the teacher ({counts[0]:,})"


def _classes(model: Any) -> int:
    head = model.get_output_embeddings()
    return int(head.weight.shape[0]) if head is not None else int(model.config.num_labels)


def _left_out(material: _Material) -> Iterator[str]:
    tokens = material.tokens
    if tokens.left_out:
        yield f"{len(tokens.left_out)} examples leave nothing to learn within max_length and were left out, the first: {tokens.left_out[0]}"
    if tokens.truncated:
        yield f"{tokens.truncated} examples were cut to max_length {material.recipe.max_length}"


def memory_digest(model: Any) -> str:
    """Digest of a model's numbers as they lie in memory; of nothing for no model."""
    state = sha256()
    for name, tensor in model.state_dict().items() if model is not None else ():
        state.update(name.encode())
        state.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return f"sha256:{state.hexdigest()}"


def _save_student(trainer: DistillationTrainer, student: Any, folder: Path, material: _Material) -> None:
    recipe = material.recipe
    dtype = getattr(torch, recipe.save_dtype or recipe.dtype)
    state = None
    if trainer.is_fsdp_enabled:
        whole = trainer.accelerator.get_state_dict(trainer.model_wrapped)
        state = {name.removeprefix("student."): tensor.to(dtype) for name, tensor in whole.items() if name.startswith("student.")}
    if not trainer.is_world_process_zero():
        return
    model = trainer.accelerator.unwrap_model(trainer.model).student
    if hasattr(model, "merge_and_unload"):
        model.save_pretrained(str(folder.parent / "adapter"))
        model = model.merge_and_unload()
    shutil.rmtree(folder, ignore_errors=True)
    model.config.use_cache = True
    with without_bars():
        model.to(dtype).save_pretrained(str(folder), state_dict=state)
    copy_companions(material.start.model if material.start.model is not None else material.teacher_path, folder)


def _record(
    material: _Material, folder: Path, trainer: DistillationTrainer, warnings: Sequence[str], order: Any, lengths: Any
) -> DistillationRecord:
    recipe = material.recipe
    trainer.accelerator.wait_for_everyone()
    return DistillationRecord(
        schema=provenance.SCHEMA,
        run=material.run,
        task=material.task,
        teacher=material.teacher.as_json(),
        student_start=dict(material.start_facts),
        student=model_identity(folder).as_json(),
        data=dict(material.data),
        examples={
            "learnt_from": len(material.tokens.examples),
            "left_out": len(material.tokens.left_out),
            "cut_short": material.tokens.truncated,
            "order": digest_bytes(order.tobytes()),
        },
        recipe=recipe.model_dump(mode="json"),
        teacher_text=(),
        cache={},
        warnings=tuple(warnings),
        seed=recipe.seed,
        steps=recipe.steps,
        tokens=int(lengths[order].sum()),
        environment=provenance.environment(
            threads=torch.get_num_threads(), device=trainer.args.device.type, processes=trainer.args.world_size
        ),
        code=provenance.code_version(),
    )


@contextlib.contextmanager
def _memory_advice(recipe: Distillation) -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(recipe) from error
    except RuntimeError as error:
        # The CPU allocator has no exception class of its own.
        if "not enough memory" not in str(error) and "can't allocate memory" not in str(error):
            raise
        raise _out_of_memory(recipe) from error


def _out_of_memory(recipe: Distillation) -> UnavailableError:
    levers = [f"raise `gradient_accumulation` above {recipe.gradient_accumulation} (same result, smaller parts)"]
    levers += [] if recipe.fused_head else ["set `fused_head: true`"]
    levers += [f"lower `chunk_tokens` below {recipe.chunk_tokens}"] if recipe.fused_head and recipe.chunk_tokens > 64 else []
    levers += [] if recipe.cache else ["add `cache: {kind: top_k}`, so that the teacher need not be in memory"]
    levers += [f"lower `max_length` below {recipe.max_length}"]
    return UnavailableError("memory ran out during distillation", where="distillation", mend=f"In this order: {'; '.join(levers)}.")
