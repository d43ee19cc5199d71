"""The OpenSSF signature over the weights: made, checked by the public tool, and every change of a file named."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kdgov.errors import InputError, UnavailableError
from kdgov.evidence.signing_keys import new_key
from kdgov.recording.weights_signature import sign_weights, weights_fault
from tests.recording.evidence_bundle import checkpoint

pytest.importorskip("model_signing", reason="the extra kdgov[signing] is not installed")


@pytest.fixture
def signed(tmp_path):
    for command in (
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "weights.key"],
        ["openssl", "ec", "-in", "weights.key", "-pubout", "-out", "weights.pub"],
    ):
        try:
            subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("openssl is not installed")
    folder = checkpoint(tmp_path / "model")
    sign_weights(folder, tmp_path / "model.sig", key=tmp_path / "weights.key")
    return folder, tmp_path / "model.sig", tmp_path / "weights.pub"


def test_a_signed_folder_verifies_and_every_change_is_named(signed):
    folder, signature, public = signed
    assert weights_fault(folder, signature, public_key=public) == ""
    (folder / "extra.bin").write_bytes(b"x")
    assert "extra.bin" in weights_fault(folder, signature, public_key=public)
    (folder / "extra.bin").unlink()
    file = folder / "model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[:-1] + b"\x01")
    assert "model.safetensors" in weights_fault(folder, signature, public_key=public)
    file.write_bytes(data)
    (folder / "config.json").unlink()
    assert weights_fault(folder, signature, public_key=public)


def test_the_public_tool_verifies_it_without_kdgov(signed):
    folder, signature, public = signed
    command = [
        sys.executable,
        "-m",
        "model_signing",
        "verify",
        "key",
        "--signature",
        str(signature),
        "--public_key",
        str(public),
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]


def test_an_ed25519_key_is_refused_with_the_command_that_makes_the_right_one(tmp_path):
    made = new_key(tmp_path, "ed", passphrase=None)
    with pytest.raises(InputError) as caught:
        sign_weights(checkpoint(tmp_path / "model"), tmp_path / "model.sig", key=made.private_path)
    assert "prime256v1" in str(caught.value)


def test_sigstore_without_a_network_is_the_environments_fault(tmp_path, monkeypatch):
    """Whatever the machine: the services' address is made one that nobody answers."""
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", "x.y.z")
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(UnavailableError, match="Sigstore cannot be reached") as caught:
        sign_weights(checkpoint(tmp_path / "model"), tmp_path / "model.sig", key="sigstore")
    assert caught.value.exit_code == 3
    assert "x.y.z" not in str(caught.value)
