"""The page of the field's advice is the guide of the code, every rule it names exists, and `kdgov explain` prints it."""

from __future__ import annotations

import pytest
import yaml

from kdgov.checks.findings.capability_tags import SENSITIVE
from kdgov.finding_rules import RULES
from kdgov.report.practice_guide import GUIDE, TERMS, guide_table
from tests.command import kdgov


def test_the_page_is_the_guide(project_root):
    page = (project_root / "docs" / "practice.md").read_text()
    assert guide_table() in page
    for name, entry in SENSITIVE.items():
        assert f"| `{name}` | {', '.join(entry.synonyms)} | {', '.join(entry.suites)} |" in page


def test_the_glossary_holds_every_word(project_root):
    glossary = (project_root / "docs" / "glossary.md").read_text().lower()
    assert not [term for term in TERMS if f"\n{term}\n: " not in glossary]


def test_every_rule_and_criterion_that_the_guide_names_exists(project_root):
    shipped = {c["id"] for p in (project_root / "policies").glob("*.yaml") for c in yaml.safe_load(p.read_text())["criteria"]}
    assert {rule for row in GUIDE for rule in row.rules} <= RULES.keys() | shipped


def test_every_practice_rule_stands_in_the_guide():
    named = {rule for row in GUIDE for rule in row.rules}
    assert {rule for rule in RULES if rule.startswith(("practice.", "coverage."))} <= named


@pytest.mark.parametrize(("name", "says"), [("coverage.uncovered", "means by default: warn"), ("Soft Labels", "whole distribution")])
def test_explain_prints_it(name, says):
    answer = kdgov("explain", name)
    assert answer.code == 0
    assert says in answer.out


def test_an_unknown_name_gets_the_nearest():
    kdgov("explain", "coverage.uncoverd").refuses(2, "coverage.uncovered")
