"""What was true at release and what is true today: keys that expired, were revoked or leaked since, waivers that ended since."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from kdgov.auditing.registry.snapshot import LogShown, VersionShown
from kdgov.auditing.review.receipt import bundle_receipt, logged_receipt
from kdgov.auditing.review.result import VersionAudit
from kdgov.auditing.review.review import review_version
from kdgov.auditing.review.signatures import Attested
from kdgov.decision.decision import Decision
from kdgov.evidence.permission_files import sign_approval, sign_waiver, write_envelope
from kdgov.evidence.signing_keys import new_key
from kdgov.evidence.trust_store import TrustStore, load_trust, save_trust, trusted_key
from kdgov.pipeline.audit import AuditRequest, reviewer_of
from tests.auditing.small_release import POLICY, checkpoint, write_bundle
from tests.recording.policy_list import let_count

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
LATER = NOW + 40 * DAY
"""A day on which the decision still holds."""
WAIVER_ENDS = (NOW + 20 * DAY).date()


@dataclass(frozen=True, kw_only=True)
class Waived:
    """A release that passes by a waiver and an approval, as its registry shows it."""

    store: Path
    shown: VersionShown
    log: LogShown
    trust: TrustStore

    def audited(self, trust: TrustStore, at: datetime.datetime, *, log: LogShown | None = None, **shown: Any) -> VersionAudit:
        """The audit on some day by somebody's trust store."""
        path = self.store / "review.json"
        save_trust(path, trust)
        reviewer = reviewer_of(AuditRequest(store=self.store, trust=path, at=at), log or self.log)
        return review_version(replace(self.shown, **shown), log or self.log, reviewer)

    def changed(self, name: str, **change: Any) -> TrustStore:
        """The trust store with one key otherwise."""
        key = next(key for key in self.trust.keys if key.name == name)
        return self.trust.with_key(key.model_copy(update=change))


@pytest.fixture(scope="module")
def waived(tmp_path_factory: pytest.TempPathFactory) -> Waived:
    """Refusals were lost, risk signed a waiver for twenty days and approved, the release was recorded and promoted."""
    from kdgov.auditing.registry.fetch_version import fetch_log, fetch_version
    from kdgov.recording.client.client import registry_client
    from kdgov.recording.client.target import registry_target
    from kdgov.recording.release_recording import record_release

    root = tmp_path_factory.mktemp("waived")
    key = new_key(root / "risk", "risk", passphrase=None)
    trust = root / "store" / "keys" / "trust.json"
    own = trusted_key(key.public_path.read_text(), name="risk", purposes=["waiver", "approval"], roles=["risk"])
    save_trust(root / "signing.json", TrustStore(keys=[own]))

    def speak(decision: Decision) -> list[Path]:
        source = f"file:{key.private_path}"
        said = [
            sign_waiver(
                decision, criterion="refusal-retained", place="", owner="Grace", reason="judge error", expires=WAIVER_ENDS.isoformat(),
                key=source,
            ),
            sign_approval(decision, role="risk", by="Grace", note="", key=source),
        ]  # fmt: skip
        return [write_envelope(envelope, None, root / "said") for envelope in said]

    weights, teacher = checkpoint(root / "weights", 1, 4), checkpoint(root / "teacher", 2, 8)
    bundle = write_bundle(
        root / "bundle", weights=weights, teacher=teacher, lost=0.2, policy=f"{POLICY}approvals: [risk]\n", speak=speak,
        trust=root / "signing.json",
    )  # fmt: skip
    target = registry_target(root / "store")
    owner = new_key(root / "owner", "owner", passphrase=None)
    listed = trusted_key(owner.public_path.read_text(), name="owner", purposes=["policy"])
    save_trust(trust, TrustStore(keys=[own, listed]))
    let_count(trust, owner.private_path, f"{POLICY}approvals: [risk]\n")
    record_release(bundle, target, weights=weights)
    with registry_client(target) as client:
        client.set_registered_model_alias("support-student", "champion", "1")
        shown = fetch_version(client, client.get_model_version("support-student", "1"), root / "fetched")
        log = fetch_log(client)
    return Waived(store=root / "store", shown=shown, log=log, trust=load_trust(trust).with_key(own))


def of(audit: VersionAudit, part: str) -> list[tuple[str, str]]:
    """Standing and reason of every finding about a part."""
    return [(f.standing, f.reason) for f in audit.findings if part in f.subject]


def open_conditions(audit: VersionAudit) -> str:
    """Everything the first page lists as open."""
    return "\n".join(condition.text for condition in audit.permission.conditions)


def test_on_the_day_of_release_everything_counts(waived: Waived) -> None:
    audit = waived.audited(waived.trust, NOW + DAY)
    assert audit.outcome == "clean", [f for f in audit.findings if f.stops]
    found = of(audit, "evidence/statements/")
    statements = [reason for standing, reason in found if "counts today" in reason and standing == "verified"]
    assert len(statements) == 2
    assert all("log entry 1" in reason for reason in statements)
    assert "today" not in open_conditions(audit)


def test_a_key_that_expired_since_still_vouches_for_what_came_in_time(waived: Waived) -> None:
    """True at release: it counted. True today: it would not, and that is an open condition with its owner."""
    audit = waived.audited(waived.changed("risk", not_after=NOW + 5 * DAY), NOW + 10 * DAY)
    assert audit.outcome == "clean", [f for f in audit.findings if f.stops]
    open_ones = [c for c in audit.permission.conditions if "today it does not count" in c.text]
    assert {c.by for c in open_ones} == {"Grace"}
    assert len(open_ones) == 2
    assert all("key 'risk' expired on" in c.text and "It counted when it was received on" in c.text for c in open_ones)


def test_a_key_that_had_expired_at_receipt_never_vouched(waived: Waived) -> None:
    audit = waived.audited(waived.changed("risk", not_after=NOW - 5 * DAY), NOW + DAY)
    assert audit.outcome == "violated"
    assert [standing for standing, reason in of(audit, "evidence/statements/") if "key 'risk' expired on" in reason] == ["violated"] * 2


@pytest.mark.parametrize(("revoked_at", "outcome"), [(NOW + 3 * DAY, "clean"), (NOW - 3 * DAY, "violated")])
def test_a_revocation_counts_from_its_day(waived: Waived, revoked_at: datetime.datetime, outcome: str) -> None:
    """Revoked after receipt: what it signed before stands, and the open condition says so. Revoked before: it never counted."""
    audit = waived.audited(waived.changed("risk", revoked_at=revoked_at, revoked_because="left the company"), NOW + 10 * DAY)
    assert audit.outcome == outcome
    assert "left the company" in open_conditions(audit)
    standing = "verified" if outcome == "clean" else "violated"
    assert {standing} == {found for found, reason in of(audit, "evidence/statements/") if "left the company" in reason}


def test_a_key_that_leaked_vouches_for_nothing_whenever_it_signed(waived: Waived) -> None:
    trust = waived.changed("risk", revoked_at=NOW + 3 * DAY, compromised=True, revoked_because="laptop stolen")
    audit = waived.audited(trust, NOW + 10 * DAY)
    assert audit.outcome == "violated"
    assert any("laptop stolen" in reason for _, reason in of(audit, "evidence/statements/"))


def test_a_key_the_reviewer_does_not_know_leaves_it_open(waived: Waived) -> None:
    """Not violated: the reviewer has to bring the key. Not clean either."""
    trust = waived.trust.model_copy(update={"keys": [key for key in waived.trust.keys if key.name != "risk"]})
    audit = waived.audited(trust, NOW + DAY)
    assert audit.outcome == "incomplete"
    assert {standing for standing, reason in of(audit, "evidence/statements/") if "no key under it is listed" in reason} == {
        "not_verifiable"
    }


def test_the_key_under_the_decision_has_two_standings_too(waived: Waived) -> None:
    project = next(key.name for key in waived.trust.keys if "decision" in key.purposes)
    audit = waived.audited(waived.changed(project, not_after=NOW + 5 * DAY), NOW + 10 * DAY)
    assert audit.outcome == "clean", [f for f in audit.findings if f.stops]
    assert "The signature under the decision counted when it was received; today it would not" in open_conditions(audit)


@pytest.mark.parametrize("aliases", [("champion",), ()])
def test_a_waiver_that_ended_since_is_told_by_what_it_means(waived: Waived, aliases: tuple[str, ...]) -> None:
    """Served under an ended waiver: violated. Not served: it was right at release, and what it set aside stands again today."""
    audit = waived.audited(waived.trust, LATER, aliases=aliases)
    (standing, reason), *_ = of(audit, "waiver refusal-retained")
    assert standing == ("violated" if aliases else "verified")
    assert "stands again" in reason
    assert "Waived at release, and the waiver has ended" in open_conditions(audit)
    assert not audit.permission.headline.startswith("It may be used")


def unsigned(log: LogShown) -> LogShown:
    return replace(log, entries=tuple(replace(entry, head={}) for entry in log.entries))


@pytest.mark.parametrize(
    ("log_of", "says"),
    [(lambda log: log, "log entry 1"), (unsigned, "the signed decision"), (lambda _: LogShown(reason="no guard"), "the signed decision")],
)
def test_the_day_of_receipt_needs_somebody_to_vouch_for_it(waived: Waived, log_of: Callable[[LogShown], LogShown], says: str) -> None:
    """The signed log entry first; the signed decision's own date where no log speaks; else the day of the review."""
    log, at = log_of(waived.log), NOW + 10 * DAY
    logged = logged_receipt(waived.shown, log, waived.trust, at=at)
    assert (logged.by == says) == bool(log.entries and log.entries[0].head)
    signed = Attested(predicate={"signed_at": NOW.isoformat()}, is_signed=True)
    assert bundle_receipt(logged, signed).by == says
    nobody = bundle_receipt(logged, replace(signed, is_signed=False))
    assert nobody.by == ("log entry 1" if logged.by else "")
    assert nobody.at == (logged.at if logged.by else at)
