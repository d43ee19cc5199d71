"""A signer that is a CI job: an OIDC token becomes a certificate for a key that lives as long as this process (Sigstore's Fulcio)."""

from __future__ import annotations

import importlib
import os
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]

from kdgov.errors import InputError, UnavailableError

TOKEN_VARIABLE = "SIGSTORE_ID_TOKEN"  # noqa: S105 - the name of a variable
FULCIO_VARIABLE = "KDGOV_FULCIO_URL"
_FULCIO = "https://fulcio.sigstore.dev"


class IdentitySigner(CryptoSigner):
    """Signs with a key that nobody keeps; `certificates` say whose it is."""

    certificates: tuple[str, ...] = ()
    """PEM texts, its own first."""


def identity_signer() -> IdentitySigner:
    """The signer of this CI job; one for the whole process, so that its statements stand under one key.

    Raises:
        InputError: if there is no token, or it is none.
        UnavailableError: if the extra is missing, or Sigstore's service does not answer.
    """
    return _signer(_token(), os.environ.get(FULCIO_VARIABLE) or _FULCIO)


def _sigstore(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        mend = "Install it: pip install 'kdgov[signing]'."
        raise UnavailableError("signing by a CI identity needs the extra kdgov[signing]", mend=mend) from error


def _token() -> str:
    if token := os.environ.get(TOKEN_VARIABLE, "").strip():
        return token
    oidc = _sigstore("sigstore.oidc")
    try:
        found = oidc.detect_credential()
    except Exception as error:  # noqa: BLE001 - the libraries of every CI service raise their own
        raise UnavailableError(f"the CI service gives no identity token ({type(error).__name__})", mend=_ALLOW) from error
    if not found:
        raise InputError("there is no identity token here", mend=_ALLOW)
    return str(found)


_ALLOW = f"Let the job request one (GitHub: `permissions: {{id-token: write}}`), or put it into {TOKEN_VARIABLE}."


@lru_cache(maxsize=1)
def _signer(token: str, address: str) -> IdentitySigner:
    oidc, models = _sigstore("sigstore.oidc"), _sigstore("sigstore.models")
    try:
        identity = oidc.IdentityToken(token)
    except oidc.IdentityError as error:
        raise InputError("the identity token is none for Sigstore, or has expired", where=TOKEN_VARIABLE, mend=_ALLOW) from error
    private = generate_private_key(SECP256R1())
    # Fulcio takes who it is from the token alone; the request proves that we hold the key.
    subject = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, str(identity.identity)[:64])])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    request = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True).sign(private, hashes.SHA256())
    try:
        answer = models.FulcioClient(address).signing_cert.post(request, identity)
    except Exception as error:  # noqa: BLE001 - requests, JSON and Sigstore raise their own, and may repeat the token
        told = f"Sigstore's certificate authority gave no certificate ({type(error).__name__})"
        raise UnavailableError(told, where=address, mend="Look whether it can be reached from here, then run it again.") from None
    signer = IdentitySigner(private)
    signer.certificates = tuple(c.public_bytes(Encoding.PEM).decode() for c in (answer.cert, *answer.chain))
    return signer
