"""A store keeps its keys out of git, and a key that git tracks is named."""

from __future__ import annotations

import stat
import subprocess

from kdgov.evidence.signing_keys import keep_out_of_git, new_key, tracked_private_keys


def _git(folder, *command):
    subprocess.run(["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@x", *command], check=True, capture_output=True)


def test_a_store_ignores_its_own_key_and_a_tracked_one_is_named(tmp_path):
    _git(tmp_path, "init", "-q")
    store = tmp_path / "registry" / "store"
    key = new_key(store / "keys", "project", passphrase=None)
    assert stat.S_IMODE(key.private_path.stat().st_mode) == 0o600
    keep_out_of_git(store)
    _git(tmp_path, "add", "-A")
    assert tracked_private_keys(tmp_path) == ()
    _git(tmp_path, "add", "-f", str(key.private_path))
    assert tracked_private_keys(tmp_path) == ("registry/store/keys/project.key",)
    (store / ".gitignore").write_text("mine\n")
    keep_out_of_git(store)
    assert (store / ".gitignore").read_text() == "mine\n"


def test_a_folder_outside_git_has_no_tracked_key(tmp_path):
    new_key(tmp_path / "keys", "project", passphrase=None)
    assert tracked_private_keys(tmp_path) == ()
    assert tracked_private_keys(tmp_path / "nowhere") == ()
