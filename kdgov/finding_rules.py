"""Every finding rule by name: what it means for a release unless the policy says otherwise, and what it rests on.

A policy may change what a rule means under ``findings:``; the names it writes there are held against this table, so that a misspelt
rule is a fault and never silence. Some rules yield to no policy: a licence deny, an unmet obligation, evidence that cannot be judged.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from kdgov.finding import FindingVerdict

DTA = "Data & Trust Alliance, Data Provenance Standards 1.0.0"
AI_600_1 = "NIST AI 600-1"
GDPR = "Regulation (EU) 2016/679"
AI_ACT = "Regulation (EU) 2024/1689"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one rule means where the policy is silent."""

    verdict: FindingVerdict
    """Meaning for the release."""
    title: str
    """What it says, in a few words."""
    source: str
    """Where the duty or the experience comes from."""
    yields: bool = True
    """Whether a policy may change what it means."""

    def __post_init__(self) -> None:
        if not self.source:
            raise ValueError(f"the rule {self.title!r} has no source")


def _rule(verdict: FindingVerdict, title: str, source: str, *, yields: bool = True) -> Rule:
    return Rule(verdict=verdict, title=title, source=source, yields=yields)


def _broken(title: str) -> Rule:
    return Rule(verdict="invalid", title=title, source="docs/gate.md, identity", yields=False)


RULES: dict[str, Rule] = {
    # Provenance: is every input the one that was meant, and is it known where it came from?
    "provenance.teacher-unpinned": _rule("block", "the teacher may change under the release", f"{AI_600_1} MS-2.5-005"),
    "provenance.teacher-endpoint": _rule(
        "review", "a teacher that can only be asked: no digest of weights, no logits", f"{AI_600_1} MP-4.1-010"
    ),
    "provenance.student-endpoint": _rule(
        "review", "a student that can only be asked: what is released has no digest", f"{AI_600_1} MS-2.5-005"
    ),
    "provenance.student-unpinned": _rule("block", "the student's starting weights may change under the release", f"{AI_600_1} MS-2.5-005"),
    "provenance.model-changed": _rule("block", "a model is not the one its card describes", f"{AI_600_1} MS-2.5-005"),
    "provenance.data-unpinned": _rule("block", "a data set of the Hub may change under the release", f"{AI_600_1} MS-2.5-005"),
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
    "provenance.synthetic-unknown": _rule(
        "review", "third-party synthetic data whose card says honestly what its maker did not publish", f"{AI_600_1} MP-4.1-010"
    ),
    "provenance.name-is-a-hash": _rule("review", "a model that is named only by a commit or digest", f"{AI_600_1} MP-4.1-010"),
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
    "privacy.geography-forbidden": _rule("block", "personal data processed where it may not be", f"{DTA} use.processing-excluded"),
    "privacy.pii-found": _rule(
        "review", "more personal identifiers in the data than the release's intent allows", f"{AI_600_1} MP-4.1-009"
    ),
    "privacy.pii-noted": _rule("warn", "personal identifiers in the data", f"{AI_600_1} MP-4.1-009"),
    "privacy.names-found": _rule("review", "more names of people or places than the policy allows", f"{AI_600_1} MP-4.1-009"),
    "privacy.pii-contradicts-card": _rule("review", "personal identifiers where the card says there are none", f"{AI_600_1} MP-4.1-009"),
    "privacy.not-testable": _rule("warn", "no text that could be searched for personal data", f"{AI_600_1} MP-4.1-009"),
    "privacy.sent-to-endpoint": _rule("review", "personal data that is sent to an endpoint", f"{GDPR} Art. 28 and 44"),
    "privacy.secret-found": _rule("block", "credentials in the data", "CWE-798"),
    # Contamination: has the student seen what it will be judged by?
    "contamination.verbatim": _rule("block", "items of the suites occur word for word in the data", "arXiv:2005.14165 appendix C"),
    "contamination.overlap": _rule("warn", "items share thirteen words in a row with the data", "arXiv:2005.14165 appendix C"),
    "contamination.edited": _rule("review", "lightly edited items of the suites occur in the data", "arXiv:2307.09288 appendix A.6"),
    "contamination.near-duplicate": _rule(
        "review", "near-duplicates of items occur in the data", "Broder 1997, doi:10.1109/SEQUEN.1997.666900"
    ),
    "contamination.retold": _rule("review", "items told in other words or in another language in the data", "arXiv:2311.04850"),
    "contamination.judged-apart": _rule("warn", "seen items are left out and compared with unseen ones", "arXiv:2005.14165 appendix C"),
    "contamination.not-apart": _rule(
        "block", "items seen in the data that cannot be separated in the results", "arXiv:2005.14165 appendix C"
    ),
    "contamination.image-alike": _rule("review", "images of the suites have look-alikes in the data", "docs/practice.md, media"),
    "contamination.media-not-compared": _rule("warn", "images or sounds that were not compared", "docs/practice.md, media"),
    "contamination.not-testable": _rule("warn", "items too short to be looked for", "arXiv:2005.14165 appendix C"),
    "contamination.items-absent": _rule(
        "warn", "items that could not be looked for because they are not on this machine", "arXiv:2005.14165 appendix C"
    ),
    # Coverage: does the data look like what the student will be asked?
    "coverage.uncovered": _rule("warn", "a share of the production inputs that the data does not cover", "docs/practice.md, coverage"),
    "coverage.worse-far": _rule("warn", "a larger loss on items unlike the data than on items like it", "docs/practice.md, coverage"),
    "coverage.not-testable": _rule("warn", "too little to compare data with production inputs", "docs/practice.md, coverage"),
    # Practice: the field's common mistakes.
    "practice.completions-only": _rule(
        "warn", "learning from sampled answers although the teacher's logits are available", "arXiv:1503.02531 section 2"
    ),
    "practice.temperature-uncalibrated": _rule("warn", "temperature left at 1 without calibration", "arXiv:1503.02531 section 2"),
    "practice.soft-share-low": _rule("warn", "soft labels that carry almost none of the loss", "arXiv:1503.02531 section 2"),
    "practice.temperature-extreme": _rule(
        "warn", "a temperature at which the teacher's distribution says little", "arXiv:1503.02531 section 2"
    ),
    "practice.calibration-unknown": _rule("review", "a named calibration that cannot be found", "docs/practice.md, temperature"),
    "practice.calibration-differs": _rule(
        "warn", "a temperature or weights other than those the calibration proposes", "docs/practice.md, temperature"
    ),
    "practice.benchmarks-only": _rule("warn", "judged on benchmarks only, with no production inputs", f"{AI_600_1} MS-2.5-001"),
    "practice.little-data": _rule("warn", "few examples for the training steps", "arXiv:2106.05237 section 3"),
    "practice.sensitive-without-safety": _rule(
        "review", "a sensitive capability distilled without the suites it asks for", "arXiv:2503.16529; NIST AI 600-1 MS-2.6-002"
    ),
    "practice.mitigation-untested": _rule(
        "block", "a mitigation of the teacher that nothing tests on the student", f"{AI_600_1} MS-2.6-005; docs/practice.md, mitigations"
    ),
    "practice.capability-unknown": _rule("warn", "a capability tag that kdgov does not know", f"{AI_600_1} MP-4.1-010"),
    "practice.task-diversity": _rule("warn", "production inputs of many topics, data of few", "arXiv:1910.01108"),
    "practice.student-not-smaller": _rule(
        "warn", "the student is no smaller, faster or cheaper by any declared measure", "arXiv:1910.01108"
    ),
    "practice.no-trade-off-note": _rule("warn", "no note on what the student gives up", "NIST AI RMF MANAGE 1.4"),
    "practice.no-accountable-role": _rule("warn", "no accountable person is named for the release", "NIST AI RMF GOVERN 2.1"),
    "practice.not-informed": _rule("warn", "accountable roles that were not informed", "NIST AI RMF GOVERN 2.1"),
    "practice.role-unknown": _rule("review", "a role that neither kdgov nor the policy knows", "NIST AI RMF GOVERN 2.1"),
    "practice.informed-in-future": _rule("review", "informed on a day in the future", "NIST AI RMF GOVERN 2.1"),
    "practice.informed-before-results": _rule("warn", "informed before there were results", "NIST AI RMF GOVERN 2.1"),
    "practice.no-before-after": _rule("warn", "no record of the student before distillation or of the teacher", "NIST AI RMF MEASURE 2.1"),
    "practice.general-purpose-model": _rule(
        "review", "a student that counts as a new general-purpose model, by one reading at least", f"{AI_ACT} Art. 3(63), 53"
    ),
    "practice.general-purpose-unknown": _rule(
        "warn", "nothing tells whether the student is a new general-purpose model", f"{AI_ACT} Art. 3(63), 53"
    ),
    "practice.chain-without-root": _rule(
        "warn",
        "a teacher that was distilled itself, and its own teacher is not compared",
        "FDA guidance Non-Inferiority Clinical Trials, 2016 (biocreep)",
    ),
    # Licences: what `kdgov.license` answers. A deny and an unmet obligation yield only to evidence.
    "licence.deny": _rule("block", "a licence forbids this use", "docs/licences.md", yields=False),
    "licence.obligation-unmet": _rule("block", "an obligation without evidence that it is met", "docs/licences.md", yields=False),
    "licence.needs-review": _rule("review", "a licence question that a person must answer", "docs/licences.md"),
    "licence.allow": _rule("pass", "a licence allows this use", "docs/licences.md", yields=False),
    # Evidence: were both models asked the same, and is what was judged what was evaluated?
    "evidence.identical": _rule("pass", "both models were asked the same in the same way", "docs/evaluation.md", yields=False),
    "evidence.plan": _broken("two models replayed different plans"),
    "evidence.missing-task": _broken("a task that only one of the two answered"),
    "evidence.delivered": _broken("the text that entered a model is not the planned one"),
    "evidence.truncated": _broken("items that did not fit a model and were cut"),
    "evidence.not-finite": _broken("scores that are not finite numbers"),
    "evidence.batch-dependent": _broken("answers that depend on the batch they were asked in"),
    "evidence.duplicates": _broken("items that occur twice"),
    "evidence.items": _broken("item tables that do not match one to one"),
    "evidence.table": _broken("an item table that is not the one its evidence describes"),
    "evidence.group": _broken("a group that averages other tasks, or otherwise, for one of the two models"),
    "evidence.polarity": _broken("two suites that disagree on which way is better"),
    "evidence.same-model": _broken("teacher and student are one model"),
    "evidence.items-changed": _broken("results that are not those the evidence sealed"),
    "evidence.policy-changed": _broken("evidence sealed under another policy"),
    "evidence.subject-changed": _broken("a model that changed between evaluation and decision"),
    "evidence.policy-looser": _broken("a policy that demands less than the base policy it was to be judged by"),
    "evidence.pin-broken": _broken("a digest other than the one the policy pins"),
    "evidence.digest-missing": _broken("a digest that the policy demands and the evidence lacks"),
    "evidence.bundle-changed": _broken("recorded evidence that is not what was sealed"),
    "evidence.decision-changed": _broken("a decision other than the one the registry names"),
    "evidence.criterion-unfillable": _rule(
        "block", "a criterion that no suite of the release can fill, or whose counts its items cannot reach", "docs/gate.md"
    ),
    "evidence.model-cannot-answer": _rule("block", "a task that a model of this architecture cannot answer", "docs/evaluation.md"),
    "evidence.low-power": _rule("warn", "items too few to prove an equally good student most of the time", "docs/gate.md"),
    "evidence.suite-code": _rule(
        "block", "a suite ran code while it was evaluated that the policy does not allow by digest", "docs/evaluation.md", yields=False
    ),
    "evidence.revoked": _rule("block", "a version that was revoked", "docs/registry.md", yields=False),
    "evidence.backend": _broken("models asked through different backends"),
    "evidence.dtype": _broken("models run in different number formats"),
    "evidence.device": _broken("models run on different kinds of device"),
    "evidence.batch-tokens": _broken("models asked in batches of different sizes"),
    "evidence.class-order": _broken("labels by number, of classes that the two models order differently"),
    "evidence.few-shot": _broken("few-shot examples that differ in number or seed"),
    "evidence.generation": _broken("different settings of generation"),
    "evidence.metric-code": _broken("a metric computed by different code"),
    "evidence.task-config": _broken("a task defined differently for the two models"),
    "evidence.judge": _broken("answers judged by different judges"),
    "evidence.data": _broken("items from different data: another revision, copy or file"),
    "evidence.options": _broken("models asked with different options of the backend"),
    "evidence.version": _broken("scored by different versions"),
    "evidence.aggregate": _broken("single results that do not add up to the average written beside them"),
    "evidence.asked-differently": _broken("result files that were asked in two different ways"),
    "evidence.chat-template": _broken("the same documents asked through two chat templates"),
    "evidence.answers-silent": _rule(
        "review", "a student that falls silent where harm is counted, and its teacher does not", "docs/gate.md"
    ),
    "evidence.harm-alone": _rule("warn", "criteria that a student passes by saying nothing", "docs/gate.md"),
    "evidence.not-judged": _rule("review", "results that no criterion of the policy reads", "docs/practice.md"),
    "evidence.item-proxy": _rule("warn", "a statistic of a whole task that is judged item by item instead", "docs/gate.md"),
    "evidence.items-incomplete": _rule("review", "fewer or more items than the tool says it asked", "docs/gate.md"),
    "evidence.samples-missing": _rule("warn", "tasks that report an average and no single results", "docs/gate.md"),
    "evidence.unread-files": _rule("warn", "files beside the results that no reader knows", "docs/gate.md"),
    "evidence.same-results": _rule("warn", "teacher's and student's files agree in every row", "docs/gate.md"),
    "evidence.not-checked": _rule("warn", "what could not be checked, such as which model answered", "docs/gate.md"),
    "evidence.data-unpinned": _rule("review", "suite data without a pinned revision", "docs/evaluation.md"),
    "evidence.data-rows": _rule("warn", "a copy of a public set with more or fewer rows than its authors publish", "docs/evaluation.md"),
    "evidence.limited": _rule("warn", "a task of which a limit had only some items asked: it never passes", "docs/evaluation.md"),
    "evidence.served-unproven": _rule("review", "an endpoint whose weights are not proven", "docs/evaluation.md"),
    "evidence.batch-noise": _rule("warn", "greedy answers in low precision that depend on the batch", "docs/evaluation.md"),
    "evidence.batch-shift": _rule("review", "second answers in other batches that score one way more often than chance", "docs/gate.md"),
    "evidence.endpoint-identity": _rule(
        "review",
        "an endpoint where several models answered, or another than the one asked for",
        f"{AI_600_1} MS-2.5-005; docs/endpoints.md",
    ),
    "evidence.endpoint-drift": _rule("warn", "an endpoint that answers differently when asked again", "docs/endpoints.md"),
    "evidence.endpoint-plan": _rule("review", "what asking an endpoint will cost, compared with its budget", "docs/endpoints.md"),
    "evidence.task-not-applicable": _rule("review", "a task that an endpoint cannot answer", "docs/endpoints.md"),
    "evidence.endpoint-empty": _rule("review", "answers that an endpoint withheld by a filter or left empty", "docs/endpoints.md"),
    "evidence.thoughts-unfinished": _rule("review", "answers that were cut off while the model still reasoned", "docs/evaluation.md"),
    "evidence.thoughts-undeclared": _rule(
        "review", "thoughts that were scored as answers: nothing says that the model thinks", "docs/evaluation.md"
    ),
    "evidence.judge-agreement": _rule("warn", "a judge that people often disagree with", "docs/evaluation.md"),
    "evidence.judge-order": _rule("review", "a judge of pairs that prefers a place and not an answer", "docs/evaluation.md"),
    "evidence.judge-wording": _rule("warn", "a guard model that is asked in other words than its authors publish", "docs/evaluation.md"),
    "evidence.judge-not-validated": _rule("warn", "a judge that nobody checked on answers of these two models", "docs/gate.md"),
    "evidence.by-design-tokenizer": _rule("warn", "teacher and student use different tokenizers, as two models may", "docs/evaluation.md"),
    "evidence.by-design-reasoning": _rule(
        "warn", "the two models reason differently before they answer, or only one does", "docs/evaluation.md"
    ),
    "evidence.by-design-template": _rule(
        "warn", "teacher and student use different chat templates, as two models may", "docs/evaluation.md"
    ),
    "evidence.looks": _rule("warn", "a student chosen among several on the same items", "docs/gate.md"),
    "evidence.items-not-applicable": _rule("warn", "items that take no part in a metric, by the task's own word", "docs/evaluation.md"),
    "evidence.group-task-lost": _rule("warn", "a task that lost inside a group's mean that holds", "docs/gate.md"),
    "evidence.not-applicable": _rule("warn", "criteria whose condition does not hold: not checked", "docs/practice.md"),
    "evidence.not-measured": _rule("warn", "a quantity that nothing measured", "docs/gate.md"),
    "evidence.policy-newer": _rule(
        "warn", "a policy that is newer than the results it judges", "FDA guidance Non-Inferiority Clinical Trials, 2016"
    ),
    "evidence.judged-anew": _rule("warn", "judged again today, the evidence gives another decision", "docs/audit.md"),
}
"""Rule → its meaning."""


def rule_faults(named: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the rules a policy names under ``findings:``: (rule, what, how to fix it), one per fault.

    Args:
        named: rules or globs over them.
    """
    for rule in named:
        matched = [known for known in RULES if fnmatchcase(known, rule)]
        if not matched:
            near = difflib.get_close_matches(rule, RULES, n=1)
            yield rule, "is not a known rule", f"Did you mean `{near[0]}`?" if near else "`kdgov check --rules` lists the rules."
        elif not any(RULES[known].yields for known in matched):
            yield rule, "yields to no policy", "Remove the line: a licence deny is lifted by evidence, broken evidence by evaluating again."
