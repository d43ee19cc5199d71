"""Every row of the fact tables, by cases with their answers."""

from __future__ import annotations

from typing import Any

import pytest

from kdgov.license import LicenseAnswer, check
from tests.license.conftest import case_of, own_cases


def _has(answer: LicenseAnswer, wanted: str) -> bool:
    kind, _, value = wanted.rstrip(")").partition("(")
    return any(o.kind == kind and (value in o.value or value in o.text) for o in answer.obligations)


@pytest.mark.parametrize("entry", own_cases())
def test_a_case_gets_what_it_states_and_all_but_an_allow_name_clause_source_and_fix(entry: dict[str, Any]) -> None:
    answer = check(case_of(entry))
    told = f"{entry['why']}; {answer.reason}; {[(o.kind, o.value, o.met, o.why) for o in answer.obligations]}"
    assert (answer.verdict, answer.gate) == (entry["verdict"], entry["gate"]), told
    assert [wanted for wanted in entry.get("has", ()) if not _has(answer, wanted)] == [], told
    assert [kind for kind in entry.get("not", ()) if _has(answer, kind)] == [], told
    if "clause" in entry:
        assert any(entry["clause"] in edge.clause for edge in answer.uses), [edge.clause for edge in answer.uses]
    if "path" in entry:
        assert entry["path"] in answer.paths
    _names_what_it_rests_on(answer)


def _names_what_it_rests_on(answer: LicenseAnswer) -> None:
    """Everything but an allow names its clause, its source and how to fix it."""
    for edge in answer.uses:
        if edge.verdict != "allow":
            assert edge.clause
            assert edge.source
            assert edge.reason
        if edge.verdict in {"needs_review", "deny"}:
            assert edge.mend
            assert answer.paths


@pytest.mark.parametrize("entry", [param for param in own_cases() if "then" in param.values[0]])
def test_the_named_evidence_is_all_it_takes_to_promote(entry: dict[str, Any]) -> None:
    answer = check(case_of(entry, entry["then"]))
    assert answer.gate == "promote", [(o.kind, o.license, o.met, o.why) for o in answer.obligations]
    assert answer.verdict == entry["verdict"]


def test_there_are_at_least_150_own_cases_with_distinct_names() -> None:
    names = [param.id for param in own_cases()]
    assert len(names) == len(set(names)) >= 150
