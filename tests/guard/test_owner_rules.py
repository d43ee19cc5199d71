"""What a registry's owner signs holds on every kind of registry: which policies count, and which signatures must be there."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from kdgov.declarations.policy_file import load_named_policy, load_policy
from kdgov.errors import KdgovError
from kdgov.evidence.bundle import write_manifest
from kdgov.evidence.derivation.evaluation_statement import sign_evaluation
from kdgov.evidence.derivation.owner_rules import (
    AllowedPolicy,
    Demand,
    Layout,
    LayoutRule,
    PolicyList,
    load_owner_rules,
    shipped_policies,
    write_layout,
    write_policies,
)
from kdgov.evidence.derivation.replay_statement import sign_replay
from kdgov.evidence.signing_keys import load_signer, new_key
from kdgov.evidence.trust_store import load_trust, save_trust, trust_path, trusted_key
from kdgov.pipeline.audit import AuditRequest, Scope, audit_registry, audit_version
from kdgov.recording.promotion import promote
from kdgov.recording.release_recording import record_release
from kdgov.recording.verified_loading import load_model
from kdgov.recording.verify import verify_version
from kdgov.resources import data_folder
from tests.recording.evidence_bundle import POLICY, bundle, checkpoint, items
from tests.recording.policy_list import let_store_count

NOW = datetime.datetime.now(datetime.UTC)


class Owner:
    """The owner of one registry, who signs rules and takes them away again; what was signed before is put back."""

    def __init__(self, site) -> None:
        self.trust = trust_path(site.target.store)
        self.signers = [load_signer(f"file:{site.target.store}/keys/project.key")]

    def allows(self, policy: Path, *models: str) -> None:
        """From now on only this policy counts."""
        found = load_policy(policy)
        listed = AllowedPolicy(name=found.name, version=found.version, digest=found.digest, models=list(models))
        write_policies(self.trust, PolicyList(allow=[listed]), self.signers, at=NOW)

    def demands(self, purpose: str, **demand) -> None:
        """From now on this must be signed."""
        rule = LayoutRule(models=["*"], signatures={purpose: Demand(**demand)})
        write_layout(self.trust, Layout(rules=[rule]), self.signers, at=NOW)

    def takes_back(self) -> None:
        """No rules any more, not even the list that lets the tests' own policy count."""
        for name in ("policies.dsse.json", "layout.dsse.json"):
            (self.trust.parent / name).unlink(missing_ok=True)


@pytest.fixture
def owner(site) -> Iterator[Owner]:
    site.record()
    found = Owner(site)
    yield found
    found.takes_back()
    let_store_count(site.target.store, POLICY.replace(b"SAFETY", b"safety"))


@pytest.fixture
def owner_of_embedded(embedded) -> Iterator[Owner]:
    found = Owner(embedded)
    yield found
    found.takes_back()
    let_store_count(embedded.target.store, POLICY.replace(b"SAFETY", b"safety"))


def _of_shipped_policy(site, folder, name="starter", tables=None):
    """Recorded under a policy that comes with kdgov."""
    weights = checkpoint(folder / "weights", seed=hash(site.kind) % 1000)
    policy = (data_folder("policies") / f"{name}.yaml").read_bytes()
    made = bundle(folder / f"bundle-{name}", name=f"{name}-{folder.name}", weights=weights, policy=policy, tables=tables)
    return record_release(made, site.target, weights=weights)


def _address(site) -> str | None:
    return None if site.target.is_embedded else site.target.tracking_uri


def _refused(site, recorded, word: str) -> None:
    """By the guard, whoever asks; by promote with the reason; and by verify."""
    with site.client() as client, pytest.raises(MlflowException, match=word):
        client.set_registered_model_alias(recorded.name, "champion", str(recorded.version))
    assert word in promote(recorded.name, recorded.version, site.target).sentence
    assert not verify_version(recorded.name, recorded.version, site.target).holds


def test_only_listed_policies_count_and_only_for_their_models(site, owner, tmp_path):
    recorded = site.record()
    policy = tmp_path / "policy.yaml"
    policy.write_bytes((next(site.folder.glob("release-*")) / "bundle" / "policy.yaml").read_bytes())
    owner.allows(policy, "bank-*")
    _refused(site, recorded, "the owner's list lacks it")
    owner.allows(policy, "bank-*", "model-*")
    assert promote(recorded.name, recorded.version, site.target).done
    assert not [told for told in verify_version(recorded.name, recorded.version, site.target).standing if "list of policies" in told]


def test_without_a_list_only_shipped_policies_count(site, owner, tmp_path):
    """A policy of one's own needs the owner's word, at every door; one that comes with kdgov counts, and the standing says so."""
    own = site.record()
    owner.takes_back()
    _refused(site, own, "does not come with kdgov")
    assert "kdgov registry policy allow POLICY --models" in promote(own.name, own.version, site.target).sentence
    findings = audit_version(own.name, own.version, AuditRequest(store=site.target.store, registry=_address(site))).findings
    assert any("does not come with kdgov" in f.reason for f in findings)
    shipped = _of_shipped_policy(site, tmp_path)
    act = promote(shipped.name, shipped.version, site.target)
    assert act.done, act.sentence
    assert "no list of policies is signed by the registry's owner: starter" in act.note
    assert "evaluation unsigned" in act.note
    half = items({("refusal", "harmful", "refused"): [1.0] * 500})
    part = _of_shipped_policy(site, tmp_path, "public-safety", (half, half))
    act = promote(part.name, part.version, site.target)
    assert act.done, act.sentence
    assert "a shipped policy that judges a part of a release or one claim alone, counts" in act.note


def test_a_shipped_policy_that_decides_releases_demands_skill_and_refusals_whatever_was_measured():
    """Whoever relies on that word must not be satisfied by leaving a suite out, nor by advice."""
    named = {load_policy(file).digest: file for file in data_folder("policies").glob("*.yaml")}
    deciding = {named[digest].stem for digest, decides in shipped_policies().items() if decides}
    assert deciding == {"default", "strict", "edge-device", "black-box", "starter"}
    assert len(named) > len(deciding)
    for name in deciding:
        policy = load_named_policy(name)
        always = {c.suite for c in policy.criteria if not c.advisory and c.when == "always"}
        assert {"capability", "safety"} <= always, name


def test_an_alias_from_before_the_list_is_violated_where_its_policy_counts_no_more(embedded, owner_of_embedded):
    recorded = embedded.record()
    assert promote(recorded.name, recorded.version, embedded.target).done
    owner_of_embedded.takes_back()
    rows = audit_registry(AuditRequest(store=embedded.target.store), Scope(model=recorded.name))["versions"]
    assert rows[0]["outcome"] == "violated"
    assert any("does not come with kdgov" in need for need in rows[0]["needs"])
    with pytest.raises(KdgovError, match="does not come with kdgov"):
        load_model(f"models:/{recorded.name}@champion", store=embedded.target.store)


@pytest.mark.server
@pytest.mark.xdist_group("sqlite")
def test_a_client_without_a_list_goes_by_the_one_that_the_guard_shows(served_sqlite, tmp_path, monkeypatch):
    """As far as it trusts who signed it; a list of its own wins."""
    recorded = served_sqlite.record()
    mine = tmp_path / "mine" / "trust.json"
    mine.parent.mkdir()
    trust = load_trust(trust_path(served_sqlite.target.store))
    save_trust(mine, trust)
    monkeypatch.setenv("KDGOV_TRUST", str(mine))
    assert verify_version(recorded.name, recorded.version, served_sqlite.target).holds
    save_trust(mine, trust.model_copy(update={"keys": [trust.keys[0].model_copy(update={"purposes": ["decision", "act"]})]}))
    (fault,) = verify_version(recorded.name, recorded.version, served_sqlite.target).violations
    assert "not trusted to sign a policy" in fault.detail
    assert "kdgov keys trust OWNER.pub --for policy" in fault.mend
    # The guard decides by its own list, whatever the client knows.
    assert promote(recorded.name, recorded.version, served_sqlite.target).done


def test_an_evaluation_that_nobody_signed_is_refused_where_the_layout_demands_it(site, owner, tmp_path):
    plain = site.record()
    owner.demands("evaluation")
    _refused(site, plain, "evaluation unsigned")
    weights = checkpoint(tmp_path / "weights", seed=hash(site.kind) % 1000)
    folder = bundle(tmp_path / "bundle", name=f"signed-{tmp_path.name}", weights=weights)
    for role in ("teacher", "student"):
        sign_evaluation(folder / role, owner.signers, at=NOW)
    write_manifest(folder)
    signed = record_release(folder, site.target, weights=weights)
    assert promote(signed.name, signed.version, site.target).done
    assert not [told for told in verify_version(signed.name, 1, site.target).standing if "evaluation unsigned" in told]


def test_the_layout_names_keys_and_how_many(site, owner, tmp_path):
    recorded = site.record()
    owner.demands("decision", threshold=2)
    _refused(site, recorded, "demands 2 decision")
    name = load_trust(owner.trust).keys[0].name
    owner.demands("decision", keys=[name])
    assert promote(recorded.name, recorded.version, site.target).done
    owner.demands("decision", keys=["somebody-else"])
    _refused(site, recorded, "of somebody-else")


def test_a_replay_is_demanded_and_counts_when_a_key_for_evaluations_signed_it(site, owner, tmp_path):
    recorded, other = site.record(), site.record()
    write_layout(owner.trust, Layout(rules=[LayoutRule(models=["*"], replay=20)]), owner.signers, at=NOW)
    _refused(site, recorded, "20 items per task are asked again, and 0 were")
    sign_replay(owner.trust, recorded.decision, 5, owner.signers, at=NOW)
    _refused(site, recorded, "and 5 were")
    stranger = new_key(tmp_path, "stranger", passphrase=None)
    sign_replay(owner.trust, recorded.decision, 20, [load_signer(f"file:{stranger.private_path}")], at=NOW)
    _refused(site, recorded, "and 0 were")
    folder = owner.trust.parent / "replays"
    written = sign_replay(owner.trust, recorded.decision, 20, owner.signers, at=NOW)
    (folder / f"{other.decision.removeprefix('sha256:')}.dsse.json").write_bytes(written.read_bytes())
    _refused(site, other, "and 0 were")
    assert promote(recorded.name, recorded.version, site.target).done


def test_a_list_that_does_not_count_refuses_everything(site, owner, tmp_path):
    """A broken rule is no absent rule: edited, signed by a key without the purpose, or not readable."""
    recorded = site.record()
    stranger = new_key(tmp_path, "stranger", passphrase=None)
    write_policies(owner.trust, PolicyList(), [load_signer(f"file:{stranger.private_path}")], at=NOW)
    _refused(site, recorded, "does not count")
    (owner.trust.parent / "policies.dsse.json").write_text("[" * 100)
    _refused(site, recorded, "policies.dsse.json")


def test_a_key_signs_rules_only_with_that_purpose(tmp_path):
    made = new_key(tmp_path, "ci", passphrase=None)
    trust = load_trust(tmp_path / "trust.json").with_key(trusted_key(made.public_path.read_text(), name="ci", purposes=["decision"]))
    save_trust(tmp_path / "trust.json", trust)
    write_policies(tmp_path / "trust.json", PolicyList(), [load_signer(f"file:{made.private_path}")], at=NOW)
    (fault,) = load_owner_rules(tmp_path / "trust.json", trust, at=NOW).faults
    assert "not trusted to sign a policy" in fault


def test_separation_off_is_said(embedded, tmp_path):
    recorded = embedded.record()
    path = trust_path(embedded.target.store)
    before = path.read_bytes()
    try:
        path.write_text(json.dumps({**json.loads(before), "separation": "off"}))
        assert any("separation is off" in told for told in verify_version(recorded.name, recorded.version, embedded.target).standing)
    finally:
        path.write_bytes(before)
