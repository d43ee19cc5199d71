"""A kill loses at most one batch, and the evidence is the same as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kdgov.errors import InputError
from kdgov.evaluation.backends.response_log import Answered, AnswerLog, Record, read_record
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.evaluate_model import evaluate_single
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.plan.suite_code import allowed_code
from kdgov.evaluation.results.evaluation_run import evaluate
from tests.command import free_port

_SLOWLY = """
import sys, time
from pathlib import Path
from kdgov.evaluation.backends import response_log as answers
from kdgov.evaluation.results.evaluation_run import evaluate
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.build import build_plan, read_suites
whole = answers.AnswerLog.append
def slowly(self, stream, batch, found):
    whole(self, stream, batch, found)
    print(batch, flush=True)
    time.sleep(0.4)
answers.AnswerLog.append = slowly
suite, model, out, cache = sys.argv[1:]
evaluate(build_plan(read_suites([suite])), Path(model), Path(out), cache=Path(cache), how=BackendSettings(batch_tokens=100))
"""


def test_a_run_killed_in_the_middle_of_a_task_goes_on_and_gives_the_same_evidence(tiny_suite: Path, teacher: Path, tmp_path: Path) -> None:
    """P10: without its cache lm-eval saves nothing until the very end."""
    how = BackendSettings(batch_tokens=100)
    plan = build_plan(read_suites([str(tiny_suite)]))
    unbroken = evaluate(plan, teacher, tmp_path / "whole", cache=tmp_path / "whole-cache", how=how)
    command = [sys.executable, "-c", _SLOWLY, str(tiny_suite), str(teacher), str(tmp_path / "out"), str(tmp_path / "cache")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert child.stdout is not None
    answered = [child.stdout.readline().strip() for _ in range(2)]
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    logs = list((tmp_path / "cache").glob("*.log0"))
    assert len(logs) == 1
    kept = [json.loads(line)["batch"] for line in logs[0].read_text().splitlines()[1:]]
    assert kept[:2] == answered
    counted: list[int] = []
    resumed = evaluate(
        plan, teacher, tmp_path / "out", cache=tmp_path / "cache", how=how, progress=lambda label, done, total: counted.append(done)
    )
    assert counted[0] == len(kept) + 1, "the batches that were answered are not asked again"
    assert resumed.digest == unbroken.digest
    assert (tmp_path / "out" / "evidence.json").read_bytes() == (tmp_path / "whole" / "evidence.json").read_bytes()
    assert (tmp_path / "out" / "items.parquet").read_bytes() == (tmp_path / "whole" / "items.parquet").read_bytes()
    assert not list((tmp_path / "cache").glob("*.log*"))


def test_a_finished_evaluation_loads_no_model(tiny_suite: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = build_plan(read_suites([str(tiny_suite)]))
    first = evaluate(plan, teacher, tmp_path / "a", cache=tmp_path / "cache")
    from kdgov.evaluation.backends import dispatch as backends

    monkeypatch.setattr(backends, "load_asked_model", lambda *a, **k: pytest.fail("a model was loaded"))
    assert evaluate(plan, teacher, tmp_path / "b", cache=tmp_path / "cache").digest == first.digest


def test_a_mended_metric_scores_recorded_answers_without_asking(tiny_suite: Path, teacher: Path, tmp_path: Path) -> None:
    evaluate(build_plan(read_suites([str(tiny_suite)])), teacher, tmp_path / "a", cache=tmp_path / "cache")
    file = tiny_suite.parent / "choice.yaml"
    file.write_text(file.read_text().replace("metadata", "process_results: !function utils.score\nmetadata"))
    (tiny_suite.parent / "utils.py").write_text("def score(doc, results):\n    return {'acc': 0.25}\n")
    asked: list[str] = []
    with allowed_code([tiny_suite.parent]):
        plan = build_plan(read_suites([str(tiny_suite)]))
    found = evaluate(plan, teacher, tmp_path / "b", cache=tmp_path / "cache", progress=lambda label, done, total: asked.append(label))
    assert asked == []
    assert found.document["tasks"][0]["aggregates"]["acc,none"] == 0.25


def _log(folder: Path, key: str = "sha256:" + "a" * 64, requests: int = 4) -> AnswerLog:
    return AnswerLog(folder, key=key, requests=requests)


def _answers(*indices: int) -> list[Answered]:
    return [Answered(index=i, answer=[-1.5 * i, False], delivered=f"{i:016x}") for i in indices]


def test_a_torn_last_line_is_dropped_and_the_rest_kept(tmp_path: Path) -> None:
    log = _log(tmp_path)
    with log.appending() as stream:
        log.append(stream, "b0", _answers(0, 1))
        log.append(stream, "b1", _answers(2, 3))
    file = next(tmp_path.glob("*.log0"))
    file.write_bytes(file.read_bytes()[:-9])
    assert set(_log(tmp_path).reached()) == {"b0"}
    with log.appending() as stream:
        log.append(stream, "b1", _answers(2, 3))
    assert set(_log(tmp_path).reached()) == {"b0", "b1"}


def test_logs_that_another_run_drops_while_they_are_read_are_no_fault_and_what_it_sealed_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two releases in one store may ask one teacher the same at once; whoever is first seals the answers and drops every log of them."""
    first, second = _log(tmp_path), _log(tmp_path)
    with first.appending() as stream:
        first.append(stream, "b0", _answers(0, 1))
    listed = Path.glob

    def then_sealed(folder: Path, pattern: str) -> list[Path]:
        found = list(listed(folder, pattern))
        monkeypatch.undo()
        first.seal({a.index: a for a in _answers(0, 1, 2, 3)})
        return found

    monkeypatch.setattr(Path, "glob", then_sealed)
    assert second.reached() == {}
    assert second.seal({}) == first.sealed()


def test_a_changed_line_of_the_log_is_no_answer(tmp_path: Path) -> None:
    log = _log(tmp_path)
    with log.appending() as stream:
        log.append(stream, "b0", _answers(0, 1))
    file = next(tmp_path.glob("*.log0"))
    file.write_text(file.read_text().replace("-1.5", "-0.5"))
    assert log.reached() == {}


def test_a_changed_or_shortened_record_is_not_read(tmp_path: Path) -> None:
    log = _log(tmp_path)
    record = log.seal({a.index: a for a in _answers(0, 1, 2, 3)})
    assert log.sealed() == record
    whole = log.path.read_bytes()
    for broken in (whole.replace(b"-1.5", b"-2.5"), whole[:-20], b"", b"{}", whole + b"[1]\n"):
        log.path.write_bytes(broken)
        assert read_record(log.path) is None
    log.path.write_bytes(whole)
    assert read_record(log.path, key="sha256:" + "b" * 64) is None
    assert isinstance(read_record(log.path), Record)


def test_a_record_without_an_answer_to_every_request_is_not_sealed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 of 4 requests have no answer"):
        _log(tmp_path).seal({a.index: a for a in _answers(0, 1, 3)})


@pytest.mark.nightly
@pytest.mark.ci
def test_two_processes_give_the_bytes_that_one_gives(tiny_suite: Path, teacher: Path, tmp_path: Path) -> None:
    """P3: lm-eval's few-shot draw, and so its scores, depend on how many processes share the work."""
    script = (
        "import sys; from pathlib import Path\n"
        "from kdgov.evaluation.evaluate_model import evaluate_single\nfrom kdgov.evaluation.backends.settings import BackendSettings\n"
        "evaluate_single(Path(sys.argv[1]), [sys.argv[2]], Path(sys.argv[3]), how=BackendSettings(batch_tokens=100))\n"
    )
    (tmp_path / "go.py").write_text(script)
    evaluate_single(teacher, [str(tiny_suite)], tmp_path / "one", how=BackendSettings(batch_tokens=100))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port()]
    command += [str(tmp_path / "go.py"), str(teacher), str(tiny_suite), str(tmp_path / "two")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("items.parquet", "evidence.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
