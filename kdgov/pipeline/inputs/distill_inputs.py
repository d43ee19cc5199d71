"""What the distillation step works on: teacher, given student and data, resolved, held to what their cards pin, and identified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov.checkpoints.identity import ModelIdentity, endpoint_facts, model_identity, resolve_model
from kdgov.declarations.cards import load_dataset_card
from kdgov.declarations.data_parts.data_use import DataUse
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.suite_parts.media_folders import as_data_file
from kdgov.digest import digest_file
from kdgov.errors import InputError
from kdgov.pipeline.context import ReleaseContext
from kdgov.pipeline.inputs.data_cards import data_card
from kdgov.pipeline.inputs.named_media import media_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillInputs:
    """What the step works on, resolved and identified."""

    source: Path | Endpoint
    """Folder of the teacher, or the endpoint where it can only be asked."""
    teacher: Mapping[str, Any]
    """Its identity, or what is declared of the endpoint."""
    student_path: Path | None
    """Folder of ``student.model``; None where the student starts from layers or a configuration."""
    student: ModelIdentity | None
    """Its identity."""
    data: tuple[Path, ...]
    """Files to learn from, in the order the release names them."""
    prompts: tuple[Path, ...]
    """Files of prompts that terms name."""
    logits: tuple[Path, ...] = ()
    """Files with the teacher's distributions, where they were written elsewhere."""
    further: tuple[Path, ...] = ()
    """Folders of the teachers beside the release's own, in the order the recipe names them."""
    media: str = ""
    """Digest of the images and sounds that the data names; empty where it names none."""
    uses: tuple[DataUse, ...] = ()
    """Weight and columns per file to learn from, as its entry of the release says; empty where none says anything."""


def distill_inputs(context: ReleaseContext) -> DistillInputs:
    """Resolve and identify everything the release names for this step.

    Raises:
        InputError: if a model or a file is absent or is not what its card pins.
    """
    release = context.release
    source = release.teacher.endpoint or resolve_model(release.teacher.model, beside=context.path, revision=release.teacher.revision)
    student_path = None
    if release.student.model is not None:
        student_path = resolve_model(release.student.model, beside=context.path, revision=release.student.revision)
    terms = release.distillation.terms if release.distillation is not None else []
    cache = release.distillation.cache if release.distillation is not None else None
    used = used_files(context) if release.distillation is not None else []
    prompts = tuple(context.path_of(term.prompts) for term in terms if term.kind == "teacher_text" and term.prompts is not None)
    named = release.distillation.further_teachers if release.distillation is not None else []
    return DistillInputs(
        source=source,
        further=tuple(resolve_model(one.model, beside=context.path, revision=one.revision) for one in named),
        teacher=model_identity(source).as_json() if isinstance(source, Path) else endpoint_facts(source),
        student_path=student_path,
        student=None if student_path is None else model_identity(student_path),
        data=tuple(path for path, _ in used),
        prompts=prompts,
        media=media_digest(used),
        logits=tuple(context.path_of(name) for name in cache.files) if cache is not None else (),
        uses=tuple(use for _, use in used) if any(use != DataUse() for _, use in used) else (),
    )


def data_files(context: ReleaseContext) -> list[Path]:
    """Files of the release's data, as its cards name and pin them.

    Raises:
        InputError: if a card names no file, or a file is absent or not the pinned one.
    """
    return [path for path, _ in used_files(context)]


def uses_of(context: ReleaseContext, files: Sequence[Path]) -> list[DataUse]:
    """How each of some files of the release's data is read; its weight is no matter where it is only asked about."""
    if not any(item.columns for item in context.release.data):
        return []
    known = {path.resolve(): DataUse(columns=use.columns) for path, use in used_files(context)}
    return [known.get(path.resolve(), DataUse()) for path in files]


def used_files(context: ReleaseContext) -> list[tuple[Path, DataUse]]:
    """The same files, each with the weight and the columns that its entry in the release says.

    Raises:
        InputError: as `data_files` does.
    """
    files: list[tuple[Path, DataUse]] = []
    for index, item in enumerate(context.release.data):
        use = DataUse(weight=item.weight, columns=item.columns)
        if item.path is not None:
            files.append((as_data_file(context.path_of(item.path)), use))
            continue
        card_path = data_card(context, item, f"data[{index}]")
        card = load_dataset_card(card_path)
        if not card.files:
            raise InputError("names no file", where=str(card_path), mend="Add `files:` with the path and digest of each.")
        for entry in card.files:
            beside = card_path.parent / entry.path
            file = as_data_file(beside if beside.exists() else Path(entry.path))
            if not file.is_file():
                raise InputError(f"files: names {entry.path!r}, which does not exist", where=str(card_path), mend="Correct the path.")
            if entry.digest is not None and digest_file(file) != entry.digest:
                raise InputError(
                    f"files: {entry.path} is not what the card pins: it has {digest_file(file)}, the card says {entry.digest}",
                    where=str(card_path),
                    mend="Restore the file, or review it and write its new digest into the card.",
                )
            files.append((file, use))
    return files
