"""What a policy makes of each finding rule, read as the gate reads it, so that check and decision agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, get_args

from kdgov.errors import DeclarationError, Fault
from kdgov.finding import CheckName, Finding, FindingVerdict
from kdgov.finding_rules import RULES, rule_faults

PERSONAL_PER_MB = {"internal": 50.0, "hosted": 10.0, "weights": 5.0, "data": 0.0}
"""Identifiers of people per million bytes of text that a release intent bears, where the policy's `data.personal_per_mb` is silent."""

_SEEN_RULES: tuple[str, ...] = ("contamination.verbatim", "contamination.edited", "contamination.near-duplicate")
_ALLOWED: tuple[FindingVerdict, ...] = ("warn", "review", "block")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stances:
    """What the policy makes of each rule; read as the gate reads it, so that check and decision agree."""

    changed: Mapping[str, FindingVerdict] = field(default_factory=dict)
    """Rule or glob → verdict, where the policy departs from `RULES`; the last that matches counts."""
    personal_per_mb: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Release intent → kind of identifier, or ``all`` → how many per million bytes of text it bears."""
    compares_likeness: bool = False
    """Whether images are compared by their look as well as byte for byte."""
    looks_for_retold: bool = False
    """Whether items told in other words are looked for by embeddings."""
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
    shared: dict[str, Any] = {
        "personal_per_mb": limits,
        "judges_apart": apart,
        "compares_likeness": bool(section.get("image_likeness")),
        "looks_for_retold": bool(section.get("retold_items")),
    }
    if value is None:
        return Stances(changed=base, **shared)
    if not isinstance(value, Mapping):
        raise DeclarationError(
            [Fault(file=file, key="findings", what="is not a mapping", mend="Write `rule: warn | review | block` per line.")]
        )
    faults = []
    faults += [Fault(file=file, key=f"findings.{rule}", what=what, mend=mend) for rule, what, mend in rule_faults(map(str, value))]
    for rule, verdict in value.items():
        if verdict not in _ALLOWED:
            faults.append(
                Fault(file=file, key=f"findings.{rule}", what=f"{verdict!r} is not a valid value", mend="Write warn, review or block.")
            )
    if faults:
        raise DeclarationError(faults)
    return Stances(changed=base | dict(value), **shared)


def _family(name: str) -> CheckName:
    known: tuple[CheckName, ...] = get_args(CheckName)
    return next(check for check in known if check == name)
