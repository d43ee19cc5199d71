"""A key that changes nothing is refused by its name, wherever it stands; what says only what happens anyway is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kdgov.declarations.effects.release_file import load_release
from kdgov.errors import DeclarationError

AT = {"base_url": "http://127.0.0.1:9/v1", "model": "m"}
TEACHER_ALONE = {"teacher": {"endpoint": {**AT, "terms": "MIT"}}}
BOTH_ALONE = {**TEACHER_ALONE, "student": {"endpoint": {**AT, "terms": "MIT"}}}
RECIPE = {"data": ["data.txt"], "student": {"model": "student"}, "distillation": {"steps": 1}}
WRITES = {**RECIPE, "distillation": {"steps": 1, "terms": [{"kind": "teacher_text"}]}}
IN_STAGES = {**RECIPE, "student": {"keep_layers": [0]}, "stages": [{"distillation": {"steps": 1}}]}
SERVED = {"teacher": {"backend": "chat", "endpoint": AT}}
COMPLETIONS = {"teacher": {"backend": "completions", "endpoint": {**AT, "api": "completions"}}}


@pytest.fixture
def loaded(tmp_path: Path) -> Any:
    """Reads a release of two folders with some keys changed."""
    for name in ("teacher", "student"):
        (tmp_path / name).mkdir()
    (tmp_path / "data.txt").write_text("a line\n")

    def read(document: dict[str, Any], settings: dict[str, Any]) -> Any:
        base = {"schema": "kdgov.release/1", "name": "r", "teacher": {"model": "teacher"}, "student": {"model": "student"}}
        (tmp_path / "release.yaml").write_text(yaml.safe_dump({**base, **document}))
        return load_release(tmp_path / "release.yaml", settings=settings)

    return read


def _on(key: str, value: Any, document: dict[str, Any] | None = None) -> Any:
    return pytest.param(document or {}, {key: value}, id=f"{key}={value}")


IDLE = [
    _on("evaluation.baseline", True),
    _on("evaluation.baseline", True, {**RECIPE, "student": {"keep_layers": [0]}}),
    _on("evaluation.reasoning", {"enabled": False, "budget_tokens": 100}),
    _on("evaluation.student.reasoning", {"enabled": False, "budget_tokens": 100}),
    _on("evaluation.prove", False),
    _on("evaluation.prove", False, {"evaluation": SERVED}),
    _on("evaluation.reask", 5),
    _on("evaluation.reask", 5, {"evaluation": COMPLETIONS}),
    _on("evaluation.concurrency", 4),
    _on("evaluation.student.concurrency", 4, TEACHER_ALONE),
    _on("evaluation.device", "cpu", BOTH_ALONE),
    _on("evaluation.dtype", "float32", BOTH_ALONE),
    _on("evaluation.backend", "hf-plain", BOTH_ALONE),
    _on("evaluation.dtype", "float32", {"evaluation": {"teacher": {"dtype": "bfloat16"}, "student": {"dtype": "bfloat16"}}}),
    _on("evaluation.dtype", "float32", {**TEACHER_ALONE, "evaluation": {"student": {"dtype": "bfloat16"}}}),
    _on("evaluation.batch_tokens", 64, {"evaluation": {"backend": "chat", "endpoint": AT}}),
    _on("evaluation.teacher.dtype", "float32", {"evaluation": SERVED}),
    _on("evaluation.devices", "shard", {"evaluation": {"device": "cpu"}}),
    _on("evaluation.devices", "shard", {"evaluation": {"backend": "vllm"}}),
    _on("evaluation.device", "cuda:1", {"evaluation": {"backend": "vllm"}}),
    _on("evaluation.backend", "chat"),
    _on("evaluation.student.backend", "completions"),
    _on("evaluation.endpoint", AT),
    *(_on(f"evaluation.teacher.endpoint.{key}", value, {"evaluation": COMPLETIONS})
      for key, value in (("requests_per_minute", 9), ("tokens_per_minute", 9), ("extra_body", {"a": 1}), ("answers_as", ["x"]),
                         ("price", {"input": 1, "output": 1}))),
    _on("teacher.revision", "a" * 40),
    _on("student.revision", "a" * 40),
    _on("teacher.revision", "a" * 40, TEACHER_ALONE),
    _on("student.revision", "a" * 40, {**RECIPE, "student": {"keep_layers": [0]}}),
    _on("student.adapter", {"r": 2}),
    _on("data[0].weight", 2.0, {"data": [{"path": "data.txt"}]}),
    _on("previous", "student", RECIPE),
    _on("stages[0].previous", "student", IN_STAGES),
    _on("stages[0].distillation.terms", [{"kind": "soft_targets", "beta": 0.2}], IN_STAGES),
    _on("distillation.terms[0].seed", 3, WRITES),
    _on("distillation.terms[0].top_p", 0.9, WRITES),
    _on("distillation.terms[0].samples_per_prompt", 2, WRITES),
    _on("distillation.terms[0].length_parameter", "max_completion_tokens", WRITES),
    _on("distillation.terms", [{"kind": "on_policy", "beta": 0.2}], RECIPE),
    _on("distillation.chunk_tokens", 64, {**RECIPE, "distillation": {"steps": 1, "fused_head": False}}),
    _on("distillation.language", "en", {**RECIPE, "distillation": {"steps": 1, "task": "causal_lm"}}),
    _on("distillation.held_out", {"improvement": 0.1, "keep_best": False}, RECIPE),
]  # fmt: skip


@pytest.mark.parametrize(("document", "settings"), IDLE)
def test_a_key_that_changes_nothing_is_refused_by_its_name(loaded: Any, document: dict[str, Any], settings: dict[str, Any]) -> None:
    loaded(document, {})
    with pytest.raises(DeclarationError) as caught:
        loaded(document, settings)
    (key,) = settings
    (fault,) = caught.value.faults
    assert key.rpartition(".")[2].partition("[")[0] in f"{fault.key} {fault.what}"
    assert fault.mend
    assert "\n" not in f"{fault.what}{fault.mend}"


WRITTEN_OUT = {
    "device": "auto", "dtype": "auto", "backend": "hf", "devices": "auto", "batch_tokens": "auto", "concurrency": 16, "efficiency": True,
    "reasoning": {"enabled": None, "start": "<think>", "end": "</think>", "budget_tokens": 4096},
}  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        {"evaluation": WRITTEN_OUT},
        {"evaluation": {**WRITTEN_OUT, **SERVED}},
        {**TEACHER_ALONE, "evaluation": WRITTEN_OUT},
        {**BOTH_ALONE, "evaluation": {**WRITTEN_OUT, "efficiency": False, "reask": 0, "baseline": False, "prove": True}},
        {"evaluation": {"dtype": "float32", "batch_tokens": 64, **SERVED}},
        {"evaluation": {"dtype": "float32", "teacher": {"dtype": "bfloat16"}}},
        {**TEACHER_ALONE, "evaluation": {"device": "cpu", "concurrency": 4, "reask": 5, "teacher": {"concurrency": 2}}},
        {"evaluation": {"concurrency": 4, "prove": False, **COMPLETIONS}},
        {**RECIPE, **TEACHER_ALONE, "distillation": WRITES["distillation"], "evaluation": {"baseline": True}},
        {**WRITES, "distillation": {"terms": [{"kind": "teacher_text", "temperature": 1.0, "top_p": 0.9, "samples_per_prompt": 2}]}},
        {**RECIPE, "distillation": {"terms": [{"kind": "soft_targets", "loss": "jensen_shannon", "beta": 0.2}]}},
    ],
)
def test_a_default_that_is_written_out_and_a_key_with_an_effect_are_taken(loaded: Any, document: dict[str, Any]) -> None:
    loaded(document, {})
