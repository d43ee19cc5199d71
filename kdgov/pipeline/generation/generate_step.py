"""The generation step: the teacher writes, answers are filtered and scanned, and a data set with a card comes out.

The first part of distillation, and a command of its own. What the teacher wrote is scanned like declared data before anything is
trained on it; a finding that stops the release stops here. Answers themselves lie in the store's journals, so that a changed filter or
another release asks (and pays) only for what was never answered.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdgov.declarations.release_parts.teacher_writing import TeacherText
from kdgov.digest import digest_file, digest_json
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.finished_work.step_results import GenerateResult
from kdgov.pipeline.generation.teacher_data_card import write_card
from kdgov.pipeline.scan_teacher_text import FOLDER, written_step
from kdgov.processes import is_first
from kdgov.quantities import quantity
from kdgov.source_digest import source_digest

if TYPE_CHECKING:
    from kdgov.pipeline.inputs.distill_inputs import DistillInputs

ANSWERS = "teacher-answers"
"""Folder of the store that holds the journals of all teachers and judges."""


def teacher_text_terms(context: ReleaseContext) -> list[TeacherText]:
    """The terms of a release that have a teacher write."""
    recipe = context.release.distillation
    return [term for term in recipe.terms if isinstance(term, TeacherText)] if recipe is not None else []


def generate_step(context: ReleaseContext, inputs: DistillInputs) -> GenerateResult:
    """Have the teacher write what the release's ``teacher_text`` terms ask; a finished result is reused.

    The folder holds the card, and below ``teacher_text/<n>`` the shards with their provenance, what was dropped and why, and what it
    took. ``stops`` says that the scan found what the policy does not let pass.

    Args:
        context: a release with at least one ``teacher_text`` term.
        inputs: its models and files.

    Raises:
        InputError: if there is nothing to ask, the endpoint refuses, the budget would be passed, or no answer is left.
        UnavailableError: if the endpoint cannot be reached; what was answered is kept.
    """
    made = _made(context, inputs)
    scanned = written_step(context, made.folder) if is_first() else None
    if scanned is None:
        return made
    return dataclasses.replace(made, stops=scanned.stops, stopped_by=scanned.stopped_by, findings=str(scanned.folder.resolve()))


def copy_written(made: GenerateResult, folder: Path) -> None:
    """Put what was written into the folder of a distillation, which then finds it there."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    shutil.copytree(made.folder / FOLDER, folder / FOLDER)


def generation_helpers(context: ReleaseContext) -> Any:
    """What filters need from outside: journals in the store, files beside the release, and the rules that tell a refusal."""
    ratings = importlib.import_module("kdgov.distillation.generation.ratings")
    return ratings.Helpers(
        answers_root=context.store.root / ANSWERS, path_of=context.path_of, refusal=_refusal_label, progress=context.progress
    )


@functools.cache
def _refusal_rules() -> Any:
    return importlib.import_module("kdgov.evaluation.scoring.refusal_rules")


def _refusal_label(answer: str, prompt: str) -> str:
    label: str = _refusal_rules().refusal_label(answer, prompt)
    return label


def _made(context: ReleaseContext, inputs: DistillInputs) -> GenerateResult:
    key = _key(context, inputs)
    if (done := context.store.finished(GenerateResult, key)) is not None:
        return done
    with context.store.work(GenerateResult, key, tell=context.wait) as work:
        if work.finished is not None:
            return work.finished
        recipe = context.release.distillation
        teacher = inputs.source if isinstance(inputs.source, Path) else None
        examples = importlib.import_module("kdgov.distillation.data.examples")
        writing = importlib.import_module("kdgov.distillation.data.written_terms")
        prompts_in_data = any(term.prompts is None for term in teacher_text_terms(context))
        read = examples.read_examples(inputs.data, as_prompts=prompts_in_data, uses=inputs.uses) if prompts_in_data else []
        writing.write_terms(recipe, read, inputs.prompts, teacher, work.folder, generation_helpers(context))
        if is_first():
            write_card(context, work.folder, _names(context))
        return work.finish(**_facts(work.folder))


def _key(context: ReleaseContext, inputs: DistillInputs) -> str:
    recipe = context.release.distillation
    terms = [term.model_dump(mode="json") for term in teacher_text_terms(context)]
    return digest_json(
        {
            "teacher": dict(inputs.teacher) if any(term.endpoint is None for term in teacher_text_terms(context)) else None,
            "terms": terms,
            "data": [digest_file(path) for path in (*inputs.data, *inputs.prompts)],
            **({"data_columns": [dict(use.columns) for use in inputs.uses]} if any(use.columns for use in inputs.uses) else {}),
            **({"media": inputs.media, "language": recipe.language if recipe is not None else None} if inputs.media else {}),
            "commands": [digest_file(path) for path in _verifier_files(context)],
            "seed": recipe.seed if recipe is not None else 0,
            "release": [context.release.name, context.release.organization.name],
            "code": source_digest("kdgov.pipeline.generation.generate_step"),
        }
    )


def _verifier_files(context: ReleaseContext) -> list[Path]:
    """Files that verifier commands name: another program is another filter."""
    commands = [one.command for term in teacher_text_terms(context) for one in term.applied_filters if one.kind == "verifier"]
    paths = [context.path_of(part) for command in commands for part in command if not part.startswith("-")]
    return [path for path in paths if path.is_file()]


def _names(context: ReleaseContext) -> list[str]:
    named = [term.prompts for term in teacher_text_terms(context) if term.prompts is not None]
    return [*(Path(item.hub or item.card or item.path or "").name for item in context.release.data), *(Path(name).name for name in named)]


def _facts(folder: Path) -> dict[str, Any]:
    summaries: Sequence[Mapping[str, Any]] = [json.loads(file.read_bytes()) for file in sorted((folder / FOLDER).glob("*/generation.json"))]
    usd = sum(one["usd"] for one in summaries)
    usage = {name: sum(one["usage"][name] for one in summaries) for name in ("input_tokens", "output_tokens")}
    models: dict[str, int] = {}
    for one in summaries:
        for name, count in one["models"].items():
            models[name] = models.get(name, 0) + count
    kept, asked = sum(one["kept"] for one in summaries), sum(one["asked"] for one in summaries)
    cost = f", {usd:.2f} USD" if any(one["price"] for one in summaries) else ""
    return {
        "summary": f"{quantity(kept, 'answer')} kept of {asked:,}{cost}",
        "asked": asked,
        "rows": kept,
        "usage": usage,
        "usd": round(usd, 6),
        "models": models,
        "filters": [[dict(count) for count in one["filters"]] for one in summaries],
    }
