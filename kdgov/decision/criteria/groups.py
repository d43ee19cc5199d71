"""The groups of items: which attributes they state, and which items carry which value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from kdgov.decision.criteria.paired_items import Pairs

_PATTERN = frozenset("*?[")
COVERAGE = "coverage"
"""Attribute that says whether the data covers an item (``near`` or ``far``): no group of people, so that a pattern passes over it."""


def attribute_sets(by: Sequence[tuple[str, ...]], pairs: Pairs) -> list[tuple[str, ...]]:
    """The attributes (one, or several for an intersection) whose every value is judged on its own.

    A named attribute is asked for even where no item states it, so that its absence shows. A pattern stands for what the
    items state: ``*`` for every attribute, ``*, *`` for every two.
    """
    stated = [name for name in stated_attributes(pairs) if name != COVERAGE]
    found: dict[frozenset[str], tuple[str, ...]] = {}
    for entry in by:
        if not any(_PATTERN & set(name) for name in entry):
            found.setdefault(frozenset(entry), entry)
            continue
        for names in permutations(stated, len(entry)):
            if all(fnmatchcase(name, pattern) for name, pattern in zip(names, entry, strict=True)):
                found.setdefault(frozenset(names), names)
    return list(found.values())


def stated_attributes(pairs: Pairs) -> list[str]:
    """Every attribute that any item states, sorted."""
    return [] if pairs.groups is None else sorted({name for text in pairs.groups[1] for name in json.loads(text)})


def group_masks(pairs: Pairs, attributes: Sequence[str]) -> dict[tuple[str, ...], npt.NDArray[np.bool_]]:
    """Value (one per attribute) → which items carry it; items without the attributes belong to no group."""
    if pairs.groups is None:
        return {}
    codes, texts = pairs.groups
    members: dict[tuple[str, ...], list[int]] = {}
    for code, text in enumerate(texts):
        stated: Mapping[str, Any] = json.loads(text)
        if all(attribute in stated for attribute in attributes):
            members.setdefault(tuple(str(stated[a]) for a in attributes), []).append(code)
    masks = {}
    for value in sorted(members):
        belongs = np.zeros(len(texts), dtype=bool)
        belongs[members[value]] = True
        masks[value] = belongs[codes]
    return masks
