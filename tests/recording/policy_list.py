"""Sign, as the owner of a registry does, that policies of the tests count: without a list only those that come with kdgov do."""

from __future__ import annotations

import datetime
import tempfile
from pathlib import Path

from kdgov.declarations.policy_file import load_policy
from kdgov.evidence.derivation.owner_rules import AllowedPolicy, PolicyList, load_owner_rules, write_policies
from kdgov.evidence.signing_keys import load_signer
from kdgov.evidence.trust_store import load_trust


def let_count(trust_file: Path, key: Path, *policies: Path | bytes | str, models: str = "*") -> None:
    """Add policies (files, or their text) to the signed list beside a trust store.

    Args:
        trust_file: the trust store.
        key: private key that it trusts for the purpose ``policy``.
        policies: what counts from now on.
        models: for which models.
    """
    now = datetime.datetime.now(datetime.UTC)
    rules = load_owner_rules(trust_file, load_trust(trust_file), at=now)
    listed = {allowed.digest: allowed for allowed in (rules.policies.allow if rules.policies is not None else [])}
    for policy in policies:
        with tempfile.TemporaryDirectory() as folder:
            place = policy if isinstance(policy, Path) else Path(folder) / "policy.yaml"
            if not isinstance(policy, Path):
                place.write_bytes(policy.encode() if isinstance(policy, str) else policy)
            found = load_policy(place)
        listed[found.digest] = AllowedPolicy(name=found.name, version=found.version, digest=found.digest, models=[models])
    write_policies(trust_file, PolicyList(allow=list(listed.values())), [load_signer(f"file:{key}")], at=now)


def let_store_count(store: Path, *policies: Path | bytes | str) -> None:
    """As `let_count`, with a store's own project key, made now where there is none."""
    from kdgov.recording.client.signers import signing_for

    signing_for(store)
    let_count(store / "keys" / "trust.json", store / "keys" / "project.key", *policies)
