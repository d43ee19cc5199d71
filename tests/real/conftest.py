"""A release that distils a real pretrained teacher on real text and is judged on public suites, run once for all tests here."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import yaml

from kdgov.checkpoints.identity import model_identity
from kdgov.digest import digest_file
from tests.command import Answer, kdgov
from tests.conftest import real_folder
from tests.recording.policy_list import let_store_count

HERE = Path(__file__).parent
TRAINED_STORIES = 900
STEPS = 300


def write_release(folder: Path, *, name: str, policy: Path) -> Path:
    """The release, its cards and the text of stories 0 to 899, in a folder of the test's own."""
    stories = real_folder("tinystories") / "stories.jsonl.gz"
    teacher = real_folder("models") / "stories260k"
    for suite_data in ("crows_pairs", "winogender", "bbq"):
        real_folder(suite_data)
    rows = [json.loads(line) for line in gzip.decompress(stories.read_bytes()).decode().splitlines()]
    text = folder / "stories.jsonl"
    text.write_text("".join(json.dumps({"id": row["id"], "text": row["text"]}) + "\n" for row in rows[:TRAINED_STORIES]))
    identity = model_identity(teacher)
    _write(folder / "teacher.yaml", _teacher_card(identity.weights))
    _write(folder / "stories.yaml", _story_card(digest_file(text)))
    _write(folder / "release.yaml", _release(name, teacher, policy))
    return folder / "release.yaml"


def _write(path: Path, document: dict) -> None:
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def _teacher_card(weights: str) -> dict:
    return {
        "schema": "kdgov.model_card/1",
        "name": "stories260k",
        "issuer": "A. Karpathy (tinyllamas)",
        "description": "A 260,032-parameter Llama model of children's stories.",
        "license": "MIT",
        "digest": weights,
        "architecture": "LlamaForCausalLM",
        "parameters": 260032,
        "lineage": [{"use": "dataset_train", "name": "TinyStories", "license": "CDLA-Sharing-1.0"}],
        "personal_data": False,
    }


def _story_card(digest: str) -> dict:
    return {
        "schema": "kdgov.dataset_card/1",
        "name": "tinystories-0-899",
        "version": "1",
        "issuer": "R. Eldan and Y. Li",
        "description": "Stories 0 to 899 of a sample of TinyStories: children's stories written by GPT-3.5 and GPT-4.",
        "license": "CDLA-Sharing-1.0",
        "language": "en",
        "origin": "arXiv:2305.07759",
        "origin_geography": "US",
        "date": "2023-05-12",
        "generation_method": "synthetic",
        "generation_period": "2023",
        "generation": {
            "kind": "model",
            "generator": "GPT-4",
            "license": "LicenseRef-OpenAI-Services-Agreement-2026-01-01",
            "access": "api",
        },
        "intended_purpose": "Training small language models for research.",
        "personal_data": False,
        "format": "application/jsonl",
        "files": [{"path": "stories.jsonl", "digest": digest, "kind": "stories", "rows": TRAINED_STORIES}],
    }


def _release(name: str, teacher: Path, policy: Path) -> dict:
    return {
        "schema": "kdgov.release/1",
        "name": name,
        "teacher": {"model": str(teacher), "card": "teacher.yaml"},
        "student": {"keep_layers": [0, 2, 4], "license": "CDLA-Sharing-1.0", "similar_to_teacher": True},
        "data": [{"card": "stories.yaml"}],
        "distillation": {
            "terms": [{"kind": "soft_targets", "temperature": 1.0, "weight": 1.0}],
            "steps": STEPS,
            "batch_size": 8,
            "learning_rate": 3e-3,
            "max_length": 160,
            "seed": 0,
        },
        "suites": [str(HERE / "suites" / suite) for suite in ("stories", "stereotypes")],
        "policy": str(policy),
        "release": {"distribution": "internal", "commercial": False, "research": True},
        "organization": {"kind": "university", "principal_place": "DE"},
        "accountable": {"model_owner": "tests", "risk": "tests", "product": "tests", "informed": {"product": "2026-11-22"}},
        "trade_offs": "None: this release exists to be judged.",
        "threads": 1,
    }


def run_release(path: Path, store: Path, **environment: str) -> Answer:
    """`kdgov run`; the stereotype suite's task file runs code of its folder, which its policy allows by digest."""
    return kdgov("run", path, "--store", store, "--allow-code", HERE / "suites" / "stereotypes", "--format", "json", **environment)


@pytest.fixture(scope="session")
def real_run(tmp_path_factory):
    """The whole way on real input: (answer of ``kdgov run``, release file, store)."""
    folder = tmp_path_factory.mktemp("real")
    path = write_release(folder, name="real-stories", policy=HERE / "policy.yaml")
    let_store_count(folder / "store", HERE / "policy.yaml")
    answer = run_release(path, folder / "store", KDGOV_REALDATA=str(real_folder("tinystories").parent))
    return answer, path, folder / "store"
