"""Whose signature the registry takes: two of two, a key past its end, a key that a command holds; and nothing is lost on a refusal."""

from __future__ import annotations

import base64
import datetime
import json
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from kdgov.evidence import signing_keys
from kdgov.evidence.signing_keys import new_key
from kdgov.evidence.trust_store import PROJECT_PURPOSES, TrustedKey, TrustStore, load_trust, save_trust
from kdgov.recording.client.client import RefusedByGuardError, registry_client
from kdgov.recording.client.signers import signing_for
from kdgov.recording.client.target import registry_target
from kdgov.recording.promotion import promote
from kdgov.recording.release_recording import record_release
from kdgov.recording.verify import verify_version
from tests.recording.evidence_bundle import POLICY, bundle, checkpoint
from tests.recording.policy_list import let_count


@pytest.fixture
def keys(tmp_path, monkeypatch, empty_registry):
    """Ada's and Grace's keys, a registry that trusts both, and a release to record."""
    made = {name: new_key(tmp_path / "keys", name, passphrase=None) for name in ("ada", "grace")}

    def trust(**change):
        """Write the trust store: ``thresholds``, and ``until`` for both keys."""
        until = change.pop("until", None)
        listed = [
            TrustedKey(keyid=key.keyid, name=name, public=key.public_path.read_text(), not_after=until, purposes=list(PROJECT_PURPOSES))
            for name, key in made.items()
        ]
        save_trust(tmp_path / "trust.json", TrustStore(keys=listed, **change))

    trust()
    let_count(tmp_path / "trust.json", made["ada"].private_path, POLICY.replace(b"SAFETY", b"safety"))
    monkeypatch.setenv("KDGOV_TRUST", str(tmp_path / "trust.json"))
    weights = checkpoint(tmp_path / "weights")
    folder = bundle(tmp_path / "bundle", name="keyed", weights=weights)
    target = registry_target(tmp_path / "store")
    target.store.mkdir()
    shutil.copy(empty_registry, target.store / "mlflow.db")

    def record(*sources: str):
        monkeypatch.setenv("KDGOV_SIGNING_KEY", " ".join(sources))
        return record_release(folder, target, weights=weights)

    return {name: f"file:{key.private_path}" for name, key in made.items()}, trust, record, target


def test_two_first_runs_in_one_store_sign_with_one_key_and_neither_reads_it_half_written(tmp_path, monkeypatch):
    monkeypatch.delenv("KDGOV_SIGNING_KEY", raising=False)
    monkeypatch.delenv("KDGOV_TRUST", raising=False)
    private_is_there, go_on, write = threading.Event(), threading.Event(), signing_keys.write_atomic

    def slowly(path, data):
        if path.name == "project.pub":
            private_is_there.set()
            go_on.wait(60)
        write(path, data)

    monkeypatch.setattr(signing_keys, "write_atomic", slowly)
    with ThreadPoolExecutor(2) as both:
        first = both.submit(signing_for, tmp_path)
        assert private_is_there.wait(60)
        second = both.submit(signing_for, tmp_path)
        # Long enough for the second to fail, had it not to wait.
        assert wait([second], timeout=0.3).not_done
        go_on.set()
        notes = sorted(one.result(60).note for one in (first, second))
    assert ["made now" in note for note in notes] == [True, False]
    assert [key.name for key in load_trust(tmp_path / "keys" / "trust.json").keys] == ["project key"]


def test_two_of_two(keys):
    """One signature is refused, the same one twice as well; both together count, for the guard and for verify."""
    sources, trust, record, target = keys
    trust(thresholds={"decision": 2})
    for signing in ([sources["ada"]], [sources["ada"], sources["ada"]]):
        with pytest.raises(RefusedByGuardError, match="1 of 2 needed signatures"):
            record(*signing)
    recorded = record(sources["ada"], sources["grace"])
    assert promote(recorded.name, recorded.version, target).done
    report = verify_version(recorded.name, "@champion", target)
    assert report.holds
    (signature,) = [check for check in report.checks if check.what == "signature"]
    assert "ada" in signature.detail
    assert "grace" in signature.detail


def test_a_key_past_its_end_is_refused_and_the_mend_is_named(keys):
    sources, trust, record, target = keys
    trust(until=datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1))
    with pytest.raises(RefusedByGuardError, match="expired on"):
        record(sources["ada"])
    trust()
    recorded = record(sources["ada"])
    trust(until=datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1))
    act = promote(recorded.name, recorded.version, target)
    assert not act.done, "it was received after the key's end as the trust store now has it"


def test_a_key_held_by_a_command_signs_and_never_enters_this_process(keys, tmp_path):
    sources, _, record, target = keys
    program = tmp_path / "kms.py"
    program.write_text(
        "import base64, sys\n"
        "from cryptography.hazmat.primitives.serialization import load_pem_private_key\n"
        f"key = load_pem_private_key(open({sources['ada'].removeprefix('file:')!r}, 'rb').read(), None)\n"
        f"public = open({sources['ada'].removeprefix('file:').replace('.key', '.pub')!r}).read()\n"
        "if sys.argv[1] == 'public': print(public, end='')\n"
        "else: print(base64.b64encode(key.sign(sys.stdin.buffer.read())).decode())\n"
    )
    recorded = record(f"command:{sys.executable} {program}")
    assert promote(recorded.name, recorded.version, target).done


def test_the_documented_commands_verify_it_without_kdgov(keys, tmp_path, project_root):
    """The block of docs/security.md, run as it stands, beside a downloaded envelope and the signer's public key."""
    sources, _, record, target = keys
    recorded = record(sources["ada"])
    with registry_client(target) as client:
        (envelope,) = client.list_artifacts(recorded.run_id, "attestation")
        fetched = client.download_artifacts(recorded.run_id, envelope.path, str(tmp_path))
        evidence = client.download_artifacts(recorded.run_id, "evidence", str(tmp_path))
    place = tmp_path / "verify"
    place.mkdir()
    shutil.copy(fetched, place / "decision.dsse.json")
    (place / "release-bot.pub").write_text((tmp_path / "keys" / "ada.pub").read_text())
    (place / "evidence").symlink_to(evidence)
    text = (project_root / "docs" / "security.md").read_text()
    start = text.index("    python3 - <<'PY'")
    block = text[start : text.index("The weights beside it")]
    script = "\n".join(line.removeprefix("    ") for line in block.splitlines())
    done = subprocess.run(["sh", "-ec", script], cwd=place, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Signature Verified Successfully" in done.stdout
    statement = json.loads((place / "statement.json").read_bytes())
    digests = {subject["digest"]["sha256"] for subject in statement["subject"]}
    assert {line.split()[0] for line in done.stdout.splitlines() if "evidence/" in line} <= digests
    forged = json.loads((place / "decision.dsse.json").read_bytes())
    words = base64.b64decode(forged["payload"]).replace(b'"verdict":"pass"', b'"verdict":"fail"')
    (place / "decision.dsse.json").write_text(json.dumps({**forged, "payload": base64.b64encode(words).decode()}))
    done = subprocess.run(["sh", "-ec", script], cwd=place, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
