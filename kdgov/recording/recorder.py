"""One recording under way: runs, evidence, logged model, version, signed decision, seal."""

from __future__ import annotations

import contextlib
import datetime
import json
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from kdgov.digest import digest_bytes, digest_json, tree_manifest
from kdgov.evidence.bundle import bundle_files
from kdgov.evidence.release_statement import NO_VERDICT, SUBMIT_TAG, VERDICT_TAG, DecisionBinding, release_statement
from kdgov.evidence.signing import envelope_digest, sign_statement
from kdgov.progress import Progress
from kdgov.recording import recorded_parts as parts
from kdgov.recording.card.evidence_bundle import EvidenceBundle
from kdgov.recording.card.model_card import described
from kdgov.recording.card.tags import ends_at, version_tags
from kdgov.recording.card.write_card import write_card_files
from kdgov.recording.client.target import RegistryTarget
from kdgov.recording.client.version_facts import RECORDING_TAG, SEALED_TAG, version_facts
from kdgov.recording.recording_state import RecordingState
from kdgov.recording.run_seal import (
    ROLES,
    SpoiledRunError,
    Statements,
    end_run,
    is_sealed,
    known_keys,
    put,
    refuse_foreign,
    refuse_unsigned,
    run_facts,
    runs_of,
    seal_bytes,
)
from kdgov.recording.runs import criterion_metrics, log_model, log_release
from kdgov.recording.weights_signature import SIGNATURE, sign_weights, weights_key

STEPS = 7
"""Parts `Progress` is told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """One recording under way."""

    client: MlflowClient
    """Of the registry."""
    target: RegistryTarget
    """Which registry."""
    dossier: EvidenceBundle
    """What is recorded."""
    model: str
    """Registered model's name."""
    key: str
    """Digest that names this recording."""
    state: RecordingState
    """What has been created so far."""
    at: datetime.datetime
    """When, with a zone."""

    def find_or_register(self, tell: Progress) -> ModelVersion:
        """The one version of this recording."""
        if known := self._versions():
            return known[0]
        runs = self._runs(tell)
        self._upload(runs["release"])
        tell("record", 4, STEPS)
        model_id = str(self.state.known["model_id"])
        self.state.once("model_ready", lambda: parts.fill_logged_model(self.client, model_id, self.model, self.key, self.dossier))
        parts.ensure_registered_model(self.client, self.model)
        if not (known := self._versions()):
            self.client.create_model_version(
                self.model,
                source=f"models:/{model_id}",
                run_id=runs["release"],
                tags={RECORDING_TAG: self.key},
                description=described(self.dossier, runs["release"]),
                model_id=model_id,
            )
        self.state.once("linked", lambda: parts.link_model(self.client, model_id, self._versions()[0]))
        tell("record", 5, STEPS)
        return self._settled(runs)

    def _settled(self, runs: dict[str, str]) -> ModelVersion:
        versions = self._versions()
        first, mine = versions[0], [v for v in versions if v.run_id == runs["release"]]
        for later in mine:
            if later.version != first.version:
                self.client.delete_model_version(self.model, str(later.version))
        if first.run_id != runs["release"]:
            for run_id in runs.values():
                self.client.delete_run(run_id)
            self._upload(str(first.run_id))
        return first

    def _versions(self) -> list[ModelVersion]:
        found = self.client.search_model_versions(f"name = '{self.model}' AND tags.`{RECORDING_TAG}` = '{self.key}'")
        return sorted(found, key=lambda v: int(v.version))

    def _runs(self, tell: Progress) -> dict[str, str]:
        experiment = self.state.once("experiment", self._experiment)
        tell("record", 1, STEPS)
        at_ms = self.state.once("at_ms", lambda: int(self.at.timestamp() * 1000))
        runs = {role: self.state.once(f"run.{role}", partial(self._run, experiment, role)) for role in ("release", "teacher", "student")}
        log_release(self.client, runs["release"], self.dossier, at_ms=at_ms)
        tell("record", 2, STEPS)
        model_id = self.state.once("model_id", lambda: parts.create_logged_model(self.client, runs["student"], self.model, self.dossier))
        self.state.once("output", lambda: self.client.log_outputs(runs["student"], [LoggedModelOutput(model_id, 0)]))
        for role in ("teacher", "student"):
            log_model(self.client, runs[role], self.dossier, role, at_ms=at_ms, model_id=model_id if role == "student" else None)
        tell("record", 3, STEPS)
        return runs

    def _experiment(self) -> str:
        name = f"kdgov/{self.model}"
        if known := self.client.get_experiment_by_name(name):
            return str(known.experiment_id)
        location = f"{self.target.artifact_root}/{digest_json(name)[7:19]}" if self.target.artifact_root else None
        try:
            return str(self.client.create_experiment(name, artifact_location=location))
        except MlflowException as error:
            # Another job created it in the same moment.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return str(self.client.get_experiment_by_name(name).experiment_id)

    def _run(self, experiment: str, role: str) -> str:
        tags = {"kdgov-role": role, RECORDING_TAG: self.key, "mlflow.note.content": f"{role} of {self.model}"}
        title = {"release": self.model, "teacher": f"teacher {self.dossier.teacher_name}", "student": f"student {self.model}"}[role]
        return str(self.client.create_run(experiment, tags=tags, run_name=title).info.run_id)

    def _upload(self, run_id: str) -> None:
        """Papers, then the bundle with its manifest last: from then on the evidence folder takes no new file."""
        with tempfile.TemporaryDirectory(prefix="kdgov-") as folder:
            papers = Path(folder)
            write_card_files(self.dossier, self.model, papers)
            for path in sorted(p for p in papers.rglob("*") if p.is_file()):
                put(self.client, run_id, path, path.parent.relative_to(papers).as_posix())
        bundle = self.dossier.folder
        for relative in bundle_files(bundle):
            inside = PurePosixPath(relative).parent.as_posix()
            put(self.client, run_id, bundle / relative, "evidence" if inside == "." else f"evidence/{inside}")

    def decide(
        self, version: ModelVersion, signers: tuple[Any, ...], weights: Path | None, upload_weights: bool, tell: Progress
    ) -> tuple[str, bool]:
        """Sign the decision about this version, hand it over, seal the runs."""
        now = self.client.get_model_version(self.model, version.version)
        is_guarded = now.tags.get(VERDICT_TAG) == NO_VERDICT or "kdgov.log" in now.tags
        if now.tags.get(VERDICT_TAG, NO_VERDICT) != NO_VERDICT:
            # Decided before a kill, or by another job: only the seal may be missing.
            self._seal(version)
            return "", is_guarded
        tags = version_tags(self.dossier, at=self.at)
        now = self._with_card(now)
        refuse_unsigned(standing := self._standing(now), signers)
        envelope = standing or self._signed(now, signers, weights, upload_weights, tags)
        tell("record", 6, STEPS)
        if is_guarded and not self._accepted(str(version.version), json.dumps(envelope)):
            self._seal(version)
            return "", True
        if not is_guarded:
            for tag, value in tags.items():
                self.client.set_model_version_tag(self.model, str(version.version), tag, value)
        self._seal(version)
        tell("record", STEPS, STEPS)
        return envelope_digest(envelope), is_guarded

    def _with_card(self, version: ModelVersion) -> ModelVersion:
        """The version with our card: whatever anybody wrote there meanwhile is not what we sign."""
        card = described(self.dossier, str(version.run_id))
        if (version.description or "") == card:
            return version
        self.client.update_model_version(self.model, str(version.version), card)
        return self.client.get_model_version(self.model, str(version.version))

    def _signed(
        self, version: ModelVersion, signers: tuple[Any, ...], weights: Path | None, upload_weights: bool, tags: dict[str, str]
    ) -> dict[str, Any]:
        """The statement about this version, laid beside its evidence; then the folder is closed and shown to hold nothing else."""
        run_id = str(version.run_id)
        if upload_weights and weights is not None:
            self.client.log_artifacts(run_id, str(weights), "weights")
        judged = self._judged(version, weights, tags)
        about = release_statement(version_facts(version), judged, expires=ends_at(self.dossier, self.at))
        envelope = sign_statement(about, list(signers), at=self.at)
        own = {path for path in judged.papers if not path.startswith("model/")} | {
            f"evidence/{p}" for p in bundle_files(self.dossier.folder)
        }
        with tempfile.TemporaryDirectory(prefix="kdgov-") as folder:
            path = Path(folder) / f"decision-{envelope_digest(envelope)[7:19]}.dsse.json"
            path.write_text(json.dumps(envelope, indent=1, sort_keys=True))
            seal = Path(folder) / SEALED_TAG
            seal.write_bytes(self._seal_bytes(run_id))
            try:
                put(self.client, run_id, path, "attestation")
                key = weights_key()
                if key and weights is not None:
                    sign_weights(weights, Path(folder) / SIGNATURE, key=key)
                    put(self.client, run_id, Path(folder) / SIGNATURE, "signature")
                put(self.client, run_id, seal)
            except SpoiledRunError:
                # Another job about the same decision closed the folder first: its statement is as good.
                if standing := self._standing(version):
                    return standing
                raise
        kept = {f"signature/{SIGNATURE}"} if weights_key() and weights is not None else set()
        if upload_weights and weights is not None:
            kept |= {f"weights/{path}" for path in tree_manifest(weights)}
        refuse_foreign(self.client, run_id, own | kept, is_statement=self._statements(version).is_one)
        return envelope

    def _statements(self, version: ModelVersion) -> Statements:
        return Statements(client=self.client, version=version, decision=self.dossier.decision_digest, keys=known_keys(self.target.store))

    def _standing(self, version: ModelVersion) -> dict[str, Any] | None:
        return self._statements(version).standing()

    def _seal_bytes(self, release_run: str) -> bytes:
        return seal_bytes(self.dossier.decision_digest, runs_of(self.client, release_run, self.key, self.state.known))

    def abandon(self) -> None:
        """Give up what was begun: somebody else wrote into it. What nobody decided on is deleted, and the next call begins anew."""
        for version in self._versions():
            if version.tags.get(VERDICT_TAG, NO_VERDICT) == NO_VERDICT:
                self.client.delete_model_version(self.model, str(version.version))
        for role in ROLES:
            run_id = self.state.known.pop(f"run.{role}", "")
            try:
                if run_id:
                    self.client.delete_run(run_id)
            except MlflowException:
                # Whoever spoilt it may have sealed it too; the seal of the next recording names its own runs.
                continue
        for name in ("model_id", "model_ready", "output", "linked"):
            self.state.known.pop(name, None)

    def _accepted(self, version: str, envelope: str) -> bool:
        """Whether the guard took our statement; False where another job's about the same decision was first."""
        try:
            self.client.set_model_version_tag(self.model, version, SUBMIT_TAG, envelope)
        except MlflowException as error:
            stands = self.client.get_model_version(self.model, version).tags.get("kdgov.decision")
            if error.error_code != "PERMISSION_DENIED" or stands != self.dossier.decision_digest:
                raise
            return False
        return True

    def _judged(self, version: ModelVersion, weights: Path | None, tags: dict[str, str]) -> DecisionBinding:
        return DecisionBinding(
            decision=self.dossier.decision_digest,
            bundle=self.dossier.digest,
            weights=self.dossier.weights,
            model=self.dossier.model,
            model_files=self.dossier.model_files,
            weights_uri=weights.resolve().as_uri() if weights is not None else self.dossier.address,
            card=digest_bytes(described(self.dossier, str(version.run_id)).encode()),
            verdict=self.dossier.verdict,
            policy=self.dossier.policy,
            criteria={name: {"value": value} for name, value in criterion_metrics(self.dossier)},
            blocking=tuple(self.dossier.blocking()),
            tags=tags,
            runs=run_facts(self.client, runs_of(self.client, str(version.run_id), self.key, self.state.known), str(version.source)),
            papers=parts.paper_digests(self.client, self.dossier, version, self._seal_bytes(str(version.run_id)), self.target),
        )

    def _seal(self, version: ModelVersion) -> None:
        release_run = str(version.run_id)
        runs = runs_of(self.client, release_run, self.key, self.state.known)
        for run_id in dict.fromkeys(run for run in (release_run, *runs.values()) if run):
            if is_sealed(self.client, run_id):
                continue
            if run_id != release_run:
                self._close(run_id, release_run)
            try:
                end_run(self.client, run_id, version)
                self.client.set_tag(run_id, SEALED_TAG, self.dossier.decision_digest)
            except MlflowException:
                # Another job of the same recording sealed it in this very moment; anything else is a fault.
                if not is_sealed(self.client, run_id):
                    raise

    def _close(self, run_id: str, release_run: str) -> None:
        with tempfile.TemporaryDirectory(prefix="kdgov-") as folder:
            seal = Path(folder) / SEALED_TAG
            seal.write_bytes(self._seal_bytes(release_run))
            with contextlib.suppress(SpoiledRunError):
                # Nothing rests on these folders: no file of theirs is evidence.
                put(self.client, run_id, seal)
