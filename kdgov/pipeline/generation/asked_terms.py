"""What the terms of a release ask of endpoints, without asking: the plan before anything is paid, and batch files instead of requests."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdgov.checks.cards.release_inputs import ReleaseInputs
from kdgov.declarations.data_parts.data_use import DataUse
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.release_parts.teacher_writing import TeacherText
from kdgov.distillation.data.examples import Example, read_examples
from kdgov.distillation.generation.answers import Ask
from kdgov.distillation.generation.asking import who_is_asked
from kdgov.distillation.generation.batch_files import BatchRead, read_batch, write_batch
from kdgov.distillation.generation.journal import Journal
from kdgov.distillation.generation.plan import GenerationPlan, generation_plans
from kdgov.distillation.generation.prompts import asks_of
from kdgov.errors import InputError, UnavailableError
from kdgov.hub.joined_files import joined
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.generation.generate_step import ANSWERS, teacher_text_terms
from kdgov.pipeline.inputs.distill_inputs import uses_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptedTerm:
    """One term with the examples it asks about."""

    number: int
    """Its place among the terms that have a teacher write."""
    term: TeacherText
    """The term."""
    prompts: Sequence[Example]
    """What it asks about."""


def prompted_terms(context: ReleaseContext, data: Sequence[Path], prompt_files: Sequence[Path]) -> Iterator[PromptedTerm]:
    """Every ``teacher_text`` term with its prompts.

    Args:
        context: the release.
        data: the files of its data.
        prompt_files: the files that terms name under ``prompts``, in their order.

    Raises:
        InputError: if a file cannot be read.
    """
    files = iter(prompt_files)
    own: list[Example] | None = None
    for number, term in enumerate(teacher_text_terms(context)):
        if term.prompts is not None:
            named = read_examples([next(files)], as_prompts=True, uses=[DataUse(columns=term.columns)])
            yield PromptedTerm(number=number, term=term, prompts=named)
            continue
        own = own if own is not None else read_examples(data, as_prompts=True, uses=uses_of(context, data))
        yield PromptedTerm(number=number, term=term, prompts=own)


def plans_of(context: ReleaseContext, data: Sequence[Path], prompt_files: Sequence[Path]) -> list[GenerationPlan]:
    """What the release's terms ask of endpoints, teachers and judges.

    Raises:
        InputError: if a file cannot be read, or a term has nothing to ask.
    """
    seed = context.release.distillation.seed if context.release.distillation is not None else 0
    root = context.store.root / ANSWERS
    return [
        plan for one in prompted_terms(context, data, prompt_files) for plan in generation_plans(one.term, one.prompts, root, seed=seed)
    ]


def planned_generation(context: ReleaseContext, materials: ReleaseInputs) -> tuple[dict[str, Any], ...]:
    """The plan of a release that has a teacher write, as JSON values; empty where nothing is asked of an endpoint.

    Files that cannot be read are the check's own findings, and whoever asks the teacher is told: here they make no plan.
    """
    terms = teacher_text_terms(context)
    if not any(term.endpoint is not None or any(one.kind == "judge" for one in term.applied_filters) for term in terms):
        return ()
    data = [file.path for body in materials.bodies for file in body.files if file.digest]
    try:
        prompts = [joined([file.path for file in body.files], where=f"{context.path}: {body.key}") for body in materials.prompts]
        return tuple({**asdict(plan), "line": plan.line} for plan in plans_of(context, data, prompts))
    except InputError:
        return ()


def write_batches(context: ReleaseContext, data: Sequence[Path], prompt_files: Sequence[Path], folder: Path) -> list[Path]:
    """Request files for a provider's batch interface, with what lacks an answer.

    Raises:
        InputError: if no term asks an endpoint.
    """
    found: list[Path] = []
    for endpoint, asks, number in _asked(context, data, prompt_files):
        with Journal.of(context.store.root / ANSWERS, who_is_asked(endpoint), progress=context.progress) as journal:
            found += write_batch(endpoint, asks, journal, folder, f"requests-{number}")
    return found


def read_batches(context: ReleaseContext, data: Sequence[Path], prompt_files: Sequence[Path], files: Sequence[Path]) -> BatchRead:
    """Answers of a provider's batch interface, taken into the journals; what each file brought, added up.

    Raises:
        InputError: if no term asks an endpoint, or a file is no answer file, or answers nothing that is asked here.
        UnavailableError: if answers still lack: the files are taken in, and nobody is asked instead of the batch.
    """
    brought: dict[Path, BatchRead] = {file: BatchRead() for file in files}
    lacking, wanted = 0, 0
    asked = list(_asked(context, data, prompt_files))
    for endpoint, asks, _ in asked:
        with Journal.of(context.store.root / ANSWERS, who_is_asked(endpoint), progress=context.progress) as journal:
            for file in files:
                # With several terms a line of one is foreign to the others.
                brought[file] = _added(brought[file], read_batch(endpoint, asks, journal, file), is_foreign=len(asked) == 1)
            keys = {ask.key for ask in asks}
            lacking, wanted = lacking + len(journal.lacking(list(keys))), wanted + len(keys)
    for file, one in brought.items():
        if not one.own:
            raise InputError(
                "answers nothing that this release asks",
                where=str(file),
                mend="Take the answers to the files that --write-batch wrote; prompts, settings or model may have changed since.",
            )
    if lacking:
        told = "; ".join(f"{file.name}: {one.line}" for file, one in brought.items())
        raise UnavailableError(
            f"{lacking:,} of {wanted:,} requests have no answer yet ({told})",
            where=str(context.path),
            mend="Take in the other answer files (--read-batch may be repeated), or write what lacks with --write-batch; "
            "without either option the endpoint itself is asked, at its usual price.",
        )
    return functools.reduce(lambda a, b: _added(a, b, is_foreign=True), brought.values(), BatchRead())


def _added(one: BatchRead, other: BatchRead, *, is_foreign: bool) -> BatchRead:
    return BatchRead(
        answered=one.answered + other.answered,
        refused=one.refused + other.refused,
        failed=one.failed + other.failed,
        again=one.again + other.again,
        foreign=one.foreign + (other.foreign if is_foreign else 0),
    )


def _asked(context: ReleaseContext, data: Sequence[Path], prompt_files: Sequence[Path]) -> Iterator[tuple[Endpoint, list[Ask], int]]:
    seed = context.release.distillation.seed if context.release.distillation is not None else 0
    is_any = False
    for one in prompted_terms(context, data, prompt_files):
        if one.term.endpoint is not None:
            is_any = True
            yield one.term.endpoint, asks_of(one.term, one.prompts, seed=seed), one.number
    if not is_any:
        raise InputError(
            "has no teacher_text term that asks an endpoint",
            where=str(context.path),
            mend="Batch files are for endpoints; a teacher whose weights are at hand writes with `kdgov generate`.",
        )
