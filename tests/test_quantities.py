"""Number and noun agree, in every sentence that people read."""

from __future__ import annotations

import re

import pytest

import kdgov
from kdgov.quantities import quantity


@pytest.mark.parametrize(("count", "said"), [(0, "0 items"), (1, "1 item"), (2, "2 items"), (1824, "1,824 items")])
def test_a_noun_follows_its_number(count, said):
    assert quantity(count, "item") == said


def test_an_irregular_plural_is_given():
    assert quantity(2, "entry", "entries") == "2 entries"


def test_no_text_leaves_the_number_open(project_root):
    """``item(s)``: whoever prints it had the number at hand."""
    wrong = []
    for path in (project_root / "kdgov").rglob("*.py"):
        wrong += [
            f"{path.name}: {found}"
            for found in re.findall(r"\w+ \w*\((?:s|es|ies)\)(?= |\.|:|,|;|\")", path.read_text())
            if "http" not in found
        ]
    assert not wrong


def _decision(student, **criterion):
    rows = [{"suite": "s", "task": "t", "item_id": str(n), "metric": "acc", "score": float(n % 5 > 0)} for n in range(2000)]
    answers = [{**row, "score": student(n, row["score"])} for n, row in enumerate(rows)]
    from kdgov.items import ItemTable

    wanted = {"id": "c", "kind": "non_inferiority", "metric": "acc", "direction": "higher", "margin": 0.02, "min_items": 50, **criterion}
    policy = {"schema": "kdgov.policy/1", "name": "p", "version": "1", "criteria": [wanted]}
    return kdgov.gate(ItemTable.from_rows(rows), ItemTable.from_rows(answers), policy)


def test_one_result_is_told_in_the_singular():
    assert _decision(lambda n, score: score).reason.startswith("The one result holds")
    assert _decision(lambda n, score: score * (n % 3 > 0)).reason == "1 of 1 results failed."
    opened = _decision(lambda n, score: score * (n % 43 > 0))
    assert opened.reason == "1 of 1 results is inconclusive."
    assert "inconclusive; " in opened.criteria[0].reason
    assert "would decide it" in opened.criteria[0].reason
