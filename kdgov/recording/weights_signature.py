"""The OpenSSF model signature beside the weights: a manifest of every file, signed, that public tools verify without kdgov.

`model_signing` takes EC P-256 keys, not ed25519 ones, hence a key of its own: ``KDGOV_WEIGHTS_KEY=PATH`` of a PEM private key. The
result, ``model.sig`` (a Sigstore bundle with a DSSE envelope over the digests), is verified anywhere with
``model_signing verify key --signature model.sig --public_key weights.pub FOLDER``.

``KDGOV_WEIGHTS_KEY=sigstore`` signs without a key of one's own, by the identity a CI job or ``SIGSTORE_ID_TOKEN`` vouches for; it needs
Sigstore's services, so a machine without a network is told so (exit code 3).
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from kdgov.errors import InputError, UnavailableError
from kdgov.evidence import PASSPHRASE_VARIABLE

WEIGHTS_KEY_VARIABLE = "KDGOV_WEIGHTS_KEY"
SIGNATURE = "model.sig"
SIGSTORE = "sigstore"
"""Value of the variable that asks for a keyless signature."""
TOKEN_VARIABLE = "SIGSTORE_ID_TOKEN"


def weights_key() -> str:
    """The declared key for weights: a path, or ``sigstore``; empty where none is."""
    return os.environ.get(WEIGHTS_KEY_VARIABLE, "").removeprefix("file:")


def sign_weights(folder: Path, signature: Path, *, key: str | Path) -> None:
    """Sign every file of a checkpoint folder.

    Args:
        folder: the checkpoint; every file in it is covered.
        signature: file to write.
        key: EC P-256 private key as PEM (encrypted ones take KDGOV_KEY_PASSPHRASE), or ``sigstore``.

    Raises:
        InputError: if the extra is not installed, the key is not of that kind, or nobody vouches for an identity.
        UnavailableError: if Sigstore's services cannot be reached.
    """
    signing = _module("signing")
    try:
        _config(signing, key).sign(str(folder), str(signature))
    except (ValueError, TypeError, OSError, AttributeError) as error:
        if key == SIGSTORE:
            mend = f"Run where the CI vouches for an identity (OIDC), or set {TOKEN_VARIABLE}."
            raise InputError(f"the weights could not be signed by Sigstore: {_first_line(error)}", mend=mend) from error
        raise InputError(
            f"the weights could not be signed: {type(error).__name__}",
            where=str(key),
            mend="Give an EC P-256 key: openssl ecparam -name prime256v1 -genkey -noout -out weights.key",
        ) from error
    except _sigstore_errors() as error:
        mend = f"Sign where there is a network, or with a key file in {WEIGHTS_KEY_VARIABLE}."
        raise UnavailableError(f"Sigstore cannot be reached: {_first_line(error)}", mend=mend) from error


def _config(signing: Any, key: str | Path) -> Any:
    if key != SIGSTORE:
        password = os.environ.get(PASSPHRASE_VARIABLE) or None
        return signing.Config().use_elliptic_key_signer(private_key=str(key), password=password)
    token = os.environ.get(TOKEN_VARIABLE) or None
    return signing.Config().use_sigstore_signer(use_ambient_credentials=token is None, identity_token=token)


def _sigstore_errors() -> tuple[type[Exception], ...]:
    # sigstore comes with model_signing; its errors are no OSError.
    return (importlib.import_module("sigstore.errors").Error,)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def weights_fault(folder: Path, signature: Path, *, public_key: Path) -> str:
    """Why a folder is not what was signed (changed, added and missing files are named); empty when it is.

    Raises:
        InputError: if the extra is not installed.
    """
    verifying = _module("verifying")
    try:
        verifying.Config().use_elliptic_key_verifier(public_key=str(public_key)).verify(str(folder), str(signature))
    except (ValueError, TypeError, OSError, KeyError, AttributeError) as error:
        return str(error) or type(error).__name__
    return ""


def _module(name: str) -> Any:
    try:
        return importlib.import_module(f"model_signing.{name}")
    except ImportError as error:
        raise InputError(
            f"signing weights needs the extra kdgov[signing] ({error.name or error} is missing)", mend="Run pip install 'kdgov[signing]'."
        ) from error
