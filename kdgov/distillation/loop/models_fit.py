"""Whether the loaded models fit each other and the data: classes, rows of output matrices, and what of the data was left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdgov.checkpoints.fit.padding import tell_padding
from kdgov.checkpoints.fit.pair_fit import ANSWERS, PROBLEMS, lacks_head
from kdgov.checkpoints.tasks import OF_FILES, SPEECH
from kdgov.distillation.data.compared_ids import OVER_TOKENS, fitted
from kdgov.distillation.data.labelled.class_labels import Problem, differing_classes
from kdgov.distillation.data.labelled.encoder_tasks import MaskingCollator
from kdgov.distillation.inputs import DistillationInputs
from kdgov.distillation.loop.senses_fit import refuse_other_hearing, refuse_other_processor, refuse_short_sounds
from kdgov.distillation.starts.class_heads import named_as_taught
from kdgov.errors import InputError
from kdgov.quantities import quantity


def warnings_of(material: DistillationInputs, teacher: Any, student: Any, further: Sequence[Any] = ()) -> Iterator[str]:
    """What is unusual about a run before its first step, in plain sentences.

    Raises:
        InputError: if the models answer over different classes.
    """
    yield from _fit(teacher, student, material)
    yield from _fit_further(further, student, material)
    yield from _left_out(material)


def _fit(teacher: Any, student: Any, material: DistillationInputs) -> Iterator[str]:
    if material.teacher is None:
        yield f"the teacher is an endpoint: {', '.join(material.teacher_facts['not_available'])} are not available and were not checked"
        return
    if material.task in OF_FILES and not material.prepared.is_read_twice:
        refuse_other_processor(material.tokenizer_path, material.teacher_path)
    if material.task in SPEECH:
        refuse_other_hearing(teacher, student)
    if material.task == "ctc":
        refuse_short_sounds(material.prepared.items, student)
    if material.task not in (*OVER_TOKENS, "embedding"):
        sizes = [_classes(model) for model in (teacher, student)]
        if sizes[0] != sizes[1]:
            raise InputError(
                f"the teacher answers over {sizes[0]} classes, the student over {sizes[1]}",
                where="student",
                mend="Give the student's configuration the teacher's num_labels (vocab_size of a CTC model).",
            )
    if material.task not in (*OVER_TOKENS, "embedding", "ctc"):
        _refuse_other_problem({"teacher": teacher, "student": student}, material.prepared.problem)
        yield from differing_classes(teacher.config.id2label, student.config.id2label)
    if material.start.model is not None and lacks_head(material.task, material.start.model):
        yield f"{material.start.model.name} has no head for {material.task}: the student's is new, random before the first step"
    yield from material.vocabulary.differences
    counts = [sum(p.numel() for p in model.parameters()) for model in (teacher, student)]
    if counts[1] >= counts[0]:
        yield f"the student ({quantity(counts[1], 'parameter')}) is not smaller than the teacher ({counts[0]:,})"


def _refuse_other_problem(models: Mapping[str, Any], problem: Problem) -> None:
    """One class of several, any of several labels, and numbers are compared by losses of their own."""
    for who, model in models.items():
        declared = PROBLEMS.get(str(model.config.problem_type))
        if declared is not None and declared != problem:
            told = f"the {who} answers {ANSWERS[declared]} (problem_type {model.config.problem_type}), and {ANSWERS[problem]} is learnt"
            raise InputError(told, where="student", mend="Set `problem_type` in the config.json of both models to what their outputs are.")


def _fit_further(further: Sequence[Any], student: Any, material: DistillationInputs) -> Iterator[str]:
    if material.task in SPEECH:
        for one in further:
            refuse_other_hearing(one, student)
    if material.task in OF_FILES:
        for at_hand in material.further:
            refuse_other_processor(material.tokenizer_path, at_hand.path)
    starts = [getattr(one.config, "decoder_start_token_id", None) for one in (student, *further)]
    if material.task == "seq2seq_lm" and len(set(starts)) > 1:
        other = next(start for start in starts if start != starts[0])
        told = f"the student's decoder starts from the id {starts[0]}, and that of another teacher from {other}"
        raise InputError(told, where="distillation.further_teachers", mend="Name teachers whose decoder starts as the student's does.")
    if material.task in (*OVER_TOKENS, "embedding"):
        return
    for one, named in zip(further, material.recipe.further_teachers, strict=True):
        where = f"distillation.further_teachers: {named.model}"
        if _classes(one) != _classes(student):
            mend = "Name teachers of the same classes."
            raise InputError(f"answers over {_classes(one)} classes, the student over {_classes(student)}", where=where, mend=mend)
        if material.task != "ctc":
            _refuse_other_problem({f"teacher {named.model}": one}, material.prepared.problem)
            yield from differing_classes(one.config.id2label, student.config.id2label, where=where)


def with_fitted_vocabulary(material: DistillationInputs, teacher: Any, student: Any, further: Sequence[Any] = ()) -> DistillationInputs:
    """The inputs with the vocabulary cut to what both output matrices have rows for; models are told padding, and the student its classes.

    Raises:
        InputError: if the data hold an id that is not compared.
    """
    rows = [_classes(one) for one in further]
    fit = fitted(
        material.vocabulary.within(min(rows)) if rows else material.vocabulary,
        teacher_rows=None if teacher is None else _classes(teacher),
        student_rows=_classes(student),
        is_new=material.start.config is not None,
        items=material.prepared.items,
    )
    prepared = material.prepared
    if isinstance(prepared.collate, MaskingCollator):
        prepared = dataclasses.replace(prepared, collate=prepared.collate.among(fit.student, fit.teacher))
    if material.task == "text_classification":
        for one in (student, *further, *([] if teacher is None or prepared.is_read_twice else [teacher])):
            tell_padding(one, prepared.pad_id)
    if teacher is not None and material.task not in (*OVER_TOKENS, "embedding", "ctc"):
        named_as_taught(student, teacher, prepared.problem)
    return dataclasses.replace(material, vocabulary=fit, prepared=prepared)


def _classes(model: Any) -> int:
    if (labels := getattr(getattr(model, "lm_head", None), "out_features", None)) is not None:
        # CTC models have a head and no embedding of it.
        return int(labels)
    head = model.get_output_embeddings()
    return int(head.weight.shape[0]) if head is not None else int(model.config.num_labels)


def _left_out(material: DistillationInputs) -> Iterator[str]:
    prepared = material.prepared
    yield from prepared.notes
    if prepared.left_out:
        first = prepared.left_out[0]
        yield f"{len(prepared.left_out)} examples leave nothing to learn within max_length and were left out, the first: {first}"
    if material.ignored_keys:
        told = ", ".join(f"`{key}` ({count:,} lines)" for key, count in material.ignored_keys.items())
        yield f"not learnt from: {told}"
    if prepared.truncated:
        yield f"{quantity(prepared.truncated, 'example')} were cut to max_length {material.recipe.max_length}"
