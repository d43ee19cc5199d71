"""A CI job as a trust store lists it: who it is, and the certificates of the authority that knows it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kdgov.declarations.load import validate
from kdgov.errors import InputError, UnavailableError
from kdgov.evidence.trust_store import PURPOSES, TrustedIdentity


def trusted_identity(name: str, *, job: Mapping[str, str], root: Path, purposes: Sequence[str], roles: Sequence[str]) -> TrustedIdentity:
    """The entry of a trust store, from what a person typed.

    Args:
        name: what messages call it.
        job: issuer, repository, workflow and ref.
        root: Sigstore's ``trusted_root.json``, or certificates as PEM.
        purposes: what its signatures count for.
        roles: roles it speaks for.

    Raises:
        InputError: if a part is missing, or the file holds no certificate.
        UnavailableError: if a trusted root is to be read and Sigstore's library is not installed.
    """
    if not purposes:
        mend = f"Add --for, repeatable: {', '.join(PURPOSES)}."
        raise InputError("no purpose is named, and an identity counts for exactly what is named", mend=mend)
    if empty := [key for key, value in job.items() if not value.strip()]:
        raise InputError(f"--{empty[0]} is empty", mend="An identity is one workflow of one repository on one branch or tag.")
    fields: dict[str, Any] = {"name": name, **job, "authorities": authorities_of(root), "purposes": list(purposes), "roles": list(roles)}
    return validate(fields, TrustedIdentity, file="")


def authorities_of(root: Path) -> list[str]:
    """Certificates of the authority, as PEM texts.

    Raises:
        InputError: if the file cannot be read or holds none.
        UnavailableError: if it is Sigstore's and the library is missing.
    """
    try:
        data = root.read_bytes()
        found = x509.load_pem_x509_certificates(data) if b"-----BEGIN" in data and not data.lstrip().startswith(b"{") else _of_root(root)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(root), mend="Check the path.") from error
    except ValueError as error:
        raise InputError("holds no certificates", where=str(root), mend=_MEND) from error
    return [certificate.public_bytes(Encoding.PEM).decode() for certificate in found]


_MEND = "Give Sigstore's trusted_root.json, or the certificates of your own authority as PEM."


def _of_root(root: Path) -> list[x509.Certificate]:
    try:
        models = importlib.import_module("sigstore.models")
    except ImportError as error:
        raise UnavailableError("a trusted root is read by Sigstore's library", mend="Install it: pip install 'kdgov[signing]'.") from error
    try:
        return list(models.TrustedRoot.from_file(str(root)).get_fulcio_certs())
    except Exception as error:  # noqa: BLE001 - pydantic and Sigstore raise their own
        raise InputError(f"is not a trusted root ({type(error).__name__})", where=str(root), mend=_MEND) from error
