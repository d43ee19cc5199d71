"""Nobody passes by writing less than they know: leaving out what the honest case says never fares better."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from kdgov.license import case_from_json, check
from kdgov.license.catalogue.facts import facts
from kdgov.license.vocabulary import VERDICTS
from tests.license.conftest import AS_OF, document_of, own_cases
from tests.license.coverage import LICENSE_NAMES, confusion, coverage_lines, is_known

RIGHT_SHARE, MOST_BLOCKED = 0.95, 0.03
MILDER = ("mit", "LicenseRef-FirstParty", "unknown", None)
REAL = [param.values[0] for param in own_cases() if str(param.id).startswith("hub_names")]


def rank(document: dict[str, Any]) -> tuple[int, bool]:
    answer = check(case_from_json(document, as_of=AS_OF))
    return VERDICTS.index(answer.verdict), answer.gate != "promote"


def without_licences(document: dict[str, Any], said: str | None) -> dict[str, Any]:
    """The same with no upstream's licence told: left out, or in a word that says nothing."""
    changed = copy.deepcopy(document)

    def visit(uses: list[dict[str, Any]]) -> None:
        for use in uses:
            use.pop("license", None)
            if said is not None:
                use["license"] = said
            visit(use.get("made_by", []))

    visit(changed["uses"])
    return changed


@pytest.mark.parametrize("said", [None, "", "unknown", "other", "NONE", "NOASSERTION"])
def test_a_licence_left_out_is_never_let_through(said: str | None) -> None:
    for entry in REAL:
        verdict, is_stopped = rank(without_licences(document_of(entry), said))
        assert verdict >= VERDICTS.index("needs_review"), entry["id"]
        assert is_stopped, entry["id"]


def test_unknown_is_honest_and_fares_as_leaving_it_out() -> None:
    for entry in REAL[:60]:
        document = document_of(entry)
        assert rank(without_licences(document, "unknown")) == rank(without_licences(document, None)), entry["id"]


KNOWN_LINEAGE = [
    ("tatsu-lab/alpaca", "dataset_train", "cc-by-nc-4.0", "generated_text", "text-davinci-003", "openai-tou-20230314"),
    ("Open-Orca/OpenOrca", "dataset_train", "mit", "generated_text", "GPT-4", "openai-tou-20230314"),
    ("nvidia/OpenMathInstruct-2", "dataset_train", "cc-by-4.0", "generated_text", "Llama-3.1-405B-Instruct", "llama3.1"),
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "weights_init", "mit", "weights_init", "Llama-3.1-8B", "llama3.1"),
    ("nvidia/Llama-3.1-Minitron-4B-Width-Base", "weights_init", "nvidia-open-model-license", "weights_init", "Llama-3.1-8B", "llama3.1"),
    ("lmsys/vicuna-7b-v1.5", "weights_init", "llama2", "dataset_train", "ShareGPT", "NOASSERTION"),
]


@pytest.mark.parametrize(("name", "use", "licence", "inner", "behind", "terms"), KNOWN_LINEAGE)
def test_a_known_lineage_left_out_is_put_back(name: str, use: str, licence: str, inner: str, behind: str, terms: str) -> None:
    honest = {"use": use, "name": name, "license": licence, "made_by": [{"use": inner, "name": behind, "license": terms}]}
    silent = {"use": use, "name": name, "license": licence}
    assert rank({"uses": [silent]}) >= rank({"uses": [honest]})


@pytest.mark.parametrize("tag", ["mit", "apache-2.0", "cc0-1.0", "LicenseRef-FirstParty"])
@pytest.mark.parametrize(
    "name", ["gpt-4o", "claude-3-opus", "gemini-1.5-pro", "meta-llama/Llama-3-8B", "google/gemma-2-9b", "Qwen/Qwen2.5-72B"]
)
def test_a_milder_tag_on_a_known_name_never_fares_better_than_its_own(tag: str, name: str) -> None:
    assert rank({"uses": [{"use": "generated_text", "name": name, "license": tag}]})[0] >= VERDICTS.index("needs_review")


def _honest_cards() -> list[dict[str, Any]]:
    """Every own case with a name that the facts know under other licences than the milder ones, and that is stopped as it is told."""
    known = facts().known_ids
    found = []
    for param in own_cases():
        entry = param.values[0]
        use = document_of(entry)["uses"][0]
        row = known.find(str(use.get("name", "")), "dataset" if use["use"].startswith("dataset") else "model")
        is_told = row is not None and not {name.lower() for name in row.licenses} & {
            "mit",
            "apache-2.0",
            "cc0-1.0",
            "noassertion",
            "unknown",
            "other",
        }
        if is_told and entry["verdict"] in {"needs_review", "deny"} and not entry.get("evidence"):
            found.append(entry)
    return found


@pytest.mark.slow
def test_the_dishonest_card_never_gets_out_where_the_honest_one_is_stopped() -> None:
    """A milder tag, no licence, the operator or the lineage left out: the name alone still stops it."""
    cards = _honest_cards()
    assert len(cards) >= 100
    for entry in cards:
        for said in MILDER:
            document = document_of(entry)
            use = document["uses"][0]
            for key in ("license", "made_by", "hosted_by", "access", "license_text", "rights_holder", "paid", "multimodal"):
                use.pop(key, None)
            if said is not None:
                use["license"] = said
            verdict, is_stopped = rank(document)
            assert is_stopped, (entry["id"], said)
            assert verdict >= VERDICTS.index("needs_review"), (entry["id"], said)


@pytest.mark.slow
def test_real_names_are_judged_without_a_false_pass() -> None:
    table = confusion()
    count = sum(table.values())
    order = VERDICTS.index
    false_passes = sum(n for (right, given), n in table.items() if order(right) >= 2 > order(given))
    over_blocked = sum(n for (right, given), n in table.items() if order(given) >= 2 > order(right))
    assert count >= 120
    assert false_passes == 0, table
    assert sum(n for (right, given), n in table.items() if right == given) >= RIGHT_SHARE * count, table
    assert over_blocked <= MOST_BLOCKED * count, table


def test_the_names_of_the_hub_are_known() -> None:
    assert [name for name in LICENSE_NAMES if not is_known(name)] == []
    assert len(LICENSE_NAMES) >= 80


@pytest.mark.slow
def test_the_docs_show_the_coverage_as_it_is(project_root: Path) -> None:
    page = (project_root / "docs" / "licences.md").read_text(encoding="utf-8")
    assert "\n".join(coverage_lines()) in page, "run `python -m tests.license.coverage` and put its tables into docs/licences.md"
