"""Keys of a release that would change nothing: each is refused by name, so that nobody believes in a setting that nobody reads.

A default that is merely written out is no fault, and neither is a value that says what happens anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kdgov.declarations.distillation import LOSSES, Distillation, OnPolicy, SoftTargets
from kdgov.declarations.effects.idle_evaluation import Idle, idle_evaluation
from kdgov.declarations.load import resolve
from kdgov.declarations.release import Release
from kdgov.declarations.release_parts.teacher_writing import TeacherText
from kdgov.errors import Fault

_SPEECH = ("speech_to_text", "ctc", "auto")
_REMOVE = "Remove it."
_BETA = 0.5


def idle_keys(release: Release, path: Path) -> list[Fault]:
    """One fault per key of a release that changes nothing; ``path`` is its file."""
    found = [*_models(release, path), *_stages(release), *idle_evaluation(release)]
    for place, recipe in _recipes(release):
        found += [(f"{place}.{key}", what, mend) for key, what, mend in _recipe(recipe)]
    return [Fault(file=str(path), key=key, what=what, mend=mend) for key, what, mend in found]


def _recipes(release: Release) -> Iterator[tuple[str, Distillation]]:
    yield from ((f"stages[{number}].distillation", stage.distillation) for number, stage in enumerate(release.stages))
    if release.distillation is not None:
        yield "distillation", release.distillation


def _models(release: Release, path: Path) -> Iterator[Idle]:
    for role, model in (("teacher", release.teacher), ("student", release.student)):
        if model.revision is None:
            continue
        if not model.model:
            yield f"{role}.revision", "has no effect without `model`: it is the commit of a hub id", _REMOVE
        elif resolve(model.model, beside=path).is_dir():
            yield f"{role}.revision", f"has no effect: {model.model!r} is a folder, pinned by its content", _REMOVE
    if release.student.adapter is not None and release.distillation is None:
        mend = "Remove it and name the folder of the merged student, or add `distillation:`."
        yield "student.adapter", "has no effect without a distillation: nothing trains it", mend
    if release.distillation is None:
        for number, data in enumerate(release.data):
            if data.weight != 1.0:
                yield f"data[{number}].weight", "has no effect without a distillation: nothing learns from it", _REMOVE


def _stages(release: Release) -> Iterator[Idle]:
    if not release.stages and release.previous != "teacher":
        yield "previous", "has no effect without stages: there is no model before", "Remove it, or add `stages:`."
    if release.stages and release.stages[0].previous != "teacher":
        yield "stages[0].previous", "has no effect in the first stage: there is no model before", _REMOVE


def _recipe(recipe: Distillation) -> Iterator[Idle]:
    for number, term in enumerate(recipe.terms):
        here = f"terms[{number}]"
        if isinstance(term, SoftTargets | OnPolicy) and term.beta != _BETA and term.loss in LOSSES and term.loss != "jensen_shannon":
            yield f"{here}.beta", f"has no effect on loss {term.loss}", "Remove it; `jensen_shannon` alone mixes by it."
        if isinstance(term, TeacherText):
            yield from ((f"{here}.{key}", what, mend) for key, what, mend in _writing(term))
    rule = recipe.held_out
    if rule is not None and rule.improvement and not rule.keep_best and rule.patience is None:
        yield "held_out.improvement", "has no effect without `keep_best` and `patience`: nothing asks what improved", _REMOVE
    default = type(recipe).model_fields["chunk_tokens"].default
    if not recipe.fused_head and recipe.chunk_tokens != default:
        yield "chunk_tokens", "has no effect beside `fused_head: false`: nothing is cut into chunks", _REMOVE
    if recipe.language is not None and recipe.task not in _SPEECH:
        yield "language", f"has no effect on task {recipe.task}: it is told to speech models", _REMOVE


def _writing(term: TeacherText) -> Iterator[Idle]:
    if term.endpoint is not None:
        return
    if term.seed is not None:
        yield "seed", "has no effect where the teacher's weights write: the recipe's own seed holds", _REMOVE
    if term.length_parameter != "max_tokens":
        yield "length_parameter", "has no effect where the teacher's weights write: no endpoint is asked", _REMOVE
    if term.temperature:
        return
    mend = "Add `temperature`, or remove it."
    if term.top_p not in (None, 1.0):
        yield "top_p", "has no effect without a temperature: the likeliest tokens are written", mend
    if term.samples_per_prompt > 1:
        yield "samples_per_prompt", "has no effect without a temperature: one answer would be written again and again", mend
