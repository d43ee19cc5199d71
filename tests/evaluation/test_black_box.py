"""A teacher that is only an address: asked the same frozen messages as its student, identified by what was observed, paid once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from kdgov.api.recorded_versions import load_model
from kdgov.auditing.answers.endpoint_answers import review_answers, scores_again
from kdgov.checkpoints.identity import model_identity
from kdgov.cli.app import app
from kdgov.digest import digest_file, digest_json
from kdgov.errors import InputError, UnavailableError
from kdgov.evaluation.local_endpoint import LocalEndpoint, serving
from kdgov.evaluation.plan.build import build_plan, read_suites
from kdgov.evaluation.plan.messages import answerable
from kdgov.evaluation.results.endpoint_findings import one_endpoint
from kdgov.evidence.bundle_reader import BundleReader
from kdgov.items.files import read_items
from kdgov.pipeline.context import open_release
from tests.endpoints.scripted_server import scripted_server
from tests.evaluation.worlds import WRITE_TASK, choice_rows, make_model
from tests.steps import evaluated, gated

PRICE = {"input": 1.0, "output": 2.0}
Write = Callable[..., Path]


@pytest.fixture
def server(teacher: Path) -> Iterator[LocalEndpoint]:
    with serving(teacher, name="big-model") as running:
        yield running


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    criterion = {"id": "same", "kind": "non_inferiority", "suite": "tiny", "metric": "exact_match", "margin": 0.9, "min_items": 5}
    document = {
        "schema": "kdgov.policy/1", "name": "p", "version": "1", "criteria": [criterion], "allowed_differences": ["backend"],
        "findings": {"evidence.task-not-applicable": "warn", "provenance.*": "warn", "licence.*": "warn"},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def write_release(tmp_path: Path, tiny_suite: Path, student: Path, policy: Path) -> Write:
    def write(address: str, **changes: Any) -> Path:
        endpoint = {"base_url": address, "model": "big-model", "terms": "MIT", "price": PRICE, "retries": 0, **changes.pop("endpoint", {})}
        document = {
            "schema": "kdgov.release/1", "name": "black-box", "teacher": {"endpoint": endpoint}, "student": {"model": str(student)},
            "suites": [str(tiny_suite.parent)], "policy": str(policy), **changes,
        }  # fmt: skip
        path = tmp_path / "release.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return write


def _evidence(folder: Path, role: str = "teacher") -> Any:
    return json.loads((folder / role / "evidence.json").read_text())


@pytest.mark.apart
def test_both_answer_the_same_frozen_messages_and_the_identity_is_what_was_observed(
    server: LocalEndpoint, write_release: Write, tmp_path: Path
) -> None:
    context = open_release(write_release(server.address), store=tmp_path / "store")
    finished = evaluated(context)
    teacher, student = _evidence(finished.folder), _evidence(finished.folder, "student")
    assert teacher["plan"] == student["plan"] == finished.plan
    tables = [read_items(finished.folder / role / "items.parquet") for role in ("teacher", "student")]
    assert tables[0].column("prompt_digest").to_pylist() == tables[1].column("prompt_digest").to_pylist()
    assert [t["task"] for t in teacher["tasks"]] == ["write"]
    seen = teacher["endpoint"]
    assert (seen["address"], seen["asked"], seen["terms"]) == (server.address, "big-model", "MIT")
    assert seen["answered"] == {"big-model": 44}
    assert list(seen["fingerprints"]) == [server.fingerprint]
    assert seen["first_day"] == seen["last_day"] != ""
    assert (seen["asked_again"], seen["changed"]) == (20, 0)
    assert seen["usage"]["usd"] == pytest.approx((seen["usage"]["input_tokens"] + 2 * seen["usage"]["output_tokens"]) / 1e6)
    assert "USD" in finished.summary
    raw = [json.loads(line) for line in (finished.folder / "teacher" / "answers.jsonl").read_text().splitlines()]
    assert seen["answers"] == digest_file(finished.folder / "teacher" / "answers.jsonl")
    assert all(row["digest"] == digest_json(row["answer"]) for row in raw)
    found = {f["rule"]: f["verdict"] for f in json.loads((finished.folder / "findings.json").read_text())["findings"]}
    assert found["evidence.endpoint-identity"] == found["evidence.endpoint-drift"] == "pass"
    assert found["evidence.backend"] == "invalid"
    assert finished.findings == 0, "the policy allows it by name"


def test_an_endpoint_answers_as_the_same_weights_do_here(
    server: LocalEndpoint, write_release: Write, teacher: Path, tmp_path: Path
) -> None:
    finished = evaluated(open_release(write_release(server.address, student={"model": str(teacher)}), store=tmp_path / "store"))
    said = [read_items(finished.folder / role / "items.parquet").column("prediction").to_pylist() for role in ("teacher", "student")]
    assert said[0] == said[1]


def test_the_check_says_before_anything_is_paid_what_is_not_applicable_and_what_it_costs(
    server: LocalEndpoint, write_release: Write, tmp_path: Path
) -> None:
    path = write_release("http://127.0.0.1:9/v1")
    done = CliRunner().invoke(app, ["check", str(path), "--store", str(tmp_path / "store"), "--format", "json"])
    found = {f["rule"]: f for f in json.loads(done.stdout)["findings"]}
    left = found["evidence.task-not-applicable"]
    assert left["subject"] == "tiny/choice"
    assert "log-probabilities" in left["reason"]
    plan = found["evidence.endpoint-plan"]
    assert plan["details"]["requests"] == 24 + 20
    assert plan["details"]["output_tokens"] == 44 * 12
    assert plan["details"]["usd"] == pytest.approx((plan["details"]["input_tokens"] + 2 * 44 * 12) / 1e6)
    assert "evidence.backend" not in found


def test_weights_that_an_endpoint_answers_for_are_planned_like_an_endpoint(write_release: Write, teacher: Path, tmp_path: Path) -> None:
    """DESIGN's own block: nothing that is paid is asked before it was told."""
    served = {"backend": "chat", "endpoint": {"base_url": "http://127.0.0.1:9/v1", "model": "big-model", "price": PRICE}}
    path = write_release("", teacher={"model": str(teacher)}, evaluation={"concurrency": 16, "teacher": served})
    done = CliRunner().invoke(app, ["check", str(path), "--store", str(tmp_path / "store")])
    told = " ".join(done.stdout.split())
    assert "tiny/choice Not applicable: it needs log-probabilities" in told
    assert "big-model at http://127.0.0.1:9/v1 will be asked 44 requests (44 to evaluate)" in told
    assert "USD" in told
    tried = CliRunner().invoke(app, ["check", str(path), "--store", str(tmp_path / "store"), "--estimate"])
    assert "not in it: evaluation: an endpoint" in " ".join(tried.stdout.split())


JUDGED = {
    "kind": "openai", "model": "judge-1", "base_url": "http://127.0.0.1:9/v1", "prompt": "{answer}", "labels": {"yes": "good"},
    "max_tokens": 8, "price": PRICE,
}  # fmt: skip


@pytest.mark.parametrize("has_endpoint", [True, False])
def test_a_judge_at_an_address_is_in_the_plan_whoever_answers(
    write_suite: Any, write_release: Write, teacher: Path, tmp_path: Path, has_endpoint: bool
) -> None:
    metrics = [{"metric": name, "direction": "higher", "judge": name} for name in ("good", "better")]
    task = {"task": "write", "file": "write.yaml", "data": {"path": "c.jsonl"}, "metrics": metrics}
    pairs = {**JUDGED, "form": "pairwise", "prompt": "{first} {second}", "labels": {}, "budget_usd": 1e-6}
    files = {"write.yaml": WRITE_TASK, "c.jsonl": choice_rows(24)}
    suite = write_suite([task], files, folder="judged", judges={"good": JUDGED, "better": pairs})
    path = write_release(
        "http://127.0.0.1:9/v1", suites=[str(suite.parent)], **({} if has_endpoint else {"teacher": {"model": str(teacher)}})
    )
    done = CliRunner().invoke(app, ["check", str(path), "--store", str(tmp_path / "store"), "--format", "json"])
    found = {f["subject"]: f for f in json.loads(done.stdout)["findings"] if f["rule"] == "evidence.endpoint-plan"}
    assert len(found) == 2 + has_endpoint
    good, better = found["judge tiny/good"], found["judge tiny/better"]
    # Teacher, student and the untrained control; in pairs the teacher against itself asks nothing.
    assert (good["details"]["requests"], better["details"]["requests"]) == (3 * 24, 2 * 2 * 24)
    assert good["details"]["output_tokens"] == 3 * 24 * 8
    assert good["details"]["usd"] == pytest.approx((good["details"]["input_tokens"] + 2 * good["details"]["output_tokens"]) / 1e6)
    assert (good["verdict"], better["verdict"]) == ("pass", "review")


def test_the_check_stops_where_the_policy_does_not_allow_it_or_the_budget_is_too_small(write_release: Write, tmp_path: Path) -> None:
    path = write_release("http://127.0.0.1:9/v1", policy="policies/lm-eval.yaml", endpoint={"budget_usd": 1e-6})
    done = CliRunner().invoke(app, ["check", str(path), "--store", str(tmp_path / "store"), "--format", "json"])
    assert done.exit_code == 1
    found = {f["rule"]: f for f in json.loads(done.stdout)["findings"]}
    assert found["evidence.backend"]["verdict"] == "invalid"
    assert "black-box" in found["evidence.backend"]["mend"]
    assert found["evidence.endpoint-plan"]["verdict"] == "review"


def test_a_template_that_knows_no_system_message_is_named_at_the_check(write_suite: Any, write_release: Write, tmp_path: Path) -> None:
    template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    )
    gemma = make_model(tmp_path / "gemma", seed=4, template=template)
    task = {
        "task": "write", "file": "write.yaml", "data": {"path": "c.jsonl"}, "options": {"chat": True, "system": "Be brief."},
        "metrics": [{"metric": "exact_match", "direction": "higher"}],
    }  # fmt: skip
    suite = write_suite([task], {"write.yaml": WRITE_TASK, "c.jsonl": choice_rows(2)}, folder="with-system")
    path = write_release("http://127.0.0.1:9/v1", student={"model": str(gemma)}, suites=[str(suite.parent)])
    done = CliRunner().invoke(app, ["check", str(path), "--store", str(tmp_path / "store")])
    assert done.exit_code == 2
    told = " ".join(done.stderr.split())
    assert "tiny/write cannot be asked" in told
    assert "knows no system message" in told


def test_what_was_paid_is_not_paid_again_after_a_fault(
    server: LocalEndpoint, write_release: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, plain = [], server.answer

    def failing(path: str, body: Any) -> Any:
        served.append(body)
        if len(served) == 10:
            raise KeyError("broken")
        return plain(path, body)

    monkeypatch.setattr(server, "answer", failing)
    context = open_release(write_release(server.address, endpoint={"concurrency": 2}), store=tmp_path / "store")
    with pytest.raises(InputError, match="refuses with 400"):
        evaluated(context)
    before = len(served)
    assert before < 14
    finished = evaluated(context)
    assert len(served) == 44 + 1
    assert finished.usage["teacher"]["answers"] == 44
    monkeypatch.setattr(server, "answer", lambda *_: pytest.fail("asked again"))
    assert evaluated(context).reused


@pytest.mark.parametrize(
    ("changes", "rule", "verdict", "says"),
    [
        ({"model": "big-model-2026-09-01"}, "evidence.endpoint-identity", "block", "Two models answered"),
        ({"system_fingerprint": "fp_other"}, "evidence.endpoint-identity", "review", "fingerprint changed"),
        ({"choices": [{"message": {"content": "no."}}]}, "evidence.endpoint-drift", "review", "20 of 20"),
    ],
)
def test_a_model_that_changes_in_the_middle_is_found(
    server: LocalEndpoint,
    write_release: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: Any,
    rule: str,
    verdict: str,
    says: str,
) -> None:
    served, plain = [], server.answer

    def changing(path: str, body: Any) -> Any:
        served.append(body)
        return {**plain(path, body), **(changes if len(served) > 24 else {})}

    monkeypatch.setattr(server, "answer", changing)
    finished = evaluated(open_release(write_release(server.address), store=tmp_path / "store"))
    found = {f["rule"]: f for f in json.loads((finished.folder / "findings.json").read_text())["findings"]}
    assert found[rule]["verdict"] == verdict
    assert says in found[rule]["reason"]


def test_answers_that_hold_nothing_are_counted_by_why(write_release: Write, tmp_path: Path) -> None:
    filtered = {"status": 400, "says": "The prompt triggered the content management policy."}
    lacking = [({"content": None}, "content_filter"), ({"content": ""}, "stop"), ({"content": "", "reasoning": "hm"}, "length")]
    script = [filtered, filtered, *({"answer": {"choices": [{"message": said, "finish_reason": why}]}} for said, why in lacking)]
    with scripted_server(script) as server:
        path = write_release(server.url, endpoint={"concurrency": 1}, evaluation={"reask": 0})
        finished = evaluated(open_release(path, store=tmp_path / "store"))
    rows = json.loads((finished.folder / "findings.json").read_text())["findings"]
    told = {(f["rule"], f["verdict"]): f["reason"] for f in rows}
    assert "withheld 3 of 24 answers" in told["evidence.endpoint-empty", "review"]
    assert "1 of 24 answers of the teacher hold no text" in told["evidence.endpoint-empty", "warn"]
    assert "1 of 24 answers" in told["evidence.thoughts-unfinished", "review"]
    assert ("evidence.endpoint-identity", "pass") in told, "what a filter keeps from the model is answered by none"


def test_another_model_under_the_address_stops_at_its_first_answer(teacher: Path, write_release: Write, tmp_path: Path) -> None:
    with serving(teacher, name="big-model") as server:
        plain = server.answer
        server.answer = lambda path, body: {**plain(path, body), "model": "small-model"}  # type: ignore[method-assign]
        context = open_release(write_release(server.address), store=tmp_path / "store")
        with pytest.raises(InputError, match="answers as 'small-model' where 'big-model' was asked"):
            evaluated(context)
    with pytest.raises(UnavailableError, match="gives no answer"):
        evaluated(context)


def test_the_bundle_holds_the_answers_and_a_changed_one_is_found(server: LocalEndpoint, write_release: Write, tmp_path: Path) -> None:
    done = gated(open_release(write_release(server.address), store=tmp_path / "store"))
    manifest = json.loads((done.folder / "manifest.json").read_text())
    assert "teacher/answers.jsonl" in json.dumps(manifest)
    decision = json.loads((done.folder / "decision.json").read_text())
    rules = {f["rule"]: f["verdict"] for f in decision["findings"]}
    assert rules["evidence.task-not-applicable"] == "warn"
    assert decision["subject"]["teacher"] == "big-model"


def test_the_audit_judges_again_from_the_raw_answers(server: LocalEndpoint, write_release: Write, tiny_suite: Path, tmp_path: Path) -> None:
    done = gated(open_release(write_release(server.address), store=tmp_path / "store"))
    folder = Path(shutil.copytree(done.folder, tmp_path / "bundle"))
    plan, left = answerable(build_plan(read_suites([str(tiny_suite)])))
    assert [one.task for one in left] == ["tiny/choice"]
    found = [*review_answers(BundleReader(folder)), *scores_again(BundleReader(folder), "teacher", plan)]
    assert [(f.area, f.standing) for f in found] == [("evidence", "verified"), ("replay", "verified")]
    # One answer put right afterwards, and every digest made to follow: the score does not.
    path, evidence = folder / "teacher" / "answers.jsonl", folder / "teacher" / "evidence.json"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    right = next(row["answer"] for row in choice_rows(24) if row["id"] == rows[0]["item_id"])
    rows[0]["answer"]["choices"][0]["message"]["content"] = right
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [f.standing for f in review_answers(BundleReader(folder))] == ["violated"]
    rows[0]["digest"] = digest_json(rows[0]["answer"])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    document = json.loads(evidence.read_text())
    document["endpoint"]["answers"] = digest_file(path)
    evidence.write_text(json.dumps(document))
    assert [f.standing for f in review_answers(BundleReader(folder))] == ["verified"]
    (again,) = scores_again(BundleReader(folder), "teacher", plan)
    assert again.standing == "violated"
    assert rows[0]["item_id"] in again.reason
    # An answer exchanged for an equally wrong one, and an answer that is gone.
    rows[0]["answer"]["choices"][0]["message"]["content"] = "something else that is wrong"
    for changed, told in ((rows, "1 of 24 scores do not follow"), (rows[1:], "lack 1 of 24 items")):
        path.write_text("".join(json.dumps(row) + "\n" for row in changed))
        (again,) = scores_again(BundleReader(folder), "teacher", plan)
        assert again.standing == "violated"
        assert told in again.reason


def test_a_student_that_is_an_endpoint_too_is_judged_by_its_own_address(
    server: LocalEndpoint, write_release: Write, student: Path, tmp_path: Path
) -> None:
    with serving(student, name="small-model") as other:
        asked = {"base_url": other.address, "model": "small-model", "terms": "MIT"}
        context = open_release(write_release(server.address, student={"endpoint": asked}), store=tmp_path / "store")
        done = gated(context)
    decision = json.loads((done.folder / "decision.json").read_text())
    rules = {f["rule"]: f["verdict"] for f in decision["findings"]}
    assert "evidence.backend" not in rules
    assert rules["provenance.student-endpoint"] == "warn"
    assert "evidence.served-unproven" not in rules, "nobody claims that other weights answered"
    identity = json.loads((done.folder / "student" / "identity.json").read_text())
    assert identity["model"] == identity["weights"] == identity["endpoint"] == decision["digests"]["student_model"]
    assert _evidence(done.folder, "student")["endpoint"]["answered"] == {"small-model": 44}
    assert not (done.folder / "control").exists()
    assert {f.standing for f in review_answers(BundleReader(done.folder))} == {"verified"}


def test_a_chat_endpoint_may_answer_for_weights_that_are_at_hand_and_the_finding_says_what_text_cannot_show(
    server: LocalEndpoint, write_release: Write, teacher: Path, tmp_path: Path
) -> None:
    asked = {"backend": "chat", "endpoint": {"base_url": server.address, "model": "big-model"}}
    path = write_release("http://127.0.0.1:9/v1", evaluation={"teacher": asked})
    said = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**said, "teacher": {"model": str(teacher)}}))
    finished = evaluated(open_release(path, store=tmp_path / "store"))
    evidence = _evidence(finished.folder)
    assert evidence["model"]["weights"] == model_identity(teacher).weights
    assert evidence["endpoint"]["answered"] == {"big-model": 44}
    found = {f["rule"]: f for f in json.loads((finished.folder / "findings.json").read_text())["findings"]}
    assert found["evidence.served-unproven"]["verdict"] == "review"
    assert [t["task"] for t in evidence["tasks"]] == ["write"]


@pytest.mark.nightly
@pytest.mark.ci
def test_a_student_that_is_an_endpoint_is_promoted_and_audited_and_never_loaded(
    server: LocalEndpoint, write_release: Write, student: Path, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tiny student is far below its teacher: what is tested here is the way, not the verdict.
    rules = yaml.safe_load(policy.read_text())
    rules["criteria"] = [{**rules["criteria"][0], "kind": "floor", "floor": -1.0, "direction": "higher", "margin": None}]
    rules["criteria"][0].pop("margin")
    rules["findings"] |= {"*": "warn"}
    policy.write_text(yaml.safe_dump(rules))
    store = tmp_path / "store"
    with serving(student, name="small-model") as other:
        asked = {"base_url": other.address, "model": "small-model", "terms": "MIT"}
        path = write_release(server.address, student={"endpoint": asked})
        at = ["--store", str(store)]
        assert CliRunner().invoke(app, ["registry", "policy", "allow", str(policy), "--models", "black-box", *at]).exit_code == 0
        run = CliRunner().invoke(app, ["run", str(path), *at])
        assert run.exit_code == 0, run.output
        assert f"can only be asked, at {other.address}" in " ".join(run.output.split())
    audit = CliRunner().invoke(app, ["audit", "black-box", "1", "--replay", "2", *at])
    told = " ".join(audit.output.split())
    assert audit.exit_code == 0, told
    assert "shows no weights" in told
    for command in ("audit", "verify"):
        beside = CliRunner().invoke(app, [command, "black-box", "1", "--weights", str(student), *at])
        assert beside.exit_code == 1, beside.output
    with pytest.raises(InputError, match="can only be asked"):
        load_model("models:/black-box@champion", store=store)


def test_a_model_compared_with_itself_under_one_address_is_invalid(server: LocalEndpoint, write_release: Write, tmp_path: Path) -> None:
    asked = {"base_url": server.address, "model": "big-model", "terms": "MIT"}
    finished = evaluated(open_release(write_release(server.address, student={"endpoint": asked}), store=tmp_path / "store"))
    rows = json.loads((finished.folder / "findings.json").read_text())["findings"]
    (found,) = [row for row in rows if row["rule"] == "evidence.same-model"]
    assert found["verdict"] == "invalid"
    assert "same address and model name" in found["reason"]


@pytest.mark.parametrize("spelt", ["http://127.0.0.1:9/v1/", "HTTP://127.0.0.1:9/v1"])
def test_a_model_compared_with_itself_is_found_before_anything_is_asked(write_release: Write, tmp_path: Path, spelt: str) -> None:
    asked = {"base_url": spelt, "model": "big-model", "terms": "Apache-2.0", "concurrency": 2}
    path = write_release("http://127.0.0.1:9/v1", student={"endpoint": asked})
    at = ["--store", str(tmp_path / "store")]
    done = CliRunner().invoke(app, ["check", str(path), *at])
    assert done.exit_code == 1
    assert "both big-model at http://127.0.0.1:9/v1" in " ".join(done.stdout.split())
    other = write_release("http://127.0.0.1:9/v1", student={"endpoint": {**asked, "extra_body": {"reasoning_effort": "low"}}})
    assert "same-model" not in CliRunner().invoke(app, ["check", str(other), *at]).stdout


def test_one_name_that_answers_for_two_at_one_address_is_one_model() -> None:
    def seen(asked: str, answered: str, address: str = "http://a/v1") -> dict[str, Any]:
        return {"model": {}, "endpoint": {"address": address, "asked": asked, "answered": {answered: 3}}}

    assert "m-1 answered for both" in one_endpoint(seen("big", "m-1"), seen("small", "m-1"))
    assert one_endpoint(seen("big", "m-1"), seen("big", "m-2")) == "address and model name"
    assert not one_endpoint(seen("big", "big-1"), seen("small", "small-1"))
    assert not one_endpoint(seen("big", ""), seen("small", ""))
    assert not one_endpoint(seen("big", "m"), seen("small", "m", "http://b/v1"))


def test_no_task_at_all_is_refused_by_name(server: LocalEndpoint, write_release: Write, tmp_path: Path) -> None:
    context = open_release(write_release(server.address, suites=["bias"]), store=tmp_path / "store")
    with pytest.raises(InputError, match="no task of its suites can be asked"):
        evaluated(context)
