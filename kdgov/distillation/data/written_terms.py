"""All that a recipe has its teachers write, term by term."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdgov.declarations.data_parts.data_use import DataUse
from kdgov.declarations.distillation import Distillation
from kdgov.declarations.release_parts.teacher_writing import TeacherText
from kdgov.distillation.data.examples import Example, read_examples
from kdgov.distillation.data.teacher_text import written_examples
from kdgov.distillation.generation.ratings import Helpers

TEACHER_TEXT = "teacher_text"
"""Folder of a run that holds what the teacher wrote, one folder per term."""


def write_terms(
    recipe: Distillation,
    examples: Sequence[Example],
    prompt_files: Sequence[Path],
    teacher_path: Path | None,
    output: Path,
    helpers: Helpers,
) -> tuple[list[Example], list[dict[str, Any]]]:
    """What the teacher writes for every ``teacher_text`` term, below ``output/teacher_text/<n>``, and each shard's provenance."""
    made: list[Example] = []
    shards: list[dict[str, Any]] = []
    files = iter(prompt_files)
    terms = [term for term in recipe.terms if isinstance(term, TeacherText)]
    for number, term in enumerate(terms):
        use = DataUse(columns=term.columns)
        asked = read_examples([next(files)], as_prompts=True, uses=[use]) if term.prompts is not None else examples
        folder = output / TEACHER_TEXT / str(number)
        fresh, records = written_examples(
            term, asked, teacher_path, folder, seed=recipe.seed, progress=helpers.progress, helpers=helpers, language=recipe.language
        )
        made += fresh
        # A local teacher's shard depends on nothing but digests; the day it was written stays in its own file.
        dated = ("date", "days")
        shards += [record if record["access"] == "api" else {k: v for k, v in record.items() if k not in dated} for record in records]
    return made, shards
