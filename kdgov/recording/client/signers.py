"""Who signs a recording: the declared key, or the store's own project key, made on first use and said so."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from securesystemslib.signer import Signer  # type: ignore[attr-defined]

from kdgov.errors import InputError
from kdgov.evidence import EVALUATION_VARIABLE, SOURCE_VARIABLE
from kdgov.evidence.signing_keys import keep_out_of_git, keyid_of, load_signer, new_key, public_pem_of
from kdgov.evidence.trust_store import PROJECT_PURPOSES, TrustedKey, load_trust, save_trust, trust_path
from kdgov.processes import lock_file

PROJECT_KEY = "project"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """The keys a recording is signed with, and what to say about them."""

    signers: tuple[Signer, ...]
    """One per declared source."""
    note: str
    """Empty with declared keys; otherwise what the project key is and is not."""


def signing_for(store: Path) -> Signing:
    """The keys KDGOV_SIGNING_KEY names (several sources separated by blanks of the form ``file:… file:…``), else the project key.

    The project key lies unencrypted in ``keys/`` of the store and is trusted there. It shows that evidence was not changed by
    accident or by someone without access to the store; it proves nothing against whoever can read the store.

    Raises:
        InputError: if a key cannot be read.
        UnavailableError: if a signing command fails.
    """
    declared = os.environ.get(SOURCE_VARIABLE, "").strip()
    if declared:
        return Signing(signers=tuple(load_signer(source) for source in _sources(declared)), note="")
    private = store / "keys" / f"{PROJECT_KEY}.key"
    made = _made_now(store, private)
    signer = load_signer(f"file:{private}")
    beside = private.with_suffix(".pub")
    _trust_own(store, beside.read_text() if beside.exists() else public_pem_of(signer))
    note = (
        f"signed with the store's own project key{' (made now)' if made else ''}, which proves nothing against whoever can read "
        "the store; `kdgov keys new` makes a real one"
    )
    return Signing(signers=(signer,), note=note)


def evaluation_signing_for(store: Path) -> Signing:
    """The keys that vouch for an evaluation: those KDGOV_EVALUATION_KEY names, else as `signing_for`.

    Raises:
        InputError: if a key cannot be read.
        UnavailableError: if a signing command fails.
    """
    declared = os.environ.get(EVALUATION_VARIABLE, "").strip()
    if not declared:
        return signing_for(store)
    return Signing(signers=tuple(load_signer(source) for source in _sources(declared)), note="")


def own_key(public: str) -> TrustedKey:
    """The project key as the store's own trust file lists it: it signs everything but waivers and approvals."""
    return TrustedKey(keyid=keyid_of(public), name="project key", public=public, purposes=list(PROJECT_PURPOSES))


def _sources(declared: str) -> list[str]:
    # A command holds blanks of its own, so it stands alone.
    return [declared] if declared.startswith("command:") else declared.split()


def _made_now(store: Path, private: Path) -> bool:
    """Make the project key unless it is there; of several first runs at once one makes it, and the others wait until it is whole."""
    if private.exists() and private.with_suffix(".pub").exists():
        return False
    keep_out_of_git(store)
    store.mkdir(parents=True, exist_ok=True)
    with (store / ".keys.lock").open("w") as lock:
        # Where the file system knows no locks, nobody is waited for.
        with contextlib.suppress(OSError):
            lock_file(lock, wait=True)
        if private.exists():
            return False
        try:
            new_key(private.parent, PROJECT_KEY, passphrase=None)
        except InputError:
            if not private.exists():
                raise
            return False
    return True


def _trust_own(store: Path, public: str) -> None:
    path = trust_path(store)
    own = store / "keys" / "trust.json"
    if path.resolve() != own.resolve():
        # A declared trust store is its owner's: kdgov adds nobody to it.
        return
    trust = load_trust(path)
    if not any(key.public == public for key in trust.keys):
        save_trust(path, trust.with_key(own_key(public)))
