"""Releases whose teachers and data lie as the Hub leaves them: identity, texts, chains and contradictions reach the licence check."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from kdgov.checks.licensing.endpoint_operator import operator_of
from kdgov.finding import Finding
from tests.checks.conftest import World
from tests.checks.test_hub_cards import COMMIT, NOTICE_31, written
from tests.checks.test_violations import TODAY


def as_snapshot(world: World, owner: str, name: str, matter: str) -> Path:
    """Move the world's teacher to where the Hub's cache would have it, without a card of ours."""
    folder = world.folder / "hub" / f"models--{owner}--{name}" / "snapshots" / COMMIT
    folder.parent.mkdir(parents=True)
    shutil.copytree(world.folder / "teacher", folder)
    written(folder, matter)
    world.release["teacher"] = {"model": str(folder)}
    return folder


def licence(world: World) -> dict[str, Finding]:
    """Rule → last licence finding that stops something."""
    found = [finding for finding in world.findings(today=TODAY) if finding.check == "licence" and finding.verdict != "pass"]
    return {finding.rule: finding for finding in found}


def test_a_llama_derived_teacher_in_a_hub_snapshot_blocks_for_the_right_clause(world: World) -> None:
    as_snapshot(world, "deepseek-ai", "DeepSeek-R1-Distill-Llama-8B", "license: mit\nlibrary_name: transformers\n")
    found = [f for f in world.findings(today=TODAY) if f.rule == "licence.obligation-unmet"]
    assert any("NAME_PREFIX" in f.reason and "llama-3.1" in f.source for f in found)


def test_a_notice_beside_the_weights_brings_its_duties(world: World) -> None:
    folder = as_snapshot(
        world, "acme", "Sheared-4B", "license: other\nlicense_name: nvidia-open-model-license\nlibrary_name: transformers\n"
    )
    (folder / "NOTICE").write_text(NOTICE_31, encoding="utf-8")
    found = [f for f in world.findings(today=TODAY) if f.rule == "licence.obligation-unmet"]
    assert any("NAME_PREFIX" in f.reason and "llama-3.1" in f.source for f in found)


@pytest.mark.parametrize("base", ["mistralai/Mistral-7B-v0.1", "HuggingFaceTB/SmolLM2-360M"])
def test_what_is_remembered_of_an_id_never_stands_in_for_a_stated_licence(world: World, base: str) -> None:
    as_snapshot(world, "acme", "Tuned-1B", f"license: apache-2.0\nbase_model: {base}\nlibrary_name: transformers\n")
    found = [f for f in world.findings(today=TODAY) if f.check == "licence" and f.verdict != "pass"]
    assert any(base in f"{f.reason} {f.source} {f.mend}" for f in found), found


def test_a_statement_of_unlikeness_contradicts_a_recipe_that_distils(world: World) -> None:
    world.teacher |= {"license": "gemma", "name": "gemma-2-2b"}
    world.release["student"] |= {"similar_to_teacher": False, "license": "LicenseRef-acme", "keep_layers": [0, 2]}
    world.release["distillation"]["terms"] = [{"kind": "teacher_text"}]
    found = [f for f in world.findings(today=TODAY) if f.rule == "licence.needs-review"]
    assert any("against the recipe" in f.reason for f in found), [f.reason for f in found]


def test_chains_are_followed_through_the_hubs_cache(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = world.folder / "cache-of-the-hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    folder = cache / "datasets--acme--chats" / "snapshots" / COMMIT
    written(folder, "license: cc-by-nc-4.0\nlanguage: en\ntask_categories: [text-generation]\n")
    base = cache / "models--acme--base" / "snapshots" / COMMIT
    written(base, "license: mit\nlibrary_name: transformers\ndatasets:\n- acme/chats\nbase_model: acme/base\n")
    as_snapshot(world, "acme", "tuned", "license: mit\nlibrary_name: transformers\nbase_model: acme/base\n")
    found = licence(world)["licence.deny"]
    assert "acme/tuned ← acme/base ← acme/chats" in found.subject
    assert "NonCommercial" in found.reason


def test_chains_are_followed_through_local_cards(world: World) -> None:
    (world.folder / "base.yaml").write_text("schema: kdgov.model_card/1\nname: acme/base\nlicense: cc-by-nc-4.0\n")
    world.teacher |= {"lineage": [{"use": "weights_init", "name": "acme/base"}]}
    world.release["distillation"]["terms"] = [{"kind": "teacher_text"}]
    assert "acme/base" in licence(world)["licence.deny"].subject


def test_an_open_upstream_is_one_review_however_many_uses_lead_to_it(world: World) -> None:
    world.teacher |= {"lineage": [{"use": "dataset_train", "name": "somebody/corpus"}, {"use": "weights_init", "name": "somebody/base"}]}
    world.release["distillation"]["terms"] = [{"kind": "soft_targets"}, {"kind": "hidden_states"}, {"kind": "hard_labels"}]
    found = [f for f in world.findings(today=TODAY) if f.rule == "licence.needs-review"]
    for name in ("somebody/corpus", "somebody/base"):
        assert len([f for f in found if f.subject.endswith(name)]) == 1, [f.subject for f in found]


def test_a_model_that_only_a_commit_names_is_a_finding(world: World) -> None:
    folder = world.folder / COMMIT
    shutil.copytree(world.folder / "teacher", folder)
    world.release["teacher"] = {"model": str(folder)}
    assert "0123456789abcdef" in world.rules(today=TODAY)["provenance.name-is-a-hash"].reason


@pytest.mark.parametrize(("issuer", "rule"), [("Somebody Else", "provenance.synthetic-unknown"), (None, "provenance.synthetic-incomplete")])
def test_unknown_is_an_honest_answer_of_third_parties_only(world: World, issuer: str | None, rule: str) -> None:
    record: dict[str, Any] = {
        "generator": "mistralai/Mixtral-8x7B-Instruct-v0.1", "revision": "1", "license": "apache-2.0", "sampling": {"temperature": 1.0},
        "prompt_template_digest": "unknown", "filters": [], "seed": 1, "access_date": "2024-01-01",
    }  # fmt: skip
    world.data |= {"generation": record, "issuer": issuer or ""}
    rules = world.rules(today=TODAY)
    assert "prompt_template_digest" in rules[rule].reason
    assert len({"provenance.synthetic-unknown", "provenance.synthetic-incomplete"} & rules.keys()) == 1


@pytest.mark.parametrize(
    ("url", "who"),
    [
        ("http://127.0.0.1:8000/v1", "self"),
        ("http://gpu-7:8000/v1", "self"),
        ("http://10.1.2.3/v1", "self"),
        ("https://api.openai.com/v1", "OpenAI"),
        ("https://acme.openai.azure.com/openai", "Azure OpenAI"),
        ("https://api.together.xyz/v1", "Together AI"),
        ("https://llm.example.com/v1", None),
    ],
)
def test_an_endpoints_address_tells_who_operates_it(url: str, who: str | None) -> None:
    assert operator_of(url).get("hosted_by") == who
