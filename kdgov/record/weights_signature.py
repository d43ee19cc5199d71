"""The OpenSSF model signature beside the weights: a manifest of every file, signed, that public tools verify without kdgov.

`model_signing` takes EC P-256 keys, not ed25519 ones, hence a key of its own: ``KDGOV_WEIGHTS_KEY=PATH`` of a PEM private key. The
result, ``model.sig`` (a Sigstore bundle with a DSSE envelope over the digests), is verified anywhere with
``model_signing verify key --signature model.sig --public_key weights.pub FOLDER``.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from kdgov.errors import InputError
from kdgov.evidence.keys import PASSPHRASE_VARIABLE

WEIGHTS_KEY_VARIABLE = "KDGOV_WEIGHTS_KEY"
SIGNATURE = "model.sig"


def weights_key() -> Path | None:
    """The declared key for weights; None where none is."""
    named = os.environ.get(WEIGHTS_KEY_VARIABLE, "").removeprefix("file:")
    return Path(named) if named else None


def sign_weights(folder: Path, signature: Path, *, key: Path) -> None:
    """Sign every file of a checkpoint folder.

    Args:
        folder: the checkpoint; every file in it is covered.
        signature: file to write.
        key: EC P-256 private key as PEM; encrypted ones take KDGOV_KEY_PASSPHRASE.

    Raises:
        InputError: if the extra is not installed or the key is not of that kind.
    """
    signing = _module("signing")
    password = os.environ.get(PASSPHRASE_VARIABLE) or None
    try:
        config = signing.Config().use_elliptic_key_signer(private_key=str(key), password=password)
        config.sign(str(folder), str(signature))
    except (ValueError, TypeError, OSError, AttributeError) as error:
        raise InputError(
            f"the weights could not be signed: {type(error).__name__}",
            where=str(key),
            mend="Give an EC P-256 key: openssl ecparam -name prime256v1 -genkey -noout -out weights.key",
        ) from error


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
