"""Disk and memory that a release needs at least, read off its declaration and its models, beside what this machine has free."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdgov.declarations.distillation import Distillation
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.inputs.load_inputs import load_release_inputs
from kdgov.quantities import size_text

_FLOAT_BYTES, _LEARNING_BYTES = 4, 16
"""A resting parameter in float32; a learning one with its gradient and both moments of AdamW."""
_CHECKPOINT_BYTES, _CHECKPOINTS = 12, 2
"""A parameter in a checkpoint: its weight and both moments; two checkpoints are kept at a time, and a third while it is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineNeeds:
    """What a release takes at least, and what there is."""

    disk_bytes: int
    """Student, checkpoints while it is trained; without teacher caches and answers."""
    memory_bytes: int
    """Weights, gradients and optimiser at the busiest time; activations come on top."""
    disk_free_bytes: int
    """Free where the store lies."""
    memory_free_bytes: int | None
    """Free memory; None where the system does not tell."""
    is_upper_bound: bool
    """Whether the student's size is taken from its teacher's, because only training tells it."""

    @property
    def shortages(self) -> tuple[str, ...]:
        """What is not there."""
        disk = f"{size_text(self.disk_bytes)} of disk are needed, {size_text(self.disk_free_bytes)} are free"
        found = [disk] if self.disk_bytes > self.disk_free_bytes else []
        if self.memory_free_bytes is not None and self.memory_bytes > self.memory_free_bytes:
            found.append(f"{size_text(self.memory_bytes)} of memory are needed, {size_text(self.memory_free_bytes)} are free")
        return tuple(found)

    @property
    def line(self) -> str:
        """One line for people."""
        about = "at most about" if self.is_upper_bound else "about"
        memory = f" ({size_text(self.memory_free_bytes)} free)" if self.memory_free_bytes is not None else ""
        return (
            f"{about} {size_text(self.disk_bytes)} of disk ({size_text(self.disk_free_bytes)} free) and "
            f"{size_text(self.memory_bytes)} of memory for weights and optimiser{memory}"
        )

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "shortages": list(self.shortages)}


def machine_needs(context: ReleaseContext) -> MachineNeeds | None:
    """What a release needs at least; None where neither model is at hand.

    Raises:
        InputError: if a model, card or suite is at fault.
        UnavailableError: if a pinned hub model is not at hand and the hub cannot be reached.
    """
    release = context.release
    materials = load_release_inputs(context)
    teacher, own = (int(model.identity.get("parameters") or 0) for model in (materials.teacher, materials.student))
    student = own or (teacher if release.student.keep_layers is not None or release.student.config else 0)
    if not teacher and not student:
        return None
    recipe = release.distillation
    training = student * _LEARNING_BYTES + (teacher * _FLOAT_BYTES if recipe is not None and recipe.cache is None else 0)
    asking = max(teacher, student) * _FLOAT_BYTES
    return MachineNeeds(
        disk_bytes=_disk(student, recipe),
        memory_bytes=max(asking, training if recipe is not None else 0),
        disk_free_bytes=shutil.disk_usage(_existing(context.store.root)).free,
        memory_free_bytes=free_memory(),
        is_upper_bound=not own and bool(student),
    )


def _disk(student: int, recipe: Distillation | None) -> int:
    if recipe is None:
        return 0
    has_checkpoints = recipe.checkpoint_every < recipe.steps
    return student * _FLOAT_BYTES + (student * _CHECKPOINT_BYTES * (_CHECKPOINTS + 1) if has_checkpoints else 0)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())


def free_memory() -> int | None:
    """Bytes of memory that may be taken without swapping; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    found = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), "")
    return int(found) * 1024 if found.isdigit() else None
