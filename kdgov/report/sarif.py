"""The decision as SARIF 2.1.0: every result that stops the release points at the policy line it failed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from kdgov import __version__
from kdgov.decision.decision import CriterionResult, Decision
from kdgov.decision.policy import Policy
from kdgov.digest import digest_json

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"fail": "error", "invalid": "error", "inconclusive": "warning", "block": "error", "review": "error", "warn": "warning"}


def as_sarif(decision: Decision, policy: Policy | None = None) -> str:
    """The decision as one SARIF run; without the policy's file the results carry no line."""
    source, lines = (policy.source, policy.lines) if policy is not None else ("", {})
    results = [_result(r, source, lines) for r in decision.criteria if r.verdict != "pass"]
    results += [
        _entry(f.rule or f"finding.{f.check}", _LEVELS[f.verdict], f"{f.subject}: {f.reason} {f.mend}".strip(), source, 1, suppressed="")
        for f in decision.findings
        if f.verdict != "pass"
    ]
    rules = sorted({entry["ruleId"] for entry in results})
    for entry in results:
        entry["ruleIndex"] = rules.index(entry["ruleId"])
    run = {
        "tool": {
            "driver": {
                "name": "kdgov",
                "version": __version__,
                "rules": [{"id": rule, "shortDescription": {"text": f"Policy {decision.policy['name']}: {rule}"}} for rule in rules],
            }
        },
        "results": results,
        "properties": {"verdict": decision.verdict, "decision": decision.digest, "policy": decision.policy["digest"]},
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _result(result: CriterionResult, source: str, lines: Mapping[str, int]) -> dict[str, Any]:
    text = f"{result.place}: {result.told}" if result.place else result.told
    suppressed = "waived" if result.waived else ""
    level = "note" if result.advisory else _LEVELS[result.verdict]
    return _entry(result.id, level, text, source, lines.get(result.id, 1), suppressed=suppressed)


def _entry(rule: str, level: str, text: str, source: str, line: int, *, suppressed: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "ruleId": rule,
        "level": level,
        "message": {"text": text},
        "partialFingerprints": {"kdgov/v1": digest_json([rule, text.split(" (")[0]])},
    }
    if source:
        place = {"artifactLocation": {"uri": quote(source.replace("\\", "/"))}, "region": {"startLine": max(line, 1)}}
        entry["locations"] = [{"physicalLocation": place}]
    if suppressed:
        entry["suppressions"] = [{"kind": "external", "justification": suppressed}]
    return entry
