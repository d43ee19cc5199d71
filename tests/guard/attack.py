"""What an attacker has at hand, and what a way around the guard is."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from kdgov.evidence.release_statement import VersionFacts
from kdgov.evidence.signing import sign_statement
from kdgov.evidence.signing_keys import load_signer
from kdgov.recording.client.fetch_bundle import attestations
from kdgov.recording.client.version_facts import version_facts
from kdgov.recording.release_recording import RecordedVersion

NOW = datetime.datetime.now(datetime.UTC)


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
        """The version's own statement, forged and signed anew; by the trusted key unless another is named."""
        source = key or f"file:{self.site.target.store}/keys/project.key"
        body = self.honest(recorded)
        facts = self.facts(recorded)
        body["predicate"] |= {"verdict": verdict, "blocking": [], "expires": _text(expires or NOW + datetime.timedelta(days=9))}
        body["predicate"] |= {"source": facts.source, "run_id": facts.run_id, "creation_timestamp": facts.creation_timestamp}
        body["predicate"]["tags"] |= {"kdgov.verdict": verdict.upper()}
        if change:
            change(body["predicate"])
        return json.dumps(sign_statement(body, [load_signer(source)], at=at or datetime.datetime.now(datetime.UTC)))

    def signed(self, body: dict[str, Any]) -> str:
        """A statement's body signed by the registry's own decision key."""
        signer = load_signer(f"file:{self.site.target.store}/keys/project.key")
        return json.dumps(sign_statement(body, [signer], at=datetime.datetime.now(datetime.UTC)))

    def honest(self, recorded: RecordedVersion) -> dict[str, Any]:
        """The statement that was signed when a version was recorded: what a forger changes a word of."""
        version = self.client.get_model_version(recorded.name, str(recorded.version))
        envelope = attestations(self.client, version)[0]
        return dict(json.loads(base64.b64decode(envelope["payload"])))

    def submit(self, recorded: RecordedVersion, envelope: str) -> None:
        """Hand a statement to the guard."""
        self.client.set_model_version_tag(recorded.name, str(recorded.version), "kdgov.submit", envelope)

    def champion(self, recorded: RecordedVersion, alias: str = "champion") -> None:
        """Try to promote."""
        self.client.set_registered_model_alias(recorded.name, alias, str(recorded.version))


def _text(at: datetime.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


class NotHereError(Exception):
    """The way needs a server."""


@dataclass(frozen=True)
class Way:
    """One way around."""

    attempt: str
    act: Callable[[Attack], object]
    expected: str = "refused"
    """refused; detected (let through, and named by verify); or logged."""
