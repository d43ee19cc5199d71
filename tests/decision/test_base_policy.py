"""A policy may not judge by less than the one that was agreed: `kdgov gate --base-policy`, and all formats from one judgement."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pyarrow.parquet as pq
import pytest

import kdgov
from tests.decision.test_command import POLICY, call, gate, inputs  # noqa: F401 - the fixture


@pytest.fixture
def loose(inputs):  # noqa: F811
    (inputs / "base.yaml").write_text(POLICY)
    (inputs / "policy.yaml").write_text(POLICY.replace("0.05", "0.25") + "findings: {evidence.policy-*: warn}\n")
    return inputs


def test_a_looser_policy_is_invalid_with_what_is_looser(loose):
    assert gate(loose, "worse.parquet").exit_code == 0
    done = gate(loose, "worse.parquet", "--base-policy", loose / "base.yaml", "--format", "json")
    assert done.exit_code == 1
    decision = json.loads(done.stdout)
    assert decision["verdict"] == "invalid"
    (found,) = [f for f in decision["findings"] if f["check"] == "evidence" and f["verdict"] == "invalid"]
    assert "the margin rises from 0.05 to 0.25" in found["reason"]


def test_the_same_and_a_stricter_policy_judge_as_without_a_base(loose):
    for text in (POLICY, POLICY.replace("0.05", "0.04")):
        (loose / "policy.yaml").write_text(text)
        plain = gate(loose, "equal.parquet", "--format", "json")
        held = gate(loose, "equal.parquet", "--format", "json", "--base-policy", loose / "base.yaml")
        assert (plain.exit_code, held.exit_code) == (0, 0)
        assert json.loads(plain.stdout)["digest"] == json.loads(held.stdout)["digest"]


def test_a_base_policy_that_is_not_there_is_a_fault_not_a_pass(loose):
    assert gate(loose, "equal.parquet", "--base-policy", loose / "absent.yaml").exit_code == 2


def test_one_judgement_writes_every_format_by_ending_or_by_name(inputs):  # noqa: F811
    names = ["d.json", "g.md", "g.sarif", "g.xml", "g.txt", "markdown=h.log"]
    outs = [
        part
        for name in names
        for part in ("--out", f"{name.partition('=')[0]}={inputs / name.partition('=')[2]}" if "=" in name else inputs / name)
    ]
    assert gate(inputs, "worse.parquet", *outs).exit_code == 1
    assert json.loads((inputs / "d.json").read_text())["verdict"] == "fail"
    assert json.loads((inputs / "g.sarif").read_text())["version"] == "2.1.0"
    assert ET.parse(inputs / "g.xml").getroot().tag.startswith("testsuite")
    assert (inputs / "h.log").read_text() == (inputs / "g.md").read_text()
    assert "ability" in (inputs / "g.txt").read_text()
    assert gate(inputs, "equal.parquet", "--format", "junit", "--out", inputs / "one.md").exit_code == 0
    assert ET.parse(inputs / "one.md")
    assert gate(inputs, "equal.parquet", "--out", inputs / "d.json", "--out", inputs / "d.json").exit_code == 2


@pytest.mark.parametrize("as_table", [True, False])
def test_python_refuses_a_looser_policy_as_the_command_does(loose, as_table):
    sides = [str(loose / "teacher.parquet"), str(loose / "worse.parquet")]
    given = [pq.read_table(side) for side in sides] if as_table else sides
    assert kdgov.gate(*given, loose / "policy.yaml").verdict == "pass"
    assert kdgov.gate(*given, loose / "policy.yaml", base_policy=loose / "base.yaml").verdict == "invalid"
    assert kdgov.gate(*given, loose / "policy.yaml", base_policy=loose / "policy.yaml").verdict == "pass"
