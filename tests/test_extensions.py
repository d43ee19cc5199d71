"""A table's names and its rows are the same set, and a package outside kdgov can add a row to each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from kdgov import extensions
from kdgov.declarations.distillation import LOSSES, SoftTargets
from kdgov.declarations.suite import Suite
from kdgov.declarations.suite_judge import JUDGES
from kdgov.declarations.suite_parts.suite_task import LM_EVAL, TASK_KINDS, TaskInSuite
from kdgov.errors import InputError, UnavailableError
from kdgov.items import read_items
from kdgov.items.readers.item_readers import READERS
from kdgov.report.formats import FORMATS

PACKAGE = Path(__file__).parent / "extension_package"


@pytest.fixture
def example(monkeypatch):
    """The example package, installed: its folder and its metadata on the search path."""
    monkeypatch.syspath_prepend(str(PACKAGE))


def _package(folder: Path, name: str, entry_points: str, **modules: str) -> str:
    info = folder / f"{name.replace(chr(45), chr(95))}-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    return str(folder)


def test_declared_names_and_rows_are_the_same_set():
    from kdgov.distillation.losses.divergence import DIVERGENCES
    from kdgov.evaluation.scoring.judges import JUDGE_KINDS
    from kdgov.evaluation.task_kinds.catalogue import KINDS

    assert tuple(DIVERGENCES.own) == LOSSES
    assert tuple(JUDGE_KINDS.own) == JUDGES
    assert {LM_EVAL, *KINDS.own} == set(TASK_KINDS)
    assert {t.group for t in (DIVERGENCES, JUDGE_KINDS, KINDS, FORMATS, READERS)} == set(extensions.GROUPS)


def test_every_module_of_task_kinds_is_a_row(project_root):
    from kdgov.evaluation.task_kinds.catalogue import KINDS

    modules = {p.stem for p in (project_root / "kdgov" / "evaluation" / "task_kinds").glob("*.py")} - {"__init__", "base", "catalogue"}
    assert modules == set(KINDS.own)
    assert all(KINDS[name].metrics for name in KINDS.own)


def test_a_loss_from_outside_trains_like_one_of_ours(example):
    import torch

    from kdgov.distillation.losses.divergence import divergence

    assert SoftTargets(kind="soft_targets", loss="chi_squared").loss == "chi_squared"
    student, teacher = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    values, gradient = divergence(student, teacher, kind="chi_squared", temperature=2.0)
    step = torch.zeros_like(student)
    step[0, 3] = 1e-6
    numeric = (divergence(student + step, teacher, kind="chi_squared", temperature=2.0)[0][0] - values[0]) / 1e-6
    assert numeric.item() == pytest.approx(gradient[0, 3].item(), rel=1e-3, abs=1e-6)
    assert divergence(teacher, teacher, kind="chi_squared")[0].abs().max() < 1e-12


def test_a_kind_of_task_and_a_judge_from_outside_are_part_of_the_evidence(example, tmp_path):
    from kdgov.evaluation.scoring.judges import judge_facts, make_judge
    from kdgov.evaluation.task_kinds.catalogue import KINDS

    metric = {"metric": "echoed", "direction": "higher"}
    task = TaskInSuite(task="t", kind="echo", data={"path": "x.jsonl"}, metrics=[metric])
    item = SimpleNamespace(item_id="1", doc={"text": "hello"})
    assert KINDS["echo"].requests(item.doc, task, "here")[0].context == "hello"
    assert [s.score for s in KINDS["echo"].scores([item], {"1": ["hello "]}, task, None)] == [1.0]
    assert KINDS.added_by("echo")["package"] == "kdgov-example"
    assert len(KINDS.added_by("echo")["source"]) == 64
    judge = {"kind": "length", "options": {"most_words": 2}}
    suite = Suite(schema="kdgov.suite/1", name="s", judges={"j": judge}, tasks=[task])
    assert make_judge("j", suite, suite_file=tmp_path / "suite.yaml")([("", "one two three"), ("", "one")]) == ["long", "short"]
    stricter = suite.model_copy(update={"judges": {"j": suite.judges["j"].model_copy(update={"options": {"most_words": 3}})}})
    facts = [judge_facts("j", one, suite_file=tmp_path / "suite.yaml")["digest"] for one in (suite, stricter)]
    assert facts[0] != facts[1]


def test_a_report_format_from_outside_is_a_format_of_the_gate(example, tmp_path):
    items = [{"suite": "s", "task": "t", "item_id": str(n), "metric": "acc", "score": n % 2} for n in range(400)]
    (tmp_path / "items.jsonl").write_text("\n".join(json.dumps(i) for i in items))
    policy = {"schema": "kdgov.policy/1", "name": "p", "version": "1", "criteria": [
        {"id": "c", "kind": "non_inferiority", "suite": "s", "metric": "acc", "direction": "higher", "margin": 0.05}]}  # fmt: skip
    (tmp_path / "policy.yaml").write_text(json.dumps(policy))
    command = [sys.executable, "-m", "kdgov", "gate", "--teacher", "items.jsonl", "--student", "items.jsonl", "--policy", "policy.yaml"]
    environment = {"PYTHONPATH": f"{PACKAGE.parent.parent}:{PACKAGE}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([*command, "--format", "one-line"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("p: "), done.stderr
    unknown = subprocess.run([*command, "--format", "two-line"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert unknown.returncode == 2
    assert "one-line" in unknown.stderr


def test_a_reader_from_outside_reads_what_no_reader_of_ours_claims(example, tmp_path):
    (tmp_path / "model.scores").write_text("sums 1 1.0\nsums 2 0.0\n")
    table = read_items(tmp_path / "model.scores")
    assert [(row["item_id"], row["score"]) for row in table.to_rows()] == [("1", 1.0), ("2", 0.0)]


def test_an_unknown_name_is_refused_with_the_names_that_exist():
    with pytest.raises(ValueError, match="is not one of the allowed values") as refused:
        SoftTargets(kind="soft_targets", loss="forward_lk")
    assert "forward_kl" in str(refused.value)


def test_no_package_takes_a_name_of_ours_or_of_another_package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(_package(tmp_path / "a", "ext-a", "[kdgov.report_formats]\njson = ext_a:f\n"))
    with pytest.raises(InputError, match="'ext-a' adds 'json'"):
        list(FORMATS)
    assert FORMATS["json"] is FORMATS.own["json"]
    monkeypatch.syspath_prepend(_package(tmp_path / "b", "ext-b", "[kdgov.losses]\nmine = ext_b:f\n"))
    monkeypatch.syspath_prepend(_package(tmp_path / "c", "ext-c", "[kdgov.losses]\nmine = ext_c:f\n"))
    with pytest.raises(InputError, match="both add 'mine'"):
        extensions.added_names("kdgov.losses")


def test_a_package_that_cannot_be_loaded_is_named(tmp_path, monkeypatch):
    points = "[kdgov.report_formats]\nbroken = ext_broken:f\nabsent = ext_none:f\n"
    monkeypatch.syspath_prepend(_package(tmp_path, "ext-broken", points, ext_broken="raise RuntimeError('no licence file')\n"))
    for name, reason in (("broken", "no licence file"), ("absent", "ext_none")):
        with pytest.raises(UnavailableError, match="'ext-broken' cannot be loaded") as raised:
            FORMATS[name]
        assert reason in str(raised.value)


def test_an_edited_extension_changes_every_key(tmp_path, monkeypatch):
    folder = _package(tmp_path, "ext-key", "[kdgov.judges]\nmine = ext_key:f\n", ext_key="f = 1\n")
    monkeypatch.syspath_prepend(folder)
    before = extensions.added_packages()
    (tmp_path / "ext_key.py").write_text("f = 2\n")
    assert before != extensions.added_packages()
    assert before["kdgov.judges:mine"]["version"] == "2.0"
