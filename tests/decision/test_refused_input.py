"""What no policy may say and no table may hold: refused with file, line and key, all at once, and never a crash."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from kdgov.cli.app import app
from kdgov.decision.judgement import judge
from kdgov.declarations.policy_file import parse_policy
from kdgov.errors import DeclarationError
from kdgov.items import MetricDeclaration

HEAD = 'schema: kdgov.policy/1\nname: own\nversion: "1"\ncriteria:\n'
RIGHT, WRONG = np.ones(400), np.zeros(400)
ROW = '{"suite":"s","task":"t","item_id":"1","metric":"m","score":1}\n'


@pytest.mark.parametrize(
    ("criterion", "key", "words"),
    [
        ("kind: non_inferiority, margin: yes", "criteria[0].margin", "is true, not a number"),
        ("kind: non_inferiority, margin: .inf", "criteria[0].margin", "finite"),
        ("kind: non_inferiority, margin: 0.1, floor: .nan", "criteria[0].floor", "finite"),
        ("kind: non_inferiority, margin: 0.1, range: [0, .inf]", "criteria[0].range[1]", "finite"),
        ("kind: non_inferiority, margin: 0.1, min_items: true", "criteria[0].min_items", "is true, not a number"),
        ("kind: non_inferiority, margin: 1, range: [0, 1]", "criteria[0]", "the margin 1, as wide as or wider than the whole range 1"),
        ("kind: non_inferiority, margin: 1, threshold: 0.5", "criteria[0]", "wider than the whole range"),
        ("kind: calibration, margin: 1", "criteria[0]", "the margin 1, as wide as the whole range"),
        ("kind: efficiency, measure: parameters, max_ratio: .inf", "criteria[0].max_ratio", "finite"),
    ],
)
def test_a_number_that_judges_nothing_is_refused_by_its_key(criterion, key, words):
    with pytest.raises(DeclarationError) as caught:
        parse_policy(HEAD + "  - {id: c, " + criterion + "}\n", file="p.yaml")
    (fault,) = caught.value.faults
    assert (fault.file, fault.line, fault.key) == ("p.yaml", 5, key)
    assert words in fault.what


@pytest.mark.parametrize("margin", [1.0, 2.0, 5.0])
def test_a_margin_as_wide_as_the_range_of_right_and_wrong_is_invalid(table, policy, margin):
    """Nobody declared the range; a student that has everything wrong must not pass for it."""
    (result,) = judge(table(RIGHT), table(WRONG), policy(margin=margin)).criteria
    assert result.verdict == "invalid"
    assert f"the margin {margin:g} judges nothing" in result.reason
    assert "worse on acc than 1" in result.reason


def test_a_margin_below_the_range_still_judges(table, policy):
    assert judge(table(RIGHT), table(WRONG), policy(margin=0.95)).verdict == "fail"
    wide = MetricDeclaration(suite="capability", task="qa", metric="acc", direction="higher", low=0.0, high=10.0)
    assert judge(table(RIGHT), table(RIGHT), policy(margin=0.4), metrics=[wide]).verdict == "pass"


def test_the_largest_loss_of_closeness_is_the_distance_from_the_ideal_to_the_end(table, policy):
    half = np.tile([0.0, 1.0], 200)
    (result,) = judge(table(half), table(RIGHT), policy(direction="target", ideal=0.5, margin=0.5)).criteria
    assert result.verdict == "invalid"
    assert judge(table(half), table(RIGHT), policy(direction="target", ideal=0.5, margin=0.4)).verdict == "fail"


def call(folder: Path, *arguments: str) -> tuple[int, dict]:
    result = CliRunner().invoke(app, [a.replace("@", f"{folder}/") for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, json.loads(result.stdout)


def test_the_faults_of_policy_and_both_tables_are_told_together_with_their_lines(tmp_path):
    (tmp_path / "p.yaml").write_text(HEAD + "  - {id: c, kind: non_inferiority, margin: -1}\n")
    (tmp_path / "t.jsonl").write_text(ROW + "[1]\n")
    (tmp_path / "s.jsonl").write_text("null\n" + ROW)
    code, document = call(tmp_path, "gate", "--teacher", "@t.jsonl", "--student", "@s.jsonl", "--policy", "@p.yaml", "--format", "json")
    assert code == 2
    faults = document["error"]["faults"]
    assert [(Path(f["file"]).name, f["line"], f["key"]) for f in faults] == [
        ("p.yaml", 5, "criteria[0].margin"),
        ("t.jsonl", 2, ""),
        ("s.jsonl", 1, ""),
    ]


def test_sarif_names_a_policy_by_a_uri(tmp_path):
    folder = tmp_path / "mine & ünser"
    folder.mkdir()
    (folder / "p.yaml").write_text(HEAD + "  - {id: c, kind: non_inferiority, direction: higher, margin: 0.05}\n")
    (folder / "t.jsonl").write_text(ROW)
    code, document = call(folder, "gate", "--teacher", "@t.jsonl", "--student", "@t.jsonl", "--policy", "@p.yaml", "--format", "sarif")
    assert code == 1
    (place,) = {r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in document["runs"][0]["results"]}
    assert place.endswith("/mine%20%26%20%C3%BCnser/p.yaml")
