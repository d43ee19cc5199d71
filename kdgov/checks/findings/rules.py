"""Every rule the checks can speak by: what it means for a release unless the policy says otherwise, and what it rests on."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, get_args

from kdgov.errors import DeclarationError, Fault
from kdgov.finding import CheckName, Finding, FindingVerdict

DTA = "Data & Trust Alliance, Data Provenance Standards 1.0.0"
AI_600_1 = "NIST AI 600-1"
GDPR = "Regulation (EU) 2016/679"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one rule means where the policy is silent."""

    verdict: FindingVerdict
    """Meaning for the release."""
    title: str
    """What it says, in a few words."""
    source: str
    """Where the duty or the experience comes from."""

    def __post_init__(self) -> None:
        if not self.source:
            raise ValueError(f"the rule {self.title!r} has no source")


def _rule(verdict: FindingVerdict, title: str, source: str) -> Rule:
    return Rule(verdict=verdict, title=title, source=source)


RULES: dict[str, Rule] = {
    # Provenance: is every input the one that was meant, and is it known where it came from?
    "provenance.teacher-unpinned": _rule("block", "the teacher may change under the release", f"{AI_600_1} MS-2.5-005"),
    "provenance.teacher-endpoint": _rule(
        "review", "a teacher that can only be asked: no digest of weights, no logits", f"{AI_600_1} MP-4.1-010"
    ),
    "provenance.student-unpinned": _rule("block", "the student's starting weights may change under the release", f"{AI_600_1} MS-2.5-005"),
    "provenance.model-changed": _rule("block", "a model is not the one its card describes", f"{AI_600_1} MS-2.5-005"),
    "provenance.file-missing": _rule("block", "a data file is absent", f"{AI_600_1} MS-2.5-005"),
    "provenance.file-unpinned": _rule("block", "a data file has no digest", f"{AI_600_1} MS-2.5-005"),
    "provenance.file-changed": _rule("block", "a data file changed since its digest was written", f"{AI_600_1} MS-2.5-005"),
    "provenance.file-empty": _rule("block", "a data file holds no example", "ISO/IEC 42001 A.7.4"),
    "provenance.file-unreadable": _rule("block", "a data file cannot be read as what it claims to be", "ISO/IEC 42001 A.7.4"),
    "provenance.file-not-utf8": _rule("review", "a data file holds bytes that are not UTF-8", "ISO/IEC 42001 A.7.4"),
    "provenance.file-long-lines": _rule("warn", "a data file has lines too long to parse; scanned as raw text", "ISO/IEC 42001 A.7.4"),
    "provenance.rows-differ": _rule("block", "a data file has another number of examples than its card says", "ISO/IEC 42001 A.7.4"),
    "provenance.card-missing": _rule("warn", "an input has no card", f"{DTA}; ISO/IEC 42001 A.7.5"),
    "provenance.fields-missing": _rule("warn", "a card lacks fields the provenance standard asks for", DTA),
    "provenance.teacher-use-undeclared": _rule(
        "review", "nothing says how the student was taught from the teacher", f"{AI_600_1} MP-4.1-010"
    ),
    "provenance.synthetic-incomplete": _rule("block", "synthetic data without a full record of its generator", f"{AI_600_1} MP-4.1-010"),
    "provenance.synthetic-thin": _rule("warn", "a record of generation lacks what a later dispute will ask for", f"{AI_600_1} MP-4.1-010"),
    # Privacy: may these people's data be in here, and is more in here than was said?
    "privacy.personal-data-unsaid": _rule("warn", "a card does not say whether it holds personal data", f"{DTA}; {AI_600_1} MP-4.1-009"),
    "privacy.lawful-basis-missing": _rule("block", "personal data without a lawful basis", f"{GDPR} Art. 6"),
    "privacy.consent-unrecorded": _rule("review", "consent is claimed without the id of its record", f"{GDPR} Art. 7(1)"),
    "privacy.purpose-not-covered": _rule("block", "personal data used beyond its purposes", f"{GDPR} Art. 5(1)(b)"),
    "privacy.retention-over": _rule("block", "personal data kept beyond its time", f"{GDPR} Art. 5(1)(e)"),
    "privacy.retention-unsaid": _rule("review", "personal data without a retention date", f"{GDPR} Art. 5(1)(e)"),
    "privacy.withdrawn-present": _rule("block", "data of people who withdrew", f"{GDPR} Art. 7(3); {AI_600_1} MS-2.2-003"),
    "privacy.withdrawn-unchecked": _rule("review", "withdrawals that could not be checked", f"{GDPR} Art. 7(3)"),
    "privacy.geography-forbidden": _rule("block", "processed where it may not be", f"{DTA} use.processing-excluded"),
    "privacy.pii-found": _rule(
        "review", "more personal identifiers in the data than the release's intent allows", f"{AI_600_1} MP-4.1-009"
    ),
    "privacy.pii-noted": _rule("warn", "personal identifiers in the data", f"{AI_600_1} MP-4.1-009"),
    "privacy.names-found": _rule("review", "more names of people or places than the policy allows", f"{AI_600_1} MP-4.1-009"),
    "privacy.pii-contradicts-card": _rule("review", "personal identifiers where the card says there are none", f"{AI_600_1} MP-4.1-009"),
    "privacy.secret-found": _rule("block", "credentials in the data", "CWE-798"),
    # Contamination: has the student seen what it will be judged by?
    "contamination.verbatim": _rule("block", "items of the suites occur word for word in the data", "arXiv:2005.14165 appendix C"),
    "contamination.overlap": _rule("warn", "items share thirteen words in a row with the data", "arXiv:2005.14165 appendix C"),
    "contamination.edited": _rule("review", "lightly edited items of the suites occur in the data", "arXiv:2307.09288 appendix A.6"),
    "contamination.near-duplicate": _rule(
        "review", "near-duplicates of items occur in the data", "Broder 1997, doi:10.1109/SEQUEN.1997.666900"
    ),
    "contamination.judged-apart": _rule("warn", "seen items are left out and compared with unseen ones", "arXiv:2005.14165 appendix C"),
    "contamination.not-apart": _rule("block", "seen items that cannot be told apart in the results", "arXiv:2005.14165 appendix C"),
    "contamination.not-testable": _rule("warn", "items too short to be looked for", "arXiv:2005.14165 appendix C"),
    "contamination.items-absent": _rule("warn", "items that are not at hand could not be looked for", "arXiv:2005.14165 appendix C"),
    # Coverage: does the data look like what the student will be asked?
    "coverage.shifted": _rule("warn", "the data does not look like the production inputs", "arXiv:1610.06545"),
    "coverage.not-testable": _rule("warn", "too little to compare data with production inputs", "arXiv:1610.06545"),
    # Practice: the field's common mistakes.
    "practice.completions-only": _rule("warn", "sampled completions although logits are at hand", "arXiv:1503.02531 section 2"),
    "practice.temperature-uncalibrated": _rule("warn", "temperature left at 1 without calibration", "arXiv:1503.02531 section 2"),
    "practice.benchmarks-only": _rule("warn", "judged on benchmarks only, with no production inputs", f"{AI_600_1} MS-2.5-001"),
    "practice.little-data": _rule("warn", "few examples for the training steps", "arXiv:2106.05237 section 3"),
    "practice.sensitive-without-safety": _rule(
        "warn", "a sensitive capability distilled without a safety suite", "arXiv:2503.16529; NIST AI 600-1 MS-2.6-002"
    ),
    "practice.student-not-smaller": _rule(
        "warn", "the student is no smaller, faster or cheaper by any declared measure", "arXiv:1910.01108"
    ),
    "practice.no-trade-off-note": _rule("warn", "no note on what the student gives up", "NIST AI RMF MANAGE 1.4"),
    "practice.no-accountable-role": _rule("warn", "nobody answers for the release", "NIST AI RMF GOVERN 2.1"),
    "practice.not-informed": _rule("warn", "accountable roles that were not informed", "NIST AI RMF GOVERN 2.1"),
    "practice.no-before-after": _rule("warn", "no record of the student before distillation or of the teacher", "NIST AI RMF MEASURE 2.1"),
    "practice.chain-without-root": _rule(
        "warn",
        "a teacher that was distilled itself, and its own teacher is not compared",
        "FDA guidance Non-Inferiority Clinical Trials, 2016 (biocreep)",
    ),
}
"""Rule → its meaning. Licence findings come from `kdgov.license` and are not listed: a policy changes them through its licence choices."""

PERSONAL_PER_MB = {"internal": 50.0, "hosted": 10.0, "weights": 5.0, "data": 0.0}
"""Identifiers of people per million bytes of text that a release intent bears, where the policy's `data.personal_per_mb` is silent."""

_SEEN_RULES: tuple[str, ...] = ("contamination.verbatim", "contamination.edited", "contamination.near-duplicate")
_ALLOWED: tuple[FindingVerdict, ...] = ("warn", "review", "block")
_ELSEWHERE = ("licence.", "evidence.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stances:
    """What the policy makes of each rule; read as the gate reads it, so that check and decision agree."""

    changed: Mapping[str, FindingVerdict] = field(default_factory=dict)
    """Rule or glob → verdict, where the policy departs from `RULES`; the last that matches counts."""
    personal_per_mb: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Release intent → kind of identifier, or ``all`` → how many per million bytes of text it bears."""
    judges_apart: bool = False
    """Whether contaminated items are left out of the judgement instead of stopping the release."""

    def personal_limits(self, intent: str) -> Mapping[str, float]:
        """Limits for a release intent: the policy's over `PERSONAL_PER_MB`."""
        return {"all": PERSONAL_PER_MB[intent], **self.personal_per_mb.get(intent, {})}

    def verdict(self, rule: str, otherwise: FindingVerdict) -> FindingVerdict:
        """What the rule means for this release."""
        named = [verdict for pattern, verdict in self.changed.items() if fnmatchcase(rule, pattern)]
        return named[-1] if named else otherwise

    def finding(self, rule: str, subject: str, reason: str, *, mend: str = "", details: Mapping[str, Any] | None = None) -> Finding:
        """A finding of this rule with the verdict this policy gives it."""
        verdict = self.verdict(rule, RULES[rule].verdict)
        hint = "" if verdict in ("review", "block") else f" A policy makes it stop with `findings: {{{rule}: block}}`."
        return Finding(
            check=_family(rule.partition(".")[0]),
            verdict=verdict,
            subject=subject,
            reason=reason,
            mend=(mend + hint).strip(),
            source=RULES[rule].source,
            rule=rule,
            details=dict(details or {}),
        )

    def applied(self, finding: Finding) -> Finding:
        """A finding of another part with this policy's verdict; a licence deny and an invalid result yield to no policy."""
        if finding.verdict in ("pass", "invalid") or (finding.check == "licence" and finding.verdict == "block"):
            return finding
        return replace(finding, verdict=self.verdict(finding.rule, finding.verdict))


def read_stances(value: Any, *, file: str, data: Mapping[str, Any] | None = None) -> Stances:
    """The ``findings`` and ``data`` sections of a policy as stances; keys of findings are rules or globs over them.

    Raises:
        DeclarationError: naming every unknown rule and every unknown verdict.
    """
    section = data or {}
    apart = section.get("contaminated_items") == "judge_apart"
    # Judged apart, they are told; what the policy says of a rule by name still counts.
    base: dict[str, FindingVerdict] = dict.fromkeys(_SEEN_RULES, "warn") if apart else {}
    limits = section.get("personal_per_mb", {})
    if value is None:
        return Stances(changed=base, personal_per_mb=limits, judges_apart=apart)
    if not isinstance(value, Mapping):
        raise DeclarationError(
            [Fault(file=file, key="findings", what="is no mapping", mend="Write `rule: warn | review | block` per line.")]
        )
    faults = []
    for rule, verdict in value.items():
        if not str(rule).startswith(_ELSEWHERE) and not any(fnmatchcase(known, str(rule)) for known in RULES):
            near = difflib.get_close_matches(str(rule), RULES, n=1)
            mend = f"Did you mean `{near[0]}`?" if near else "`kdgov check --rules` lists the rules."
            faults.append(Fault(file=file, key=f"findings.{rule}", what="is not a known rule", mend=mend))
        if verdict not in _ALLOWED:
            faults.append(Fault(file=file, key=f"findings.{rule}", what=f"{verdict!r} is no stance", mend="Write warn, review or block."))
    if faults:
        raise DeclarationError(faults)
    return Stances(changed=base | dict(value), personal_per_mb=limits, judges_apart=apart)


def passed(check: CheckName, rule: str, subject: str, reason: str, **details: Any) -> Finding:
    """A finding that all is well: said, so that what was looked at is on record."""
    return Finding(check=check, verdict="pass", subject=subject, reason=reason, rule=rule, details=details)


def _family(name: str) -> CheckName:
    known: tuple[CheckName, ...] = get_args(CheckName)
    return next(check for check in known if check == name)
