"""One module makes words of others safe, and every report goes through it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from kdgov.decision.decision import CriterionResult, Decision
from kdgov.report.escaping import code, escaped, markdown, visible_characters
from kdgov.report.formats import FORMATS
from kdgov.report.notebook import as_html

EVIL = "x](https://evil.example) <img src=x onerror=1> **bold** \u202egnp.exe\x1b[2J"
RESULT = CriterionResult(id="c", kind="floor", verdict="fail", reason=f"acc on `{EVIL}` is low", suite="s", task=EVIL, metric="acc", n=10)
DECISION = Decision(
    verdict="fail", reason="1 of 1 results failed.", policy={"name": "p", "version": "1", "digest": "sha256:0"}, criteria=(RESULT,)
)


def test_only_one_module_escapes(project_root):
    owners = {
        path.relative_to(project_root / "kdgov").as_posix()
        for path in (project_root / "kdgov").rglob("*.py")
        if re.search(r"html\.escape|from html import|saxutils", path.read_text())
    }
    # A comparison shows itself below the layer of reports; a notebook page lies whole in one attribute.
    assert owners == {"report/escaping.py", "decision/comparison.py", "report/notebook.py"}


@pytest.mark.parametrize("place", ["task", "reason"])
def test_a_pull_request_comment_shows_what_a_task_is_called_and_follows_nothing(place):
    decision = DECISION if place == "task" else replace(DECISION, criteria=(replace(RESULT, task="t", reason=EVIL),))
    text = FORMATS["markdown"](decision, None)
    outside = re.sub(r"`[^`]*`", "", text)
    assert "<img" not in outside
    assert not re.search(r"(?<!\\)\]\(", outside)
    assert "https:" not in outside
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_a_notebook_cell_runs_nothing():
    cell = as_html(DECISION)
    assert "<img" not in cell
    assert "\x1b" not in cell


def test_the_forms_agree_on_what_is_invisible():
    assert visible_characters("a\u200bb\tc\n") == "ab\tc\n"
    assert escaped('<a b="c">') == "&lt;a b=&quot;c&quot;&gt;"
    assert markdown("[a](b)") == "\\[a\\](b)"
    assert code("a`b|c") == "`aʼb¦c`"
