"""The worked examples that fix what the contract means."""

from __future__ import annotations

import datetime
import re

import pytest
import yaml

from kdgov.license import Evidence, LicenseCase, case_from_json, check
from tests.license.conftest import AS_OF, examples_folder, expected_of

FOLDER = examples_folder()
FILES = sorted(FOLDER.glob("*.yaml")) if FOLDER else []

pytestmark = pytest.mark.skipif(not FILES, reason="the worked examples are not beside this checkout; set KDGOV_REALDATA")


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_an_example_gets_its_expected_verdict_gate_and_obligations(file) -> None:
    text = file.read_text(encoding="utf-8")
    expected = expected_of(text)
    case = case_from_json(yaml.safe_load(text), as_of=AS_OF)
    answer = check(case)
    assert answer.verdict == expected["expected verdict"]
    until = expected["expected gate"]
    assert answer.gate == ("block" if until.startswith("promote once") else until)
    wanted = [] if expected["obligations"] == "none" else [re.sub(r"\(.*", "", part) for part in expected["obligations"].split(";")]
    assert set(wanted) <= {o.kind for o in answer.obligations}
    if until.startswith("promote once"):
        assert check(_evidenced(case)).gate == "promote"


REAL_NAMES = sorted((FOLDER / "real_names").glob("*.yaml")) if FOLDER else []


@pytest.mark.skipif(not REAL_NAMES, reason="the examples with real names are not beside this checkout; set KDGOV_REALDATA")
@pytest.mark.parametrize("file", REAL_NAMES, ids=lambda path: path.stem)
def test_an_example_with_real_names_gets_one_of_the_answers_it_accepts(file) -> None:
    text = file.read_text(encoding="utf-8")
    expected = expected_of(text)
    answer = check(case_from_json(yaml.safe_load(text), as_of=AS_OF))
    verdicts = re.findall(r"allow_with_obligations|allow|needs_review|deny", expected["expected verdict"])
    assert answer.verdict in verdicts, answer.reason
    gates = re.findall(r"\b(?:promote|hold|block)\b", re.sub(r"\(.*", "", expected.get("expected gate", "promote hold block")))
    assert answer.gate in gates, answer.reason
    wanted = re.findall(r"\b[A-Z]+_?[A-Z]+\b", re.sub(r" of .*", "", expected.get("obligations", "")))
    assert set(wanted) <= {o.kind for o in answer.obligations}


def _evidenced(case: LicenseCase) -> LicenseCase:
    """The same case with evidence for whatever its answer leaves unmet."""
    shown = tuple(
        Evidence(obligation=o.kind, license=o.license, text=o.value, where="README.md", dated=datetime.date(2026, 1, 1))
        for o in check(case).obligations
        if o.met is False
    )
    return LicenseCase(
        student=case.student,
        uses=case.uses,
        release=case.release,
        organization=case.organization,
        choices=case.choices,
        evidence=shown,
        as_of=AS_OF,
    )
