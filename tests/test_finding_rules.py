"""The table of finding rules is whole, and a policy cannot name a rule that does not exist or yields to none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from kdgov.declarations.policy_file import load_policy
from kdgov.errors import DeclarationError
from kdgov.evaluation.backends.settings import BackendSettings
from kdgov.evaluation.results.comparability import _REASONS
from kdgov.finding_rules import RULES
from kdgov.passing_rules import PASSING

_NAME = re.compile(r"[\"']((?:licence|provenance|privacy|contamination|coverage|practice|evidence)\.[a-z][a-z-]+)[\"']")
_INVALID = re.compile(r"\binvalid\(\s*[\"']([a-z-]+)[\"']")
_FILES = {"evidence.json", "contamination.json"}
# Names of facts that framework crosswalks read, not of rules.
_FACTS = {"auditing/crosswalk"}
# The drill plants a misspelt rule.
_MISSPELT = {"planted_files.py": {"evidence.policy-newr"}}


def test_every_rule_that_the_code_speaks_by_stands_in_the_table(project_root):
    missing = {}
    for path in (project_root / "kdgov").rglob("*.py"):
        if any(part in path.as_posix() for part in _FACTS):
            continue
        source = path.read_text(encoding="utf-8")
        named = set(_NAME.findall(source)) | {f"evidence.{rule}" for rule in _INVALID.findall(source)}
        # What a check says where all is well is no rule that a policy could change.
        named -= PASSING.keys()
        if unknown := named - RULES.keys() - _FILES - _MISSPELT.get(path.name, set()):
            missing[path.name] = unknown
    assert not missing, missing


def test_every_way_in_which_two_evaluations_can_differ_has_its_rule():
    ways = {rule for rule, _ in _REASONS.values()} | {key.replace("_", "-") for key in BackendSettings().as_json()}
    assert {f"evidence.{way}" for way in ways} <= RULES.keys()


def _policy(path: Path, findings: dict[str, str], root: Path) -> Path:
    policy = yaml.safe_load((root / "policies" / "default.yaml").read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**policy, "findings": findings}))
    return path


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("evidence.policy-newr", "Did you mean `evidence.policy-newer`"),
        ("licence.deny", "yields to no policy"),
        ("licence.obligation-unmet", "yields to no policy"),
        ("evidence.plan", "yields to no policy"),
        ("practise.*", "is not a known rule"),
        ("licence.den?", "yields to no policy"),
    ],
)
def test_a_rule_that_cannot_work_is_a_fault_with_its_line(rule, said, tmp_path, project_root):
    path = _policy(tmp_path / "p.yaml", {rule: "warn"}, project_root)
    with pytest.raises(DeclarationError) as caught:
        load_policy(path)
    (fault,) = caught.value.faults
    assert said in f"{fault.what} {fault.mend}"
    assert fault.line > 0


def test_all_faults_are_told_together(tmp_path, project_root):
    path = _policy(
        tmp_path / "p.yaml", {"licence.deny": "warn", "evidence.policy-newr": "block", "practice.little-dat": "block"}, project_root
    )
    with pytest.raises(DeclarationError) as caught:
        load_policy(path)
    assert len(caught.value.faults) == 3


def test_a_glob_that_reaches_a_rule_which_yields_is_allowed(tmp_path, project_root):
    assert load_policy(_policy(tmp_path / "p.yaml", {"evidence.*": "block", "practice.*": "review"}, project_root)).findings
