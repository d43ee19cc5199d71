"""Input that is at fault: every fault at once, with its key and its mend."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from kdgov.cli.app import app
from kdgov.errors import DeclarationError
from kdgov.license import LicenseCase, Student, Upstream, case_from_json, check

GOOD = {"student": {"name": "acme", "license": "Apache-2.0"}, "uses": [{"use": "logits", "license": "MIT", "name": "teacher"}]}


def faults_of(document: object) -> dict[str, str]:
    with pytest.raises(DeclarationError) as caught:
        case_from_json(document)
    return {fault.key: f"{fault.what} {fault.mend}" for fault in caught.value.faults}


def test_a_good_case_has_no_fault() -> None:
    assert case_from_json(GOOD).uses[0].license == "MIT"


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_a_file_that_holds_no_mapping_is_at_fault(document: object) -> None:
    assert "" in faults_of(document)


def test_several_faults_are_named_at_once_with_the_nearest_known_key() -> None:
    faults = faults_of(
        {
            "student": {"nam": "acme", "license": "MIT AND"},
            "uses": [{"use": "generated_txt", "license": "(MIT", "licence": "x"}],
            "release": {"distribution": "wieghts", "commercial": "maybe"},
            "choices": {"nc_data": "perhaps", "nc_dta": "deny"},
            "evidence": [{"obligation": "NOTISE"}],
            "organization": {"monthly_active_users": {"June": 5}, "annual_revenue_usd": "much"},
        }
    )
    assert "`name`" in faults["student.nam"]
    assert "does not parse" in faults["student.license"]
    assert "`generated_text`" in faults["uses[0].use"]
    assert "does not parse" in faults["uses[0].license"]
    assert "`license`" in faults["uses[0].licence"]
    assert "`weights`" in faults["release.distribution"]
    assert "`nc_data`" in faults["choices.nc_dta"]
    assert "`NOTICE`" in faults["evidence[0].obligation"]
    assert {"release.commercial", "choices.nc_data", "organization.annual_revenue_usd"} <= set(faults)
    assert "organization.monthly_active_users.June" in faults


def test_no_upstream_at_all_is_a_fault_not_an_allow() -> None:
    assert "names no upstream" in faults_of({"student": {"name": "acme"}, "uses": []})["uses"]


@pytest.mark.parametrize("license_", ["MIT AND", "(MIT", "MIT Apache-2.0", "MIT/Apache-2.0", "AND", "MIT OR (GPL-3.0-only"])
def test_an_expression_that_does_not_parse_is_a_fault(license_: str) -> None:
    assert "does not parse" in faults_of({"uses": [{"use": "logits", "license": license_}]})["uses[0].license"]


def test_a_circular_lineage_by_name_is_a_fault() -> None:
    a = {"use": "weights_init", "license": "MIT", "name": "A"}
    lineage = a | {"made_by": [{"use": "generated_text", "license": "MIT", "name": "B", "made_by": [a]}]}
    assert "circular (student ← A ← B ← A)" in faults_of({"uses": [lineage]})["uses[0].made_by[0].made_by[0]"]


def test_a_circular_lineage_by_reference_is_a_fault_not_a_recursion() -> None:
    a: dict[str, object] = {"use": "weights_init", "license": "MIT", "name": "A"}
    a["made_by"] = [a]
    assert any("circular" in what for what in faults_of({"uses": [a]}).values())


def test_a_lineage_that_doubles_with_every_level_is_a_fault_not_a_hang() -> None:
    item = {"use": "weights_init", "license": "MIT", "name": "n0"}
    for level in range(1, 40):
        item = {"use": "weights_init", "license": "MIT", "name": f"n{level}", "made_by": [item, item]}
    assert any("no more are read" in what for what in faults_of({"uses": [item]}).values())


def test_a_case_built_in_code_is_held_to_the_same() -> None:
    case = LicenseCase(student=Student(license="MIT AND"), uses=(Upstream(use="logits", license="(MIT"),), choices={"nc_data": "perhaps"})
    with pytest.raises(DeclarationError) as caught:
        check(case)
    assert {fault.key for fault in caught.value.faults} == {"student.license", "uses[0].license", "choices.nc_data"}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"\xff\xfe\x00bad", "UTF-8"),
        (b"uses: [", "not valid YAML"),
        (b"- 1\n", "not a mapping"),
        (b"a: 1\na: 2\n", "written twice"),
    ],
)
def test_the_command_answers_bad_files_with_exit_2_and_no_traceback(tmp_path: Path, content: bytes, what: str) -> None:
    file = tmp_path / "case.yaml"
    file.write_bytes(content)
    result = CliRunner().invoke(app, ["license", "check", str(file), "--format", "json"])
    assert result.exit_code == 2
    assert what in json.dumps(json.loads(result.stdout), ensure_ascii=False)


def test_faults_of_a_file_carry_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "case.yaml"
    file.write_text("student: {name: acme}\nuses:\n  - use: logits\n    license: MIT AND\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["license", "check", str(file), "--format", "json"])
    (fault,) = json.loads(result.stdout)["error"]["faults"]
    assert (fault["key"], fault["line"]) == ("uses[0].license", 4)


def test_an_alias_inside_its_own_anchor_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "case.yaml"
    file.write_text("uses:\n  - &a\n    use: logits\n    license: MIT\n    made_by: [*a]\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["license", "check", str(file)])
    assert result.exit_code == 2
    assert "circular" in result.stderr


def test_a_missing_licence_text_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "case.yaml"
    use = GOOD["uses"][0] | {"license_text": "NO_SUCH_FILE"}  # type: ignore[operator]
    file.write_text(yaml.safe_dump(GOOD | {"uses": [use]}), encoding="utf-8")
    result = CliRunner().invoke(app, ["license", "check", str(file)])
    assert result.exit_code == 2
    assert "uses[0].license_text" in result.stderr


def test_norway_is_not_false_and_numbers_may_be_written_as_people_do() -> None:
    """YAML 1.1 reads NO as false and 3.0e8 as text."""
    read = case_from_json(GOOD | yaml.safe_load("organization: {principal_place: NO, monthly_active_users: 3.0e8}"))
    assert read.organization.principal_place == "NO"
    assert read.organization.monthly_active_users == 3.0e8
