"""What a release asks of distillation, put together: train, then quantise where that is declared."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kdgov.declare.distillation import Distillation
from kdgov.declare.release import StudentDeclaration
from kdgov.distill.progress import Progress
from kdgov.distill.run import distill
from kdgov.distill.students import StudentStart
from kdgov.errors import InputError


def set_threads(threads: int) -> None:
    """Torch threads: as declared, else as OMP_NUM_THREADS says, else torch's own choice."""
    if threads and not os.environ.get("LOCAL_RANK"):
        torch.set_num_threads(threads)


def make_student(
    *,
    recipe: Distillation | None,
    teacher_path: Path,
    student: StudentDeclaration,
    student_path: Path | None,
    student_config: Path | None,
    data_files: Sequence[Path],
    prompt_files: Sequence[Path],
    cache_root: Path,
    output: Path,
    progress: Progress,
) -> Mapping[str, Any]:
    """Make the declared student under ``output/student`` and return its record.

    Raises:
        InputError: if the declaration asks for what cannot be done.
    """
    if recipe is None:
        raise InputError("names no distillation", where="distillation", mend="Add `distillation:`.")
    start = StudentStart(
        keep_layers=student.keep_layers,
        config=student_config,
        model=student_path,
        adapter=student.adapter,
        quantization=student.quantization,
    )
    return distill(
        recipe, teacher_path, start, data_files, output, prompt_files=prompt_files, cache_root=cache_root, progress=progress
    ).as_json()
