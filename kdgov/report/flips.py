"""The items the teacher had right and the student lost: what a person should read before arguing with a number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kdgov.decision.criteria.metric_scale import Scale, better
from kdgov.decision.criteria.paired_items import Mismatch, Pairs
from kdgov.decision.criteria.pairing import match
from kdgov.items import ItemTable, MetricDeclaration, MetricKey
from kdgov.items.metric import declaration_for

MASKED = "[masked: harmful or personal text; show it with --show-text]"
PER_METRIC = 20
_TEXT_CHARACTERS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """One item the student lost."""

    key: MetricKey
    """Suite, task, metric."""
    item_id: str
    """The item."""
    loss: float
    """Teacher minus student, in the better direction."""
    weight: float
    """How telling: the loss, scaled by how sure the student was of its wrong answer."""
    text: str
    """What was asked; masked where it may harm."""
    label: str
    """Reference answer."""
    teacher: str
    """Teacher's answer."""
    student: str
    """Student's answer."""


def lost_items(
    teacher: ItemTable, student: ItemTable, key: MetricKey, *, metrics: Sequence[MetricDeclaration] = (), mask: bool = True
) -> list[Flip] | None:
    """Items of one metric the student lost, most telling first; None where the two cannot be paired."""
    declared = declaration_for(tuple(metrics), *key)
    pairs = match(teacher, student, key)
    if isinstance(pairs, Mismatch):
        return None
    loss = loss_of(pairs, scale_of(declared))
    confidence = column_of(student, "confidence", pairs)
    sure = np.array([float(value) if isinstance(value, float) and math.isfinite(value) else 1.0 for value in confidence])
    weight = loss * sure
    order = sorted(np.flatnonzero(loss > 0).tolist(), key=lambda at: (-weight[at], at))
    ids = teacher.column("item_id", pairs.teacher_rows[0]).to_pylist()
    hide = mask and is_sensitive(key, declared)
    columns = {
        "text": column_of(teacher, "text", pairs, of_teacher=True),
        "label": column_of(teacher, "label", pairs, of_teacher=True),
        "teacher": column_of(teacher, "prediction", pairs, of_teacher=True),
        "student": column_of(student, "prediction", pairs),
    }
    return [
        Flip(
            key=key,
            item_id=str(ids[at]),
            loss=float(loss[at]),
            weight=float(weight[at]),
            **{name: _shown(values[at], hide=hide and name != "label") for name, values in columns.items()},
        )
        for at in order
    ]


def flip_report(
    teacher: ItemTable, student: ItemTable, *, metrics: Sequence[MetricDeclaration] = (), mask: bool = True, per_metric: int = PER_METRIC
) -> str:
    """Markdown with the items the student lost, per metric, most telling first; harmful texts masked by default."""
    lines = ["# Items the student lost", ""]
    for key in sorted(set(teacher.partitions) & set(student.partitions)):
        flips = lost_items(teacher, student, key, metrics=metrics, mask=mask)
        if flips is None:
            lines += [f"## {key}", "", "The two models did not answer the same items.", ""]
        elif flips:
            lines += [*_section(key, flips, per_metric), ""]
    if len(lines) == 2:  # noqa: PLR2004 - only the title
        lines.append("None.")
    return "\n".join(lines) + "\n"


def _section(key: MetricKey, flips: Sequence[Flip], per_metric: int) -> Iterator[str]:
    more = f", the {per_metric} most telling" if len(flips) > per_metric else ""
    yield f"## {key}: {len(flips)} lost{more}"
    yield ""
    yield "| item | asked | reference | teacher | student |"
    yield "|---|---|---|---|---|"
    for flip in flips[:per_metric]:
        cells = (flip.item_id, flip.text, flip.label, flip.teacher, flip.student)
        yield "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def scale_of(declared: MetricDeclaration | None) -> Scale:
    """How a metric is read: better when higher unless it is declared otherwise."""
    return Scale(
        direction=declared.direction if declared else "higher",
        ideal=declared.ideal if declared else None,
        chance=None,
        low=None,
        high=None,
    )


def loss_of(pairs: Pairs, scale: Scale) -> np.ndarray:
    """What the student lost on each item: positive where the teacher was better."""
    if scale.direction == "target" and scale.ideal is not None:
        return np.abs(pairs.student - scale.ideal) - np.abs(pairs.teacher - scale.ideal) + (pairs.student > pairs.teacher)
    return better(pairs.teacher, scale.direction) - better(pairs.student, scale.direction)


def is_sensitive(key: MetricKey, declared: MetricDeclaration | None) -> bool:
    """Whether the texts of a metric are shown only to whoever asks for them."""
    # Without a declaration nobody has said that the text is safe to print: names that speak of harm are masked.
    if declared is not None and declared.harmful:
        return True
    return any(
        word in f"{key.suite} {key.task} {key.metric}".lower()
        for word in ("safety", "harm", "refus", "toxic", "privacy", "canar", "jailbreak")
    )


def column_of(table: ItemTable, name: str, pairs: Pairs, *, of_teacher: bool = False) -> list[object]:
    """A column of the paired items; empty values where the table lacks it."""
    rows = pairs.teacher_rows[0] if of_teacher else pairs.student_rows[0]
    return list(table.column(name, rows).to_pylist()) if table.has(name) else [None] * pairs.n


def _shown(value: object, *, hide: bool) -> str:
    if value is None or value == "":
        return ""
    if hide:
        return MASKED
    text = str(value)
    return text if len(text) <= _TEXT_CHARACTERS else "… " + text[-_TEXT_CHARACTERS:]


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\r", " ").replace("\n", "<br>")
