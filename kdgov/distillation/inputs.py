"""What a run is made of, gathered and checked before any model learns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from kdgov.checkpoints.identity import ModelIdentity, endpoint_facts, model_identity
from kdgov.checkpoints.loading import Task, task_of
from kdgov.checkpoints.tasks import SPEECH, refuse_adapter, refuse_unfit_terms
from kdgov.checkpoints.weights.packed_weights import refuse_missing_method, refuse_packed_start
from kdgov.declarations.data_parts.data_use import DataUse
from kdgov.declarations.distillation import Distillation, OnPolicy, UniversalLogits
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.release_parts.teacher_writing import TeacherText
from kdgov.digest import digest_file, digest_json
from kdgov.distillation import distillation_record as provenance
from kdgov.distillation.data.collation import Prepared, begun_by_teacher, prepare
from kdgov.distillation.data.compared_ids import NOTHING_KNOWN, Vocabulary, vocabulary_of
from kdgov.distillation.data.examples import media_of, read_data, unique_names, uses_as_text
from kdgov.distillation.data.two_tokenizers.paired_tokenizers import across_tokenizers
from kdgov.distillation.data.two_tokenizers.read_twice import read_twice
from kdgov.distillation.data.unread_content import fitting
from kdgov.distillation.data.written_terms import write_terms
from kdgov.distillation.generation.ratings import Helpers
from kdgov.distillation.mixture.teachers_at_hand import FurtherTeacherAtHand, further_at_hand, shared_by_all
from kdgov.distillation.starts.class_heads import said_of_classes
from kdgov.distillation.starts.packed_base import four_bits
from kdgov.distillation.students import StudentStart
from kdgov.errors import InputError
from kdgov.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationInputs:
    """Everything a run needs but the models themselves."""

    recipe: Distillation
    """What is added up, over which steps."""
    task: Task
    """What the models do."""
    teacher_path: Path | None
    """Folder of the teacher; None where it is an endpoint."""
    teacher: ModelIdentity | None
    """Its identity; None where it is an endpoint."""
    teacher_facts: Mapping[str, Any]
    """What the record says of it."""
    start: StudentStart
    """Where the student starts."""
    start_facts: Mapping[str, Any]
    """What the record says about that."""
    prepared: Prepared
    """Items, lengths and collator."""
    data: Mapping[str, str]
    """File name → digest."""
    shards: tuple[Mapping[str, Any], ...]
    """Provenance of teacher-written shards."""
    run: str
    """Digest of everything that decides the trained weights."""
    cache_root: Path
    """Where teacher caches lie."""
    ignored_keys: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Key of data lines that is not learnt from → lines that have it."""
    logit_files: tuple[Path, ...] = ()
    """Files with distributions that were written elsewhere."""
    further: tuple[FurtherTeacherAtHand, ...] = ()
    """Teachers beside the first, mixed with it."""
    vocabulary: Vocabulary = NOTHING_KNOWN
    """Which rows of the output matrices are tokens, and which ids are compared."""

    @property
    def tokenizer_path(self) -> Path:
        """Folder of the student's tokenizer: its own where it starts from a model, the teacher's otherwise."""
        return _tokenizer_path(self.start, self.teacher_path)


def gather_inputs(
    recipe: Distillation,
    source: Path | Endpoint,
    start: StudentStart,
    data_files: Sequence[Path],
    output: Path,
    *,
    prompt_files: Sequence[Path],
    cache_root: Path,
    progress: Progress,
    helpers: Helpers | None = None,
    data_uses: Sequence[DataUse] = (),
    further_teachers: Sequence[Path] = (),
) -> DistillationInputs:
    """Identify, read, have the teacher write where declared, and tokenise.

    Raises:
        InputError: if recipe, models and data do not fit together.
        UnavailableError: if an endpoint cannot be reached.
    """
    teacher_path = source if isinstance(source, Path) else None
    task: Task = task_of(teacher_path or _tokenizer_path(start, None)) if recipe.task == "auto" else recipe.task
    refuse_unfit_terms(recipe, task)
    recipe = _asking(recipe, source)
    if (from_weights := start.model or (teacher_path if start.keep_layers is not None else None)) is not None:
        refuse_packed_start(from_weights, with_adapter=start.adapter is not None)
    if start.model is not None:
        refuse_adapter(start.model)
    if start.model is not None and four_bits(start.adapter, start.model):
        refuse_missing_method("bitsandbytes", start.model)
    progress("reading the teacher's identity", 0, 0)
    teacher = None if teacher_path is None else model_identity(teacher_path)
    known: dict[str, Any] = endpoint_facts(source) if isinstance(source, Endpoint) else teacher.as_json() if teacher is not None else {}
    facts = start_facts(start, teacher)
    if not data_files:
        raise InputError("names no file to learn from", where="data", mend="Add a card or a file.")
    prompts_in_data = any(isinstance(term, TeacherText) and term.prompts is None for term in recipe.terms)
    read = fitting(task, read_data(data_files, as_prompts=prompts_in_data, uses=data_uses), answered=prompts_in_data)
    examples = read.examples
    helpers = helpers or Helpers(answers_root=output.parent / "teacher-answers", progress=progress)
    written, shards = write_terms(recipe, examples, prompt_files, teacher_path, output, helpers)
    # A sound without a transcript has been transcribed: its transcript is among what was written.
    asked = task in SPEECH and bool(written)
    learnt = [one for one in (*examples, *written) if not (one.awaits_answer or (asked and not one.completion))]
    progress("tokenising", 0, 0)
    tokenizer_path = _tokenizer_path(start, teacher_path)
    prepared = prepare(task, learnt, tokenizer_path, recipe, classes=said_of_classes(task, tokenizer_path, teacher_path))
    prepared = begun_by_teacher(prepared, teacher_path)
    if (twice := read_twice(task, learnt, prepared, tokenizer_path, teacher_path, recipe)) is not None:
        prepared, vocabulary = twice, NOTHING_KNOWN
    else:
        vocabulary = vocabulary_of(task, recipe, tokenizer_path, teacher_path, teacher, learnt, own=prepared.known)
    further = further_at_hand(recipe, task, further_teachers)
    vocabulary = shared_by_all(vocabulary, further, task, recipe, tokenizer_path, learnt)
    if teacher_path is not None and any(isinstance(term, UniversalLogits) for term in recipe.terms):
        prepared = across_tokenizers(task, learnt, tokenizer_path, teacher_path, recipe)
    logit_files = tuple(helpers.path_of(name) for name in (recipe.cache.files if recipe.cache is not None else ()))
    named = unique_names([*data_files, *prompt_files, *logit_files])
    data = {name: digest_file(path) for name, path in named.items()} | media_of(learnt)
    decided_by = sorted([*data.values(), *(shard["digest"] for shard in shards), *uses_as_text(data_files, data_uses)])
    return DistillationInputs(
        recipe=recipe,
        task=task,
        teacher_path=teacher_path,
        teacher=teacher,
        teacher_facts=known | ({"further": [{"weight": one.weight, **one.identity.as_json()} for one in further]} if further else {}),
        start=start,
        start_facts=facts,
        prepared=prepared,
        data=data,
        shards=tuple(shards),
        run=run_digest(recipe, known, facts, [*decided_by, *(one.identity.weights for one in further)]),
        further=further,
        cache_root=cache_root,
        ignored_keys=read.ignored_keys,
        logit_files=logit_files,
        vocabulary=vocabulary,
    )


def _tokenizer_path(start: StudentStart, teacher_path: Path | None) -> Path:
    path = start.model if start.model is not None else teacher_path
    if path is None:
        raise InputError(
            "has no tokenizer: the teacher is an endpoint, and the student does not start from a checkpoint",
            where="student",
            mend="Name the checkpoint it starts from under `student.model`.",
        )
    return path


def _asking(recipe: Distillation, source: Path | Endpoint) -> Distillation:
    """The recipe with every ``teacher_text`` asking an endpoint, where that is what the teacher is."""
    if isinstance(source, Path):
        return recipe
    if closed := recipe.needs_weights:
        raise InputError(
            f"{', '.join(closed)} needs the teacher's logits or layers, which an endpoint does not give",
            where="distillation.terms",
            mend="Use teacher_text (and hard_labels), or a teacher whose weights are at hand.",
        )
    asked = [
        term.model_copy(update={"endpoint": source}) if isinstance(term, TeacherText) and term.endpoint is None else term
        for term in recipe.terms
    ]
    cache = recipe.cache
    if cache is not None and cache.source == "endpoint" and cache.endpoint is None:
        cache = cache.model_copy(update={"endpoint": source})
    return recipe.model_copy(update={"terms": asked, "cache": cache})


def start_facts(start: StudentStart, teacher: ModelIdentity | None) -> dict[str, Any]:
    """What the record says about where the student starts.

    Raises:
        InputError: if it starts nowhere.
    """
    facts: dict[str, Any] = {"quantization": start.quantization, "adapter": dict(start.adapter) if start.adapter else None}
    if start.keep_layers is not None and teacher is not None:
        keep = start.keep_layers
        facts |= {"keep_layers": keep if isinstance(keep, str | Mapping) else list(keep), "weights": teacher.weights}
        return facts | ({"prune": dict(start.prune), "calibration": start.calibration} if start.prune else {})
    if start.config is not None:
        return facts | {"config": digest_file(start.config)}
    if start.model is None:
        raise InputError("does not say where the student starts", where="student", mend="Set one of keep_layers, config, model.")
    return facts | {"model": model_identity(start.model).as_json()}


def run_digest(recipe: Distillation, teacher: Mapping[str, Any], facts: Mapping[str, Any], data: Sequence[str]) -> str:
    """Digest of everything that decides the trained weights, on one kind of machine."""
    libraries = {name: metadata.version(name) for name in ("torch", "transformers", "accelerate", "tokenizers")}
    return digest_json(
        {
            "teacher": dict(teacher),
            "student": dict(facts),
            "data": list(data),
            "recipe": recipe.model_dump(mode="json"),
            "code": provenance.code_version(),
            "libraries": libraries,
        }
    )


def sampled_term(recipe: Distillation) -> OnPolicy | None:
    """The on-policy term, if there is one."""
    return next((term for term in recipe.terms if isinstance(term, OnPolicy)), None)
