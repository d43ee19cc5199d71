"""Every finding that says "pass": what it looks for, what nothing of its kind ever looks for, and how such a finding is made.

A pass counts only what was looked for. `passing` is the one way to say that all is well: it names the rule of this table, counts what
was looked at, and lists what was not; a pass that looked at nothing cannot be made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kdgov.finding import CheckName, Finding

LOOKED_FOR = "looked_for"
NOT_LOOKED_FOR = "not_looked_for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """How far a passing finding reaches."""

    looks_for: str
    """What is looked for where it says "pass"."""
    never: tuple[str, ...] = ()
    """What no finding of this rule looks for, however much there is to look at."""


PASSING: dict[str, Scope] = {
    "provenance.pinned": Scope(looks_for="a digest of every file, equal to the card's", never=("whether what the card says is true",)),
    "privacy.scanned": Scope(
        looks_for="identifiers of people and credentials in text",
        never=("postal addresses, birth dates, national ids other than the US SSN",),
    ),
    "privacy.names-counted": Scope(looks_for="names of people and places in a sample of the text", never=("names outside the sample",)),
    "privacy.sent": Scope(
        looks_for="identifiers and credentials in what is sent, and the endpoint's terms", never=("what the endpoint does with it",)
    ),
    "contamination.scanned": Scope(
        looks_for="items of the suites, word for word, lightly edited or nearly", never=("paraphrases and translations",)
    ),
    "contamination.retold-compared": Scope(
        looks_for="items told in other words or in another language, by embeddings",
        never=("about two paraphrases in three and one translation in ten, by the measured rates",),
    ),
    "contamination.media-compared": Scope(
        looks_for="images and sounds of the suites among those of the data", never=("crops, recordings and drawings of the same thing",)
    ),
    "contamination.judged-apart": Scope(looks_for="a gain on seen items that unseen ones do not show"),
    "coverage.covered": Scope(
        looks_for="inputs unlike the data's texts", never=("whether the answers in the data are right for these inputs",)
    ),
    "coverage.near-and-far": Scope(
        looks_for="a larger loss on items unlike the data than on items like it", never=("losses that both kinds of items share",)
    ),
    "licence.allow": Scope(looks_for="terms of the licence against this use"),
    "evidence.criterion-unfillable": Scope(
        looks_for="criteria that no suite can fill, or that ask for more items or groups than there are",
        never=("whether the student will pass",),
    ),
    "evidence.group-means": Scope(
        looks_for="means of groups of tasks that no criterion names", never=("whether a mean is good enough: its tasks are judged",)
    ),
    "evidence.identical": Scope(looks_for="differences in what was asked and how"),
    "evidence.endpoint-identity": Scope(
        looks_for="a second model or fingerprint among the answers", never=("which weights lie behind the name",)
    ),
    "evidence.endpoint-drift": Scope(looks_for="another answer to a request that is asked again"),
    "evidence.endpoint-plan": Scope(looks_for="requests, tokens and price within the budget", never=("what retries cost",)),
}
"""Rule of a passing finding → how far it reaches."""


def passing(
    check: CheckName,
    rule: str,
    subject: str,
    reason: str,
    *,
    looked_for: Mapping[str, int],
    left_out: Iterable[str] = (),
    source: str = "",
    **details: Any,
) -> Finding:
    """A finding that all is well within what was looked for.

    Args:
        check: family of checks.
        rule: rule of `PASSING`.
        subject: what it is about.
        reason: why, in a sentence; what was not looked for is added to it.
        looked_for: what → how many of it were looked at; at least one of something.
        left_out: what of this subject was not looked at, each in a few words; empty texts are dropped.
        source: what the statement rests on.
        details: further JSON values.

    Raises:
        ValueError: if nothing was looked at.
    """
    if not any(count > 0 for count in looked_for.values()):
        raise ValueError(f"{rule} cannot pass: nothing was looked at ({dict(looked_for)})")
    missed = [*(part for part in left_out if part), *PASSING[rule].never]
    told = f"{reason} Not looked for: {'; '.join(missed)}." if missed else reason
    facts = {LOOKED_FOR: dict(looked_for), NOT_LOOKED_FOR: missed}
    return Finding(check=check, verdict="pass", subject=subject, reason=told, source=source, rule=rule, details={**details, **facts})
