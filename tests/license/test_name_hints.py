"""Names of services, local servers and paths are names of models, and a name that tells a maker left out is for review."""

from __future__ import annotations

import pytest

from kdgov.license import check
from kdgov.license.catalogue.expression import ones, parse
from kdgov.license.catalogue.facts import facts
from kdgov.license.catalogue.known_ids import hub_id
from kdgov.license.reasoning.operators import is_operated_by, is_own_operation
from tests.license.conftest import case_of


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("openai:gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
        ("openrouter/anthropic/claude-3.5-sonnet", "anthropic/claude-3.5-sonnet"),
        ("bedrock/anthropic.claude-3-sonnet-20240229-v1:0", "anthropic/claude-3-sonnet-20240229-v1"),
        ("us.meta.llama3-1-70b-instruct-v1:0", "meta/llama-3.1-70b-instruct-v1"),
        ("accounts/fireworks/models/llama-v3p1-405b-instruct", "models/llama-3.1-405b-instruct"),
        ("llama3.1:70b", "llama-3.1-70b"),
        ("qwen2.5:72b", "qwen2.5-72b"),
        ("gemma2:latest", "gemma2"),
        ("/mnt/models/Meta-Llama-3.1-8B", "models/meta-llama-3.1-8b"),
        ("./Meta Llama 3.1 8B (base)", "meta-llama-3.1-8b"),
        ("meta-llama/Llama-3-8B", "meta-llama/llama-3-8b"),
        ("llama-2-7b", "llama-2-7b"),
        ("https://huggingface.co/google/gemma-2-9b", "google/gemma-2-9b"),
    ],
)
def test_a_name_of_a_service_a_server_or_a_path_is_brought_to_owner_and_name(name: str, full: str) -> None:
    assert hub_id(name) == full


@pytest.mark.parametrize(
    ("hosted_by", "names", "answer"),
    [
        ("OpenAI", ["OpenAI"], True),
        ("OpenAI API", ["OpenAI"], True),
        ("Azure OpenAI", ["OpenAI"], False),
        ("OpenAI through Azure", ["OpenAI"], False),
        ("Azure OpenAI", ["Microsoft", "Azure"], True),
        ("AWS Bedrock (Anthropic)", ["Anthropic"], False),
        ("AWS Bedrock (Anthropic)", ["AWS", "Amazon Bedrock"], True),
        ("Google Vertex AI", ["Google", "Vertex AI"], True),
        ("OpenAIre", ["OpenAI"], False),
        ("", ["OpenAI"], False),
    ],
)
def test_a_platform_binds_whatever_maker_stands_beside_it(hosted_by: str, names: list[str], answer: bool) -> None:
    assert is_operated_by(hosted_by, names) is answer


@pytest.mark.parametrize("hosted_by", ["self", "Self-hosted", "localhost:8000", "127.0.0.1", "our own vLLM server", "on-premises"])
def test_our_own_machines_are_no_operator(hosted_by: str) -> None:
    assert is_own_operation(hosted_by) is (hosted_by != "our own vLLM server")


@pytest.mark.parametrize("name", ["gpt-4o-traces", "chatgpt_prompts", "Claude 3 Opus", "llama3-generated-qa", "gemini-1.5-answers"])
def test_a_dataset_that_names_its_writer_says_how_it_was_made(name: str) -> None:
    silent = {"uses": [["dataset_train", "mit", name]]}
    assert check(case_of(silent)).verdict == "needs_review"
    told = [{"use": "generated_text", "license": "mit", "name": "DeepSeek-R1"}]
    said = {"uses": [{"use": "dataset_train", "license": "mit", "name": name, "made_by": told}]}
    assert check(case_of(said)).verdict == "allow"


@pytest.mark.parametrize("name", ["llama-tokenizer-statistics", "gemini-telescope-images", "claude-debussy-scores", "grokking"])
def test_a_word_that_only_sounds_like_a_model_asks_nothing(name: str) -> None:
    assert check(case_of({"uses": [["dataset_train", "mit", name]]})).verdict == "allow"


def test_a_first_party_model_that_names_a_base_says_so() -> None:
    silent = {"uses": [["weights_init", "LicenseRef-FirstParty", "acme-mistral-7b-sft"]]}
    assert check(case_of(silent)).verdict == "needs_review"
    base = [{"use": "weights_init", "license": "apache-2.0", "name": "mistralai/Mistral-7B-v0.1"}]
    said = {"uses": [{"use": "weights_init", "license": "LicenseRef-FirstParty", "name": "acme-mistral-7b-sft", "made_by": base}]}
    assert check(case_of(said)).verdict == "allow_with_obligations"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("N/A", []),
        ("https://example.org/terms", []),
        ("apache-2.0 / mit", ["Apache-2.0", "MIT"]),
        ("MIT, Apache-2.0 and CC-BY-4.0", ["MIT", "Apache-2.0", "CC-BY-4.0"]),
        ("Apache-2.0 (code), Llama 3.1 (weights)", ["Apache-2.0", "LicenseRef-scancode-llama-3.1-license-2024"]),
    ],
)
def test_what_people_write_in_a_licence_field_is_no_fault_of_the_file(written: str, meant: list[str]) -> None:
    parsed = parse(written)
    assert not isinstance(parsed, str), parsed
    assert [entry.id for one in ones(parsed) if (entry := facts().find(one.name))] == meant
