"""`kdgov evaluate`: both models of a release on one plan, each finished part reused, nothing loaded twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from kdgov.cli.app import app
from kdgov.decision.judgement import judge
from kdgov.declarations.policy_file import load_policy
from kdgov.finding import Finding
from kdgov.items.files import read_declarations, read_items
from kdgov.items.schema import check_items
from kdgov.pipeline.context import open_release
from kdgov.resources import data_folder
from tests.command import free_port
from tests.evaluation.worlds import make_model
from tests.steps import evaluated


@pytest.fixture
def release(tiny_suite: Path, teacher: Path, student: Path, tmp_path: Path) -> Path:
    path = tmp_path / "release.yaml"
    document = {
        "schema": "kdgov.release/1", "name": "tiny", "teacher": {"model": str(teacher)}, "student": {"model": str(student)},
        "suites": [str(tiny_suite.parent)], "price": {"teacher_usd_per_million_tokens": 2.0, "student_usd_per_million_tokens": 0.5},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.apart
def test_the_folder_holds_what_the_gate_needs(release: Path, tmp_path: Path) -> None:
    finished = evaluated(open_release(release, store=tmp_path / "store"))
    folder = finished.folder
    plans = {json.loads((folder / who / "evidence.json").read_text())["plan"] for who in ("teacher", "student", "control")}
    assert plans == {json.loads((folder / "plan.json").read_text())["root"]}
    for who in ("teacher", "student", "control"):
        check_items(read_items(folder / who / "items.parquet"))
    assert json.loads((folder / "findings.json").read_text())["findings"][0]["rule"] == "evidence.identical"
    groups = json.loads((folder / "disaggregation.json").read_text())["rows"][0]
    assert set(groups["teacher"]["groups"]) == {"female", "male"}
    assert sum(g["n"] for g in groups["student"]["groups"].values()) == 24
    cost = json.loads((folder / "efficiency.json").read_text())
    assert cost["ratios"]["parameters"] < 1
    assert (cost["load"]["threads"], cost["load"]["clock"]) == (1, "thread")
    assert cost["student"]["usd_per_million_tokens"] == 0.5
    assert "smaller in parameters" in cost["statement"]
    assert finished.facts["findings"] == 0
    again = evaluated(open_release(release, store=tmp_path / "store"))
    assert again.reused
    assert again.key == finished.key


def test_an_unchanged_rerun_loads_neither_torch_nor_lm_eval_and_takes_under_three_seconds(release: Path, tmp_path: Path) -> None:
    evaluated(open_release(release, store=tmp_path / "store"))
    code = (
        "import sys; from pathlib import Path\n"
        "from kdgov.pipeline.context import open_release; from tests.steps import evaluated\n"
        "f = evaluated(open_release(Path(sys.argv[1]), store=Path(sys.argv[2])))\n"
        "heavy = {'torch', 'transformers', 'lm_eval', 'fairlearn', 'pandas', 'mlflow'} & set(sys.modules)\n"
        "assert f.reused, 'not reused'; assert not heavy, heavy\n"
        "import time; print(time.process_time())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(release), str(tmp_path / "store")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 3.0


def test_a_second_student_pays_nothing_for_the_teacher(release: Path, tmp_path: Path) -> None:
    first = evaluated(open_release(release, store=tmp_path / "store"))
    document = yaml.safe_load(release.read_text())
    document["student"]["model"] = str(make_model(tmp_path / "third", seed=9))
    release.write_text(yaml.safe_dump(document))
    told: list[str] = []
    second = evaluated(open_release(release, store=tmp_path / "store", progress=lambda label, done, total: told.append(label)))
    assert not any(label.startswith(("teacher", "control")) for label in told)
    assert any(label.startswith("student") for label in told)
    assert (first.folder / "teacher" / "evidence.json").read_bytes() == (second.folder / "teacher" / "evidence.json").read_bytes()
    assert first.facts["student_evidence"] != second.facts["student_evidence"]


def test_models_that_were_not_asked_the_same_end_the_command_with_exit_code_one(release: Path, tmp_path: Path) -> None:
    document = yaml.safe_load(release.read_text())
    document["student"]["model"] = str(make_model(tmp_path / "short", seed=9, length=14))
    release.write_text(yaml.safe_dump(document))
    result = CliRunner().invoke(app, ["evaluate", str(release), "--store", str(tmp_path / "store"), "--format", "json"])
    assert result.exit_code == 1
    facts = json.loads(result.stdout)["facts"]
    assert "did not fit the student" in facts["summary"]


def test_logged_inputs_of_a_release_become_a_suite_with_the_teacher_as_reference(release: Path, tmp_path: Path) -> None:
    (tmp_path / "logged.jsonl").write_text("\n".join(json.dumps({"said": s}) for s in ("mail ada@example.org", "hello", "hello")))
    document = yaml.safe_load(release.read_text())
    document["production_inputs"] = {"path": "logged.jsonl", "field": "said"}
    release.write_text(yaml.safe_dump(document))
    folder = evaluated(open_release(release, store=tmp_path / "store")).folder
    rows = [r for r in read_items(folder / "teacher" / "items.parquet").to_rows() if r["suite"] == "production-replay"]
    assert {r["score"] for r in rows} == {1.0}
    assert len({r["item_id"] for r in rows}) == 2
    assert b"ada@example.org" not in (folder / "student" / "items.parquet").read_bytes()


def test_one_model_alone_from_the_command_line(tiny_suite: Path, teacher: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["evaluate", "--model", str(teacher), "--suite", str(tiny_suite.parent), "--out", str(out), "--limit", "6"]
    result = CliRunner().invoke(app, [*command, "--format", "json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [t["items"] for t in document["tasks"]] == [6, 6]
    assert len(read_items(out / "items.parquet")) == 12


@pytest.mark.parametrize(
    "arguments",
    [[], ["--model", "x"], ["release.yaml", "--model", "x"], ["--model", "nowhere", "--suite", "bias", "--out", "o"]],
)
def test_a_command_at_fault_is_exit_code_two_without_a_traceback(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["evaluate", *arguments])
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.nightly
@pytest.mark.ci
def test_a_release_in_two_processes_is_evaluated_to_the_bytes_that_one_writes(release: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--main_process_port", free_port()]
    folders = []
    for name, start in (("one", [sys.executable]), ("two", launch)):
        command = [
            *start,
            "-m",
            "kdgov",
            "evaluate",
            str(release),
            "--store",
            str(tmp_path / name),
            "--format",
            "json",
            "--batch-tokens",
            "200",
        ]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr[-3000:]
        document = json.loads(done.stdout)
        assert not document["reused"]
        folders.append(Path(document["folder"]))
    assert folders[0].name == folders[1].name
    compared = [f"{who}/{file}" for who in ("teacher", "student", "control") for file in ("items.parquet", "evidence.json")]
    for name in [*compared, "findings.json", "plan.json"]:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
    assert not list((tmp_path / "two" / "answers").glob("*.log*"))
    assert not list((tmp_path / "two").rglob("*.partial"))


def test_a_difference_that_the_policy_allows_is_allowed_by_every_command(release: Path, tmp_path: Path) -> None:
    """`kdgov evaluate` and the gate read one policy; the stored findings are the same under both, so no policy rewrites its past."""
    settings = {"student": {"dtype": "bfloat16"}}
    policy = yaml.safe_load((data_folder("policies") / "default.yaml").read_text())
    policies = {}
    for name, allowed in (("strict", []), ("loose", ["dtype"])):
        policies[name] = tmp_path / f"{name}.yaml"
        policies[name].write_text(yaml.safe_dump({**policy, "allowed_differences": allowed}))
    seen = {}
    for name, file in policies.items():
        release.write_text(yaml.safe_dump({**yaml.safe_load(release.read_text()), "policy": str(file), "evaluation": settings}))
        finished = evaluated(open_release(release, store=tmp_path / "store"))
        result = CliRunner().invoke(app, ["evaluate", str(release), "--store", str(tmp_path / "store")])
        findings = [Finding(**f) for f in json.loads((finished.folder / "findings.json").read_text())["findings"]]
        tables = [read_items(finished.folder / who / "items.parquet") for who in ("teacher", "student")]
        decision = judge(*tables, load_policy(file), metrics=read_declarations(finished.folder / "teacher"), findings=findings)
        heard = {f.rule for f in decision.findings if f.stops}
        seen[name] = (finished.key, finished.facts["findings"] > 0, result.exit_code, "evidence.dtype" in heard)
    assert seen["strict"] == (seen["loose"][0], True, 1, True)
    assert seen["loose"][1:] == (False, 0, False)
    shown = json.loads((finished.folder / "student" / "evidence.json").read_text())
    assert shown["how"]["dtype"] == "bfloat16"


def test_help_starts_in_a_fraction_of_a_second() -> None:
    code = (
        "import sys, time; from kdgov.cli.app import app\n"
        "try: app(['evaluate', '--help'])\nexcept SystemExit: pass\nsys.stderr.write(str(time.process_time()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={**os.environ})
    assert float(done.stderr.splitlines()[-1]) < 1.0
    assert "asked the same" in done.stdout


def test_help_loads_no_markdown_parser_and_leaves_the_real_one_to_others() -> None:
    code = (
        "import sys; sys.argv = ['kdgov', 'evaluate', '--help']; from kdgov.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "assert 'markdown_it' not in sys.modules\nfrom rich.markdown import Markdown; assert Markdown('*x*').parsed\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    plain = CliRunner().invoke(app, ["evaluate", "--help"]).stdout
    assert plain.split() == done.stdout.split()


def test_suites_are_listed_and_shown() -> None:
    began = time.process_time()
    listed = json.loads(CliRunner().invoke(app, ["suites", "list", "--format", "json"]).stdout)
    assert {"capability", "bias-core", "refusal"} <= {s["name"] for s in listed}
    shown = CliRunner().invoke(app, ["suites", "show", "bias-core"]).stdout
    assert "oskarvanderwal/bbq" in shown
    assert "CC-BY-4.0" in shown
    assert time.process_time() - began < 10
