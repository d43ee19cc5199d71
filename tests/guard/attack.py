"""What an attacker has at hand, and what a way around the guard is."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from kdgov.evidence.release_statement import DecisionBinding, VersionFacts, release_statement
from kdgov.evidence.signing import sign_statement
from kdgov.evidence.signing_keys import load_signer
from kdgov.recording.release_recording import RecordedVersion, version_facts

NOW = datetime.datetime.now(datetime.UTC)
DIGEST = "sha256:" + "a" * 64


@dataclass(frozen=True)
class Attack:
    """What an attacker has at hand."""

    site: Any
    client: MlflowClient
    good: RecordedVersion
    bad: RecordedVersion
    folder: Any

    def rest(self, path: str, **body: Any) -> None:
        """A raw REST or page call; raises like the client when refused."""
        if self.site.kind == "embedded":
            raise NotHereError("no server")
        method = requests.post if "delete" not in path else requests.delete
        answer = method(f"{self.site.target.tracking_uri}/{path}", json=body, timeout=30)
        if answer.status_code == 403:
            raise MlflowException(answer.text, error_code=7)
        answer.raise_for_status()

    def facts(self, recorded: RecordedVersion) -> VersionFacts:
        """The registry's words about a version."""
        return version_facts(self.client.get_model_version(recorded.name, str(recorded.version)))

    def decision(
        self, recorded: RecordedVersion, *, key: str = "", change: Any = None, expires: Any = None, verdict: str = "pass", at: Any = None
    ) -> str:
        """A signed decision about a version; by the trusted key unless another is named."""
        source = key or f"file:{self.site.target.store}/keys/project.key"
        judged = DecisionBinding(
            decision=DIGEST, bundle=DIGEST, weights=DIGEST, model=DIGEST, weights_uri="", card=DIGEST, verdict=verdict,
            policy={"name": "p", "version": "1", "digest": DIGEST}, criteria={}, blocking=(), tags={"kdgov.verdict": verdict.upper()},
        )  # fmt: skip
        body = release_statement(self.facts(recorded), judged, expires=expires or NOW + datetime.timedelta(days=9))
        if change:
            change(body["predicate"])
        return json.dumps(sign_statement(body, [load_signer(source)], at=at or datetime.datetime.now(datetime.UTC)))

    def submit(self, recorded: RecordedVersion, envelope: str) -> None:
        """Hand a statement to the guard."""
        self.client.set_model_version_tag(recorded.name, str(recorded.version), "kdgov.submit", envelope)

    def champion(self, recorded: RecordedVersion, alias: str = "champion") -> None:
        """Try to promote."""
        self.client.set_registered_model_alias(recorded.name, alias, str(recorded.version))


class NotHereError(Exception):
    """The way needs a server."""


@dataclass(frozen=True)
class Way:
    """One way around."""

    attempt: str
    act: Callable[[Attack], object]
    expected: str = "refused"
    """refused; detected (let through, and named by verify); or logged."""
