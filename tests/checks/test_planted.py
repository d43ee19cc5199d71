"""Every kind of violation, planted one at a time in a release that is in order, and put through `kdgov check` and `kdgov run`."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest
import yaml
from typer.testing import CliRunner

from kdgov.cli.app import app
from kdgov.finding_rules import RULES
from tests.checks.conftest import QUESTION, World, world_policy
from tests.checks.test_violations import BOOK, PERSONS, PRACTICE

Plant = Callable[[World], object]
SIXTEEN = "Which of the old mills beside the river was built before the bridge and still grinds?"


def _row(world: World, **fields: str) -> None:
    world.rows[5] = {**world.rows[5], **fields}


def _persons(**changes: object) -> Plant:
    def plant(world: World) -> None:
        world.rows = [{**row, "person": f"p{n}"} for n, row in enumerate(world.rows)]
        world.data["personal_data"] = {**PERSONS, **changes}

    return plant


def _edited(world: World) -> None:
    words = QUESTION.split()
    words[7], words[15] = "new", "famous"
    world.items[0]["question"] = f"{QUESTION} It lies beyond the second gate, where the market used to be held on every other Monday."
    _row(world, prompt=" ".join(words) + " It lies beyond the third gate, where the market used to be held on every other Friday.")


def _near(world: World) -> None:
    world.items[0]["question"] = SIXTEEN
    _row(world, prompt=SIXTEEN.replace("mills", "presses"))


def _endpoint(world: World) -> None:
    world.release["teacher"] = {"endpoint": {"base_url": "http://127.0.0.1:9/v1", "model": "big-model", "terms": "MIT"}}
    world.release["student"] = {"model": "teacher", "license": "MIT"}
    world.release["distillation"]["terms"] = [{"kind": "teacher_text"}]


def _mailed(world: World) -> None:
    """Prompts with addresses, a card that allows DE only, an endpoint in the US."""
    _endpoint(world)
    world.release["teacher"]["endpoint"] |= {"base_url": "https://eu.example.com/v1", "region": "US"}
    world.data |= {"personal_data": {**PERSONS, "geography_allowed": ["DE"]}}
    world.rows = [{**row, "person": f"p{n}"} for n, row in enumerate(world.rows)]
    _row(world, prompt="Write to jane.roe@mail.example.org about it.")


def _elsewhere(world: World) -> None:
    world.release["student"] = {"model": "teacher", "license": "MIT"}
    world.release["data"] = []
    del world.release["distillation"]


def _hub_task(world: World) -> None:
    task = {"task": "far", "lm_eval": "arc_easy", "metrics": [{"metric": "acc", "direction": "higher"}]}
    suite = {"schema": "kdgov.suite/1", "name": "hub", "license": "CC0-1.0", "tasks": [task]}
    (world.folder / "hub").mkdir()
    (world.folder / "hub" / "suite.yaml").write_text(yaml.safe_dump(suite))
    world.release["suites"] = ["suite", "hub"]


def _many_topics() -> list[dict[str, str]]:
    """Twelve topics of a dozen inputs each, with no word in common."""
    rng = random.Random(0)
    topics = [
        ["".join(rng.choices("bcdfghjklmnprstvz", k=2)) + rng.choice("aeiou") + f"{rng.randrange(16**5):05x}" for _ in range(6)]
        for _ in range(12)
    ]
    return [{"input": " ".join(rng.sample(words, 5)) + f" {n}"} for words in topics for n in range(12)]


def _synthetic(**without: object) -> Plant:
    return lambda world: world.data.update(generation={**BOOK, **without})


PLANTS: dict[str, tuple[Plant, str]] = {
    "provenance.teacher-unpinned": (
        lambda w: w.release.update(teacher={"model": "some/model", "revision": "main", "card": "teacher.yaml"}),
        "some/model",
    ),
    "provenance.teacher-endpoint": (_endpoint, "big-model"),
    "provenance.student-unpinned": (lambda w: w.release.update(student={"model": "some/base", "license": "MIT"}), "some/base"),
    "privacy.sent-to-endpoint": (_mailed, "eu.example.com"),
    "provenance.model-changed": (lambda w: w.teacher.update(digest="sha256:" + "0" * 64), "teacher.yaml"),
    "provenance.file-missing": (lambda w: w.data["files"].append({"path": "more.jsonl", "digest": "sha256:" + "0" * 64}), "more.jsonl"),
    "provenance.file-unpinned": (lambda w: setattr(w, "is_pinned", False), "data.jsonl"),
    "provenance.file-changed": (lambda w: w.data["files"][0].update(digest="sha256:" + "0" * 64), "data.jsonl"),
    "provenance.file-empty": (lambda w: setattr(w, "raw", b""), "data.jsonl"),
    "provenance.file-unreadable": (lambda w: setattr(w, "raw", b'{"text": "a"}\n{"text":\n'), "line 2"),
    "provenance.file-not-utf8": (lambda w: setattr(w, "raw", b'{"text": "caf\xe9"}\n'), "data.jsonl"),
    "provenance.file-long-lines": (lambda w: setattr(w, "raw", b'{"text": "' + b"a b " * 6_000_000 + b'"}\n'), "data.jsonl"),
    "provenance.rows-differ": (lambda w: w.data["files"][0].update(rows=41), "data.jsonl"),
    "provenance.card-missing": (lambda w: w.release.update(data=["data.jsonl"]), "data.jsonl"),
    "provenance.fields-missing": (lambda w: w.data.pop("issuer"), "issuer"),
    "provenance.teacher-use-undeclared": (_elsewhere, "teacher"),
    "provenance.synthetic-incomplete": (_synthetic(revision=None), "revision"),
    "provenance.synthetic-unknown": (
        lambda w: w.data.update(issuer="Somebody Else", generation={**BOOK, "prompt_template_digest": "unknown"}),
        "prompt_template_digest",
    ),
    "provenance.name-is-a-hash": (lambda w: w.teacher.update(name="0123456789abcdef0123456789abcdef01234567"), "0123456789abcdef"),
    "provenance.synthetic-thin": (_synthetic(seed=None), "seed"),
    "privacy.personal-data-unsaid": (lambda w: w.data.pop("personal_data"), "data"),
    "privacy.lawful-basis-missing": (_persons(lawful_basis="not_established"), "data"),
    "privacy.consent-unrecorded": (_persons(consent=None), "data"),
    "privacy.purpose-not-covered": (_persons(purposes=["model_training"]), "commercial"),
    "privacy.retention-over": (_persons(retention_until="2026-11-21"), "2026-11-21"),
    "privacy.retention-unsaid": (_persons(retention_until=None), "data"),
    "privacy.withdrawn-present": (_persons(withdrawn_ids=["p7"]), "row 8"),
    "privacy.withdrawn-unchecked": (_persons(withdrawn_ids=["p7"], id_field=None), "data"),
    "privacy.geography-forbidden": (_persons(geography_forbidden=["DE"]), "DE"),
    "privacy.pii-found": (lambda w: (_persons()(w), _row(w, completion="Ask jane.roe@mail.example.org.")), "row 6"),
    "privacy.pii-noted": (
        lambda w: (w.release["release"].update(distribution="internal"), _row(w, completion="a@example.org " + "word " * 9000)),
        "row 6",
    ),
    "privacy.pii-contradicts-card": (lambda w: _row(w, completion="Ask jane.roe@mail.example.org."), "row 6"),
    "privacy.secret-found": (lambda w: _row(w, completion="The key is AKIA" + "QZ7RTW2MNB4KXC9D."), "row 6"),
    "privacy.not-testable": (lambda w: setattr(w, "rows", [{"pixels": n} for n in range(40)]), "data"),
    "contamination.verbatim": (lambda w: _row(w, prompt=f"Tell me this. {QUESTION}"), "suite/asked/one"),
    "contamination.overlap": (lambda w: _row(w, prompt="So. " + " ".join(_long(w).split()[:13])), "suite/asked/one"),
    "contamination.edited": (_edited, "suite/asked/one"),
    "contamination.near-duplicate": (_near, "suite/asked/one"),
    "contamination.not-testable": (lambda w: w.items.append({"id": "two", "question": "Who?", "answer": "Me"}), "suite/asked"),
    "contamination.items-absent": (_hub_task, "hub/far"),
    "coverage.uncovered": (
        lambda w: setattr(w, "rows", [{"prompt": f"{QUESTION[:60]} {n} stones", "completion": "no"} for n in range(80)]),
        "data",
    ),
    "practice.task-diversity": (lambda w: setattr(w, "inputs", _many_topics()), "topics"),
    "coverage.not-testable": (lambda w: setattr(w, "rows", w.rows[:10]), "data"),
    **{rule: (plant, "") for rule, plant in PRACTICE.items()},
    "practice.no-before-after": (_elsewhere, ""),
}
ELSEWHERE = {
    "provenance.data-unpinned": "takes a cache of the Hub: tests/hub/test_data_sets.py",
    "practice.mitigation-untested": "takes mitigations: tests/checks/test_mitigations.py",
    "provenance.student-endpoint": "takes a student that is asked: tests/evaluation/test_black_box.py",
    "contamination.retold": "takes an encoder: tests/checks/test_retold.py",
    "contamination.image-alike": "takes pictures: tests/checks/test_media.py",
    "contamination.media-not-compared": "takes pictures: tests/checks/test_media.py",
    "practice.informed-before-results": "judged after the evaluation: tests/checks/test_practice.py",
    "coverage.worse-far": "judged after the evaluation: tests/decision/test_near_and_far.py",
    "contamination.judged-apart": "judged after the evaluation: tests/checks/test_apart.py",
    "contamination.not-apart": "judged after the evaluation: tests/checks/test_apart.py",
    "practice.general-purpose-model": "takes recorded compute: tests/checks/test_general_purpose.py",
    "practice.general-purpose-unknown": "takes recorded compute: tests/checks/test_general_purpose.py",
    "privacy.names-found": "takes a model: tests/checks/test_names.py",
}
LICENCES: dict[str, tuple[Plant, str, str]] = {
    "licence.deny": (lambda w: w.teacher.update(license="cc-by-nc-4.0"), "student ← teacher", "s2(a)(1)"),
    "licence.deny through a chain": (
        lambda w: w.data.update(lineage=[{"use": "generated_text", "name": "Llama-3-70B", "license": "llama3", "access": "weights"}]),
        "student ← data ← Llama-3-70B",
        "1.b.v",
    ),
    "licence.needs-review": (lambda w: w.data.pop("license"), "student ← data", "policy choice missing"),
    "licence.obligation-unmet": (lambda w: w.data.update(license="CC-BY-4.0"), "student ← data", "CC-BY-4.0"),
    "licence.obligation-unmet by the name": (lambda w: w.teacher.update(license="llama3.1"), "student ← teacher", "1.b.i"),
}


def _long(world: World) -> str:
    text = f"{QUESTION} It lies beyond the second gate, where the market used to be held on every other Monday of the month."
    world.items[0]["question"] = text
    return text


def _checked(world: World, *arguments: str) -> tuple[int, str]:
    told = CliRunner().invoke(
        app, ["check", str(world.write()), "--store", str(world.folder / "store"), "--today", "2026-11-22", *arguments]
    )
    return told.exit_code, told.stdout


def _with_policy(world: World, **sections: object) -> None:
    (world.folder / "policy.yaml").write_text(yaml.safe_dump({**world_policy(), **sections}))
    world.release["policy"] = "policy.yaml"


def test_every_rule_has_its_plant():
    # Licences and evidence are planted in tests/license, tests/evaluation and tests/decision.
    of_checks = {rule for rule in RULES if not rule.startswith(("licence.", "evidence."))}
    assert PLANTS.keys() | ELSEWHERE.keys() == of_checks
    assert not PLANTS.keys() & ELSEWHERE.keys()


def test_the_release_without_a_plant_is_let_through(world):
    assert _checked(world)[0] == 0


@pytest.mark.parametrize("rule", PLANTS)
def test_a_planted_violation_is_blocked_with_its_path_and_its_mend(world, rule):
    """As the rule stands where it stops by itself, and by the policy key that its own text names where it warns."""
    plant, path = PLANTS[rule]
    plant(world)
    if RULES[rule].verdict == "warn":
        _with_policy(world, findings={rule: "block"})
    code, out = _checked(world, "--format", "json")
    found = [finding for finding in json.loads(out)["findings"] if finding["rule"] == rule]
    assert code == 1
    assert [f for f in found if f["verdict"] in ("block", "review")], (rule, json.loads(out)["counts"])
    assert any(path in finding["subject"] + finding["reason"] for finding in found), found
    assert all(finding["mend"] and finding["source"] for finding in found)
    if RULES[rule].verdict == "warn":
        assert found[0]["verdict"] == "block"


@pytest.mark.parametrize("name", LICENCES)
def test_a_planted_licence_violation_is_blocked_with_its_path_clause_and_mend(world, name):
    plant, path, clause = LICENCES[name]
    plant(world)
    code, out = _checked(world, "--format", "json")
    found = [f for f in json.loads(out)["findings"] if f["rule"] == name.split()[0] and path in f["subject"]]
    assert code == 1
    assert found
    assert clause in found[0]["reason"] + found[0]["source"]
    assert found[0]["mend"]


def test_people_read_verdict_rule_path_reason_mend_and_source(world):
    PLANTS["contamination.verbatim"][0](world)
    _, out = _checked(world)
    line = out.splitlines()
    start = next(n for n, text in enumerate(line) if text.startswith("block") and "contamination.verbatim" in text)
    assert "data ← suite/asked" in line[start]
    assert "suite/asked/one at data.jsonl row 6" in line[start + 1]
    assert line[start + 2].strip().startswith("→ Remove those rows")
    assert "arXiv:2005.14165" in line[start + 3]
    assert "stopped by contamination.verbatim" in line[-1]


def test_the_run_ends_at_the_check_and_nothing_is_trained(world):
    world.teacher["license"] = "cc-by-nc-4.0"
    told = CliRunner().invoke(app, ["run", str(world.write()), "--store", str(world.folder / "store")])
    assert told.exit_code == 1
    assert "s2(a)(1)" in told.output
    assert not (world.folder / "store" / "steps" / "distill").exists()
