"""Signed statements: what counts, and every way a signature must not."""

from __future__ import annotations

import base64
import copy
import datetime
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kdgov.digest import canonical_json, digest_bytes
from kdgov.errors import InputError, UnavailableError
from kdgov.evidence import PASSPHRASE_VARIABLE
from kdgov.evidence.signing import (
    APPROVAL_PREDICATE,
    DECISION_PREDICATE,
    PAYLOAD_TYPE,
    add_signature,
    pre_authentication_encoding,
    sign_statement,
    statement,
    verify_statement,
)
from kdgov.evidence.signing_keys import load_signer, new_key, public_pem_of
from kdgov.evidence.trust_store import PURPOSES, TrustedKey, TrustStore, load_trust, save_trust

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
SUBJECT = {"decision.json": digest_bytes(b"decision")}


def pair(folder: Path, name: str, **options):
    made = new_key(folder, name, passphrase=None)
    public = made.public_path.read_text()
    return load_signer(f"file:{made.private_path}"), TrustedKey(
        **{"keyid": made.keyid, "name": name, "public": public, "purposes": list(PURPOSES), **options}
    )


@pytest.fixture
def alice(tmp_path):
    return pair(tmp_path / "keys", "alice")


def signed(*signers, predicate=None, at=NOW):
    return sign_statement(statement(DECISION_PREDICATE, predicate or {"verdict": "pass"}, subjects=SUBJECT), signers, at=at)


def check(envelope, *keys, at=NOW, purpose="decision", thresholds=None, **options):
    return verify_statement(envelope, TrustStore(keys=list(keys), thresholds=thresholds or {}), purpose=purpose, at=at, **options)


def test_a_trusted_signature_gives_back_the_statement_and_who_signed(alice):
    signer, key = alice
    answer = check(signed(signer), key)
    assert answer.is_valid
    assert answer.predicate == {"verdict": "pass", "signed_at": "2026-11-21T12:00:00Z"}
    assert [k.name for k in answer.signers] == ["alice"]


def test_an_unsigned_or_untrusted_statement_gives_no_words_to_act_on(alice, tmp_path):
    signer, key = alice
    _, mallory = pair(tmp_path / "other", "mallory")
    answer = check(signed(signer), mallory)
    assert not answer.is_valid
    assert answer.statement == {}
    assert "not trusted" in answer.reason


def test_every_changed_byte_of_the_payload_is_refused(alice):
    signer, key = alice
    envelope = signed(signer)
    payload = base64.b64decode(envelope["payload"])
    for position in range(0, len(payload), 7):
        forged = bytearray(payload)
        forged[position] ^= 1
        assert not check({**envelope, "payload": base64.b64encode(bytes(forged)).decode()}, key).is_valid, position


def test_a_payload_with_a_repeated_key_is_refused_even_when_signed(alice):
    """Two readers must not see two verdicts in one signed payload."""
    signer, key = alice
    body = statement(DECISION_PREDICATE, {"verdict": "pass", "signed_at": "2026-11-21T12:00:00Z"}, subjects=SUBJECT)
    text = canonical_json(body).decode().replace('"verdict":"pass"', '"verdict":"fail","verdict":"pass"')
    envelope = {"payload": base64.b64encode(text.encode()).decode(), "payloadType": PAYLOAD_TYPE, "signatures": []}
    answer = check(add_signature(envelope, signer), key)
    assert not answer.is_valid
    assert "canonical" in answer.reason


@pytest.mark.parametrize(
    "envelope",
    [
        {},
        {"payload": 1},
        {"payload": "!!", "payloadType": PAYLOAD_TYPE, "signatures": []},
        {"payload": "", "payloadType": "x", "signatures": [3]},
    ],
)
def test_what_is_no_envelope_is_answered_not_raised(envelope, alice):
    assert not check(envelope, alice[1]).is_valid


def test_a_threshold_of_two_needs_two_different_keys(alice, tmp_path):
    signer, key = alice
    other, other_key = pair(tmp_path / "bob", "bob")
    need_two = {"decision": 2}
    once = signed(signer)
    assert not check(once, key, other_key, thresholds=need_two).is_valid
    twice_the_same = copy.deepcopy(once)
    twice_the_same["signatures"] *= 2
    assert not check(twice_the_same, key, other_key, thresholds=need_two).is_valid
    both = add_signature(once, other)
    assert check(both, key, other_key, thresholds=need_two).is_valid
    assert not check(both, key, thresholds=need_two).is_valid
    assert not check(once, key, thresholds=need_two, threshold=1).is_valid, "a caller cannot lower the store's threshold"


def test_expired_early_revoked_and_compromised_keys_do_not_count(alice):
    signer, key = alice
    envelope = signed(signer)

    def with_key(**change):
        return check(envelope, key.model_copy(update=change))

    assert "expired" in with_key(not_after=NOW - DAY).reason
    assert "valid only from" in with_key(not_before=NOW + DAY).reason
    assert "revoked" in with_key(revoked_at=NOW - DAY).reason
    assert with_key(revoked_at=NOW + DAY).is_valid, "what was signed and received before a plain revocation stands"
    assert not with_key(revoked_at=NOW + DAY, compromised=True).is_valid


def test_an_expired_key_cannot_sign_with_an_earlier_date(alice):
    signer, key = alice
    backdated = signed(signer, at=NOW - 10 * DAY)
    assert not check(backdated, key.model_copy(update={"not_after": NOW - DAY}), at=NOW).is_valid
    assert check(backdated, key.model_copy(update={"not_after": NOW - DAY}), at=NOW - 9 * DAY).is_valid, "received in time, it stands"


def test_clock_skew_of_minutes_is_borne_and_a_statement_from_tomorrow_is_not(alice):
    signer, key = alice
    assert check(signed(signer, at=NOW + datetime.timedelta(minutes=4)), key).is_valid
    assert "future" in check(signed(signer, at=NOW + DAY), key).reason


def test_a_key_counts_only_for_its_purposes_and_a_statement_only_as_its_type(alice):
    signer, key = alice
    assert not check(signed(signer), key.model_copy(update={"purposes": ["waiver"]})).is_valid
    assert not check(signed(signer), key, predicate_type=APPROVAL_PREDICATE).is_valid


def test_a_key_listed_under_anothers_identifier_is_refused(alice, tmp_path):
    signer, key = alice
    _, bob = pair(tmp_path / "bob", "bob")
    swapped = bob.model_copy(update={"public": key.public})
    assert not check(signed(signer), swapped).is_valid


def test_an_encrypted_key_opens_with_its_passphrase_only_and_never_shows_it(tmp_path, monkeypatch):
    made = new_key(tmp_path, "locked", passphrase="correct horse")
    assert made.is_encrypted
    assert stat.S_IMODE(made.private_path.stat().st_mode) == 0o600
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)
    with pytest.raises(InputError, match="encrypted"):
        load_signer(f"file:{made.private_path}")
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "wrong secret")
    with pytest.raises(InputError) as caught:
        load_signer(f"file:{made.private_path}")
    assert "wrong secret" not in str(caught.value)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "correct horse")
    assert public_pem_of(load_signer(f"file:{made.private_path}")) == made.public_path.read_text()


@pytest.mark.parametrize("encode", [lambda pem: pem, lambda pem: base64.b64encode(pem.encode()).decode()])
def test_a_key_in_the_environment_signs_as_the_file_does(encode, tmp_path, monkeypatch):
    made = new_key(tmp_path, "ci", passphrase=None)
    monkeypatch.setenv("CI_KEY", encode(made.private_path.read_text()))
    key = TrustedKey(keyid=made.keyid, name="ci", public=made.public_path.read_text(), purposes=["decision"])
    assert check(signed(load_signer("env:CI_KEY")), key).is_valid


def test_a_command_signs_without_handing_over_its_key(tmp_path):
    made = new_key(tmp_path, "kms", passphrase=None)
    program = tmp_path / "kms.py"
    program.write_text(
        "import base64, sys\n"
        "from cryptography.hazmat.primitives.serialization import load_pem_private_key\n"
        f"if sys.argv[1] == 'public': print(open({str(made.public_path)!r}).read(), end='')\n"
        "else:\n"
        f"    key = load_pem_private_key(open({str(made.private_path)!r}, 'rb').read(), None)\n"
        "    print(base64.b64encode(key.sign(sys.stdin.buffer.read())).decode())\n"
    )
    key = TrustedKey(keyid=made.keyid, name="kms", public=made.public_path.read_text(), purposes=["decision"])
    assert check(signed(load_signer(f"command:{sys.executable} {program}")), key).is_valid


def test_a_failing_command_is_the_environments_fault_and_its_words_are_not_repeated(tmp_path):
    program = tmp_path / "kms.py"
    program.write_text("import sys; sys.stderr.write('token=s3cret'); sys.exit(7)")
    with pytest.raises(UnavailableError, match="ended with 7") as caught:
        load_signer(f"command:{sys.executable} {program}")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("source", ["", "nothing", "ftp:x", "env:KDGOV_NO_SUCH", "file:/no/such/key", "command:"])
def test_a_wrong_key_source_is_the_inputs_fault(source):
    with pytest.raises(InputError):
        load_signer(source)


def test_an_existing_key_is_never_overwritten(tmp_path):
    new_key(tmp_path, "once", passphrase=None)
    with pytest.raises(InputError, match="already there"):
        new_key(tmp_path, "once", passphrase=None)


def test_the_trust_store_survives_its_file(alice, tmp_path):
    trust = TrustStore(keys=[alice[1].model_copy(update={"not_after": NOW, "roles": ["risk"]})], thresholds={"waiver": 2})
    save_trust(tmp_path / "trust.json", trust)
    assert load_trust(tmp_path / "trust.json") == trust
    assert load_trust(tmp_path / "absent.json") == TrustStore()


@pytest.mark.parametrize(
    "text", ['{"keys": [{"keyid": "a"}]}', '{"thresholds": {"waiver": 0}}', '{"keys": [{"keyid":"a","name":"b","public":"c"}]}', "[]", "{"]
)
def test_a_faulty_trust_store_is_refused_not_ignored(text, tmp_path):
    (tmp_path / "trust.json").write_text(text)
    with pytest.raises(InputError):
        load_trust(tmp_path / "trust.json")


def test_openssl_verifies_an_envelope_without_kdgov(alice, tmp_path):
    """The commands of docs/security.md: signature over the pre-authentication encoding, checked by a public tool."""
    signer, key = alice
    envelope = json.loads(json.dumps(signed(signer)))
    payload = base64.b64decode(envelope["payload"])
    encoded = b"DSSEv1 %d %b %d %b" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
    assert encoded == pre_authentication_encoding(envelope)
    (tmp_path / "pae").write_bytes(encoded)
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    (tmp_path / "pub").write_text(key.public)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "pub", "-rawin", "-in", "pae", "-sigfile", "sig"]
    try:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ})
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    assert done.returncode == 0, done.stderr
    (tmp_path / "pae").write_bytes(encoded + b" ")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0
