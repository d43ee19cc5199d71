"""`kdgov schema`: every key has a description, and what the readers accept is what the schema allows."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml

from kdgov.cli.commands.print_schema import Kind
from kdgov.declarations.file_schemas import SCHEMAS, declaration_schema

jsonschema = pytest.importorskip("jsonschema")


def undescribed(node: object, at: str = "") -> list[str]:
    if isinstance(node, list):
        return [found for n, child in enumerate(node) for found in undescribed(child, f"{at}[{n}]")]
    if not isinstance(node, dict):
        return []
    properties = node.get("properties", {}) if isinstance(node.get("properties"), dict) else {}
    missing = [f"{at}.{key}" for key, child in properties.items() if isinstance(child, dict) and not child.get("description")]
    return missing + [found for key, child in node.items() for found in undescribed(child, f"{at}.{key}")]


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_key_has_a_description(kind):
    assert undescribed(declaration_schema(kind)) == []


@pytest.mark.parametrize("kind", SCHEMAS)
def test_each_is_a_json_schema(kind):
    jsonschema.Draft202012Validator.check_schema(declaration_schema(kind))


def shipped(root):
    yield from (("policy", path) for path in sorted((root / "policies").glob("*.yaml")))
    yield from (("release", path) for path in sorted((root / "registry" / "releases").glob("*.yaml")))
    yield from (("card", path) for folder in ("models", "datasets") for path in sorted((root / "registry" / folder).glob("*.yaml")))
    yield from (("suite", path) for path in sorted((root / "evalsuites").glob("*/suite.yaml")))


def test_every_shipped_file_fits_its_schema_and_a_misspelt_key_does_not(project_root):
    files = list(shipped(project_root))
    assert {kind for kind, _ in files} == {"policy", "release", "card", "suite"}
    checkers = {kind: jsonschema.Draft202012Validator(declaration_schema(kind)) for kind in SCHEMAS}
    for kind, path in files:
        # As an editor sees it: days are text.
        document = json.loads(json.dumps(yaml.safe_load(path.read_text()), default=str))
        assert [error.message for error in checkers[kind].iter_errors(document)] == [], path
        assert list(checkers[kind].iter_errors({**document, "polcy": 1})), path


def test_the_case_of_the_help_page_fits_its_schema():
    case = {
        "student": {"name": "Llama-Acme-1B", "license": "Apache-2.0", "kind": "generative", "similar_to_teacher": True},
        "uses": [
            {"use": "dataset_train", "license": "MIT", "made_by": [{"use": "generated_text", "license": "llama3.1", "access": "api"}]}
        ],
        "release": {"distribution": "weights", "commercial": True, "research": False},
        "organization": {"kind": "company", "monthly_active_users": {"2024-06": 3.0e8}, "annual_revenue_usd": 5.0e5},
        "choices": {"outputs_derivative": False, "nc_data": "deny"},
        "evidence": [{"separate_license": "AG-2026-17", "licensor": "Anthropic", "expires": "2027-01-01"}],
    }
    checker = jsonschema.Draft202012Validator(declaration_schema("case"))
    assert [error.message for error in checker.iter_errors(case)] == []
    assert list(checker.iter_errors({**case, "uses": [{"license": "MIT"}]}))
    assert list(checker.iter_errors({**case, "choices": {"nc_data": "perhaps"}}))


def test_the_command_prints_it():
    assert {kind.value for kind in Kind} == set(SCHEMAS)
    done = subprocess.run([sys.executable, "-m", "kdgov", "schema", "release"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == declaration_schema("release")
