"""What a release asks of distillation, put together: train, quantise where that is declared, calibrate where that is asked."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from kdgov.checkpoints.identity import endpoint_facts, model_identity
from kdgov.checkpoints.layer_choice import as_plain
from kdgov.checkpoints.loading import task_of
from kdgov.declarations.data_parts.data_use import DataUse
from kdgov.declarations.distillation import Distillation
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.release import StudentDeclaration
from kdgov.distillation import distillation_record as provenance
from kdgov.distillation.calibration.recipe_calibration import calibrate
from kdgov.distillation.calibration.search_grid import Grid
from kdgov.distillation.distillation_run import distill
from kdgov.distillation.generation.ratings import Helpers
from kdgov.distillation.inputs import gather_inputs
from kdgov.distillation.quantization import quantize
from kdgov.distillation.saving import STUDENT
from kdgov.distillation.students import StudentStart
from kdgov.errors import InputError
from kdgov.processes import is_first, world_size
from kdgov.progress import Progress

FULL_PRECISION = "full-precision"


def set_threads(threads: int) -> None:
    """Torch threads: as declared, else as OMP_NUM_THREADS says, else torch's own choice."""
    if threads and world_size() == 1:
        torch.set_num_threads(threads)


def student_start(student: StudentDeclaration, path: Path | None, config: Path | None) -> StudentStart:
    """Where a declared student starts, its files resolved."""
    start = StudentStart(
        keep_layers=as_plain(student.keep_layers), config=config, model=path, adapter=student.adapter, quantization=student.quantization
    )
    if student.prune is None:
        return start
    return dataclasses.replace(start, prune=student.prune.wanted, calibration=student.prune.examples)


def make_student(
    *,
    recipe: Distillation | None,
    teacher: Path | Endpoint,
    student: StudentDeclaration,
    student_path: Path | None,
    student_config: Path | None,
    data_files: Sequence[Path],
    prompt_files: Sequence[Path],
    cache_root: Path,
    output: Path,
    progress: Progress,
    helpers: Helpers | None = None,
    data_uses: Sequence[DataUse] = (),
    further_teachers: Sequence[Path] = (),
) -> Mapping[str, Any]:
    """Make the declared student under ``output/student`` and return its record.

    Raises:
        InputError: if the declaration asks for what cannot be done.
        UnavailableError: if memory, an endpoint or a kernel is not to be had.
    """
    if recipe is None:
        return _quantized_only(teacher, student, student_path, output)
    start = student_start(student, student_path, student_config)
    record = distill(
        recipe, teacher, start, data_files, output,
        prompt_files=prompt_files, cache_root=cache_root, helpers=helpers, progress=progress, data_uses=data_uses,
        further_teachers=further_teachers,
    )  # fmt: skip
    if student.quantization is None or not is_first():
        return record.as_json()
    progress("quantising", 0, 0)
    full = output / FULL_PRECISION
    shutil.rmtree(full, ignore_errors=True)
    (output / STUDENT).rename(full)
    quantize(full, output / STUDENT, student.quantization, task_of(full))
    record = dataclasses.replace(
        record, student=model_identity(output / STUDENT).as_json(), student_start={**record.student_start, "full_precision": record.student}
    )
    provenance.write_record(record, output / STUDENT, output)
    return record.as_json()


def _quantized_only(teacher: Path | Endpoint, student: StudentDeclaration, student_path: Path | None, output: Path) -> Mapping[str, Any]:
    if student_path is None or student.quantization is None:
        raise InputError("names no distillation", where="distillation", mend="Add `distillation:`, or name a finished student.")
    shutil.rmtree(output / STUDENT, ignore_errors=True)
    quantize(student_path, output / STUDENT, student.quantization, task_of(student_path))
    return {
        "schema": provenance.SCHEMA,
        "trained": False,
        "quantization": student.quantization,
        "full_precision": model_identity(student_path).as_json(),
        "student": model_identity(output / STUDENT).as_json(),
        "teacher": endpoint_facts(teacher) if isinstance(teacher, Endpoint) else model_identity(teacher).as_json(),
        "code": provenance.code_version(),
    }


def calibrated(
    *,
    recipe: Distillation,
    teacher: Path | Endpoint,
    student: StudentDeclaration,
    student_path: Path | None,
    student_config: Path | None,
    data_files: Sequence[Path],
    prompt_files: Sequence[Path],
    progress: Progress,
    helpers: Helpers | None = None,
    data_uses: Sequence[DataUse] = (),
    further_teachers: Sequence[Path] = (),
    grid: Grid = MappingProxyType({}),
) -> dict[str, Any]:
    """The calibration table of a recipe: rows, proposal and text; ``grid`` is what is tried beyond temperatures and mixes.

    Raises:
        InputError: if there is nothing to calibrate, or too little data.
    """
    start = student_start(student, student_path, student_config)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        material = gather_inputs(
            recipe, teacher, start, data_files, place,
            prompt_files=prompt_files, cache_root=place / "cache", progress=progress, helpers=helpers, data_uses=data_uses,
            further_teachers=further_teachers,
        )  # fmt: skip
        return calibrate(material, grid=grid, progress=progress)
