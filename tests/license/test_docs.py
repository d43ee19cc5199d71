"""docs/licences.md says what the program says."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from kdgov.license import case_from_json, check
from kdgov.license.case.case import DEFAULT_CHOICES
from tests.license.conftest import AS_OF

PAGE = (Path(__file__).parents[2] / "docs" / "licences.md").read_text(encoding="utf-8")


def test_the_ten_situations_come_out_as_the_page_says() -> None:
    block = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert block
    situations = yaml.safe_load(block.group(1))
    assert len(situations) == 10
    for entry in situations:
        name = entry.pop("situation")
        answer = check(case_from_json(entry, as_of=AS_OF))
        assert f"| {name} | `{answer.verdict}` | `{answer.gate}` | {answer.reason} |" in PAGE


def test_every_choice_is_explained_with_its_default() -> None:
    for name, stance in DEFAULT_CHOICES.items():
        assert f"| `{name}` | `{stance}` |" in PAGE
