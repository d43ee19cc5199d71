"""How models are asked is declared: in the release, by flag or by ``--set``; nothing without effect is taken, no variable decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from kdgov.cli.app import app
from kdgov.declarations.release_parts.evaluation_settings import EvaluationSettings
from kdgov.declarations.release_parts.set_keys import parse_settings, with_settings
from kdgov.errors import DeclarationError
from kdgov.evaluation.release_settings import resolved_device, resolved_dtype, settings_of


@pytest.fixture
def release(tiny_suite: Path, teacher: Path, student: Path, tmp_path: Path) -> Path:
    path = tmp_path / "release.yaml"
    document = {
        "schema": "kdgov.release/1", "name": "tiny", "teacher": {"model": str(teacher)}, "student": {"model": str(student)},
        "suites": [str(tiny_suite.parent)], "evaluation": {"efficiency": False},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(document))
    return path


def test_keys_are_set_as_if_they_stood_in_the_file() -> None:
    document = {"distillation": {"terms": [{"kind": "hard_labels", "weight": 1}]}, "evaluation": None}
    settings = parse_settings(["distillation.terms[0].weight=0.5", "evaluation.teacher.dtype=float32", "suites=[a, b]"])
    changed = with_settings(document, settings)
    assert changed["distillation"]["terms"][0]["weight"] == 0.5
    assert changed["evaluation"] == {"teacher": {"dtype": "float32"}}
    assert changed["suites"] == ["a", "b"]
    assert document["evaluation"] is None


@pytest.mark.parametrize("text", ["steps", "=5", "a..b=1", "a[x]=1", "a=[1", "a=1\x00"])
def test_what_is_no_setting_is_refused(text: str) -> None:
    with pytest.raises(DeclarationError, match="--set"):
        with_settings({}, parse_settings([text]))


def test_every_fault_of_settings_is_told_at_once() -> None:
    with pytest.raises(DeclarationError) as caught:
        with_settings({"a": 1, "b": []}, {"a.c": 1, "b[0].d": 2})
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"backend": "chat", "dtype": "float16"}, "an endpoint decides for itself"),
        ({"endpoint": {"base_url": "http://h/v1", "model": "m"}}, "backend hf does not ask"),
        ({"teacher": {"backend": "chat", "endpoint": {"base_url": "http://h/v1", "model": "m", "api": "completions"}}}, "api completions"),
        ({"device": "gpu"}, "not a device"),
        ({"device": "cpu:1"}, "not a device"),
        ({"dtype": "bf16"}, "float32"),
        ({"batch_tokens": 0}, "greater than or equal"),
        ({"temprature": 1}, "temprature"),
    ],
)
def test_a_setting_without_effect_or_meaning_is_refused(document: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        EvaluationSettings.model_validate(document)


def test_a_role_has_its_own_settings_first() -> None:
    said = EvaluationSettings.model_validate({"dtype": "float32", "batch_tokens": 100, "student": {"dtype": "bfloat16"}})
    assert (said.of("teacher").dtype, said.of("student").dtype) == ("float32", "bfloat16")
    assert settings_of(said.of("student")).batch_tokens == 100


def test_auto_follows_the_stored_type_and_the_machine() -> None:
    assert resolved_dtype("auto", {"F16"}) == "float16"
    assert resolved_dtype("auto", {"F16", "F32"}) == "float32"
    assert resolved_dtype("bfloat16", {"F32"}) == "bfloat16"
    assert resolved_device("cuda:1") == "cuda:1"


def _run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_flags_of_evaluate_reach_the_models_and_stand_in_the_evidence(release: Path, tmp_path: Path) -> None:
    done = _run("evaluate", str(release), "--store", str(tmp_path / "s"), "--limit", "5", "--dtype", "bfloat16", "--set",
                "evaluation.batch_tokens=64", "--format", "json")  # fmt: skip
    assert done.exit_code in (0, 1), done.output
    folder = Path(json.loads(done.stdout)["folder"])
    how = [json.loads((folder / role / "evidence.json").read_text())["how"] for role in ("teacher", "student", "control")]
    assert {(h["dtype"], h["batch_tokens"], h["device"]) for h in how} == {("bfloat16", 64, "cpu")}
    assert json.loads((folder / "plan.json").read_text())["tasks"][0]["items"] == 5
    assert not (folder / "efficiency.json").exists()


def test_a_limit_says_in_the_evidence_how_much_the_suite_would_have_asked(release: Path, tmp_path: Path) -> None:
    for limit, told in ((5, 24), (24, None), (99, None)):
        done = _run("evaluate", str(release), "--store", str(tmp_path / "s"), "--limit", str(limit), "--format", "json")
        folder = Path(json.loads(done.stdout)["folder"])
        assert {task.get("of_suite") for task in json.loads((folder / "teacher" / "evidence.json").read_text())["tasks"]} == {told}
        rules = [f["rule"] for f in json.loads((folder / "findings.json").read_text())["findings"]]
        assert rules.count("evidence.limited") == (2 if told else 0)


def test_a_switch_of_thoughts_that_no_template_reads_is_refused(release: Path, teacher: Path, tmp_path: Path) -> None:
    for key in ("evaluation.reasoning", "evaluation.student.reasoning"):
        for command in ("check", "evaluate"):
            done = _run(command, str(release), "--store", str(tmp_path / "s"), "--set", f"{key}={{enabled: false}}")
            assert done.exit_code == 2
            assert f"{key}.enabled has no effect" in " ".join(done.stderr.split())
    done = _run("evaluate", "--model", str(teacher), "--suite", "bias", "--out", str(tmp_path / "o"), "--thinking")
    assert done.exit_code == 2
    assert "reads `enable_thinking`" in done.stderr


def test_a_run_never_goes_past_a_step_that_it_does_not_have(release: Path, tmp_path: Path) -> None:
    done = _run("run", str(release), "--store", str(tmp_path / "s"), "--until", "generate")
    assert done.exit_code == 2
    assert "no teacher writes in this release" in done.stderr
    assert not (tmp_path / "s" / "steps").exists()


def test_a_run_ends_where_it_is_told_to(release: Path, tmp_path: Path) -> None:
    done = _run("run", str(release), "--store", str(tmp_path / "s"), "--until", "distill", "--format", "json")
    assert done.exit_code in (0, 1), done.output
    steps = [step["step"] for step in json.loads(done.stdout)["steps"]]
    assert "evaluate" not in steps
    assert steps[0] == "check"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--task", "x"), "--task has no effect with a release"),
        (("--unproven",), "--unproven has no effect with a release"),
        (("--set", "evaluation.limit=3", "--limit", "4"), "its own flag are both given"),
        (("--set", "evaluation.limt=3"), "Did you mean `limit`"),
        (("--backend", "nonsense"), "allowed values"),
    ],
)
def test_a_flag_without_effect_is_exit_code_two(release: Path, arguments: tuple[str, ...], says: str) -> None:
    done = _run("evaluate", str(release), *arguments)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--address", "http://127.0.0.1:9/v1"), "--address has no effect with --backend hf"),
        (("--backend", "completions"), "has no --address"),
        (("--backend", "completions", "--address", "http://h/v1", "--dtype", "float16"), "decides for itself"),
        (("--set", "evaluation.limit=3"), "--set evaluation.limit has no effect with --model"),
        (("--no-efficiency",), "--no-efficiency has no effect"),
    ],
)
def test_the_same_holds_for_one_model_alone(teacher: Path, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = _run("evaluate", "--model", str(teacher), "--suite", "bias", "--out", str(tmp_path / "o"), *arguments, "--limit", "1")
    if says:
        assert done.exit_code == 2
        assert says in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("KDGOV_DTYPE", "evaluation.dtype"),
        ("KDGOV_STUDENT_ADDRESS", "evaluation.student.endpoint.base_url"),
        ("NVIDIA_TF32_OVERRIDE", "evaluation.dtype"),
        ("ONEDNN_DEFAULT_FPMATH_MODE", "evaluation.dtype"),
    ],
)
def test_a_variable_that_once_decided_answers_is_refused(
    release: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, key: str
) -> None:
    monkeypatch.setenv(name, "bfloat16")
    alone = ("--model", str(teacher), "--suite", "bias", "--out", str(tmp_path / "o"))
    for arguments in ((str(release),), alone):
        done = _run("evaluate", *arguments)
        assert done.exit_code == 2
        assert key in done.stderr
