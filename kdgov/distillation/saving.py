"""What a run leaves behind: the student's checkpoint and the record of how it was made."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from kdgov.checkpoints.identity import model_identity
from kdgov.checkpoints.loading import without_bars
from kdgov.checkpoints.tasks import OF_FILES
from kdgov.checkpoints.text_pooling import write_embedding_width
from kdgov.checkpoints.weights.packed_weights import packing
from kdgov.distillation import distillation_record as provenance
from kdgov.distillation.distillation_record import DistillationRecord
from kdgov.distillation.inputs import DistillationInputs
from kdgov.distillation.loop.loss_contributions import loss_contributions
from kdgov.distillation.starts.packed_base import four_bits, merged
from kdgov.distillation.students import copy_companions
from kdgov.distillation.training import DistillationTrainer

STUDENT = "student"
ADAPTER = "adapter"


def memory_sums(model: Any) -> dict[str, int]:
    """Sum of every tensor's bytes, read as whole numbers, where it lies: any step of training would change it."""
    if model is None:
        return {}
    # bitsandbytes unpacks its weights in place when asked for a state_dict, and answers otherwise from then on.
    is_packed = packing(model.config.to_dict()) == "bitsandbytes"
    tensors = chain(model.named_parameters(), model.named_buffers()) if is_packed else model.state_dict().items()
    return {name: _sum_of_bytes(tensor) for name, tensor in tensors}


def settle(model: Any, batch: Mapping[str, Any]) -> None:
    """Let a model with packed weights answer once: bitsandbytes lays them out for the processor at the first answer, and never again."""
    if model is not None and packing(model.config.to_dict()) == "bitsandbytes":
        with torch.no_grad():
            model(**batch.get("teacher", batch)["inputs"])


def _sum_of_bytes(tensor: torch.Tensor) -> int:
    if hasattr(tensor, "__tensor_flatten__"):
        # A quantised weight: numbers and scales, each a tensor of its own.
        return sum(_sum_of_bytes(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])
    numbers = tensor.detach().contiguous().flatten().view(torch.uint8)
    return int((numbers.view(torch.int64) if numbers.numel() % 8 == 0 else numbers).sum(dtype=torch.int64))


def save_student(trainer: DistillationTrainer, output: Path, material: DistillationInputs) -> None:
    """Write the student under ``output/student`` with its tokenizer, and an adapter's own weights beside it."""
    recipe, folder = material.recipe, output / STUDENT
    dtype = getattr(torch, recipe.save_dtype or recipe.dtype)
    state = _gathered(trainer, dtype)
    if trainer.is_world_process_zero():
        model = trainer.accelerator.unwrap_model(trainer.model).student
        with without_bars():
            if hasattr(model, "merge_and_unload"):
                model.save_pretrained(str(output / ADAPTER))
                form = four_bits(material.start.adapter, material.start.model)
                model = _unpacked(material, form, output) if form else model.merge_and_unload()
            shutil.rmtree(folder, ignore_errors=True)
            model.to(dtype).save_pretrained(str(folder), state_dict=state)
        copy_companions(material.tokenizer_path, folder)
        if material.task == "embedding":
            write_embedding_width(folder, int(model.config.hidden_size))
    trainer.accelerator.wait_for_everyone()


def _gathered(trainer: DistillationTrainer, dtype: torch.dtype) -> dict[str, Any] | None:
    """The student's whole weights, put together from their shards; None where there are none."""
    if not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        return None
    student = trainer.accelerator.unwrap_model(trainer.model).student
    own = {name for name, _ in student.named_parameters()}
    # Second names of tied weights: put together, each would be a tensor of its own.
    second = {name for name, _ in student.named_parameters(remove_duplicate=False)} - own
    whole = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    named = {name.removeprefix("student."): tensor.to(dtype) for name, tensor in whole.items() if name.startswith("student.")}
    return {name: tensor for name, tensor in named.items() if name not in second}


def _unpacked(material: DistillationInputs, form: str, output: Path) -> Any:
    assert material.start.model is not None  # noqa: S101 - an adapter has a base
    return merged(material.start.model, material.task, form, output / ADAPTER)


def record_of(
    material: DistillationInputs,
    folder: Path,
    trainer: DistillationTrainer,
    warnings: Sequence[str],
    counts: Mapping[str, Any],
    cache: Mapping[str, Any],
    *,
    best: int | None = None,
) -> DistillationRecord:
    """The record of a finished run; ``folder`` holds the student as it was saved, ``best`` the step it is of, if not the last."""
    recipe, learner = material.recipe, trainer.accelerator.unwrap_model(trainer.model)
    student = model_identity(folder)
    is_counted = material.task not in OF_FILES
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
        vocabulary=dict(material.vocabulary.facts),
        held_out={} if trainer.watch is None else trainer.watch.facts(best, trainer.state.global_step, recipe.steps),
        warnings=tuple(warnings),
        seed=recipe.seed,
        steps=trainer.state.global_step,
        tokens=counts["tokens"],
        flops=per_token * counts["tokens"] if is_counted else 0,
        contributions=loss_contributions(
            trainer.rows(), learner.factors, matched=learner.matched_terms, sampled_factor=learner.sampled_factor
        ),
        environment=provenance.environment(
            threads=torch.get_num_threads(),
            device=trainer.args.device.type,
            processes=trainer.args.world_size,
            sharding="fsdp" if trainer.is_fsdp_enabled else "deepspeed" if trainer.is_deepspeed_enabled else "none",
        ),
        code=provenance.code_version(),
    )
