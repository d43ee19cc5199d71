"""Words that no clause knows: read as the one that is meant, or refused, never taken for the mild branch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from kdgov.cli.app import app
from kdgov.errors import DeclarationError
from kdgov.license import LicenseCase, Organization, Student, Upstream, case_from_json, check
from kdgov.license.case.countries import TABLE, country_code
from kdgov.license.vocabulary import PLACE_GROUPS
from tests.license.conftest import AS_OF

MULTIMODAL = {"use": "generated_text", "license": "llama4", "name": "Llama-4-Maverick"}
SCIENCE = {"use": "generated_text", "license": "LicenseRef-Mistral-MRL-0.1", "name": "Mistral"}


def _case(use: dict[str, str], **parts: Any) -> LicenseCase:
    student = {"name": "Llama-acme", "license": "Apache-2.0"} | parts.pop("student", {})
    return case_from_json({"student": student, "uses": [use], **parts}, as_of=AS_OF)


def _fault(**parts: Any) -> dict[str, str]:
    with pytest.raises(DeclarationError) as caught:
        _case(MULTIMODAL, **parts)
    return {fault.key: f"{fault.what} {fault.mend}" for fault in caught.value.faults}


@pytest.mark.parametrize(
    "place", ["DE", "de", "DEU", "deu", "Deutschland", "germany", "EU", "European Union", "EL", "GRC", "Réunion", "MTQ", "the Netherlands"]
)
def test_a_seat_in_the_union_is_seen_however_it_is_written(place: str) -> None:
    assert check(_case(MULTIMODAL, organization={"principal_place": place})).verdict == "deny"


@pytest.mark.parametrize(("place", "code"), [("England", "GB"), ("UK", "GB"), ("South Korea", "KR"), ("KOR", "KR"), ("U.S.A.", "US")])
def test_a_seat_elsewhere_comes_to_its_code(place: str, code: str) -> None:
    case = _case(MULTIMODAL, organization={"principal_place": place})
    assert case.organization.principal_place == code
    assert check(case).verdict == "allow_with_obligations"


@pytest.mark.parametrize("place", ["Paris", "D", "XX", "Korea", "Europe", "DE,US", "sv-SE", "*"])
def test_a_seat_that_is_no_country_is_a_fault(place: str) -> None:
    told = _fault(organization={"principal_place": place})["organization.principal_place"]
    assert "is not a country" in told
    assert "two-letter code" in told


def test_a_seat_that_may_be_two_countries_names_both() -> None:
    assert "KP or KR" in _fault(organization={"principal_place": "Korea"})["organization.principal_place"]


def test_every_name_of_the_table_stands_for_one_country() -> None:
    rows = [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert len(rows) == 251
    assert [
        (code, name) for code, long, names in rows for name in (code, long, *names.split(";")) if name and country_code(name) != code
    ] == []
    assert all(country_code(place) for places in PLACE_GROUPS.values() for place in places)


@pytest.mark.parametrize("kind", ["company", "Company", " COMPANY "])
def test_a_company_is_one_however_it_is_written(kind: str) -> None:
    release = {"commercial": False, "research": True}
    assert check(_case(SCIENCE, release=release, organization={"kind": kind})).verdict == "deny"
    assert check(_case(SCIENCE, release=release, organization={"kind": ""})).verdict == "needs_review"


@pytest.mark.parametrize("kind", ["corporation", "gmbh", "startup", "none", 3, ["university"]])
def test_a_kind_of_organisation_that_no_clause_knows_is_a_fault(kind: Any) -> None:
    assert "company, university, individual" in _fault(organization={"kind": kind})["organization.kind"]


def test_a_case_built_in_code_is_held_to_the_same_words() -> None:
    seat = Organization(kind="gmbh", principal_place="Paris")
    case = LicenseCase(student=Student(kind="clasifier"), uses=(Upstream(use="logits", license="llama4"),), organization=seat)
    with pytest.raises(DeclarationError) as caught:
        check(case)
    assert {fault.key for fault in caught.value.faults} == {"organization.kind", "organization.principal_place", "student.kind"}


@pytest.mark.parametrize("kind", ["Classifier", "classifier"])
def test_a_kind_of_student_is_read_whatever_its_case(kind: str) -> None:
    assert _case(MULTIMODAL, student={"kind": kind}).student.kind == "classifier"
    assert _case(MULTIMODAL, student={"kind": "Code-Generative"}).student.kind == "code_generative"


def test_a_misspelt_kind_of_student_is_a_fault_and_an_unknown_one_a_review() -> None:
    assert "`classifier`" in _fault(student={"kind": "clasifier"})["student.kind"]
    use = {"use": "generated_text", "license": "llama2", "name": "Llama-2-70B"}
    assert check(_case(use, student={"kind": "chatbot"})).verdict == "needs_review"
    assert check(_case(use, student={"kind": "chatbot"}, choices={"llm_scope": False})).verdict == "needs_review"
    assert check(_case(use, student={"kind": "encoder"}, choices={"llm_scope": False})).verdict == "allow_with_obligations"


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("release.distribution", {"release": {"distribution": "public"}}),
        ("release.commercial", {"release": {"commercial": "no"}}),
        ("release.research", {"release": {"research": 1}}),
        ("student.similar_to_teacher", {"student": {"similar_to_teacher": "no"}}),
        ("choices.nc_data", {"choices": {"nc_data": 0}}),
        ("choices.competing", {"choices": {"competing": 0}}),
        ("choices.competing", {"choices": {"competing": ["not_competing"]}}),
        ("choices.outputs_derivative", {"choices": {"outputs_derivative": "no"}}),
        ("organization.annual_revenue_usd", {"organization": {"annual_revenue_usd": "small"}}),
        ("organization.monthly_active_users", {"organization": {"monthly_active_users": "few"}}),
        ("organization.monthly_active_users.2024-06", {"organization": {"monthly_active_users": {"2024-06": True}}}),
    ],
)
def test_a_value_outside_a_closed_set_is_a_fault(key: str, part: dict[str, Any]) -> None:
    assert key in _fault(**part)


@pytest.mark.parametrize(
    "change", [{"access": "scraped"}, {"use": "distil"}, {"personal_data": "no"}, {"multimodal": "no"}, {"paid": "yes"}]
)
def test_a_value_of_an_upstream_outside_a_closed_set_is_a_fault(change: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError) as caught:
        _case(MULTIMODAL | change)
    assert [fault.key for fault in caught.value.faults] == [f"uses[0].{next(iter(change))}"]


def test_an_upstream_that_says_nothing_is_a_fault() -> None:
    with pytest.raises(DeclarationError, match="uses"):
        case_from_json({"uses": [MULTIMODAL, {}]})


def test_of_two_days_of_one_month_the_larger_count_stands() -> None:
    users = {"2024-06-01": 9e8, "2024-06-30": 1e6}
    assert _case(MULTIMODAL, organization={"monthly_active_users": users}).organization.monthly_active_users == {"2024-06": 9e8}


def test_the_command_names_key_line_and_mend(tmp_path: Path) -> None:
    file = tmp_path / "case.yaml"
    document = {"uses": [MULTIMODAL], "organization": {"kind": "gmbh", "principal_place": "Paris"}}
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    result = CliRunner().invoke(app, ["license", "check", str(file)])
    assert result.exit_code == 2
    assert "organization.principal_place" in result.stderr
    assert "organization.kind" in result.stderr
