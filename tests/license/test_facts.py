"""The fact files: complete, closed, and refused where they are not."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from kdgov.checks.cards.hub_fields import HUB_TAGS
from kdgov.license import case_from_json, check
from kdgov.license.catalogue.fact_validation import fact_faults
from kdgov.license.catalogue.facts import build, documents, facts
from kdgov.license.vocabulary import USES

REQUIRED = re.findall(
    r"\S+",
    """
LicenseRef-Meta-Llama-3 LicenseRef-Qwen-Research-2024 LicenseRef-Mistral-MRL-0.1 LicenseRef-Mistral-MNPL-0.1 LicenseRef-Yi-1.0
LicenseRef-OpenAI-Services-Agreement-2026-01-01 LicenseRef-Anthropic-Commercial-Terms-2025-06-17 LicenseRef-Anthropic-AUP-2025-09-15
LicenseRef-Google-Cloud-Service-Terms LicenseRef-AI2-ImpACT-LR LicenseRef-Grok-2-Community LicenseRef-scancode-qwen-2024
LicenseRef-scancode-gemma-tou-2025-03-24 LicenseRef-scancode-gemma-tou-2024-04-01 LicenseRef-scancode-bigscience-open-rail-m
LicenseRef-scancode-nvidia-open-model-2025-04-28 LicenseRef-scancode-llama-2-license-2023 LicenseRef-scancode-llama-3.1-license-2024
LicenseRef-scancode-llama-4-cla-2025 LicenseRef-scancode-deepseek-la-1.0 LicenseRef-scancode-tongyi-qianwen-2023
llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 gemma bigscience-bloom-rail-1.0 bigscience-openrail-m creativeml-openrail-m openrail++
bigcode-openrail-m mit apache-2.0 bsd-3-clause cc0-1.0 pddl cc-by-4.0 cc-by-sa-4.0 cc-by-nc-4.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 gpl-3.0
agpl-3.0 lgpl-3.0 mpl-2.0 odc-by odbl cdla-permissive-2.0 cdla-sharing-1.0 c-uda openmdw-1.0 grok2-community
""",
)


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    return dict(documents())


def test_the_shipped_facts_have_no_fault(shipped: dict[str, Any]) -> None:
    assert fact_faults(shipped) == []


@pytest.mark.parametrize("name", REQUIRED)
def test_every_licence_of_the_contract_resolves(name: str) -> None:
    assert facts().find(name) is not None


@pytest.mark.parametrize("name", ["llama", "qwen", "openrail", "cc", "gpl", "lgpl", "bsd", "mistral", "openai", "gemini", "deepseek"])
def test_a_family_name_is_never_a_licence(name: str) -> None:
    assert facts().find(name) is None
    assert name in facts().families


def test_names_ignore_case_and_no_name_means_two_licences() -> None:
    assert facts().find("APACHE-2.0") is facts().find("apache-2.0")


@pytest.mark.parametrize("use", USES)
def test_every_licence_has_a_rule_for_every_use(use: str) -> None:
    """Each licence answers each use from its own rules; the fallback is for files of others."""
    silent = [
        entry.id
        for entry in facts().licenses.values()
        if "no rule of" in check(case_from_json({"uses": [{"use": use, "license": entry.id}]})).uses[0].clause
    ]
    assert silent == []


def _broken(shipped: dict[str, Any], **changes: Any) -> list[str]:
    content = copy.deepcopy(shipped)
    rule = content["llama.yaml"]["licenses"][0]["rules"][0]
    for key, value in changes.items():
        if value is None:
            rule.pop(key, None)
        else:
            rule[key] = value
    return [fault.key for fault in fact_faults(content)]


@pytest.mark.parametrize("key", ["clause", "says"])
def test_a_rule_without_clause_or_paraphrase_is_rejected(shipped: dict[str, Any], key: str) -> None:
    assert any(found.endswith(f"rules[0].{key}") for found in _broken(shipped, **{key: None}))


@pytest.mark.parametrize("key", ["source", "seen", "confidence"])
def test_a_rule_without_source_date_or_confidence_is_rejected(shipped: dict[str, Any], key: str) -> None:
    content = copy.deepcopy(shipped)
    del content["yi.yaml"]["licenses"][0][key]
    assert any(fault.key.endswith(f".{key}") for fault in fact_faults(content))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("uses", ["weights_inti"]),
        ("verdict", "maybe"),
        ("basis", "hearsay"),
        ("confidence", "sure"),
        ("seen", "yesterday"),
        ("when", {"moon": "full"}),
        ("when", {"choice": {"outputs_derivativ": ["true"]}}),
        ("when", {"choice": {"nc_data": ["true"]}}),
        ("duties", [{"kind": "NOTISE", "text": "x"}]),
        ("duties", [{"kind": "NOTICE"}]),
        ("duties", [{"kind": "NAME_PREFIX", "text": "x"}]),
        ("duties", [{"kind": "NOTICE", "text": "x", "trigger": "always"}]),
        ("verdikt", "deny"),
    ],
)
def test_a_rule_with_an_unknown_word_is_rejected(shipped: dict[str, Any], key: str, value: Any) -> None:
    assert _broken(shipped, **{key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("clause", 4.2),
        ("says", 3),
        ("source", ["a", 1]),
        ("duties", [{"kind": "NOTICE", "text": 5}]),
        ("duties", [{"kind": "DISPLAY", "text": "x", "value": 31}]),
    ],
)
def test_text_that_yaml_read_as_a_number_is_rejected(shipped: dict[str, Any], key: str, value: Any) -> None:
    assert any(key in found for found in _broken(shipped, **{key: value}))


def test_words_and_names_of_a_licence_are_text(shipped: dict[str, Any]) -> None:
    content = copy.deepcopy(shipped)
    content["openai.yaml"]["licenses"][0]["words"]["other"] = 3.3
    content["yi.yaml"]["licenses"][0]["aliases"].append(1.0)
    content["artifacts.yaml"]["artifacts"][0]["source"] = 2025
    found = {fault.key for fault in fact_faults(content)}
    openai, yi = (content[file]["licenses"][0]["id"] for file in ("openai.yaml", "yi.yaml"))
    assert found == {f"{openai}.words.other", f"{yi}.aliases", "artifacts[0].source"}


def test_every_clause_of_the_answer_table_is_text() -> None:
    rules = [rule for entry in facts().licenses.values() for rule in (*entry.bars, *entry.rules)]
    assert rules
    assert [rule for rule in rules if not all(isinstance(text, str) for text in (rule.clause, rule.says, rule.source))] == []


def test_a_name_for_two_licences_or_for_a_licence_and_a_family_is_rejected(shipped: dict[str, Any]) -> None:
    content = copy.deepcopy(shipped)
    content["yi.yaml"]["licenses"][0]["aliases"] += ["mit", "qwen"]
    assert {"mit", "qwen"} <= {fault.key for fault in fact_faults(content)}


def test_adding_a_licence_takes_no_code() -> None:
    content = dict(documents())
    content["acme.yaml"] = {
        "family": "acme",
        "licenses": [
            {
                "id": "LicenseRef-Acme-1.0",
                "name": "Acme License 1.0",
                "aliases": ["acme"],
                "licensor": ["Acme"],
                "kind": "model",
                "source": "acme.example/license",
                "seen": "2026-11-22",
                "confidence": "seen",
                "rules": [{"uses": ["any"], "verdict": "deny", "basis": "explicit", "clause": "s1", "says": "Nothing is granted."}],
            }
        ],
    }
    assert fact_faults(content) == []
    answer = check(case_from_json({"uses": [{"use": "logits", "license": "acme"}]}), known=build(content))
    assert (answer.verdict, answer.uses[0].clause) == ("deny", "s1")


def test_every_known_id_names_licences_that_resolve() -> None:
    known = facts()
    silent = {"noassertion", "other", "unknown"}
    named = {name for row in known.known_ids.rows for name in (*row.licenses, *(licence for _, _, licence in row.made_by))}
    lost = {name for name in named if name.lower() not in silent and known.find(name) is None and known.family(name) is None}
    assert lost <= {"LicenseRef-LMSYS-Chat-1M", "LicenseRef-ROOTS", "LicenseRef-Unread-Text"}
    assert all(row.source and row.seen and row.pattern.count("/") <= 1 for row in known.known_ids.rows)
    assert len({row.pattern for row in known.known_ids.rows}) >= 300


def test_the_known_lineage_of_no_id_leads_back_to_itself() -> None:
    known = facts()
    for row in known.known_ids.rows:
        here, depth = row, 0
        while here is not None and here.made_by:
            use, name, _ = here.made_by[0]
            here = known.known_ids.find(name, "dataset" if use.startswith("dataset") else "model")
            depth += 1
            assert depth < 8, row.pattern


def test_every_name_that_kdgov_prints_is_accepted() -> None:
    known = facts()
    for entry in known.licenses.values():
        for name in (entry.id, entry.name, *entry.aliases):
            assert known.find(name) is not None, name
            if name == entry.name and not name.startswith("("):
                answer = check(case_from_json({"uses": [{"use": "logits", "license": name}]}))
                assert "not a licence known here" not in answer.reason, name


def test_every_licence_tag_of_the_hubs_own_list_is_a_licence_or_a_family() -> None:
    lost = [tag for tag in HUB_TAGS if facts().find(tag) is None and facts().family(tag) is None]
    assert sorted(lost) == ["other", "unknown"]
    assert len(HUB_TAGS) >= 75
