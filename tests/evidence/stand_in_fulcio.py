"""A stand-in for an OIDC issuer and for Sigstore's certificate authority, on this machine: real tokens, real certificates, no network."""

from __future__ import annotations

import base64
import datetime
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ISSUER = "https://token.actions.example"
REPOSITORY = "https://git.example/acme/models"
WORKFLOW = ".github/workflows/release.yaml"
REF = "refs/heads/main"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
_FULCIO = "1.3.6.1.4.1.57264.1."


def now() -> datetime.datetime:
    """This moment, in whole seconds."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


@dataclass
class Authority:
    """An authority that gives certificates for tokens of one issuer."""

    lifetime: datetime.timedelta = datetime.timedelta(minutes=10)
    begins: datetime.timedelta = datetime.timedelta(0)
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING
    tokens: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))
    own: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))
    address: str = ""

    def __post_init__(self) -> None:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.own.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now() - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now() + datetime.timedelta(days=365))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(self.own.public_key()), critical=False)
        self.root = builder.sign(self.own, hashes.SHA256())

    @property
    def pem(self) -> str:
        """Its certificate."""
        return self.root.public_bytes(Encoding.PEM).decode()

    @property
    def trusted_root(self) -> str:
        """As Sigstore's ``trusted_root.json`` has it."""
        chain = {"certificates": [{"rawBytes": base64.b64encode(self.root.public_bytes(Encoding.DER)).decode()}]}
        start = (now() - datetime.timedelta(days=1)).isoformat().replace("+00:00", "Z")
        subject = {"organization": "stand-in", "commonName": "stand-in"}
        authority = {"subject": subject, "uri": "https://fulcio.example", "certChain": chain, "validFor": {"start": start}}
        kind = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
        return json.dumps({"mediaType": kind, "tlogs": [], "certificateAuthorities": [authority], "ctlogs": [], "timestampAuthorities": []})

    def token(self, **change: Any) -> str:
        """What the CI service gives a job."""
        claims = {
            "iss": ISSUER, "aud": "sigstore", "sub": f"repo:acme/models:ref:{REF}", "iat": now(), "nbf": now(),
            "exp": now() + datetime.timedelta(minutes=5), "repository": REPOSITORY, "workflow": WORKFLOW, "ref": REF, "sha": COMMIT,
        }  # fmt: skip
        return jwt.encode({**claims, **change}, self.tokens, algorithm="ES256")

    def certify(self, token: str, request: x509.CertificateSigningRequest) -> x509.Certificate:
        """A certificate for the job of a token; raises where the token or the request is not good."""
        said = jwt.decode(token, self.tokens.public_key(), algorithms=["ES256"], audience="sigstore")
        assert request.is_signature_valid
        address = f"{said['repository']}/{said['workflow']}@{said['ref']}"
        builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(self.root.subject).public_key(request.public_key())
        begins = now() + self.begins
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(begins + self.lifetime)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(address)]), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([self.purpose]), critical=False)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.own.public_key())
        builder = builder.add_extension(issuer_key, critical=False)
        told = {
            "8": said["iss"],
            "12": said["repository"],
            "13": said["sha"],
            "14": said["ref"],
            "18": address,
            "21": "https://git.example/1",
        }
        for number, text in told.items():
            builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(_FULCIO + number), _der(text)), critical=False)
        return builder.sign(self.own, hashes.SHA256())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs_certificates, crl_sign=signs_certificates, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _der(text: str) -> bytes:
    data = text.encode()
    length = bytes([len(data)]) if len(data) < 128 else bytes([0x81, len(data)])
    return b"\x0c" + length + data


@contextmanager
def served(authority: Authority) -> Iterator[str]:
    """The authority behind Fulcio's own address; its base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            token = self.headers["Authorization"].removeprefix("Bearer ")
            try:
                request = x509.load_pem_x509_csr(base64.b64decode(body["certificateSigningRequest"]))
                leaf = authority.certify(token, request)
                chain = [leaf.public_bytes(Encoding.PEM).decode(), authority.pem]
                self._answer(200, {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}})
            except (jwt.InvalidTokenError, AssertionError, ValueError) as error:
                self._answer(400, {"message": str(error)})

        def _answer(self, status: int, document: Any) -> None:
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
