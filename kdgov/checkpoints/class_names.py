"""Names of a classifier's classes, and whether labels in data mean the same class to two models.

A label is a class by name, by number, or as transformers' placeholder ``LABEL_0``. A number means the class in that place of a model's own
order: to two models whose orders differ it is two classes, and only names may then be compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

_PLACEHOLDER = re.compile(r"LABEL_(\d+)")
ClassNames = Sequence[str]
"""Names in the order of the outputs; a placeholder where the checkpoint gives none."""


ORDER_MEND = "Start from a student whose id2label has the teacher's order; its output rows must be in that order too."


def class_names(folder: Path) -> tuple[str, ...]:
    """Names of the classes of a checkpoint; empty for one that is no classifier, or of numbers."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return ()
    kinds = config.get("architectures") or []
    if not any("ForSequenceClassification" in kind or "ForImageClassification" in kind or "ForAudioClass" in kind for kind in kinds):
        return ()
    names = names_of(config)
    return names if len(names) > 1 else ()


def names_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the outputs by a configuration, in their order."""
    stated = config.get("id2label")
    by_id = {int(key): str(name) for key, name in stated.items()} if isinstance(stated, Mapping) else {}
    count = len(by_id) or int(config.get("num_labels", 2))
    return tuple(by_id.get(number, f"LABEL_{number}") for number in range(count))


def are_named(names: ClassNames) -> bool:
    """Whether these are names, and not transformers' placeholders or numbers."""
    return not any(_PLACEHOLDER.fullmatch(name) or name.isdecimal() for name in names)


def is_numbered(label: str) -> bool:
    """Whether a label is a number, plain or as a placeholder."""
    return label.isdecimal() or _PLACEHOLDER.fullmatch(label) is not None


def _form(label: str) -> str:
    return "number" if label.isdecimal() else "placeholder" if is_numbered(label) else "name"


def is_class(label: str, names: ClassNames) -> bool:
    """Whether a label is a class of a model, by name or by number."""
    if label in names:
        return True
    placed = _PLACEHOLDER.fullmatch(label)
    number = placed.group(1) if placed else label
    if not number.isdecimal() or int(number) >= len(names):
        return False
    # Where classes are called by numbers, 7 is a name: it is the seventh class only if that is its name too.
    return not any(name.isdecimal() for name in names) or names[int(number)] == number


def first_difference(one: ClassNames, other: ClassNames) -> int | None:
    """The first number that stands for two different classes; None where both orders agree, or a model does not name its classes."""
    if not (are_named(one) and are_named(other)):
        return None
    pairs = enumerate(zip(map(str.casefold, one), map(str.casefold, other), strict=False))
    return next((number for number, (a, b) in pairs if a != b), None)


def order_fault(one: ClassNames, other: ClassNames) -> bool:
    """Whether a name that both models have stands in another place: compared by number, it would be taken for another class."""
    if not (are_named(one) and are_named(other)):
        return False
    places = {name.casefold(): number for number, name in enumerate(other)}
    return any(places.get(name.casefold(), number) != number for number, name in enumerate(one))


def place_of(number: int, named: ClassNames, names: ClassNames) -> int | None:
    """Where a model has the class that a number of a data file stands for.

    The number itself where either of them does not name its classes, or they share no name (``neg`` and ``NEGATIVE``).

    Args:
        number: as the file says it.
        named: classes of the file in its own order; empty where it names none.
        names: the model's classes.

    Returns:
        None where the model has others of the file's classes, and not this one.
    """
    if not 0 <= number < len(named) or not (are_named(named) and are_named(names)):
        return number
    places = {name.casefold(): place for place, name in enumerate(names)}
    if not any(name.casefold() in places for name in named):
        return number
    return places.get(named[number].casefold())


def label_fault(labels: Iterable[tuple[str, str]], names: ClassNames, *, whose: str) -> tuple[str, str] | None:
    """What is wrong with the first label that is no class of a model, and how to mend it; None where every one is.

    Args:
        labels: item and label.
        names: the model's classes; empty where they are not known.
        whose: whose classes they are, in words.
    """
    wrong = [(item, label) for item, label in labels if not is_class(label, names)] if names else []
    if not wrong:
        return None
    (item, label), shown = wrong[0], ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
    what = f"item {item} has the label {label!r}, which is no class of {whose}"
    if len(wrong) > 1:
        what += f" ({len(wrong)} such items)"
    return what, f"Its classes are {shown}; write one of them, or its number from 0 to {len(names) - 1}."


def positive_fault(labels: Iterable[str], positive: str, metrics: Iterable[str]) -> tuple[str, str] | None:
    """What is wrong where the positive class is written in another form than the labels it is compared with; None where nothing is."""
    asked = sorted({"selected", "false_positive", "false_negative"} & set(metrics))
    other = next((label for label in labels if _form(label) != _form(positive)), None)
    if not asked or other is None:
        return None
    what = f"{asked[0]} asks for the class {positive!r}, and the labels are written like {other!r}"
    return what, "Write `options: {positive: …}` as the labels are written: by name, by number or as LABEL_0."
