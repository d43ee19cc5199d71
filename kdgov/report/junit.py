"""The decision as JUnit XML: one test case per result, so that every CI system shows which one stopped the release."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from kdgov.decision.decision import CriterionResult, Decision
from kdgov.report.severity_order import headline

_UNPRINTABLE = re.compile("[^\t\n\r -\ud7ff\ue000-�\U00010000-\U0010ffff]")


def as_junit(decision: Decision) -> str:
    """The decision as one ``testsuite``; fail and inconclusive are failures, invalid is an error, waived and advisory are skipped."""
    cases = [_result_case(result) for result in decision.criteria] + [
        _case(
            f"{f.check}: {f.subject}",
            "kdgov.findings",
            f.verdict if f.stops or f.verdict == "warn" else "pass",
            f"{f.reason} {f.mend}".strip(),
        )
        for f in decision.findings
    ]
    counts = {kind: sum(case.find(kind) is not None for case in cases) for kind in ("failure", "error", "skipped")}
    suite = ET.Element(
        "testsuite",
        name=f"kdgov gate, policy {decision.policy['name']} {decision.policy['version']}",
        tests=str(len(cases)),
        failures=str(counts["failure"]),
        errors=str(counts["error"]),
        skipped=str(counts["skipped"]),
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (("verdict", decision.verdict), ("decision", decision.digest), ("policy", decision.policy["digest"])):
        ET.SubElement(properties, "property", name=name, value=value)
    suite.extend(cases)
    warned = [f"{f.check}: {f.subject}: {f.reason}" for f in decision.findings if f.verdict == "warn"]
    ET.SubElement(suite, "system-out").text = _clean("\n".join([headline(decision), *warned]))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _result_case(result: CriterionResult) -> ET.Element:
    set_aside = "waived" if result.waived else "advisory" if result.advisory and result.verdict != "pass" else ""
    return _case(f"{result.id}: {result.place}", f"kdgov.{result.kind}", set_aside or result.verdict, result.told)


def _case(name: str, classname: str, verdict: str, reason: str) -> ET.Element:
    case = ET.Element("testcase", name=_clean(name), classname=classname)
    match verdict:
        case "pass":
            pass
        case "waived" | "advisory":
            ET.SubElement(case, "skipped", message=_clean(f"{verdict}: {reason}"))
        case "warn":
            ET.SubElement(case, "system-out").text = _clean(reason)
        case "invalid":
            ET.SubElement(case, "error", message=_clean(reason), type="invalid").text = _clean(reason)
        case _:
            ET.SubElement(case, "failure", message=_clean(reason), type=verdict).text = _clean(reason)
    return case


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("�", text)
