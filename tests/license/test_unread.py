"""What nobody read never decides: rules from memory, and what is remembered of published ids."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from kdgov.license import check
from kdgov.license.catalogue.facts import Facts, build, documents, facts
from kdgov.license.catalogue.known_ids import KnownId, KnownIds
from kdgov.license.vocabulary import UNREAD, USES, VERDICTS
from tests.license.conftest import case_of, own_cases

PASSING = {"allow", "allow_with_obligations"}
RELEASES = (
    {"distribution": "internal", "commercial": False, "research": True},
    {"distribution": "weights", "commercial": True},
    {"distribution": "data", "commercial": False, "research": True},
)


@cache
def _all_from_memory() -> Facts:
    content = copy.deepcopy(dict(documents()))
    for document in content.values():
        for raw in document.get("licenses", ()):
            raw["confidence"] = UNREAD
            for rule in (*raw.get("bars", ()), *raw.get("more_bars", ()), *raw.get("rules", ())):
                rule["confidence"] = UNREAD
    return build(content)


@pytest.mark.parametrize("entry", [param for param in own_cases() if not param.values[0].get("evidence")])
def test_no_rule_from_memory_allows_or_denies_whatever_it_says(entry: dict[str, Any]) -> None:
    choices = entry.get("choices", {})
    # These choices deny or drop on the policy's own word, not on a rule's.
    if choices.get("missing") == "deny" or choices.get("component_rules") is False:
        pytest.skip("the policy's own choice decides this case")
    assert check(case_of(entry), known=_all_from_memory()).verdict == "needs_review"


def _ids(entry_id: str) -> Iterator[dict[str, Any]]:
    for use in USES:
        for release in RELEASES:
            yield {"id": "x", "uses": [[use, entry_id, "acme/unheard-of"]], "release": release, "organization": {"kind": "university"}}


@pytest.mark.parametrize("name", [entry.id for entry in facts().licenses.values() if any(r.confidence == UNREAD for r in entry.rules)])
def test_a_shipped_fact_from_memory_never_passes(name: str) -> None:
    for entry in _ids(name):
        for edge in check(case_of(entry)).uses:
            assert edge.confidence != UNREAD or edge.verdict not in PASSING, (entry, edge)


def test_a_rule_from_memory_says_so_and_asks_for_the_text() -> None:
    edge = check(case_of({"id": "x", "uses": [["weights_init", "intel-research", "x"]]})).uses[0]
    assert edge.reason.startswith("From memory, not read:")
    assert "Read the text" in edge.mend


def _wrong_rows() -> KnownIds:
    """Every row turned into the worst mistake: all of them permissive, made from nothing."""
    return KnownIds(replace(row, licenses=("mit",), made_by=()) for row in facts().known_ids.rows)


def _name(row: KnownId) -> str:
    return row.pattern.replace("*/", "someone/").replace("*", "x")


@pytest.mark.parametrize("said", ["NOASSERTION", "other"])
@pytest.mark.parametrize("rows", ["shipped", "wrong"])
@pytest.mark.slow
def test_an_id_alone_never_allows(rows: str, said: str) -> None:
    known = facts() if rows == "shipped" else replace(facts(), known_ids=_wrong_rows())
    for row in known.known_ids.rows:
        use = "dataset_train" if row.kind == "dataset" else "generated_text"
        entry = {"id": "x", "uses": [[use, said, _name(row)]], "release": RELEASES[0]}
        assert VERDICTS.index(check(case_of(entry), known=known).verdict) >= VERDICTS.index("needs_review"), row


def test_a_known_id_is_told_with_its_mark() -> None:
    edge = check(case_of({"id": "x", "uses": [["generated_text", "NOASSERTION", "mistralai/Mistral-7B-v0.1"]]})).uses[0]
    assert "known under apache-2.0" in edge.source
    assert "from memory" in edge.source
