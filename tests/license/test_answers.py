"""What comes out: findings, notice files, text for people, JSON for programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from kdgov.cli.app import app
from kdgov.license import case_from_json, check, findings
from kdgov.license.notice import notice_files
from tests.license.conftest import AS_OF

DENIED = {
    "student": {"name": "acme", "license": "Apache-2.0"},
    "uses": [
        {"use": "weights_init", "license": "Apache-2.0", "name": "base"},
        {
            "use": "dataset_train",
            "license": "MIT",
            "name": "synthetic set",
            "made_by": [{"use": "generated_text", "license": "llama3", "name": "Llama-3-70B"}],
        },
        {"use": "dataset_train", "license": "NONE", "name": "crawl"},
        {"use": "logits", "license": "MIT", "name": "teacher"},
    ],
}
DUTIFUL = {
    "student": {"name": "Llama-Acme", "license": "LicenseRef-acme"},
    "uses": [
        {"use": "weights_init", "license": "llama3.1", "name": "Llama-3.1-8B"},
        {"use": "generated_text", "license": "gemma", "name": "Gemma-2"},
        {"use": "dataset_train", "license": "CC-BY-4.0", "name": "corpus"},
        {"use": "dataset_train", "license": "odc-by", "name": "web"},
    ],
}


def _write(tmp_path: Path, document: object) -> Path:
    file = tmp_path / "case.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    return file


def test_findings_name_path_rule_clause_and_mend() -> None:
    found = findings(check(case_from_json(DENIED, as_of=AS_OF)))
    by_rule = {rule: [finding for finding in found if finding.rule == rule] for rule in {finding.rule for finding in found}}
    (deny,) = by_rule["licence.deny"]
    assert deny.verdict == "block"
    assert deny.subject == "student ← synthetic set ← Llama-3-70B"
    assert "1.b.v" in deny.source
    assert "LicenseRef-Meta-Llama-3" in deny.source
    assert deny.mend
    (review,) = by_rule["licence.needs-review"]
    assert (review.verdict, review.subject) == ("review", "student ← crawl")
    assert {f.subject for f in by_rule["licence.obligation-unmet"]} == {"student ← base"}
    assert {f.subject for f in by_rule["licence.allow"]} == {"student ← base", "student ← teacher"}
    assert all(finding.check == "licence" for finding in found)
    json.dumps([finding.as_json() for finding in found], allow_nan=False)


def test_a_promoted_case_has_only_passing_findings() -> None:
    answer = check(case_from_json({"uses": [{"use": "logits", "license": "MIT", "name": "teacher"}]}))
    assert [finding.verdict for finding in findings(answer)] == ["pass"]


def test_notice_files_hold_the_prescribed_words_and_a_credit_for_each_upstream() -> None:
    case = case_from_json(DUTIFUL, as_of=AS_OF)
    files = notice_files(case, check(case))
    assert "Llama 3.1 is licensed under the Llama 3.1 Community License" in files["NOTICE"]
    assert "Gemma is provided under and subject to the Gemma Terms of Use" in files["NOTICE"]
    assert "**Built with Llama**" in files["ATTRIBUTION.md"]
    assert "corpus" in files["ATTRIBUTION.md"]
    assert "web, which is made available under" in files["ATTRIBUTION.md"]
    assert "Gemma 3.2" in files["USE_RESTRICTIONS.md"]
    assert "Llama 3.1" in files["USE_RESTRICTIONS.md"]
    assert files["LICENSE_OBLIGATIONS.md"].count("- [") >= len(check(case).obligations)


def test_nothing_is_written_where_nothing_is_asked() -> None:
    case = case_from_json({"uses": [{"use": "logits", "license": "MIT"}]})
    assert notice_files(case, check(case)) == {}


def test_the_command_writes_the_files_and_replaces_none_unasked(tmp_path: Path) -> None:
    file, out = _write(tmp_path, DUTIFUL), tmp_path / "student"
    first = CliRunner().invoke(app, ["license", "notice", str(file), "--out", str(out)])
    assert first.exit_code == 0, first.output
    assert sorted(path.name for path in out.iterdir()) == ["ATTRIBUTION.md", "LICENSE_OBLIGATIONS.md", "NOTICE", "USE_RESTRICTIONS.md"]
    (out / "NOTICE").write_text("mine", encoding="utf-8")
    second = CliRunner().invoke(app, ["license", "notice", str(file), "--out", str(out)])
    assert second.exit_code == 2
    assert (out / "NOTICE").read_text(encoding="utf-8") == "mine"
    assert CliRunner().invoke(app, ["license", "notice", str(file), "--out", str(out), "--force"]).exit_code == 0


def test_exit_codes_are_those_of_the_contract(tmp_path: Path) -> None:
    allowed = {"student": {"name": "a", "license": "MIT"}, "uses": [{"use": "logits", "license": "MIT", "name": "t"}]}
    for document, code in ((allowed, 0), (DENIED, 1), (DUTIFUL, 1), ({"uses": []}, 2)):
        assert CliRunner().invoke(app, ["license", "check", str(_write(tmp_path, document))]).exit_code == code


def test_json_holds_one_document_with_the_fields_of_the_contract(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["license", "check", str(_write(tmp_path, DENIED)), "--format", "json"])
    answer = json.loads(result.stdout)
    assert (answer["verdict"], answer["gate"]) == ("deny", "block")
    assert answer["paths"][0] == "student ← synthetic set ← Llama-3-70B: clause 1.b.v"
    for use in answer["uses"]:
        assert {"verdict", "obligations", "clause", "source", "confidence"} <= set(use)
        assert all({"kind", "text", "trigger", "met"} <= set(o) for o in use["obligations"])
    assert len(answer["uses"]) == len(DENIED["uses"])


def test_text_names_verdict_gate_path_clause_and_mend(tmp_path: Path) -> None:
    out = CliRunner().invoke(app, ["license", "check", str(_write(tmp_path, DENIED))]).stdout
    assert out.startswith("verdict deny, gate block")
    assert "student ← synthetic set ← Llama-3-70B: clause 1.b.v" in out
    assert "separate licence from Meta" in out


def test_explain_list_show_and_facts_answer(tmp_path: Path) -> None:
    run = CliRunner()
    explained = run.invoke(app, ["license", "explain", str(_write(tmp_path, DENIED))])
    assert explained.exit_code == 0
    assert "decided at student ← synthetic set ← Llama-3-70B" in explained.stdout
    by_use = run.invoke(app, ["license", "explain", "Apache-2.0 OR GPL-3.0-only"])
    assert "weights_init: allow_with_obligations" in by_use.stdout
    assert run.invoke(app, ["license", "explain", "MIT AND"]).exit_code == 2
    assert "LicenseRef-Meta-Llama-3" in run.invoke(app, ["license", "list"]).stdout
    assert len(json.loads(run.invoke(app, ["license", "list", "--format", "json"]).stdout)["licenses"]) > 80
    assert "1.b.v" in run.invoke(app, ["license", "show", "llama3"]).stdout
    assert "family" in run.invoke(app, ["license", "show", "llama"]).stderr
    assert "Did you mean" in run.invoke(app, ["license", "show", "lama3.1"]).stderr
    assert run.invoke(app, ["license", "facts", "--check"]).exit_code == 0


def test_a_broken_fact_file_ends_the_check_with_exit_2(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "licenses: [{id: X, name: X, kind: model, rules: [{uses: [logits], verdict: allow}]}]", encoding="utf-8"
    )
    result = CliRunner().invoke(app, ["license", "facts", "--check", "--folder", str(tmp_path)])
    assert result.exit_code == 2
    assert "X.rules[0].clause" in result.stderr


def test_no_framework_is_loaded_to_answer(tmp_path: Path) -> None:
    """Licence questions are asked in pre-commit hooks: they must not wait for torch or MLflow."""
    file = _write(tmp_path, DENIED)
    code = (
        "import sys; sys.argv = ['kdgov', 'license', 'check', sys.argv[1]]\n"
        "from kdgov.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "known = set(sys.modules)\n"
        "heavy = {'torch', 'transformers', 'mlflow', 'pandas', 'lm_eval', 'fairlearn', 'pandera', 'scipy', 'pyarrow', 'numpy'} & known\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "verdict deny" in done.stdout


def _gate_with(*evidence: dict[str, str]) -> str:
    document = {
        "student": {"name": "acme", "license": "LicenseRef-acme"},
        "uses": [
            {"use": "weights_init", "license": "Apache-2.0", "name": "base"},
            {"use": "generated_text", "license": "nvidia-open-model-license", "name": "Nemotron-4"},
        ],
        "evidence": list(evidence),
    }
    return check(case_from_json(document, as_of=AS_OF)).gate


def test_evidence_may_name_the_licence_its_policy_or_nothing_where_only_one_asks() -> None:
    copy, changes = {"obligation": "LICENSE_COPY", "where": "LICENSE"}, {"obligation": "STATE_CHANGES", "where": "CHANGES.md"}
    aup = {"obligation": "AUP", "license": "NVIDIA Trustworthy AI", "where": "MODEL_CARD.md"}
    assert _gate_with(copy, changes, aup) == "promote"
    assert _gate_with(copy, changes, aup | {"license": "LicenseRef-scancode-nvidia-open-model-2025-04-28"}) == "promote"
    assert _gate_with(copy, changes, {"obligation": "AUP", "where": "MODEL_CARD.md"}) == "promote"
    assert _gate_with(copy, changes, aup | {"license": "llama3.1"}) == "block"
    assert _gate_with(copy | {"license": "MIT"}, changes, aup) == "block"
    assert _gate_with(copy, aup) == "block"


@pytest.mark.parametrize("says", [{}, {"where": " "}, {"license": "Apache-2.0"}, {"note": "done"}])
def test_evidence_that_says_neither_what_nor_where_meets_nothing(says: dict[str, str]) -> None:
    rest = [{"obligation": kind, "where": "README.md"} for kind in ("STATE_CHANGES", "AUP")]
    assert _gate_with({"obligation": "LICENSE_COPY"} | says, *rest) == "block"
    assert _gate_with({"obligation": "LICENSE_COPY"} | says | {"signed_by": "R. Roe"}, *rest) == "promote"


def test_users_known_only_for_other_months_leave_the_threshold_open() -> None:
    document = {
        "student": {"name": "Llama-acme", "license": "Apache-2.0"},
        "uses": [{"use": "generated_text", "license": "llama3.1", "name": "Llama-3.1-405B"}],
        "organization": {"monthly_active_users": {"2026-06": 9e8}},
    }
    answer = check(case_from_json(document, as_of=AS_OF))
    (threshold,) = [o for o in answer.obligations if o.kind == "THRESHOLD"]
    assert (answer.verdict, answer.gate, threshold.met) == ("needs_review", "hold", None)
    assert "2024-06" in threshold.why


def test_evidence_without_a_licence_is_no_evidence_where_several_ask() -> None:
    document = {
        "student": {"name": "acme", "license": "LicenseRef-acme"},
        "uses": [{"use": "weights_init", "license": "MIT", "name": "a"}, {"use": "tokenizer", "license": "BSD-3-Clause", "name": "b"}],
        "evidence": [{"obligation": "LICENSE_COPY", "where": "LICENSES"}],
    }
    answer = check(case_from_json(document, as_of=AS_OF))
    assert answer.gate == "block"
    assert any("several ask for it" in o.why for o in answer.obligations)
