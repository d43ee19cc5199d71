"""Who a model is that can only be asked: what is declared of it. What was observed of it stands in its evaluation's evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdgov.checkpoints.identity import ModelIdentity, model_identity
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.digest import digest_json

NOT_AVAILABLE = ("weights", "tokenizer", "template", "config", "parameters", "logits", "hidden_states")
"""Parts of an identity that an endpoint does not show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointIdentity:
    """The declared identity of an endpoint: address, model name, terms, and what every request carries besides."""

    address: str
    """Address without its query."""
    asked: str
    """Model name that is asked for."""
    api: str
    """chat or completions."""
    terms: str
    """Licence or terms of use of the answers."""
    extra: str
    """Digest of ``extra_body``; empty without one."""
    is_subject: bool = False
    """Whether this is the model to be released: its declaration then stands where the digest of a model's files would."""

    @property
    def digest(self) -> str:
        """Digest of what is declared."""
        return digest_json([self.address, self.asked, self.api, self.terms, self.extra])

    def as_json(self) -> dict[str, Any]:
        """Plain dictionary; parts that an endpoint does not show are empty and named."""
        return {
            "access": "api",
            "generator": self.asked,
            "base_url": self.address,
            "api": self.api,
            "terms": self.terms,
            "extra_body": self.extra,
            "endpoint": self.digest,
            "not_available": list(NOT_AVAILABLE),
            **dict.fromkeys(("tokenizer", "template", "config"), ""),
            **dict.fromkeys(("weights", "model"), self.digest if self.is_subject else ""),
        }


Identity = ModelIdentity | EndpointIdentity


def endpoint_identity(endpoint: Endpoint, *, is_subject: bool = False) -> EndpointIdentity:
    """What an endpoint's declaration says of who answers there; ``is_subject``: it is the model to be released."""
    return EndpointIdentity(
        address=endpoint.address,
        asked=endpoint.model,
        api=endpoint.api,
        terms=endpoint.terms,
        extra=digest_json(endpoint.extra_body) if endpoint.extra_body else "",
        is_subject=is_subject,
    )


def identity_of(source: Path | Endpoint) -> Identity:
    """The identity of a checkpoint's folder, or of an endpoint.

    Raises:
        InputError: if the folder is no checkpoint.
    """
    return endpoint_identity(source) if isinstance(source, Endpoint) else model_identity(source)
