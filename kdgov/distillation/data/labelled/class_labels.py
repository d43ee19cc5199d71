"""What a classifier's labels are: one class of several (or a probability for each), any of several labels, or numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from kdgov.checkpoints.class_names import ORDER_MEND, first_difference, names_of, order_fault, place_of
from kdgov.checkpoints.fit.pair_fit import PROBLEMS
from kdgov.checkpoints.fit.pair_fit import Problem as Problem
from kdgov.distillation.data.examples import Example
from kdgov.errors import Fault, InputError

_ROUNDING = 1e-2


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What a classifier's labels look like."""

    problem: Problem
    """What its outputs are."""
    names: tuple[str, ...]
    """Names of the outputs, in order."""

    @property
    def count(self) -> int:
        """Outputs."""
        return len(self.names)


def labels_of(config: Mapping[str, Any], examples: Sequence[Example]) -> Labels:
    """What a classifier's outputs are: by its configuration, else by the labels of the data.

    Args:
        config: ``config.json``.
        examples: of the data; a list of numbers per example makes a multi-label classifier where the configuration is silent.
    """
    names = names_of(config)
    count = len(names)
    if (declared := PROBLEMS.get(str(config.get("problem_type")))) is not None:
        return Labels(problem=declared, names=names)
    if count == 1:
        return Labels(problem="regression", names=names)
    lists = [example.label for example in examples if isinstance(example.label, tuple)]
    # Probabilities of classes sum to one; noughts and ones alone are several labels, as transformers takes them.
    is_soft = all(is_distribution(one) for one in lists) and any(part not in (0.0, 1.0) for one in lists for part in one)
    many = bool(lists) and not is_soft
    return Labels(problem="multi_label" if many else "single_label", names=names)


def differing_classes(teacher: Mapping[int, str], student: Mapping[int, str], *, where: str = "student") -> Iterator[str]:
    """A sentence where the two call their classes by different names; nothing where they agree, or either gives no names.

    Raises:
        InputError: if a name that both have stands in another place: the class would be compared with another one.
    """
    theirs, mine = (tuple(str(names[number]) for number in sorted(names)) for names in (teacher, student))
    number = first_difference(theirs, mine)
    if number is None:
        return
    said = f"class {number} is {theirs[number]!r} to the teacher and {mine[number]!r} to the student"
    if order_fault(theirs, mine):
        raise InputError(f"{said}: outputs are compared by number", where=where, mend=ORDER_MEND)
    yield f"{said}; they are compared by number"


def is_distribution(label: Sequence[float]) -> bool:
    """Whether numbers are probabilities of classes: none below nought, together one (but for rounding)."""
    return min(label) >= 0 and abs(sum(label) - 1) < _ROUNDING


def label_of(example: Example, labels: Labels, *, needed: bool) -> int | tuple[float, ...] | Fault:
    """The label of an example as its outputs take it, or what is wrong with it; nought where it is wrong and nobody learns it."""
    read = _read_label(example, labels)
    if isinstance(read, Fault) and not needed:
        return (0.0,) * labels.count if labels.problem != "single_label" else 0
    return read


def _read_label(example: Example, labels: Labels) -> int | tuple[float, ...] | Fault:
    many = labels.problem != "single_label"
    value = example.label
    if value is None:
        return Fault(file="data", key=example.item_id, what="has no label", mend=_label_mend(labels))
    if many:
        numbers = value if isinstance(value, tuple) else (_number(value),)
        fits = len(numbers) == labels.count and all(v is not None for v in numbers)
        if fits and labels.problem == "multi_label":
            fits = all(v in (0.0, 1.0) for v in numbers)
        if not fits:
            return Fault(file="data", key=example.item_id, what=f"has label {value!r}", mend=_label_mend(labels))
        return tuple(float(v) for v in numbers if v is not None)
    if isinstance(value, tuple):
        if len(value) == labels.count and is_distribution(value):
            return tuple(part / sum(value) for part in value)
        return Fault(file="data", key=example.item_id, what=f"has label {value!r}", mend=_label_mend(labels))
    # A class may be written by its name or by its number, in the data and in the suite alike; the name comes first.
    if str(value) in labels.names:
        return labels.names.index(str(value))
    number = _number(value)
    if number is None or number != int(number) or not 0 <= (placed := placed_class(int(number), example, labels)) < labels.count:
        return Fault(file="data", key=example.item_id, what=f"has label {said_class(value, example)}", mend=_label_mend(labels))
    return placed


def placed_class(number: int, example: Example, labels: Labels) -> int:
    """The output of the class that a number of the data stands for, by the names of the file where it has some; -1 for no output."""
    place = place_of(number, example.classes, labels.names)
    return -1 if place is None else place


def said_class(value: Any, example: Example) -> str:
    """A label for people, with the name that its file gives it."""
    named = isinstance(value, int) and 0 <= value < len(example.classes)
    return f"{value!r}, which its file calls {example.classes[value]!r}" if named else repr(value)


def _label_mend(labels: Labels) -> str:
    shown = ", ".join(labels.names[:6]) + (" …" if labels.count > 6 else "")
    match labels.problem:
        case "single_label":
            one = f"Write `label` from 0 to {labels.count - 1}, a name ({shown}) or {labels.count} probabilities"
            return f"{one}, or leave out the hard_labels term."
        case "multi_label":
            return f"Write `labels` as {labels.count} noughts and ones ({shown}), or leave out the hard_labels term."
        case "regression":
            return f"Write `score` (or `labels`, {labels.count} of them), or leave out the hard_labels term."
        case _:
            assert_never(labels.problem)


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
