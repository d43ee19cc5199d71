"""Transcription: a sound and what a speech model writes, scored by the words and characters that are wrong.

`wer` and `cer` of an item are its wrong words (characters) over those of its reference, and `weight` is that number: a criterion with
`statistic: weighted_mean` judges the error rate of the whole set, wrong words over words, and `exact` is the share written without a fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdgov.declarations.suite_parts.suite_task import TaskInSuite
from kdgov.errors import InputError
from kdgov.evaluation.edit_counts import Normalisation, edits, normalised
from kdgov.evaluation.plan.media import file_context
from kdgov.evaluation.plan.request import PlannedItem, Request
from kdgov.evaluation.scoring.scores import ItemScore
from kdgov.evaluation.task_kinds.base import Answers, Kind, field_of

MOST_TOKENS = 256
"""Longest transcript that is asked for where the task does not say."""


def transcription_requests(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> tuple[Request, ...]:
    """The words of one sound.

    Options: ``file`` (field of the sound, ``audio``), ``language`` (that a model of several is told to write), ``max_gen_toks``,
    ``normalize`` (``basic`` or ``none``). The reference stands in the field ``label``, or ``text``.

    Raises:
        InputError: if an item has no sound, or a reference without a word.
    """
    if not _reference(doc, declared, where):
        told = f"the item {field_of(doc, _file(declared), where)!r} has a reference without a word"
        raise InputError(told, where=where, mend="Write what is said, or remove the item: an error rate needs words.")
    settings = {"max_gen_toks": int(declared.options.get("max_gen_toks", MOST_TOKENS)), "language": declared.options.get("language")}
    return (Request(kind="transcribe", context=file_context(doc, _file(declared)), generation=settings),)


def _file(declared: TaskInSuite) -> str:
    return str(declared.options.get("file", "audio"))


def _reference(doc: Mapping[str, Any], declared: TaskInSuite, where: str) -> str:
    return normalised(str(field_of(doc, declared.label or "text", where)), _normalisation(declared))


def _normalisation(declared: TaskInSuite) -> Normalisation:
    return "none" if declared.options.get("normalize") == "none" else "basic"


def transcription_scores(items: Sequence[PlannedItem], answers: Answers, declared: TaskInSuite, teacher: Answers | None) -> list[ItemScore]:
    """Word and character error rates, each with what it counts for, and whether every word is right."""
    found = []
    for item in items:
        said = str(answers[item.item_id][0])
        reference, written = _reference(item.doc, declared, declared.task), normalised(said, _normalisation(declared))
        texts: dict[str, Any] = {"item_id": item.item_id, "prediction": said, "label": str(item.doc[declared.label or "text"])}
        for metric, one, other in (("wer", reference.split(), written.split()), ("cer", list(reference), list(written))):
            found.append(ItemScore(metric=metric, score=edits(one, other) / len(one), weight=float(len(one)), **texts))
        found.append(ItemScore(metric="exact", score=float(reference == written), **texts))
    return found


KIND = Kind(metrics=("wer", "cer", "exact"), requests=transcription_requests, scores=transcription_scores)
