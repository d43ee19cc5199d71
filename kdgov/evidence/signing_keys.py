"""Private keys and where they come from: an encrypted file, an environment variable, or a command such as a KMS client.

A key source is one string:

=====================  ==========================================================================================
``file:PATH``          PKCS#8 PEM; when encrypted, the passphrase is read from ``KDGOV_KEY_PASSPHRASE``
``env:NAME``           the PEM itself in an environment variable (as text, or base64 of it, for CI secret stores)
``sigstore``           the identity of this CI job: a key for this run alone, with a certificate for its OIDC token
``command:PROGRAM …``  ``PROGRAM … public`` prints the public key as PEM; ``PROGRAM … sign`` reads the bytes to sign
                       from standard input and prints the raw signature in base64
=====================  ==========================================================================================

Private bytes never appear in a message, a log line, an artifact or a tag.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.signer import CryptoSigner, Signature, Signer, SSlibKey  # type: ignore[attr-defined]

from kdgov.digest import write_atomic
from kdgov.errors import InputError, UnavailableError
from kdgov.evidence import PASSPHRASE_VARIABLE

_IGNORED = """# Made by kdgov: private keys, the registry's database and recorded evidence belong into no repository.
/keys/*.key
/mlflow.db*
/artifacts/
/audit/
/log/
"""
COMMAND_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key pair just written to disk."""

    keyid: str
    """Identifier the signatures carry: a digest of the public key."""
    private_path: Path
    """PKCS#8 PEM, mode 0600."""
    public_path: Path
    """SubjectPublicKeyInfo PEM, for everyone."""
    is_encrypted: bool
    """Whether the private file needs a passphrase."""


class _CommandSigner(Signer):
    """Signs by running a program, so that the private key never enters this process."""

    def __init__(self, command: list[str], public_key: SSlibKey) -> None:
        self._command = command
        self._public_key = public_key

    @property
    def public_key(self) -> SSlibKey:
        return self._public_key

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: object, secrets_handler: object = None) -> Signer:
        """Not the way in: `load_signer` is."""
        raise NotImplementedError(priv_key_uri)

    def sign(self, payload: bytes) -> Signature:
        raw = _decoded(_run([*self._command, "sign"], stdin=payload), self._command[0])
        return Signature(self._public_key.keyid, raw.hex())


def new_key(folder: Path, name: str, *, passphrase: str | None) -> NewKey:
    """Create an ed25519 key pair ``<name>.key`` and ``<name>.pub`` in a folder.

    Args:
        folder: created when absent, mode 0700.
        name: file stem.
        passphrase: encrypts the private file (scrypt, AES-256-CBC); None leaves it in the clear.

    Raises:
        InputError: if a key of that name is already there; it is never overwritten.
    """
    private_path, public_path = folder / f"{name}.key", folder / f"{name}.pub"
    if private_path.exists() or public_path.exists():
        raise InputError(
            f"a key named {name!r} is already there", where=str(folder), mend="Choose another name; an existing key is never overwritten."
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = Ed25519PrivateKey.generate()
    encryption: KeySerializationEncryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    # O_EXCL: two processes that both create the project key must not both believe that theirs is the one.
    try:
        descriptor = os.open(private_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InputError(f"a key named {name!r} is already there", where=str(folder), mend="Another process created it; use it.") from error
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    write_atomic(public_path, _public_pem(private.public_key()))
    return NewKey(
        keyid=keyid_of(public_path.read_text()), private_path=private_path, public_path=public_path, is_encrypted=passphrase is not None
    )


def load_signer(source: str) -> Signer:
    """A signer from a key source string.

    Raises:
        InputError: if the source is malformed, the key is not readable, or the passphrase is missing or wrong.
        UnavailableError: if the command cannot be run or fails.
    """
    kind, _, rest = source.partition(":")
    match kind:
        case "file":
            return _from_pem(_file_bytes(Path(rest).expanduser()), where=rest)
        case "env":
            return _from_pem(_environment_bytes(rest), where=f"environment variable {rest}")
        case "sigstore" if not rest:
            return cast(Signer, importlib.import_module("kdgov.evidence.identities.identity_signer").identity_signer())
        case "command" if rest.strip():
            command = shlex.split(rest)
            return _CommandSigner(command, public_key(_run([*command, "public"], stdin=b"").decode("utf-8", "replace"), where=rest))
        case _:
            raise InputError(
                f"{kind!r} is no kind of key source", mend="Write file:PATH, env:NAME, command:PROGRAM or sigstore; see docs/security.md."
            )


def public_key(pem: str, *, where: str = "") -> SSlibKey:
    """The public key of a PEM text (ed25519, ECDSA or RSA).

    Raises:
        InputError: if it is not a public key.
    """
    try:
        return SSlibKey.from_crypto(load_pem_public_key(pem.encode()))  # type: ignore[arg-type]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(
            "is not a public key in PEM form",
            where=where,
            mend="Give the .pub file of `kdgov keys new` or `openssl pkey -pubout`.",
        ) from error


def keyid_of(pem: str) -> str:
    """Identifier of a public key: what its signatures carry."""
    return str(public_key(pem).keyid)


def public_pem_of(signer: Signer) -> str:
    """Public key of a signer as PEM."""
    return str(cast(SSlibKey, signer.public_key).keyval["public"]) if _is_pem(signer) else _raw_ed25519_pem(signer)


def _is_pem(signer: Signer) -> bool:
    return str(cast(SSlibKey, signer.public_key).keyval["public"]).startswith("-----BEGIN")


def _raw_ed25519_pem(signer: Signer) -> str:
    # securesystemslib keeps ed25519 keys as 32 raw bytes in hexadecimal.
    raw = bytes.fromhex(str(cast(SSlibKey, signer.public_key).keyval["public"]))
    return _public_pem(Ed25519PublicKey.from_public_bytes(raw)).decode()


def _public_pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _file_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"the key file cannot be read: {error.strerror}", where=str(path), mend="Check path and permissions.") from error


def _environment_bytes(name: str) -> bytes:
    text = os.environ.get(name, "").strip()
    if not text:
        raise InputError(f"the environment variable {name} is empty or not set", mend="Put the PEM of the private key into it.")
    if text.startswith("-----BEGIN"):
        return text.replace("\\n", "\n").encode()
    return _decoded(text.encode(), f"environment variable {name}")


def _decoded(data: bytes, where: str) -> bytes:
    try:
        return base64.b64decode(data.strip(), validate=True)
    except binascii.Error as error:
        raise InputError("holds neither PEM nor base64", where=where, mend="Give it in base64 without line breaks.") from error


def _from_pem(pem: bytes, *, where: str) -> Signer:
    passphrase = os.environ.get(PASSPHRASE_VARIABLE)
    try:
        private = load_pem_private_key(pem, _password_for(pem, passphrase, where))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        encrypted = b"ENCRYPTED" in pem
        what = "the passphrase does not open this key" if encrypted else "is not a private key in PEM form"
        raise InputError(what, where=where, mend=f"Correct {PASSPHRASE_VARIABLE}." if encrypted else "Give the .key file.") from error
    if not isinstance(private, (Ed25519PrivateKey, EllipticCurvePrivateKey, RSAPrivateKey)):
        raise InputError("is of a kind that cannot sign statements", where=where, mend="Use ed25519, ECDSA or RSA.")
    return CryptoSigner(private)


def _password_for(pem: bytes, passphrase: str | None, where: str) -> bytes | None:
    if b"ENCRYPTED" not in pem:
        return None
    if not passphrase:
        raise InputError("the key is encrypted and no passphrase was given", where=where, mend=f"Set {PASSPHRASE_VARIABLE}.")
    return passphrase.encode()


def _run(command: list[str], *, stdin: bytes) -> bytes:
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(
            f"the signing command could not be run: {type(error).__name__}", where=command[0], mend="Check the command, then retry."
        ) from error
    if done.returncode != 0:
        # Standard error of a KMS client may hold tokens: only the exit code is repeated.
        raise UnavailableError(f"the signing command ended with {done.returncode}", where=command[0], mend="Run it by hand to see why.")
    return done.stdout


def keep_out_of_git(store: Path) -> None:
    """Write the ``.gitignore`` of a store, unless there is one: keys, database and evidence belong into no repository."""
    place = store / ".gitignore"
    try:
        if not place.exists():
            write_atomic(place, _IGNORED.encode())
    except OSError:
        # A store that cannot be written is no store to commit from.
        return


def tracked_private_keys(folder: Path) -> tuple[str, ...]:
    """Private keys below a folder that a git repository tracks; empty where there is no git, or no repository."""
    git = shutil.which("git")
    if git is None or not folder.is_dir():
        return ()
    command = [git, "-C", str(folder), "ls-files", "-z", "--", "*.key", "*.pem"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    names = [name.decode("utf-8", "replace") for name in done.stdout.split(b"\0") if name]
    return tuple(name for name in names if _is_private(folder / name))


def _is_private(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return b"PRIVATE KEY" in stream.read(4096)
    except OSError:
        return False
